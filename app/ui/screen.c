/* SPDX-License-Identifier: Apache-2.0
 *
 * ncursesw, signals, and the way back to a sane terminal.
 */
#include "app/ui/screen.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#undef columns /* term.h has macros of such names */

/* ncurses keeps one screen per process, and so does this file. */
static struct {
    SCREEN *screen;
    bool colour;
    struct termios before;
    char reset[256]; /* what a crash writes: prepared, for then nothing can be computed */
    size_t reset_size;
    int wake_fd;
} terminal;

static volatile sig_atomic_t resized, suspended, interrupted, ended;

/* Escape sequences of our own: bracketed paste on and off (xterm's private mode 2004). */
static const char PASTE_ON[] = "\033[?2004h", PASTE_OFF[] = "\033[?2004l";

static void write_all(const char *text, size_t size) {
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, text, size);
        if (n < 0 && errno != EINTR) {
            return;
        }
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

/* ---- signals ---- */

static void handle(int number) {
    int saved = errno;
    if (number == SIGWINCH) {
        resized = 1;
    } else if (number == SIGTSTP) {
        suspended = 1;
    } else if (number == SIGINT) {
        interrupted = 1;
    } else if (number == SIGCONT) {
        resized = 1;
    } else {
        ended = number;
    }
    if (write(terminal.wake_fd, "", 1) < 0) {
        errno = saved; /* the pipe is full: the loop is about to wake anyway */
    }
    errno = saved;
}

static void handle_crash(int number) {
    static const char cut[] = "allmem: a file in use was cut short on the disk\n";
    write_all(terminal.reset, terminal.reset_size);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    if (number == SIGBUS) {
        if (write(STDERR_FILENO, cut, sizeof cut - 1) < 0) {
            _exit(74);
        }
        _exit(74);
    }
    raise(number); /* the default action is back: SA_RESETHAND */
}

static void catch (int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void install_signals(void) {
    static const int news[] = {SIGWINCH, SIGTSTP, SIGCONT, SIGINT, SIGTERM};
    static const int crashes[] = {SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGBUS};
    struct sigaction before;
    for (size_t i = 0; i < sizeof news / sizeof *news; i++) {
        catch (news[i], handle, SA_RESTART);
    }
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        catch (SIGHUP, handle, SA_RESTART);
    }
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) {
        catch (crashes[i], handle_crash, (int)SA_RESETHAND | SA_NODEFER);
    }
}

struct screen_signals screen_signals(void) {
    struct screen_signals s = {.end = ended};
    volatile sig_atomic_t *const flags[] = {&resized, &suspended, &interrupted};
    bool *const seen[] = {&s.resize, &s.suspend, &s.interrupt};
    for (size_t i = 0; i < 3; i++) {
        if (*flags[i]) { /* only then: one that comes now is for the next time */
            *flags[i] = 0;
            *seen[i] = true;
        }
    }
    return s;
}

/* ---- start and stop ---- */

static void add_reset(const char *text) {
    /* Padding ("$<5>") is for terminals that are older than this program. */
    size_t size = text && text != (char *)-1 ? strcspn(text, "$") : 0;
    if (size && terminal.reset_size + size <= sizeof terminal.reset) {
        memcpy(terminal.reset + terminal.reset_size, text, size);
        terminal.reset_size += size;
    }
}

static void prepare_reset(void) {
    terminal.reset_size = 0;
    add_reset(PASTE_OFF);
    add_reset(tigetstr("sgr0"));
    add_reset(tigetstr("cnorm"));
    add_reset(tigetstr("rmkx"));
    add_reset(tigetstr("rmcup"));
}

static void set_modes(void) {
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    leaveok(stdscr, FALSE);
    define_key("\033[200~", KEY_MAX + 1);
    define_key("\033[201~", KEY_MAX + 2);
}

static void set_colours(bool colour) {
    terminal.colour = colour && has_colors() && start_color() == OK && use_default_colors() == OK;
    if (terminal.colour) {
        init_pair(1, COLOR_CYAN, -1);
        init_pair(2, COLOR_RED, -1);
    }
}

/* Whether terminfo knows the terminal, and that it can place text. Asked first, for newterm leaks
 * memory when it fails. */
static bool can_place(const char *name) {
    int trouble;
    if (!name || !*name || setupterm(name, STDOUT_FILENO, &trouble) != OK) {
        return false;
    }
    bool can = tigetstr("cup") != NULL;
    del_curterm(cur_term);
    return can;
}

bool screen_possible(void) {
    return can_place(getenv("TERM"));
}

bool screen_start(bool colour, int wake_fd, struct error *error) {
    const char *name = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        return error_set(error, ERROR_USAGE,
                         "standard input and output are no terminal; without one: "
                         "allmem chat -s NAME, or allmem --help");
    }
    if (tcgetattr(STDIN_FILENO, &terminal.before) != 0) {
        return error_set(error, ERROR_FAILURE, "cannot read the terminal's settings: %s",
                         strerror(errno));
    }
    if (screen_possible()) {
        terminal.wake_fd = wake_fd;
        install_signals(); /* before newterm: ncurses takes a SIGTSTP that nobody handles yet for
                              its own, and ignores it during every doupdate; one that came then
                              would be lost */
        terminal.screen = newterm(NULL, stdout, stdin);
    }
    if (!terminal.screen) {
        return error_set(error, ERROR_USAGE,
                         "the terminal (TERM=%s) cannot place text on a screen; line by line: "
                         "allmem chat -s NAME",
                         name && *name ? name : "");
    }
    prepare_reset();
    set_modes();
    set_colours(colour);
    write_all(PASTE_ON, sizeof PASTE_ON - 1);
    return true;
}

void screen_stop(void) {
    if (terminal.screen) {
        write_all(PASTE_OFF, sizeof PASTE_OFF - 1);
        endwin();
        delscreen(terminal.screen);
        terminal.screen = NULL;
    }
}

void screen_resize(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        resizeterm(size.ws_row, size.ws_col);
    }
    clearok(stdscr, TRUE);
}

void screen_leave(void) {
    write_all(PASTE_OFF, sizeof PASTE_OFF - 1);
    endwin();
    catch (SIGINT, SIG_IGN, 0);
    catch (SIGQUIT, SIG_IGN, 0);
    catch (SIGTSTP, SIG_DFL, 0); /* the shell gets all of the job back */
}

void screen_return(void) {
    catch (SIGINT, handle, SA_RESTART);
    catch (SIGQUIT, SIG_DFL, 0);
    catch (SIGTSTP, handle, SA_RESTART);
    doupdate(); /* takes the terminal again */
    write_all(PASTE_ON, sizeof PASTE_ON - 1);
    screen_resize();
}

void screen_suspend(void) {
    screen_leave();
    raise(SIGTSTP);
    screen_return();
}

struct area screen_area(void) {
    struct area a = {0};
    getmaxyx(stdscr, a.h, a.w);
    return a;
}

/* ---- drawing ---- */

void screen_begin(void) {
    erase();
}

void screen_end(int y, int x) {
    curs_set(y >= 0);
    if (y >= 0) {
        move(y, x);
    }
    refresh();
}

void screen_repaint(void) {
    clearok(stdscr, TRUE);
}

static attr_t attributes_of(unsigned style) {
    return (style & STYLE_BOLD ? A_BOLD : 0) | (style & STYLE_DIM ? A_DIM : 0) |
           (style & STYLE_ITALIC ? A_ITALIC : 0) | (style & STYLE_UNDERLINE ? A_UNDERLINE : 0) |
           (style & STYLE_REVERSE ? A_REVERSE : 0);
}

static void set_style(unsigned style) {
    short pair = !terminal.colour ? 0 : style & STYLE_WARN ? 2 : style & STYLE_ACCENT ? 1 : 0;
    attr_set(attributes_of(style), pair, NULL);
}

/* One visible character; the code points that fit into a cell, which is what ncurses can hold. */
static void put_character(const char *text, size_t size) {
    wchar_t wide[CCHARW_MAX * 4 + 1];
    size_t n = 0;
    for (size_t at = 0; at < size && n < CCHARW_MAX * 4;) {
        mbstate_t state = {0};
        wchar_t c;
        size_t used = mbrtowc(&c, text + at, size - at, &state);
        if (used == 0 || used > size - at) {
            c = 0xFFFD;
            used = 1;
        }
        wide[n++] = wcwidth(c) < 0 ? 0xFFFD : c;
        at += used;
    }
    addnwstr(wide, (int)n);
}

int screen_put(struct area a, int row, int column, unsigned style, const char *text, size_t size) {
    if (row < 0 || row >= a.h || column < 0 || column >= a.w) {
        return column;
    }
    set_style(style);
    move(a.y + row, a.x + column);
    for (size_t at = 0; at < size;) {
        int columns;
        size_t next = text_next(text, size, at, &columns);
        if (column + columns > a.w) {
            break;
        }
        if (text[at] != '\n' && text[at] != '\t') {
            put_character(text + at, next - at);
        }
        column += columns;
        at = next;
    }
    set_style(STYLE_PLAIN);
    return column;
}

int screen_puts(struct area a, int row, int column, unsigned style, const char *text) {
    return screen_put(a, row, column, style, text, strlen(text));
}

void screen_row(struct area a, int row, const struct styled *s, const struct row *r,
                unsigned style) {
    int column = r->indent;
    for (size_t at = r->begin; at < r->end && column < a.w;) {
        size_t end = at + 1;
        while (end < r->end && s->styles.data[end] == s->styles.data[at]) {
            end++;
        }
        column = screen_put(a, row, column, s->styles.data[at] | style,
                            (const char *)s->text.data + at, end - at);
        at = end;
    }
}

int screen_name(struct area a, int row, int column, const struct styled *s, size_t begin,
                size_t end, int most, unsigned style) {
    const char *text = (const char *)s->text.data;
    size_t left = end - begin, right = left;
    bool cut = begin < end && text_middle(text + begin, end - begin, most, &left, &right);
    struct row before = {begin, begin + left, column}, after = {begin + right, end, 0};
    screen_row(a, row, s, &before, style);
    column += text_columns(text + begin, left);
    if (cut) {
        column = screen_puts(a, row, column, s->styles.data[begin] | style, "...");
    }
    after.indent = column;
    screen_row(a, row, s, &after, style);
    return column + text_columns(text + after.begin, after.end - after.begin);
}

void screen_rule(struct area a, int row) {
    if (row >= 0 && row < a.h) {
        set_style(STYLE_DIM);
        mvhline(a.y + row, a.x, 0, a.w);
        set_style(STYLE_PLAIN);
    }
}

void screen_divide(struct area a, int column) {
    set_style(STYLE_DIM);
    mvvline(a.y, a.x + column, 0, a.h);
    set_style(STYLE_PLAIN);
}

void screen_reverse(struct area a, int row) {
    if (row >= 0 && row < a.h) {
        mvchgat(a.y + row, a.x, a.w, A_REVERSE, 0, NULL);
    }
}

/* ---- keys ---- */

static int translate(int code) {
    static const struct {
        int curses, ours;
    } table[] = {
        {KEY_UP, KEY_IS_UP},
        {KEY_DOWN, KEY_IS_DOWN},
        {KEY_LEFT, KEY_IS_LEFT},
        {KEY_RIGHT, KEY_IS_RIGHT},
        {KEY_HOME, KEY_IS_HOME},
        {KEY_END, KEY_IS_END},
        {KEY_PPAGE, KEY_IS_PAGE_UP},
        {KEY_NPAGE, KEY_IS_PAGE_DOWN},
        {KEY_DC, KEY_IS_DELETE},
        {KEY_BACKSPACE, KEY_IS_BACKSPACE},
        {KEY_BTAB, KEY_IS_BACK_TAB},
        {KEY_ENTER, '\r'},
        {KEY_MAX + 1, KEY_IS_PASTE_BEGIN},
        {KEY_MAX + 2, KEY_IS_PASTE_END},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].curses == code) {
            return table[i].ours;
        }
    }
    return code >= KEY_F(1) && code <= KEY_F(12) ? KEY_IS_F1 + code - KEY_F(1) : KEY_OF_TERMINAL;
}

bool screen_key(int *key) {
    wint_t code;
    int kind = get_wch(&code);
    if (kind == ERR) {
        return false;
    }
    *key = kind == KEY_CODE_YES ? translate((int)code) : code == 127 ? KEY_IS_BACKSPACE : (int)code;
    if (*key == KEY_ESCAPE) {
        /* Alt and a key comes as Escape and the key, at once. */
        kind = get_wch(&code);
        if (kind != ERR) {
            int next = kind == KEY_CODE_YES ? translate((int)code)
                       : code == 127        ? KEY_IS_BACKSPACE
                                            : (int)code;
            *key = next | KEY_ALT;
        }
    }
    return true;
}

void screen_copy(const char *text, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct bytes out = {0};
    bytes_put(&out, "\033]52;c;", 7);
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++) {
            group = group << 8 | (j < n ? (unsigned char)text[i + j] : 0);
        }
        for (size_t j = 0; j < 4; j++) {
            bytes_put_u8(&out, j <= n ? (uint8_t)digits[group >> (18 - 6 * j) & 63] : '=');
        }
    }
    bytes_put_u8(&out, 7);
    if (!out.failed) {
        write_all((const char *)out.data, out.size);
    }
    bytes_finish(&out);
}
