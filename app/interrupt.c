/* SPDX-License-Identifier: Apache-2.0
 *
 * The stop flag and its signal handler.
 */
#include "app/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t caught; /* number of the first signal */
static volatile sig_atomic_t second; /* monotonic second of the first SIGINT */

static void handle(int number) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* safe in a handler */
    if (number == SIGINT && caught == SIGINT && now.tv_sec - second < 2) {
        _exit(ERROR_INTERRUPTED);
    }
    if (!caught || number == SIGINT) {
        caught = number;
        second = (sig_atomic_t)now.tv_sec;
    }
}

void interrupt_install(void) {
    struct sigaction action = {.sa_handler = handle};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL); /* unless nohup asked us to stay */
    }
}

bool interrupt_requested(void) {
    return caught != 0;
}

bool interrupt_forget(void) {
    if (caught == SIGINT) {
        caught = 0;
    }
    return caught == 0;
}

int interrupt_exit_code(void) {
    return caught ? 128 + caught : 0;
}

bool interrupt_error(struct error *error) {
    return error_set(error, ERROR_INTERRUPTED, "interrupted");
}
