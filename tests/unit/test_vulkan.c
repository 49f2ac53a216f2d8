/* SPDX-License-Identifier: Apache-2.0
 *
 * Which device is taken, and that devices and sessions leave nothing behind. What they compute is
 * compared in test_backend_ops.c and test_forward.c.
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

#include "engine/backend.h"
#include "engine/vulkan/device.h"
#include "tests/tools/tiny_engine.h"

/* ---- choosing ---- */

enum { CPU = VK_PHYSICAL_DEVICE_TYPE_CPU, DISCRETE = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU };
enum { INTEGRATED = VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU };

static void the_best_device_with_room(void **state) {
    (void)state;
    static const struct {
        struct {
            int type;
            uint64_t free;
            const char *lacks;
        } devices[3];
        size_t count;
        unsigned wanted;
        bool any;
        int chosen;
        enum error_code code; /* where none is */
        const char *part;
    } cases[] = {
        {{{CPU, 50, NULL}, {DISCRETE, 50, NULL}}, 2, 0, false, 1, 0, ""},
        {{{INTEGRATED, 50, NULL}, {DISCRETE, 50, NULL}}, 2, 0, false, 1, 0, ""},
        {{{DISCRETE, 50, NULL}, {DISCRETE, 90, NULL}}, 2, 0, false, 0, 0, ""},
        {{{DISCRETE, 5, NULL}, {INTEGRATED, 50, NULL}}, 2, 0, true, 1, 0, ""},
        {{{DISCRETE, 50, "this"}, {INTEGRATED, 50, NULL}}, 2, 0, false, 1, 0, ""},
        {{{INTEGRATED, 50, NULL}, {DISCRETE, 50, NULL}}, 2, 1, false, 0, 0, ""},
        {{{CPU, 50, NULL}}, 1, 0, true, 0, 0, ""},
        {{{CPU, 50, NULL}}, 1, 1, false, 0, 0, ""},
        {{{CPU, 50, NULL}}, 1, 0, false, -1, ERROR_NOT_FOUND, "is a GPU"},
        {{{CPU, 50, NULL}}, 1, 2, true, -1, ERROR_USAGE, "found 2, expected 1 to 1"},
        {{{DISCRETE, 5, NULL}, {CPU, 50, NULL}}, 2, 0, false, -1, ERROR_NO_SPACE, "MiB free"},
        {{{DISCRETE, 5, NULL}}, 1, 1, true, -1, ERROR_NO_SPACE, "MiB free"},
        {{{DISCRETE, 50, "that"}}, 1, 0, true, -1, ERROR_FAILURE, "lacks that"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vulkan_device devices[3] = {0};
        struct error error = {0};
        for (size_t j = 0; j < 3; j++) {
            devices[j].type = (VkPhysicalDeviceType)cases[i].devices[j].type;
            devices[j].free = cases[i].devices[j].free;
            devices[j].lacks = cases[i].devices[j].lacks;
        }
        const int chosen =
            vulkan_choose(devices, cases[i].count, cases[i].wanted, cases[i].any, 10, &error);
        if (chosen != cases[i].chosen ||
            (chosen < 0 && (error.code != cases[i].code || !strstr(error.text, cases[i].part)))) {
            fail_msg("case %zu: %d, error %d: %s", i, chosen, error.code, error.text);
        }
    }
}

/* ---- nothing is left behind ---- */

static int rounds(int most) {
    return getenv("ALLMEM_TEST_LONG") ? most : most / 100;
}

/* Resident bytes of this process. */
static long resident(void) {
    long pages = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &all, &pages), 2);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static struct backend *open_device(void) {
    const struct vulkan_options options = {.any = true};
    struct error error = {0};
    struct backend *b = vulkan_backend_create(&options, &error);
    if (!b) {
        print_message("skipped, no Vulkan: %s\n", error.text);
        skip();
    }
    return b;
}

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = true }; /* it keeps freed memory for a while, and finds leaks itself */
#else
enum { SANITIZED = false };
#endif

/* Growth of less than 8 KiB a round is not told from a heap that settles. */
static void check_growth(long before, int n) {
    const long grown = resident() - before;
    if (!SANITIZED && grown > (4 << 20) + 8192l * n) {
        fail_msg("%ld bytes more after %d rounds", grown, n);
    }
    print_message("%d rounds, %ld KiB more\n", n, grown / 1024);
}

static void devices_come_and_go(void **state) {
    (void)state;
    const int n = rounds(1000);
    long before = 0;
    for (int i = 0; i < n + 3; i++) {
        struct backend *b = open_device();
        struct buffer *buffer = b->ops->buffer_create(b, 1 << 20, NULL);
        assert_non_null(buffer);
        assert_true(b->ops->wait(b, NULL));
        b->ops->buffer_destroy(b, buffer);
        b->ops->destroy(b);
        before = i == 2 ? resident() : before;
    }
    check_growth(before, n);
}

static void sessions_come_and_go(void **state) {
    (void)state;
    const int n = rounds(1000);
    const struct tiny_model model = tiny_model_of("llama");
    const struct tiny_adapter adapter = tiny_adapter_of();
    struct error error = {0};
    token ids[80];
    long before = 0;
    struct backend *there = open_device();
    there->ops->destroy(there);
    struct engine *e = tiny_engine_on("vulkan", &model, &adapter, 1, &error);
    if (!e) {
        fail_msg("%s", error.text);
    }
    tiny_tokens(3, ids, 80);
    struct session_options o = session_defaults(e);
    o.window = 16;
    o.keep = 8;
    for (int i = 0; i < n + 3; i++) {
        struct session *s = session_create(e, &o, &error);
        assert_non_null(s);
        assert_true(session_append(s, ids, 80, NULL, &error));
        struct session *fork = session_fork(s, &error);
        assert_non_null(fork);
        session_destroy(s);
        session_destroy(fork);
        before = i == 2 ? resident() : before;
    }
    check_growth(before, n);
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_device_with_room),
        cmocka_unit_test(devices_come_and_go),
        cmocka_unit_test(sessions_come_and_go),
    };
    return cmocka_run_group_tests_name("vulkan", tests, NULL, NULL);
}
