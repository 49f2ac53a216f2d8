/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem [SESSION]: the terminal program; line by line where the terminal has no screen.
 */
#include <stdlib.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/ui/app.h"

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    const char *session = argc > 0 ? argv[0] : options->session;
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    char *last = session ? NULL : app_last_session();
    struct options o = *options;
    int code;
    o.session = session ? session : last;
    if (terminal && !screen_possible() && o.session) {
        code = command_chat.run(&o, 0, argv + argc, error);
    } else {
        o.quiet = true; /* a message on standard error would stand on the screen */
        code = app_run(&o, session, error);
    }
    free(last);
    return code;
}

const struct command command_tui = {
    .name = "tui",
    .usage = "[SESSION]",
    .summary = "a screen to read, ask and look things up, on SESSION or the last one",
    .help = "",
    .run = run,
};
