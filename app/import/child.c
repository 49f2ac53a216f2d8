/* SPDX-License-Identifier: Apache-2.0
 *
 * fork, limits, and a loop over the child's two pipes. Between fork and exec or exit the child may
 * be a copy of one thread of many, so it takes no lock that another thread could hold.
 */
#include "app/import/child.h"
#include "engine/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
static const bool limit_memory = false; /* the shadow alone needs terabytes of address space */
#else
static const bool limit_memory = true;
#endif

enum { STOP_INTERVAL_MS = 50, COMPLAINT_MAX = 500 };

struct child {
    pid_t pid;
    int out, err; /* what we read from; -1 when at its end */
};

static void set_limit(int resource, uint64_t value) {
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
    setrlimit(resource, &limit);
}

static uint64_t address_space(void) {
    /* The first field of statm is pages; read without stdio, which may be locked in a fork. */
    char text[64] = {0};
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        text[n > 0 ? n : 0] = '\0';
    }
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A filter on system calls needs no right that an ordinary process lacks, but NO_NEW_PRIVS before.
 */
static void forbid_sockets(void) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void enter_child(const struct child_limits *limits, uint64_t memory) {
    static const int signals[] = {SIGINT, SIGTERM, SIGPIPE, SIGHUP, SIGWINCH, SIGTSTP, SIGCHLD};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        signal(signals[i], SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (limits->no_sockets) {
        forbid_sockets();
    }
    set_limit(RLIMIT_CORE, 0);
    set_limit(RLIMIT_CPU, limits->cpu_seconds);
    set_limit(RLIMIT_FSIZE, 0);
    if (limit_memory) {
        set_limit(RLIMIT_AS, memory);
    }
}

/* Makes the pipes and forks. In the child returns 0 with the write ends in `to`. */
static pid_t start(struct child *child, int to[2], struct error *error) {
    int out[2], err[2];
    if (pipe2(out, O_CLOEXEC) != 0) {
        error_set(error, ERROR_FAILURE, "cannot make a pipe: %s", strerror(errno));
        return -1;
    }
    if (pipe2(err, O_CLOEXEC) != 0) {
        error_set(error, ERROR_FAILURE, "cannot make a pipe: %s", strerror(errno));
        close(out[0]);
        close(out[1]);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        to[0] = out[1];
        to[1] = err[1];
        return 0;
    }
    close(out[1]);
    close(err[1]);
    if (pid < 0) {
        error_set(error, ERROR_FAILURE, "cannot start a process: %s", strerror(errno));
        close(out[0]);
        close(err[0]);
        return -1;
    }
    *child = (struct child){.pid = pid, .out = out[0], .err = err[0]};
    return pid;
}

/* Appends what is there; closes at the end. */
static void drain(int *fd, struct bytes *to) {
    uint8_t buffer[65536];
    ssize_t n = read(*fd, buffer, sizeof buffer);
    if (n > 0) {
        bytes_put(to, buffer, (size_t)n);
    } else if (n == 0 || errno != EINTR) {
        close(*fd);
        *fd = -1;
    }
}

/* Reads until both pipes are at their end. False: a limit was hit, and `error` says which. */
static bool read_pipes(struct child *child, const struct child_limits *limits, struct bytes *out,
                       struct bytes *complaint, struct error *error) {
    double end = clock_seconds() + 2.0 * limits->cpu_seconds;
    size_t before = out->size;
    while (child->out >= 0 || child->err >= 0) {
        struct pollfd fds[2] = {{.fd = child->out, .events = POLLIN},
                                {.fd = child->err, .events = POLLIN}};
        int n = poll(fds, 2, STOP_INTERVAL_MS);
        if (n > 0 && fds[0].revents) {
            drain(&child->out, out);
        }
        if (n > 0 && fds[1].revents) {
            drain(&child->err, complaint);
            complaint->size = complaint->size < COMPLAINT_MAX ? complaint->size : COMPLAINT_MAX;
        }
        if (limits->stop && limits->stop(limits->stop_context)) {
            return error_set(error, ERROR_INTERRUPTED, "stopped");
        }
        if (out->failed) {
            return error_set(error, ERROR_NO_SPACE, "out of memory");
        }
        if (out->size - before > limits->output_bytes) {
            return error_set(error, ERROR_FAILURE, "gives more than %" PRIu64 " MiB of text",
                             limits->output_bytes >> 20);
        }
        if (clock_seconds() > end) {
            return error_set(error, ERROR_FAILURE, "took longer than %u s",
                             2 * limits->cpu_seconds);
        }
    }
    return true;
}

/* Reads all and waits. True: it exited, with `status`. */
static bool collect(struct child *child, const struct child_limits *limits, struct bytes *out,
                    struct bytes *complaint, int *status, struct error *error) {
    bool ok = read_pipes(child, limits, out, complaint, error);
    if (child->out >= 0) {
        close(child->out);
    }
    if (child->err >= 0) {
        close(child->err);
    }
    if (!ok) {
        kill(child->pid, SIGKILL);
    }
    int raw = 0;
    while (waitpid(child->pid, &raw, 0) < 0 && errno == EINTR) {
    }
    if (ok && WIFSIGNALED(raw)) {
        int sig = WTERMSIG(raw);
        ok = sig == SIGINT ? error_set(error, ERROR_INTERRUPTED, "stopped")
             : sig == SIGXCPU || sig == SIGKILL
                 ? error_set(error, ERROR_FAILURE, "took more than %u s of processor time",
                             limits->cpu_seconds)
                 : error_set(error, ERROR_FAILURE,
                             "its parser crashed, or needed more than %" PRIu64 " MiB",
                             limits->memory_bytes >> 20);
    }
    *status = ok ? WEXITSTATUS(raw) : -1;
    return ok;
}

/* A file in memory with these bytes, at its start; -1 on failure. */
static int memory_file(const void *data, size_t size) {
    int fd = memfd_create("allmem-input", MFD_CLOEXEC);
    const char *at = data;
    for (size_t left = size; fd >= 0 && left > 0;) {
        ssize_t n = write(fd, at, left);
        if (n < 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) {
        lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

bool child_run(const char *const *argv, const void *input, size_t input_size,
               const struct child_limits *limits, struct bytes *output, int *status,
               struct error *error) {
    int in = memory_file(input, input_size);
    if (in < 0) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the input of %s", argv[0]);
    }
    struct child child;
    int to[2];
    pid_t pid = start(&child, to, error);
    if (pid == 0) {
        if (dup2(in, 0) < 0 || dup2(to[0], 1) < 0 || dup2(to[1], 2) < 0) {
            _exit(127);
        }
        enter_child(limits, limits->memory_bytes);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(in);
    if (pid < 0) {
        return false;
    }
    struct bytes complaint = {0};
    bool ok = collect(&child, limits, output, &complaint, status, error);
    if (ok && *status == 127) {
        ok = error_set(error, ERROR_NOT_FOUND, "%s: cannot be run; is it installed?", argv[0]);
    } else if (ok && *status != 0) {
        const void *end = complaint.size ? memchr(complaint.data, '\n', complaint.size) : NULL;
        size_t n = end ? (size_t)((const uint8_t *)end - complaint.data) : complaint.size;
        error_set(error, ERROR_FAILURE, "%.*s", (int)n, n ? (const char *)complaint.data : "");
    }
    bytes_finish(&complaint);
    return ok;
}

static void write_all(int fd, const void *data, size_t size) {
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno != EINTR) {
            _exit(2);
        }
        at += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

/* In the child: the result to one pipe, or the error's code and text to the other. */
static void call_and_exit(child_function *f, void *context, const struct child_limits *limits,
                          const int to[2]) {
    uint64_t in_use = address_space();
    enter_child(limits, in_use + limits->memory_bytes);
    set_limit(RLIMIT_NOFILE, 0);
    struct bytes out = {0};
    struct error why = {0};
    bool ok = f(context, &out, &why);
    if (ok && !out.failed) {
        write_all(to[0], out.data, out.size);
        _exit(0);
    }
    const char *text = out.failed ? "needs too much memory" : why.text;
    write_all(to[1], text, strlen(text));
    _exit(1);
}

bool child_call(child_function *f, void *context, const struct child_limits *limits,
                struct bytes *output, struct error *error) {
    struct child child;
    int to[2];
    pid_t pid = start(&child, to, error);
    if (pid == 0) {
        call_and_exit(f, context, limits, to);
    }
    if (pid < 0) {
        return false;
    }
    struct bytes complaint = {0};
    int status = 0;
    bool ok = collect(&child, limits, output, &complaint, &status, error);
    if (ok && status != 0) {
        ok = error_set(error, ERROR_FAILURE, "%.*s", (int)complaint.size,
                       complaint.size ? (const char *)complaint.data : "the parser failed");
    }
    bytes_finish(&complaint);
    return ok;
}
