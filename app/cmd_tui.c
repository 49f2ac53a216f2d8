/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem [SESSION]: the terminal program.
 */
#include "app/commands.h"
#include "app/ui/app.h"

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    struct options silent = *options; /* a message on standard error would stand on the screen */
    silent.quiet = true;
    return app_run(&silent, argc > 0 ? argv[0] : options->session, error);
}

const struct command command_tui = {
    .name = "tui",
    .usage = "[SESSION]",
    .summary = "a screen to read, ask and look things up, on SESSION or the last one",
    .help = "",
    .run = run,
};
