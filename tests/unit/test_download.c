/* SPDX-License-Identifier: Apache-2.0
 *
 * app/download against tests/tools/http_server.py: good and bad servers, interrupted runs, full
 * disks. Every case ends in the right file or in a clear error, and nothing verified is lost.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/download.h"
#include "app/download_url.h"
#include "app/files.h"
#include "app/interrupt.h"
#include "engine/base/map.h"

#define SIZE (2 * 1024 * 1024) /* as in http_server.py */

static struct {
    char folder[64];
    int port, tls_port;
    pid_t server, tls_server;
    int server_input, tls_input;
    char file_hash[HASH_HEX], other_hash[HASH_HEX]; /* of the server's two files */
} world;

static const struct download_patience quick = {
    .connect = 2000,
    .stall = 1500, /* longer than a busy machine keeps a server waiting */
    .stall_bytes = 1000,
    .retries = 3,
    .delay = 20,
    .longest_delay = 50,
    .longest_retry_after = 5000,
};

/* ---- the world ---- */

static void hash_of_file(uint64_t first, char hex[HASH_HEX]) {
    struct hash *h = hash_start();
    assert_non_null(h);
    for (uint64_t i = 0; i < SIZE / 32; i++) {
        uint8_t block[8], digest[HASH_BYTES];
        for (int b = 0; b < 8; b++) {
            block[b] = (uint8_t)((first + i) >> (8 * b));
        }
        assert_true(hash_of(block, sizeof block, digest));
        hash_add(h, digest, sizeof digest);
    }
    uint8_t digest[HASH_BYTES];
    hash_finish(h, digest);
    hash_hex(digest, hex);
}

static pid_t start_server(const char *certificate, const char *key, int *port, int *input) {
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execlp("python3", "python3", HTTP_SERVER, certificate, key, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    FILE *answer = fdopen(out[0], "r");
    assert_int_equal(fscanf(answer, "%d", port), 1);
    fclose(answer);
    *input = in[1];
    return pid;
}

static void path_of(const char *name, char path[128]) {
    snprintf(path, 128, "%s/%s", world.folder, name);
}

static int make_world(void **state) {
    (void)state;
    /* The proxies of the machine are not for this server. */
    static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                                          "all_proxy",  "ALL_PROXY",   "no_proxy"};
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++) {
        unsetenv(proxies[i]);
    }
    strcpy(world.folder, "/tmp/allmem-test-XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    char command[600], certificate[128], key[128];
    path_of("certificate.pem", certificate);
    path_of("key.pem", key);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
             "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout %s -out %s "
             "2>/dev/null",
             key, certificate);
    assert_int_equal(system(command), 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    world.server = start_server(NULL, NULL, &world.port, &world.server_input);
    world.tls_server = start_server(certificate, key, &world.tls_port, &world.tls_input);
    hash_of_file(0, world.file_hash);
    hash_of_file(1000000, world.other_hash);
    return 0;
}

static int end_world(void **state) {
    (void)state;
    close(world.server_input);
    close(world.tls_input);
    waitpid(world.server, NULL, 0);
    waitpid(world.tls_server, NULL, 0);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", world.folder);
    return system(command);
}

/* ---- one download ---- */

struct get {
    const char *url;  /* set by a test, or made of `mode` */
    const char *mode; /* how the server behaves */
    const char *sha256;
    uint64_t bytes;
    bool keep;         /* leave part and file of an earlier download */
    double stop_after; /* seconds; 0: never */
    /* What came of it: */
    struct download_result result;
    struct error error;
    uint64_t shown; /* by the progress callback */
    char messages[4000];
    double started, stopped; /* when, and when `stop` first said so */
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void on_progress(void *context, uint64_t done, uint64_t total) {
    struct get *g = context;
    assert_true(done >= g->shown); /* never falls, whatever the server does */
    assert_true(total == 0 || done <= total);
    g->shown = done;
}

static void on_message(void *context, const char *text) {
    struct get *g = context;
    size_t n = strlen(g->messages);
    snprintf(g->messages + n, sizeof g->messages - n, "%s\n", text);
}

static bool on_stop(void *context) {
    struct get *g = context;
    if (g->stop_after > 0 && now() - g->started > g->stop_after) {
        g->stopped = g->stopped > 0 ? g->stopped : now();
        return true;
    }
    return false;
}

static uint64_t size_of(const char *name) {
    char path[128];
    struct stat st;
    path_of(name, path);
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
}

static bool there(const char *name) {
    return size_of(name) != UINT64_MAX;
}

static void clean(void) {
    static const char *const names[] = {"file", "file.part", "file.part.json", "file.bad"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        path_of(names[i], path);
        unlink(path);
    }
}

static bool run_get(struct get *g) {
    char url[600], part[128], path[128];
    path_of("file.part", part);
    path_of("file", path);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", world.port, g->mode ? g->mode : "");
    if (!g->keep) {
        clean();
    }
    g->shown = 0;
    g->messages[0] = '\0';
    g->started = now();
    g->stopped = 0;
    struct download d = {
        .url = g->url ? g->url : url,
        .part = part,
        .path = path,
        .sha256 = g->sha256,
        .bytes = g->bytes,
        .patience = &quick,
        .watch = {g, on_progress, on_message, on_stop},
    };
    return download_run(&d, &g->result, &g->error);
}

static void assert_says(const char *mode, const char *text, const char *part) {
    if (!strstr(text, part)) {
        fail_msg("%s: '%s' lacks '%s'", mode, text, part);
    }
}

/* The file is there, is the right one, and nothing else is left. */
static void assert_complete(const struct get *g, const char *hash) {
    char path[128], hex[HASH_HEX];
    uint8_t digest[HASH_BYTES];
    struct map map;
    path_of("file", path);
    assert_true(map_open(&map, path, NULL));
    assert_true(hash_of(map.data, map.size, digest));
    map_close(&map);
    hash_hex(digest, hex);
    assert_string_equal(hex, hash);
    assert_string_equal(g->result.sha256, hash);
    assert_int_equal(g->result.bytes, SIZE);
    assert_false(there("file.part"));
    assert_false(there("file.part.json"));
}

/* ---- tests ---- */

static void servers_that_end_in_the_right_file(void **state) {
    (void)state;
    const struct {
        const char *mode;
        bool other;       /* which file the server has in the end */
        uint64_t fetched; /* bytes over the network */
        const char *message;
    } cases[] = {
        {"good", false, SIZE, ""},
        {"chunked", false, SIZE, ""},
        {"named", false, SIZE, ""},
        {"cut", false, SIZE, "of 2097152 bytes"},
        {"date", false, SIZE, "again in 0.02 s (1 of 3)"},
        {"weak", false, SIZE + SIZE / 2, ""},
        {"plain", false, SIZE + SIZE / 2, "does not go on where it stopped"},
        {"416", false, SIZE + SIZE / 2, "has less than what is here"},
        {"416-complete", false, SIZE, ""},
        {"liar-range", false, SIZE + SIZE / 2, "another piece than asked for"},
        {"stall", false, SIZE, "nothing came for too long"},
        {"429", false, SIZE, "again in 1 s"},
        {"changed", true, SIZE + SIZE / 2, "does not go on where it stopped"},
        {"liar-etag", true, SIZE + SIZE / 2, "the file changed on the server"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *hash = cases[i].other ? world.other_hash : world.file_hash;
        struct get g = {.mode = cases[i].mode, .sha256 = hash, .bytes = SIZE};
        if (!run_get(&g)) {
            fail_msg("%s: %s", cases[i].mode, g.error.text);
        }
        assert_complete(&g, hash);
        assert_says(cases[i].mode, g.messages, cases[i].message);
        if (g.result.fetched != cases[i].fetched) {
            fail_msg("%s: fetched %llu bytes, expected %llu", cases[i].mode,
                     (unsigned long long)g.result.fetched, (unsigned long long)cases[i].fetched);
        }
    }
}

static void servers_that_end_in_a_clear_error(void **state) {
    (void)state;
    static const struct {
        const char *mode;
        enum error_code code;
        const char *says;
        bool part; /* what came is kept for the next run */
    } cases[] = {
        {"404", ERROR_NETWORK, "the server answers 404 (no such file)", false},
        {"503", ERROR_NETWORK, "the server answers 503; gave up after 3 retries", false},
        {"429-long", ERROR_NETWORK, "it wants us to wait 7200 seconds", false},
        {"short", ERROR_NETWORK, "broke after 524288 of 2097152 bytes", true},
        {"wrong-length", ERROR_CHECKSUM, "has 2097252 bytes, expected 2097152", false},
        {"long", ERROR_NETWORK, "more came than the 2097152 bytes expected", true},
        {"gzip", ERROR_NETWORK, "sent as 'gzip'", false},
        {"unasked", ERROR_NETWORK, "a piece was sent where the whole was asked for", false},
        {"silent", ERROR_NETWORK, "nothing came for too long", false},
        {"loop", ERROR_NETWORK, "more than 5 redirects", false},
        {"redirect?to=file:///etc/passwd", ERROR_NETWORK, "scheme is file, expected https", false},
        {"redirect?to=ftp://h/x", ERROR_NETWORK, "scheme is ftp, expected https", false},
        {"redirect?to=https://u:secret@example.org/x", ERROR_NETWORK, "credentials", false},
        {"redirect?to=http://10.1.2.3/x", ERROR_NETWORK, "private address http://10.1.2.3/x",
         false},
        {"redirect?to=http://169.254.169.254/x", ERROR_NETWORK, "private address", false},
        {"redirect?to=http://localhost./x", ERROR_NETWORK, "private address", false},
        {"redirect?to=http://[::1]/x", ERROR_NETWORK, "private address", false},
        {"redirect?to=http://2130706433/x", ERROR_NETWORK, "127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct get g = {.mode = cases[i].mode, .sha256 = world.file_hash, .bytes = SIZE};
        if (run_get(&g)) {
            fail_msg("%s: succeeded", cases[i].mode);
        }
        assert_says(cases[i].mode, g.error.text, cases[i].says);
        assert_null(strstr(g.error.text, "secret"));
        if (g.error.code != cases[i].code) {
            fail_msg("%s: code %d: %s", cases[i].mode, g.error.code, g.error.text);
        }
        assert_false(there("file"));
        if (there("file.part") != cases[i].part) {
            fail_msg("%s: part there: %d", cases[i].mode, there("file.part"));
        }
        assert_int_equal(there("file.part.json"), cases[i].part);
    }
}

static void urls_that_are_refused_before_any_request(void **state) {
    (void)state;
    static const struct {
        const char *url, *says;
    } cases[] = {
        {"file:///etc/passwd", "the scheme is file, expected https"},
        {"ftp://example.org/x", "the scheme is ftp"},
        {"gopher://example.org/x", "the scheme is gopher"},
        {"data:text/plain,x", ""},
        {"https://user:secret@example.org/x", "credentials in a URL are not used"},
        {"https://secret@example.org/x", "credentials"},
        {"https://", ""},
        {"example.org/x", ""},
        {"", ""},
        {"https://example.org/a b", "a blank or control character"},
        {"https://example.org/a\nb", "a blank or control character"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct get g = {.url = cases[i].url};
        assert_false(run_get(&g));
        assert_int_equal(g.error.code, ERROR_USAGE);
        assert_says(cases[i].url, g.error.text, cases[i].says);
        assert_null(strstr(g.error.text, "secret"));
        assert_false(there("file.part"));
    }
}

static void no_such_server_is_told_at_once(void **state) {
    (void)state;
    struct get g = {.url = "http://127.0.0.1:1/x"};
    double start = now();
    assert_false(run_get(&g));
    assert_int_equal(g.error.code, ERROR_NETWORK);
    assert_says("refused", g.error.text, "127.0.0.1");
    assert_string_equal(g.messages, "");
    assert_true(now() - start < 1);
    setenv("http_proxy", "http://user:secret@127.0.0.1:1/", 1);
    struct get h = {.url = "http://example.org/x"};
    assert_false(run_get(&h));
    unsetenv("http_proxy");
    assert_int_equal(h.error.code, ERROR_NETWORK);
    assert_says("proxy", h.error.text, "http_proxy is http://127.0.0.1:1/");
    assert_null(strstr(h.error.text, "secret"));
}

static void redirects_within_the_typed_host_are_followed(void **state) {
    (void)state;
    char mode[200];
    snprintf(mode, sizeof mode, "redirect?to=http://127.0.0.1:%d/good", world.port);
    struct get g = {.mode = mode, .sha256 = world.file_hash};
    assert_true(run_get(&g));
    assert_complete(&g, world.file_hash);
    struct get h = {.mode = "redirect?to=/cut/after-redirect", .sha256 = world.file_hash};
    assert_true(run_get(&h));
    assert_complete(&h, world.file_hash);
    assert_int_equal(h.result.fetched, SIZE);
}

static void certificates_are_checked(void **state) {
    (void)state;
    char good[100], wrong_host[100], down[200], certificate[128];
    path_of("certificate.pem", certificate);
    snprintf(good, sizeof good, "https://localhost:%d/good", world.tls_port);
    snprintf(wrong_host, sizeof wrong_host, "https://127.0.0.1:%d/good", world.tls_port);
    snprintf(down, sizeof down, "https://localhost:%d/redirect?to=http://localhost:%d/good",
             world.tls_port, world.port);
    const char *before = getenv("SSL_CERT_FILE");
    char *kept = before ? strdup(before) : NULL;

    struct get unknown = {.url = good};
    assert_false(run_get(&unknown));
    assert_int_equal(unknown.error.code, ERROR_NETWORK);
    assert_says("self-signed", unknown.error.text, "certificate is refused");
    assert_string_equal(unknown.messages, ""); /* no retry */

    setenv("SSL_CERT_FILE", certificate, 1);
    struct get known = {.url = good, .sha256 = world.file_hash};
    if (!run_get(&known)) {
        fail_msg("%s", known.error.text);
    }
    assert_complete(&known, world.file_hash);

    struct get other = {.url = wrong_host};
    assert_false(run_get(&other));
    assert_says("wrong host", other.error.text, "certificate is refused");

    struct get downgrade = {.url = down};
    assert_false(run_get(&downgrade));
    assert_int_equal(downgrade.error.code, ERROR_NETWORK);
    assert_says("downgrade", downgrade.error.text, "http where https is expected");

    if (kept) {
        setenv("SSL_CERT_FILE", kept, 1);
    } else {
        unsetenv("SSL_CERT_FILE");
    }
    free(kept);
}

static void a_wrong_hash_keeps_the_file_aside(void **state) {
    (void)state;
    struct get g = {.mode = "good", .sha256 = world.other_hash};
    assert_false(run_get(&g));
    assert_int_equal(g.error.code, ERROR_CHECKSUM);
    assert_says("wrong hash", g.error.text, world.file_hash);
    assert_says("wrong hash", g.error.text, world.other_hash);
    assert_says("wrong hash", g.error.text, "file.bad");
    assert_int_equal(size_of("file.bad"), SIZE);
    assert_false(there("file"));
    assert_false(there("file.part"));
    assert_false(there("file.part.json"));
}

static void a_file_that_is_there_is_not_overwritten(void **state) {
    (void)state;
    clean();
    char path[128];
    path_of("file", path);
    FILE *old = fopen(path, "w");
    fputs("precious", old);
    fclose(old);
    struct get g = {.mode = "good", .sha256 = world.file_hash, .keep = true};
    assert_false(run_get(&g));
    assert_says("exists", g.error.text, "exists already");
    assert_int_equal(size_of("file"), 8);
    /* What was fetched is not lost: with the old file away, nothing is fetched again. */
    unlink(path);
    assert_true(run_get(&g));
    assert_int_equal(g.result.fetched, 0);
    assert_complete(&g, world.file_hash);
}

static void a_killed_run_is_resumed_with_the_rest_only(void **state) {
    (void)state;
    clean();
    struct get g = {.mode = "slow/kill", .sha256 = world.file_hash, .bytes = SIZE, .keep = true};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        run_get(&g);
        _exit(0);
    }
    while (size_of("file.part") == UINT64_MAX || size_of("file.part") < SIZE / 2) {
        usleep(2000);
    }
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    uint64_t kept = size_of("file.part");
    assert_true(kept >= SIZE / 2 && kept < SIZE);
    assert_false(there("file"));
    if (!run_get(&g)) {
        fail_msg("%s", g.error.text);
    }
    assert_complete(&g, world.file_hash);
    assert_int_equal(g.result.fetched, SIZE - kept);
}

static void a_part_of_something_else_is_not_used(void **state) {
    (void)state;
    struct get g = {.mode = "slow/first", .sha256 = world.file_hash, .stop_after = 0.1};
    assert_false(run_get(&g));
    assert_true(there("file.part"));
    struct get h = {.mode = "good/second", .sha256 = world.file_hash, .keep = true};
    assert_true(run_get(&h));
    assert_int_equal(h.result.fetched, SIZE);
    assert_complete(&h, world.file_hash);

    /* A part without a state, a state that is no JSON, and a part that is too long. */
    static const char *const states[] = {NULL, "{", "[]", "{\"url\": 7}"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        char path[128];
        clean();
        path_of("file.part", path);
        FILE *part = fopen(path, "w");
        fputs("rubbish", part);
        fclose(part);
        if (states[i]) {
            path_of("file.part.json", path);
            FILE *file = fopen(path, "w");
            fputs(states[i], file);
            fclose(file);
        }
        struct get k = {.mode = "good", .sha256 = world.file_hash, .keep = true};
        assert_true(run_get(&k));
        assert_complete(&k, world.file_hash);
    }
}

static void stopping_takes_less_than_300_ms(void **state) {
    (void)state;
    static const char *const modes[] = {"slow/stop", "silent/stop", "503/stop"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct get g = {.mode = modes[i], .stop_after = i == 2 ? 0.01 : 0.15};
        assert_false(run_get(&g));
        assert_int_equal(g.error.code, ERROR_INTERRUPTED);
        double took = now() - g.started - g.stop_after;
        if (took > 0.3) {
            fail_msg("%s: %.3f s", modes[i], took);
        }
    }
    assert_false(there("file"));
}

static void a_full_disk_keeps_the_part(void **state) {
    (void)state;
    clean();
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = SIZE / 2;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct get g = {.mode = "good/full", .sha256 = world.file_hash, .keep = true};
    bool ok = run_get(&g);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_false(ok);
    assert_int_equal(g.error.code, ERROR_NO_SPACE);
    assert_says("full", g.error.text, "file.part");
    assert_int_equal(size_of("file.part"), SIZE / 2);
    assert_true(run_get(&g));
    assert_int_equal(g.result.fetched, SIZE / 2);
    assert_complete(&g, world.file_hash);
}

static void too_little_space_is_told_before_fetching(void **state) {
    (void)state;
    struct get announced = {.mode = "huge"};
    assert_false(run_get(&announced));
    assert_int_equal(announced.error.code, ERROR_NO_SPACE);
    assert_says("huge", announced.error.text, "needs 1.1 PB more on its disk, which has");
    assert_int_equal(announced.result.fetched, 0);
    struct get expected = {.mode = "good", .bytes = (uint64_t)1 << 50};
    assert_false(run_get(&expected));
    assert_int_equal(expected.error.code, ERROR_NO_SPACE);
    assert_int_equal(expected.result.fetched, 0);
    assert_false(there("file.part"));
}

static void two_programs_do_not_write_one_part(void **state) {
    (void)state;
    clean();
    struct get g = {.mode = "slow/lock", .sha256 = world.file_hash, .keep = true};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(run_get(&g) ? 0 : 1);
    }
    while (size_of("file.part") == UINT64_MAX || size_of("file.part") == 0) {
        usleep(2000);
    }
    struct get h = g;
    assert_false(run_get(&h));
    assert_says("lock", h.error.text, "another allmem is fetching");
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(size_of("file"), SIZE);
}

static void private_addresses_are_known(void **state) {
    (void)state;
    static const struct {
        const char *host;
        bool private;
    } cases[] = {
        {"10.0.0.1", true},
        {"172.16.0.1", true},
        {"172.32.0.1", false},
        {"192.168.1.1", true},
        {"169.254.169.254", true},
        {"127.9.9.9", true},
        {"0.0.0.0", true},
        {"100.64.0.1", true},
        {"8.8.8.8", false},
        {"::1", true},
        {"::", true},
        {"fe80::1", true},
        {"fd00::1", true},
        {"::ffff:10.0.0.1", true},
        {"::ffff:8.8.8.8", false},
        {"2001:db8::1", false},
        {"localhost", true},
        {"x.localhost", true},
        {"example.org", false},
        {"mylocalhost", false},
        {"0x7f.1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (host_is_private(cases[i].host) != cases[i].private) {
            fail_msg("%s", cases[i].host);
        }
    }
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101)};
    assert_true(address_is_private((struct sockaddr *)&a));
    a.sin_addr.s_addr = htonl(0x08080808);
    assert_false(address_is_private((struct sockaddr *)&a));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_that_end_in_the_right_file),
        cmocka_unit_test(servers_that_end_in_a_clear_error),
        cmocka_unit_test(urls_that_are_refused_before_any_request),
        cmocka_unit_test(no_such_server_is_told_at_once),
        cmocka_unit_test(redirects_within_the_typed_host_are_followed),
        cmocka_unit_test(certificates_are_checked),
        cmocka_unit_test(a_wrong_hash_keeps_the_file_aside),
        cmocka_unit_test(a_file_that_is_there_is_not_overwritten),
        cmocka_unit_test(a_killed_run_is_resumed_with_the_rest_only),
        cmocka_unit_test(a_part_of_something_else_is_not_used),
        cmocka_unit_test(stopping_takes_less_than_300_ms),
        cmocka_unit_test(a_full_disk_keeps_the_part),
        cmocka_unit_test(too_little_space_is_told_before_fetching),
        cmocka_unit_test(two_programs_do_not_write_one_part),
        cmocka_unit_test(private_addresses_are_known),
    };
    return cmocka_run_group_tests_name("download", tests, make_world, end_world);
}
