/* SPDX-License-Identifier: Apache-2.0
 *
 * app/paths: XDG directories, ALLMEM_HOME, folders for their owner only, names that are safe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/paths.h"

static void set_or_unset(const char *name, const char *value) {
    if (value) {
        setenv(name, value, 1);
    } else {
        unsetenv(name);
    }
}

static void folders_follow_the_environment(void **state) {
    (void)state;
    static const struct {
        const char *home, *xdg, *allmem, *data, *says;
    } cases[] = {
        {"/h", NULL, NULL, "/h/.local/share/allmem", NULL},
        {"/h", "/x", NULL, "/x/allmem", NULL},
        {"/h", "x", NULL, "/h/.local/share/allmem", NULL}, /* relative: ignored */
        {"/h", "", NULL, "/h/.local/share/allmem", NULL},
        {"/h", "/x", "/a", "/a/data", NULL},
        {NULL, NULL, "/a", "/a/data", NULL},
        {NULL, NULL, NULL, NULL, "HOME is not set"},
        {"", NULL, NULL, NULL, "HOME is not set"},
        {"h", NULL, NULL, NULL, "HOME is not an absolute path"},
        {"/h", NULL, "a", NULL, "ALLMEM_HOME is 'a', expected an absolute path"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct paths paths;
        struct error error = {0};
        set_or_unset("HOME", cases[i].home);
        set_or_unset("XDG_DATA_HOME", cases[i].xdg);
        set_or_unset("ALLMEM_HOME", cases[i].allmem);
        bool ok = paths_init(&paths, &error);
        assert_int_equal(ok, cases[i].data != NULL);
        if (ok) {
            assert_string_equal(paths.data, cases[i].data);
            assert_true(paths.config && paths.cache && paths.state);
        } else {
            assert_non_null(strstr(error.text, cases[i].says));
        }
        paths_finish(&paths);
    }
}

static void folders_are_made_for_their_owner_only(void **state) {
    (void)state;
    char root[] = "/tmp/allmem-test-XXXXXX", deep[64], file[64];
    assert_non_null(mkdtemp(root));
    umask(0);
    snprintf(deep, sizeof deep, "%s/a/b", root);
    struct error error = {0};
    assert_true(paths_make(deep, &error));
    assert_true(paths_make(deep, &error)); /* there already */
    struct stat st;
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    snprintf(file, sizeof file, "%s/file", root);
    fclose(fopen(file, "w"));
    assert_false(paths_make(file, &error));
    assert_non_null(strstr(error.text, "is a file, expected a folder"));
    snprintf(file, sizeof file, "%s/file/x", root);
    assert_false(paths_make(file, &error));
    assert_non_null(strstr(error.text, "Not a directory"));

    char command[100];
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

static void names_that_are_no_file_names_are_refused(void **state) {
    (void)state;
    char longest[102];
    memset(longest, 'x', sizeof longest);
    longest[101] = '\0';
    const struct {
        const char *name, *says;
    } cases[] = {
        {"moby-dick", NULL}, {"Ein Buch", NULL},        {"\xc3\xa9", NULL},
        {"a.b", NULL},       {longest + 1, NULL},       {longest, "has 101 bytes"},
        {"", "is empty"},    {".", "begins with '.'"},  {"..", "begins with '.'"},
        {".x", "begins"},    {"-x", "begins with '-'"}, {"a/b", "holds a slash"},
        {"/etc/x", "slash"}, {"a\nb", "control"},       {"a\x1b[2J", "control"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        assert_int_equal(paths_check_name("session", cases[i].name, &error), !cases[i].says);
        if (cases[i].says) {
            assert_int_equal(error.code, ERROR_USAGE);
            assert_non_null(strstr(error.text, "session name"));
            assert_non_null(strstr(error.text, cases[i].says));
        }
    }
}

static void session_and_model_files_stand_in_their_folders(void **state) {
    (void)state;
    char root[] = "/tmp/allmem-test-XXXXXX", expected[100];
    assert_non_null(mkdtemp(root));
    setenv("ALLMEM_HOME", root, 1);
    struct paths paths;
    struct error error = {0};
    assert_true(paths_init(&paths, &error));
    char *session = paths_session(&paths, "book", &error);
    char *model = paths_model(&paths, "tiny", &error);
    snprintf(expected, sizeof expected, "%s/data/sessions/book.db", root);
    assert_string_equal(session, expected);
    snprintf(expected, sizeof expected, "%s/data/models/tiny.gguf", root);
    assert_string_equal(model, expected);
    assert_null(paths_session(&paths, "../book", &error));
    assert_int_equal(error.code, ERROR_USAGE);
    snprintf(expected, sizeof expected, "%s/data/sessions", root);
    assert_int_equal(access(expected, R_OK | W_OK | X_OK), 0);
    free(session);
    free(model);
    paths_finish(&paths);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_follow_the_environment),
        cmocka_unit_test(folders_are_made_for_their_owner_only),
        cmocka_unit_test(names_that_are_no_file_names_are_refused),
        cmocka_unit_test(session_and_model_files_stand_in_their_folders),
    };
    return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
