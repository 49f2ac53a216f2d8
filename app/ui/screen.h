/* SPDX-License-Identifier: Apache-2.0
 *
 * The terminal, through ncursesw: the only file that knows curses. It takes the terminal over and
 * gives it back whatever happens: an orderly end, a signal, a suspension, a crash. The background
 * stays the terminal's own and the mouse stays with it.
 */
#pragma once

#include "app/ui/text.h"
#include "engine/base/error.h"

/* Rows and columns from the top left; nothing is drawn outside. */
struct area {
    int y, x, h, w;
};

/* Keys as numbers: a code point, or one of these, with KEY_ALT added for Alt. */
enum {
    KEY_ALT = 1 << 28,
    KEY_ESCAPE = 27,
    KEY_OF_TERMINAL = 1 << 24, /* what follows are not characters */
    KEY_IS_UP,
    KEY_IS_DOWN,
    KEY_IS_LEFT,
    KEY_IS_RIGHT,
    KEY_IS_HOME,
    KEY_IS_END,
    KEY_IS_PAGE_UP,
    KEY_IS_PAGE_DOWN,
    KEY_IS_DELETE,
    KEY_IS_BACKSPACE,
    KEY_IS_BACK_TAB,
    KEY_IS_PASTE_BEGIN,
    KEY_IS_PASTE_END,
    KEY_IS_F1, /* up to F12 */
    KEY_IS_F12 = KEY_IS_F1 + 11,
};

/* Whether the terminal (TERM) can place text on a screen. */
bool screen_possible(void);
/* False when standard input or output is no terminal, or one that cannot place text. Signals that
 * concern the screen write a byte to `wake_fd`. */
bool screen_start(bool colour, int wake_fd, struct error *error);
void screen_stop(void); /* also when it was not started */

/* What signals asked for since the last call. */
struct screen_signals {
    bool resize, suspend, interrupt;
    int end; /* SIGTERM or SIGHUP, or 0 */
};
struct screen_signals screen_signals(void);

void screen_resize(void);
/* Gives the terminal back and stops the process; returns when it goes on. */
void screen_suspend(void);
/* Gives the terminal to another program, and takes it again. Until then signals from the keyboard
 * are that program's. */
void screen_leave(void);
void screen_return(void);
struct area screen_area(void);

/* One picture: begin, draw, end. The cursor shows at (y, x), or not at all when y < 0. */
void screen_begin(void);
void screen_end(int y, int x);
void screen_repaint(void); /* the next picture is sent whole */

/* Draws filtered text without newlines at (row, column) of the area, cut at its right edge; gives
 * the column behind it. */
int screen_put(struct area a, int row, int column, unsigned style, const char *text, size_t size);
int screen_puts(struct area a, int row, int column, unsigned style, const char *text);
/* Draws bytes [begin, end) of styled text, a name, in at most `most` columns (text_middle); gives
 * the column behind it. */
int screen_name(struct area a, int row, int column, const struct styled *s, size_t begin,
                size_t end, int most, unsigned style);
/* Draws one row of a styled text, with `style` added. */
void screen_row(struct area a, int row, const struct styled *s, const struct row *r,
                unsigned style);
void screen_rule(struct area a, int row);      /* a horizontal line */
void screen_divide(struct area a, int column); /* a vertical one */
void screen_reverse(struct area a, int row);   /* marks a whole row */

/* The next key, or false when none has come. */
bool screen_key(int *key);
/* Puts text into the terminal's clipboard (OSC 52), where it has one and allows it. */
void screen_copy(const char *text, size_t size);
