/* SPDX-License-Identifier: Apache-2.0
 *
 * The terminal edits the line, so what is typed is not seen here before Enter. While a line is
 * waited for, Ctrl-C is told not to throw it away (NOFLSH): then it can be counted.
 */
#include "app/terminal_line.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "app/interrupt.h"

/* A line that is not ended yet can be read in no other mode. */
static bool drop_typed(const struct termios *terminal) {
    struct termios plain = *terminal;
    int typed = 0;
    plain.c_lflag &= ~(tcflag_t)ICANON;
    bool some = tcsetattr(STDIN_FILENO, TCSANOW, &plain) == 0 &&
                ioctl(STDIN_FILENO, FIONREAD, &typed) == 0 && typed > 0;
    tcflush(STDIN_FILENO, TCIFLUSH);
    return some;
}

/* Until a line can be read or a signal ends the wait; one that came just before ends it too. */
static void wait_for_line(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    sigset_t ours, before;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    sigprocmask(SIG_BLOCK, &ours, &before);
    if (!interrupt_requested()) {
        ppoll(&input, 1, NULL, &before);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

enum terminal_line terminal_line_read(char **line, size_t *capacity, bool terminal) {
    struct termios before;
    bool set = terminal && tcgetattr(STDIN_FILENO, &before) == 0;
    if (set) {
        struct termios kept = before;
        kept.c_lflag |= NOFLSH;
        set = tcsetattr(STDIN_FILENO, TCSANOW, &kept) == 0;
    }
    if (set) {
        wait_for_line();
    }
    ssize_t n = interrupt_requested() ? -1 : getline(line, capacity, stdin);
    bool typed = n < 0 && interrupt_requested() && set && drop_typed(&before);
    if (set) {
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
    if (n >= 0) {
        (*line)[strcspn(*line, "\r\n")] = '\0';
        return LINE_READ;
    }
    if (!interrupt_requested()) {
        return LINE_END;
    }
    clearerr(stdin); /* the read that was interrupted */
    return typed && interrupt_forget() ? LINE_TAKEN_BACK : LINE_INTERRUPTED;
}
