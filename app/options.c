/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading options from tables. The common ones are taken first and from the whole line; the others
 * keep their order for the command's own table.
 */
#include "app/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOT_GIVEN UINT64_MAX /* no count that a person may give */

static bool takes_value(const struct option *o) {
    return o->kind != OPTION_FLAG && o->kind != OPTION_TALLY;
}

static bool parse_count(const struct option *o, const char *text, struct error *error) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno == ERANGE || (double)n < o->least ||
        (double)n > o->most) {
        return error_set(error, ERROR_USAGE,
                         "found '%s', expected a whole number from %.0f to %.0f", text, o->least,
                         o->most);
    }
    *(uint64_t *)o->value = n;
    return true;
}

static bool parse_real(const struct option *o, const char *text, struct error *error) {
    char *end;
    double v = strtod(text, &end); /* main keeps LC_NUMERIC "C", so the point is a point */
    if (end == text || *end || !isfinite(v) || v < o->least || v > o->most) {
        return error_set(error, ERROR_USAGE, "found '%s', expected a number from %g to %g", text,
                         o->least, o->most);
    }
    *(double *)o->value = v;
    return true;
}

static bool parse_bytes(const struct option *o, const char *text, struct error *error) {
    static const char units[] = "kMGT";
    char *end = (char *)text;
    double v = *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;
    if (v >= 0) {
        end += strspn(end, " ");
        const char *unit = *end ? strchr(units, *end) : NULL;
        for (const char *u = units; unit && u <= unit; u++) {
            v *= 1000;
        }
        end += unit != NULL;
        end += *end == 'B';
    }
    if (!(v >= 0 && v < 1e18) || *end) {
        return error_set(error, ERROR_USAGE, "found '%s', expected a size such as 500M or 2G",
                         text);
    }
    *(uint64_t *)o->value = (uint64_t)v;
    return true;
}

static bool parse_flag(const struct option *o, const char *text, struct error *error) {
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *(bool *)o->value = i % 2;
            return true;
        }
    }
    return error_set(error, ERROR_USAGE, "found '%s', expected yes or no", text);
}

static bool parse_choice(const struct option *o, const char *text, struct error *error) {
    size_t size = strlen(text);
    for (const char *word = o->choices; *word;) {
        size_t n = strcspn(word, "|");
        if (n == size && strncmp(word, text, n) == 0) {
            *(const char **)o->value = text;
            return true;
        }
        word += n + (word[n] == '|');
    }
    return error_set(error, ERROR_USAGE, "found '%s', expected one of %s", text, o->choices);
}

static bool parse_value(const struct option *o, const char *text, struct error *error) {
    switch (o->kind) {
    case OPTION_FLAG:
        return parse_flag(o, text, error);
    case OPTION_TALLY:
        ++*(int *)o->value;
        return true;
    case OPTION_COUNT:
        return parse_count(o, text, error);
    case OPTION_BYTES:
        return parse_bytes(o, text, error);
    case OPTION_REAL:
        return parse_real(o, text, error);
    case OPTION_CHOICE:
        return parse_choice(o, text, error);
    case OPTION_TEXT:
        if (!*text) {
            return error_set(error, ERROR_USAGE, "found an empty value");
        }
        *(const char **)o->value = text;
        return true;
    case OPTION_TEXTS: {
        struct option_texts *texts = o->value;
        if (texts->count == OPTION_TEXTS_MAX) {
            return error_set(error, ERROR_USAGE, "given more than %d times", OPTION_TEXTS_MAX);
        }
        texts->text[texts->count++] = text;
        return true;
    }
    }
    return false;
}

static const struct option *find_letter(const struct option *table, size_t count, char letter) {
    for (size_t i = 0; i < count; i++) {
        if (letter && table[i].letter == letter) {
            return &table[i];
        }
    }
    return NULL;
}

/* The option of the word "--NAME[=VALUE]"; *negated for "--no-NAME" of a flag. */
static const struct option *find_long(const struct option *table, size_t count, const char *word,
                                      bool *negated) {
    const char *name = word + 2;
    size_t size = strcspn(name, "=");
    for (size_t i = 0; i < count; i++) {
        const char *n = table[i].name;
        if (!n) {
            continue;
        }
        *negated = false;
        if (strlen(n) == size && strncmp(n, name, size) == 0) {
            return &table[i];
        }
        *negated = true;
        if (table[i].kind == OPTION_FLAG && size == strlen(n) + 3 && strncmp(name, "no-", 3) == 0 &&
            strncmp(name + 3, n, size - 3) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

/* How a walk over argv stands: words before `in` are read, `out` of them were kept. */
struct walk {
    char **argv;
    int in, out, argc;
};

static bool next_value(struct walk *w, const char *attached, const char **value,
                       struct error *error) {
    if (attached) {
        *value = attached;
        return true;
    }
    if (w->in == w->argc) {
        return error_set(error, ERROR_USAGE, "found nothing after it, expected a value");
    }
    *value = w->argv[w->in++];
    return true;
}

static bool read_long(const struct option *o, bool negated, struct walk *w, const char *word,
                      struct error *error) {
    const char *equals = strchr(word, '='), *value = NULL;
    bool ok;
    if (takes_value(o)) {
        ok = next_value(w, equals ? equals + 1 : NULL, &value, error) &&
             parse_value(o, value, error);
    } else if (equals) {
        ok = error_set(error, ERROR_USAGE, "found a value, expected none");
    } else {
        ok = parse_value(o, negated ? "no" : "yes", error);
    }
    return ok || error_prefix(error, "option %.*s", (int)strcspn(word, "="), word);
}

/* Whether a cluster of letters ("-qv", "-n64") can be read with this table to its end. */
static bool letters_known(const struct option *table, size_t count, const char *word) {
    for (const char *c = word + 1; *c; c++) {
        const struct option *o = find_letter(table, count, *c);
        if (!o) {
            return false;
        }
        if (takes_value(o)) {
            break;
        }
    }
    return true;
}

static bool read_letters(const struct option *table, size_t count, struct walk *w, const char *word,
                         struct error *error) {
    for (const char *c = word + 1; *c; c++) {
        const struct option *o = find_letter(table, count, *c);
        const char *value = "yes";
        bool last = takes_value(o);
        if ((last && !next_value(w, c[1] ? c + 1 : NULL, &value, error)) ||
            !parse_value(o, value, error)) {
            return error_prefix(error, "option -%c", *c);
        }
        if (last) {
            break;
        }
    }
    return true;
}

/* The common walk: takes what the table knows; with `all` the rest that looks like an option is an
 * error and "--" is dropped, without it both stay. */
static bool read_options(const struct option *table, size_t count, bool all, int *argc, char **argv,
                         struct error *error) {
    struct walk w = {.argv = argv, .argc = *argc};
    while (w.in < w.argc) {
        char *word = argv[w.in++];
        bool negated = false;
        if (strcmp(word, "--") == 0) {
            if (!all) {
                argv[w.out++] = word;
            }
            while (w.in < w.argc) {
                argv[w.out++] = argv[w.in++];
            }
        } else if (word[0] != '-' || !word[1]) {
            argv[w.out++] = word;
        } else if (word[1] == '-') {
            const struct option *o = find_long(table, count, word, &negated);
            if (o) {
                if (!read_long(o, negated, &w, word, error)) {
                    return false;
                }
            } else if (all) {
                return error_set(error, ERROR_USAGE, "unknown option %.*s", (int)strcspn(word, "="),
                                 word);
            } else {
                argv[w.out++] = word;
            }
        } else if (letters_known(table, count, word)) {
            if (!read_letters(table, count, &w, word, error)) {
                return false;
            }
        } else if (all) {
            return error_set(error, ERROR_USAGE, "unknown option %s", word);
        } else {
            argv[w.out++] = word;
        }
    }
    *argc = w.out;
    argv[w.out] = NULL;
    return true;
}

bool options_read(const struct option *table, size_t count, int *argc, char **argv,
                  struct error *error) {
    return read_options(table, count, true, argc, argv, error);
}

/* The first COMMAND_LINE_ONLY entries make no sense as a lasting setting. */
enum { COMMAND_LINE_ONLY = 6, COMMON = 18 };

static void common_table(struct settings *s, struct option table[COMMON]) {
    const struct option rows[COMMON] = {
        {"help", 'h', OPTION_FLAG, &s->help, 0, 0, NULL},
        {"version", 'V', OPTION_FLAG, &s->version, 0, 0, NULL},
        {"json", 0, OPTION_FLAG, &s->json, 0, 0, NULL},
        {"quiet", 'q', OPTION_FLAG, &s->quiet, 0, 0, NULL},
        {"verbose", 'v', OPTION_TALLY, &s->verbose, 0, 0, NULL},
        {"session", 's', OPTION_TEXT, &s->session, 0, 0, NULL},
        {"model", 'm', OPTION_TEXT, &s->model, 0, 0, NULL},
        {"backend", 0, OPTION_CHOICE, &s->backend, 0, 0, "auto|cpu|vulkan"},
        {"device", 0, OPTION_COUNT, &s->device, 0, 16, NULL},
        {"threads", 0, OPTION_COUNT, &s->threads, 0, 1024, NULL},
        {"window", 0, OPTION_COUNT, &s->window, 0, 1 << 24, NULL},
        {"keep", 0, OPTION_COUNT, &s->keep, 0, 1 << 24, NULL},
        {"merge", 0, OPTION_COUNT, &s->merge, 0, 1 << 24, NULL},
        {"temp", 0, OPTION_REAL, &s->temperature, 0, 10, NULL},
        {"seed", 0, OPTION_COUNT, &s->seed, 0, 9007199254740992.0, NULL},
        {"offline", 0, OPTION_FLAG, &s->offline, 0, 0, NULL},
        {"progress", 0, OPTION_FLAG, &s->progress, 0, 0, NULL},
        {"color", 0, OPTION_CHOICE, &s->color, 0, 0, "auto|always|never"},
    };
    memcpy(table, rows, sizeof rows);
}

const char settings_help[] =
    "  -m, --model MODEL       a model's name (allmem model list) or a GGUF file\n"
    "  -s, --session NAME      the session to work on\n"
    "  -q, --quiet             no messages but errors; -v, --verbose: more of them\n"
    "      --json              machine-readable output where there is a list or a measurement\n"
    "      --color WHEN        auto, always or never (NO_COLOR is honoured)\n"
    "      --no-progress       no progress on standard error\n"
    "      --offline           never use the network\n"
    "      --backend NAME      auto, cpu or vulkan; auto: a GPU if one has room, else the CPU\n"
    "      --device N          which Vulkan device, by its number in allmem doctor; 0: the best\n"
    "      --threads N         0: as many as there are cores\n"
    "      --window W          tokens of exact attention; 0: the model's default\n"
    "      --keep B            tokens per head that are kept beyond the window, mean of layers\n"
    "      --merge G           tokens per head that all others are merged into (256; with --keep 0 "
    "1280)\n"
    "      --temp F, --seed N  sampling; --temp 0 always takes the likeliest token\n"
    "  -h, --help              this text, or a command's; -V, --version\n";

void settings_init(struct settings *s) {
    *s = (struct settings){.progress = true,
                           .backend = "auto",
                           .color = "auto",
                           .keep = NOT_GIVEN,
                           .merge = NOT_GIVEN};
}

bool settings_read(struct settings *s, int *argc, char **argv, struct error *error) {
    struct option table[COMMON];
    common_table(s, table);
    return read_options(table, COMMON, false, argc, argv, error);
}

bool settings_set(struct settings *s, const char *name, const char *value, bool *known,
                  struct error *error) {
    struct option table[COMMON];
    common_table(s, table);
    *known = true;
    for (size_t i = COMMAND_LINE_ONLY; i < COMMON; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return parse_value(&table[i], value, error);
        }
    }
    *known = false;
    return true;
}

const char *settings_name(size_t i) {
    struct settings s;
    struct option table[COMMON];
    common_table(&s, table);
    return i < COMMON - COMMAND_LINE_ONLY ? table[COMMAND_LINE_ONLY + i].name : NULL;
}

static bool colour_wanted(const char *when) {
    if (strcmp(when, "auto") != 0) {
        return strcmp(when, "always") == 0;
    }
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

struct options settings_options(const struct settings *s) {
    return (struct options){
        .model = s->model,
        .model_named = s->model_named,
        .session = s->session,
        .backend = s->backend,
        .json = s->json,
        .quiet = s->quiet,
        .offline = s->offline,
        .progress = s->progress && !s->quiet,
        .colour = colour_wanted(s->color),
        .verbose = s->verbose,
        .device = (unsigned)s->device,
        .threads = (unsigned)s->threads,
        .window = (unsigned)s->window,
        .keep = s->keep == NOT_GIVEN ? -1 : (int)s->keep,
        .merge = s->merge == NOT_GIVEN ? -1 : (int)s->merge,
        .temperature = (float)s->temperature,
        .seed = s->seed,
    };
}
