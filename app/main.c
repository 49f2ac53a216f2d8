/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem: gathers the common options, finds the command in the table, prints its error. A command
 * never exits by itself and never prints the error that it returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/config.h"
#include "app/interrupt.h"
#include "app/paths.h"
#include "app/safe_text.h"

static const struct command *const commands[] = {
    &command_ask,     &command_ingest, &command_chat,     &command_find,     &command_source,
    &command_session, &command_model,  &command_generate, &command_tokenize, &command_eval,
    &command_bench,   &command_doctor, &command_finetune,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

/* Letters to add, drop or change to get from one word to the other; words are cut at 31. */
static size_t edit_distance(const char *a, const char *b) {
    size_t row[32], n = strnlen(b, 31);
    for (size_t j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] && i < 31; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            size_t drop = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            row[j + 1] = change < drop ? change : drop;
        }
    }
    return row[n];
}

static int unknown_command(const char *name, struct error *error) {
    const char *nearest = NULL;
    size_t best = 3; /* farther than that is no misspelling */
    for (size_t i = 0; i < COMMANDS; i++) {
        size_t distance = edit_distance(name, commands[i]->name);
        if (distance < best) {
            best = distance;
            nearest = commands[i]->name;
        }
    }
    if (nearest) {
        error_set(error, ERROR_USAGE, "unknown command '%s'; did you mean '%s'?", name, nearest);
    } else {
        error_set(error, ERROR_USAGE, "unknown command '%s'; allmem --help lists them", name);
    }
    return ERROR_USAGE;
}

static int show_help(void) {
    printf(
        "usage: allmem [SESSION]\n"
        "       allmem COMMAND [OPTION...] [ARGUMENT...]\n\n"
        "Reads a whole book or codebase once and answers questions about it. Without a command:\n"
        "%s.\n\nCommands:\n",
        command_tui.summary);
    for (size_t i = 0; i < COMMANDS; i++) {
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    printf("  %-10s %s\n\nOptions of every command:\n%s", "help", "a command's usage and options",
           settings_help);
    return 0;
}

static int show_command_help(const char *name, struct error *error) {
    const struct command *command = find_command(name);
    if (!command) {
        return unknown_command(name, error);
    }
    printf("usage: allmem %s\n\n%s\n", command->usage, command->summary);
    if (*command->help) {
        printf("\n%s", command->help);
    }
    printf("\nOptions of every command: allmem --help\n");
    return 0;
}

/* A word that is no command may name a session. */
static bool names_session(const char *word) {
    struct paths paths;
    struct error none;
    if (!paths_init(&paths, &none)) {
        return false;
    }
    char *path = paths_session(&paths, word, &none);
    bool yes = path && access(path, F_OK) == 0;
    free(path);
    paths_finish(&paths);
    return yes;
}

static int dispatch(const struct settings *settings, const struct config *config, int argc,
                    char **argv, struct error *error) {
    bool help = settings->help;
    if (argc > 0 && strcmp(argv[0], "--") == 0) {
        argc--;
        argv++;
    }
    if (settings->version) {
        printf("allmem %s\n", ALLMEM_VERSION);
        return 0;
    }
    if (argc > 0 && strcmp(argv[0], "help") == 0) {
        help = true;
        argc--;
        argv++;
    }
    if (help) {
        return argc > 0 ? show_command_help(argv[0], error) : show_help();
    }
    if (argc > 0 && argv[0][0] == '-') {
        error_set(error, ERROR_USAGE, "unknown option %s before the command", argv[0]);
        return ERROR_USAGE;
    }
    struct options options = settings_options(settings);
    options.config = config;
    const struct command *command = argc > 0 ? find_command(argv[0]) : NULL;
    if (!command && (argc == 0 || (argc == 1 && names_session(argv[0])))) {
        return command_tui.run(&options, argc, argv, error);
    }
    if (!command) {
        return unknown_command(argv[0], error);
    }
    interrupt_install();
    return command->run(&options, argc - 1, argv + 1, error);
}

/* A closed 0, 1 or 2 would be given to the next file that is opened, and output would go there. The
 * stand-ins fail on the wrong use, so that lost output is still reported. */
static void fill_standard_descriptors(void) {
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            int opened = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
            if (opened >= 0 && opened != fd) {
                dup2(opened, fd);
                close(opened);
            }
        }
    }
}

/* Text is UTF-8 whatever the locale says; numbers and messages are those of the C locale. */
static void choose_locale(void) {
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
        setlocale(LC_CTYPE, "C.UTF-8");
    }
}

/* One line, whatever the names in it hold. */
static void print_error(const char *text) {
    char *safe = safe_text_of(text, strlen(text), SAFE_NAME);
    fprintf(stderr, "allmem: %s\n", safe ? safe : "out of memory");
    free(safe);
}

/* Output that did not arrive is a failure; a reader that has seen enough is none to talk about. */
static int close_output(int code) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return code;
    }
    if (errno == EPIPE) {
        return code ? code : 128 + SIGPIPE;
    }
    if (code == 0) {
        bool full = errno == ENOSPC || errno == EFBIG;
        char text[200];
        snprintf(text, sizeof text, "cannot write the output: %s", strerror(errno));
        print_error(text);
        code = full ? ERROR_NO_SPACE : ERROR_FAILURE;
    }
    return code;
}

static bool gather_settings(struct config *config, struct settings *settings, int *argc,
                            char **argv, struct error *error) {
    /* Flags are read first, to learn of --help, and win over what the others say. */
    struct settings flags;
    char **copy = calloc((size_t)*argc + 1, sizeof *copy);
    if (!copy) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    memcpy(copy, argv, (size_t)*argc * sizeof *copy);
    settings_init(&flags);
    int count = *argc;
    bool ok = settings_read(&flags, &count, copy, error);
    free(copy);
    if (!ok) {
        return false;
    }
    settings_init(settings);
    if (!flags.help && !flags.version) {
        struct paths paths;
        if (!paths_init(&paths, error)) {
            return false;
        }
        char *path = paths_join(paths.config, "config.ini", "");
        ok = path ? config_read_file(config, path, settings, error)
                  : error_set(error, ERROR_NO_SPACE, "out of memory");
        free(path);
        paths_finish(&paths);
        ok = ok && config_read_environment(settings, error);
    }
    settings->model_named = flags.model != NULL;
    return ok && settings_read(settings, argc, argv, error);
}

int main(int argc, char **argv) {
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    umask(077);
    choose_locale();

    struct error error = {0};
    struct config config = {0};
    struct settings settings;
    int words = argc > 0 ? argc - 1 : 0, code;
    if (gather_settings(&config, &settings, &words, argv + (argc > 0), &error)) {
        code = dispatch(&settings, &config, words, argv + (argc > 0), &error);
    } else {
        code = error.code;
    }
    if (code == ERROR_INTERRUPTED && interrupt_requested()) {
        code = interrupt_exit_code();
    } else if (*error.text && code != 0) {
        fflush(stdout);
        print_error(error.text);
    }
    code = close_output(code);
    config_finish(&config);
    return code;
}
