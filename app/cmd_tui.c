/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem [SESSION]: the terminal program.
 */
#include "app/commands.h"
#include "app/ui/app.h"

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    return app_run(options, argc > 0 ? argv[0] : options->session, error);
}

const struct command command_tui = {
    .name = "tui",
    .usage = "[SESSION]",
    .summary = "a screen to read, ask and look things up, on SESSION or the last one",
    .help = "",
    .run = run,
};
