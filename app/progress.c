/* SPDX-License-Identifier: Apache-2.0
 *
 * The progress line and messages on standard error.
 */
#include "app/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "app/safe_text.h"
#include "engine/base/clock.h"

#define EVERY_ON_TERMINAL 0.1
#define EVERY_ELSEWHERE 5.0
#define LINE_MOST 400

void progress_init(struct progress *p, const struct options *options) {
    *p = (struct progress){
        .on = options->progress, .messages = !options->quiet, .terminal = isatty(STDERR_FILENO)};
    /* Where lines add up, what is soon over needs none. */
    p->next = p->terminal ? 0 : clock_seconds() + EVERY_ELSEWHERE;
}

static size_t columns(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

/* Cuts to less than the terminal's width, between characters, so that the line never wraps. */
static void cut(char *line) {
    size_t n = strlen(line), most = columns() - 1;
    if (n > most) {
        n = most;
        while (n > 0 && ((unsigned char)line[n] & 0xc0) == 0x80) {
            n--;
        }
        line[n] = '\0';
    }
}

/* Names in a line come from outside, so it passes the filter. */
static void draw(struct progress *p, const char *raw, bool stays) {
    char *line = safe_text_of(raw, strlen(raw), SAFE_NAME);
    if (!line) {
        return;
    }
    if (p->terminal && !stays) {
        cut(line);
        size_t n = strlen(line);
        fprintf(stderr, "\r%s%*s", line, (int)(p->shown > n ? p->shown - n : 0), "");
        p->shown = n;
    } else {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
    free(line);
}

void progress_line(struct progress *p, const char *format, ...) {
    double now = clock_seconds();
    if (!p->on || now < p->next) {
        return;
    }
    p->next = now + (p->terminal ? EVERY_ON_TERMINAL : EVERY_ELSEWHERE);
    char line[LINE_MOST];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    draw(p, line, false);
}

void progress_end(struct progress *p) {
    if (p->shown > 0) {
        fprintf(stderr, "\r%*s\r", (int)p->shown, "");
        p->shown = 0;
    }
}

void progress_message(struct progress *p, const char *format, ...) {
    progress_end(p);
    if (!p->messages) {
        return;
    }
    char line[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    draw(p, line, true);
}

const char *progress_bytes(unsigned long long bytes, char text[PROGRESS_SIZE]) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    double v = (double)bytes;
    while (v >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        v /= 1000;
        unit++;
    }
    snprintf(text, PROGRESS_SIZE, unit > 0 && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return text;
}
