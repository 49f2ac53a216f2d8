/* SPDX-License-Identifier: Apache-2.0
 *
 * app/options and app/config: common options anywhere on the line, a command's own, config.ini and
 * the environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/config.h"
#include "app/options.h"

enum { WORDS = 24 };

/* Splits a line at spaces; "_" stands for an empty word. Returns the count. */
static int split(char *line, char *words[WORDS]) {
    int n = 0;
    for (char *w = strtok(line, " "); w; w = strtok(NULL, " ")) {
        words[n++] = strcmp(w, "_") == 0 ? "" : w;
    }
    words[n] = NULL;
    return n;
}

static void join(char *const *words, int count, char *out, size_t size) {
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < count; i++) {
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? " " : "", words[i]);
    }
}

static void common_options_are_taken_from_anywhere(void **state) {
    (void)state;
    static const struct {
        const char *line, *left;
    } cases[] = {
        {"ask --json x", "ask x"},
        {"--json ask x", "ask x"},
        {"ask x --threads 3", "ask x"},
        {"ask --threads=3 x", "ask x"},
        {"ask -m model -s name x", "ask x"},
        {"ask -mmodel -sname x", "ask x"},
        {"ask -qv x", "ask x"},
        {"ask -qvm model x", "ask x"},
        {"eval --mode full --window 512 --text f", "eval --mode full --text f"},
        {"eval --mode=full -n 5", "eval --mode=full -n 5"},
        {"ask -qx", "ask -qx"}, /* x is not ours, so neither is the cluster */
        {"ask -- --json -q", "ask -- --json -q"},
        {"ask -", "ask -"},
        {"ask --no-progress --no-offline --offline x", "ask x"},
        {"ask --jsonx --js", "ask --jsonx --js"}, /* no abbreviations */
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[200], left[200], *words[WORDS];
        struct settings s;
        struct error error = {0};
        settings_init(&s);
        snprintf(line, sizeof line, "%s", cases[i].line);
        int count = split(line, words);
        if (!settings_read(&s, &count, words, &error)) {
            fail_msg("%s: %s", cases[i].line, error.text);
        }
        join(words, count, left, sizeof left);
        assert_string_equal(left, cases[i].left);
        assert_null(words[count]);
    }
}

static void common_options_have_their_values(void **state) {
    (void)state;
    char line[] = "ask --threads 3 --window=512 --keep 0 --temp 0.5 --seed 99 --backend cpu -m m "
                  "-s n --json --offline --no-progress --color never -vv";
    char *words[WORDS];
    struct settings s;
    struct error error = {0};
    settings_init(&s);
    assert_int_equal(settings_options(&s).keep, -1);
    int count = split(line, words);
    assert_true(settings_read(&s, &count, words, &error));
    struct options o = settings_options(&s);
    assert_int_equal(o.threads, 3);
    assert_int_equal(o.window, 512);
    assert_int_equal(o.keep, 0);
    assert_true(o.temperature == 0.5f);
    assert_int_equal(o.seed, 99);
    assert_string_equal(o.backend, "cpu");
    assert_string_equal(o.model, "m");
    assert_string_equal(o.session, "n");
    assert_true(o.json && o.offline && !o.progress && !o.colour);
    assert_int_equal(o.verbose, 2);
}

static void wrong_values_are_usage_errors_that_name_the_option(void **state) {
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"--threads", "option --threads: found nothing after it"},
        {"--threads x", "option --threads: found 'x', expected a whole number from 0 to 1024"},
        {"--threads=", "option --threads: found ''"},
        {"--threads -1", "found '-1'"},
        {"--threads +1", "found '+1'"},
        {"--threads 1025", "found '1025'"},
        {"--threads 99999999999999999999", "found '99999999999999999999'"},
        {"--threads 1.5", "found '1.5'"},
        {"--temp nan", "option --temp: found 'nan', expected a number from 0 to 10"},
        {"--temp 0,5", "found '0,5'"},
        {"--temp 11", "found '11'"},
        {"--backend gpu", "option --backend: found 'gpu', expected one of auto|cpu|vulkan"},
        {"--backend cp", "found 'cp'"},
        {"--json=yes", "option --json: found a value, expected none"},
        {"-m", "option -m: found nothing after it"},
        {"-m _", "option -m: found an empty value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[200], *words[WORDS];
        struct settings s;
        struct error error = {0};
        settings_init(&s);
        snprintf(line, sizeof line, "%s", cases[i].line);
        int count = split(line, words);
        assert_false(settings_read(&s, &count, words, &error));
        assert_int_equal(error.code, ERROR_USAGE);
        if (!strstr(error.text, cases[i].says)) {
            fail_msg("%s: '%s' lacks '%s'", cases[i].line, error.text, cases[i].says);
        }
    }
}

struct own {
    uint64_t count;
    double real;
    const char *mode, *file;
    bool dry;
    struct option_texts include;
    uint64_t bytes;
};

static bool read_own(struct own *own, const char *text, char *left, size_t size,
                     struct error *error) {
    const struct option table[] = {
        {.letter = 'n', .kind = OPTION_COUNT, .value = &own->count, .least = 1, .most = 100},
        {.name = "real", .kind = OPTION_REAL, .value = &own->real, .least = -1, .most = 1},
        {.name = "mode", .kind = OPTION_CHOICE, .value = &own->mode, .choices = "full|window"},
        {.name = "out", .letter = 'o', .kind = OPTION_TEXT, .value = &own->file},
        {.name = "dry-run", .kind = OPTION_FLAG, .value = &own->dry},
        {.name = "bytes", .kind = OPTION_BYTES, .value = &own->bytes},
        {.name = "include", .kind = OPTION_TEXTS, .value = &own->include},
    };
    static char line[200];
    char *words[WORDS];
    snprintf(line, sizeof line, "%s", text);
    int count = split(line, words);
    bool ok = options_read(table, sizeof table / sizeof *table, &count, words, error);
    if (ok) {
        join(words, count, left, size);
    }
    return ok;
}

static void sizes_are_read_with_their_unit(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes; /* UINT64_MAX: refused */
    } cases[] = {
        {"0", 0},
        {"300", 300},
        {"20k", 20000},
        {"1.5G", 1500000000},
        {"200MB", 200000000},
        {"7B", 7},
        {"2T", 2000000000000},
        {"", UINT64_MAX},
        {"M", UINT64_MAX},
        {"-1", UINT64_MAX},
        {"1X", UINT64_MAX},
        {"1kk", UINT64_MAX},
        {"1e30", UINT64_MAX},
        {"nan", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct own own = {.bytes = UINT64_MAX};
        struct error error = {0};
        char line[100], left[100];
        snprintf(line, sizeof line, "--bytes=%s", cases[i].text);
        bool ok = read_own(&own, line, left, sizeof left, &error);
        assert_int_equal(ok, cases[i].bytes != UINT64_MAX);
        assert_int_equal(own.bytes, cases[i].bytes);
    }
}

static void own_options_are_read_and_operands_left(void **state) {
    (void)state;
    struct own own = {0};
    struct error error = {0};
    char left[200];
    assert_true(read_own(&own,
                         "a -n 64 --real -0.5 b --mode=full -ofile --dry-run --include *.c "
                         "--include=*.h -- -n --x",
                         left, sizeof left, &error));
    assert_string_equal(left, "a b -n --x");
    assert_int_equal(own.count, 64);
    assert_true(own.real == -0.5);
    assert_string_equal(own.mode, "full");
    assert_string_equal(own.file, "file");
    assert_true(own.dry);
    assert_int_equal(own.include.count, 2);
    assert_string_equal(own.include.text[1], "*.h");
}

static void own_options_that_are_unknown_or_wrong_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"--what=3", "unknown option --what"},
        {"-x", "unknown option -x"},
        {"-n 0", "option -n: found '0', expected a whole number from 1 to 100"},
        {"-n", "option -n: found nothing after it"},
        {"--mode memory", "option --mode: found 'memory', expected one of full|window"},
        {"--no-mode full", "unknown option --no-mode"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct own own = {0};
        struct error error = {0};
        char left[200];
        assert_false(read_own(&own, cases[i].line, left, sizeof left, &error));
        assert_int_equal(error.code, ERROR_USAGE);
        if (!strstr(error.text, cases[i].says)) {
            fail_msg("%s: '%s' lacks '%s'", cases[i].line, error.text, cases[i].says);
        }
    }
}

static char *write_config(const char *text, size_t size) {
    static char path[] = "/tmp/allmem-config-XXXXXX";
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
    return path;
}

static void config_file_sets_defaults(void **state) {
    (void)state;
    static const char text[] = "; a comment\nmodel = /some/where/a model.gguf\nthreads=2\n"
                               "offline = yes\nprogress = no\ntemp = 0.25\ncolor = never\n";
    char *path = write_config(text, sizeof text - 1);
    struct config config = {0};
    struct settings s;
    struct error error = {0};
    settings_init(&s);
    assert_true(config_read_file(&config, path, &s, &error));
    struct options o = settings_options(&s);
    assert_string_equal(o.model, "/some/where/a model.gguf");
    assert_int_equal(o.threads, 2);
    assert_true(o.offline && !o.progress);
    assert_true(o.temperature == 0.25f);
    config_finish(&config);
    unlink(path);
}

static void config_file_errors_name_file_and_line(void **state) {
    (void)state;
    static const char zero[] = "threads = 2\0";
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"threads = 2\ncolour = never\n", "line 2: unknown key 'colour'"},
        {"\n\nthreads = many\n", "line 3: threads: found 'many'"},
        {"json = yes\n", "line 1: unknown key 'json'"},
        {"[ui]\nthreads = 2\n", "line 2: unknown section [ui]"},
        {"threads\n", "line 1: expected 'name = value'"},
        {"offline = maybe\n", "line 1: offline: found 'maybe', expected yes or no"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = write_config(cases[i].text, strlen(cases[i].text));
        struct config config = {0};
        struct settings s;
        struct error error = {0};
        settings_init(&s);
        assert_false(config_read_file(&config, path, &s, &error));
        assert_int_equal(error.code, ERROR_USAGE);
        assert_non_null(strstr(error.text, path));
        if (!strstr(error.text, cases[i].says)) {
            fail_msg("'%s' lacks '%s'", error.text, cases[i].says);
        }
        config_finish(&config);
        unlink(path);
    }
    char long_line[300];
    memset(long_line, 'x', sizeof long_line);
    const struct {
        const char *text;
        size_t size;
        const char *says;
    } odd[] = {
        {zero, sizeof zero - 1, "holds a zero byte"},
        {long_line, sizeof long_line, "line 1: 300 bytes"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char *path = write_config(odd[i].text, odd[i].size);
        struct config config = {0};
        struct settings s;
        struct error error = {0};
        settings_init(&s);
        assert_false(config_read_file(&config, path, &s, &error));
        assert_non_null(strstr(error.text, odd[i].says));
        config_finish(&config);
        unlink(path);
    }
}

static void no_config_file_is_no_error(void **state) {
    (void)state;
    struct config config = {0};
    struct settings s;
    struct error error = {0};
    settings_init(&s);
    assert_true(config_read_file(&config, "/nonexistent/config.ini", &s, &error));
}

static void environment_wins_over_file_and_flag_over_environment(void **state) {
    (void)state;
    static const char text[] = "threads = 2\nwindow = 100\nseed = 1\ncolor = always\n";
    char *path = write_config(text, sizeof text - 1);
    char flag[] = "--threads 4", *words[WORDS];
    int count = split(flag, words);
    struct config config = {0};
    struct settings s;
    struct error error = {0};
    settings_init(&s);
    setenv("ALLMEM_THREADS", "3", 1);
    setenv("ALLMEM_WINDOW", "200", 1);
    setenv("ALLMEM_OFFLINE", "1", 1);
    setenv("NO_COLOR", "1", 1);
    assert_true(config_read_file(&config, path, &s, &error));
    assert_true(config_read_environment(&s, &error));
    assert_true(settings_read(&s, &count, words, &error));
    struct options o = settings_options(&s);
    assert_int_equal(o.threads, 4);
    assert_int_equal(o.window, 200);
    assert_int_equal(o.seed, 1);
    assert_true(o.offline);
    assert_false(o.colour);
    setenv("ALLMEM_THREADS", "lots", 1);
    assert_false(config_read_environment(&s, &error));
    assert_int_equal(error.code, ERROR_USAGE);
    assert_non_null(strstr(error.text, "ALLMEM_THREADS"));
    config_finish(&config);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(common_options_are_taken_from_anywhere),
        cmocka_unit_test(common_options_have_their_values),
        cmocka_unit_test(wrong_values_are_usage_errors_that_name_the_option),
        cmocka_unit_test(sizes_are_read_with_their_unit),
        cmocka_unit_test(own_options_are_read_and_operands_left),
        cmocka_unit_test(own_options_that_are_unknown_or_wrong_are_refused),
        cmocka_unit_test(config_file_sets_defaults),
        cmocka_unit_test(config_file_errors_name_file_and_line),
        cmocka_unit_test(no_config_file_is_no_error),
        cmocka_unit_test(environment_wins_over_file_and_flag_over_environment),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
