/* SPDX-License-Identifier: Apache-2.0
 *
 * config.ini through inih, and the environment.
 */
#include "app/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* inih cuts longer lines in two, so they are refused before it sees them. */
#define LINE_MOST (INI_MAX_LINE - 2)
#define FILE_MOST (64 * 1024)

struct reading {
    struct config *config;
    struct settings *settings;
    struct error *error;
    bool failed;
};

static const char *keep_string(struct config *config, const char *text) {
    char **grown = realloc(config->strings, (config->count + 1) * sizeof *grown);
    if (!grown) {
        return NULL;
    }
    config->strings = grown;
    char *copy = strdup(text);
    if (copy) {
        config->strings[config->count++] = copy;
    }
    return copy;
}

static bool keep_key(struct config *config, const char *name, const char *value) {
    struct config_key *grown = realloc(config->keys, (config->key_count + 1) * sizeof *grown);
    if (!grown) {
        return false;
    }
    config->keys = grown;
    const char *kept = keep_string(config, name);
    config->keys[config->key_count] = (struct config_key){kept, value};
    return kept && ++config->key_count;
}

/* inih's handler: 0 is failure, and inih then remembers the first such line's number. */
static int handle_pair(void *user, const char *section, const char *name, const char *value) {
    struct reading *r = user;
    if (r->failed) {
        return 0;
    }
    bool known = true;
    const char *kept = keep_string(r->config, value);
    bool keys = strcmp(section, "keys") == 0;
    if (*section && !keys) {
        error_set(r->error, ERROR_USAGE, "unknown section [%s]", section);
    } else if (!kept || (keys && !keep_key(r->config, name, kept))) {
        error_set(r->error, ERROR_NO_SPACE, "out of memory");
    } else if (keys) {
        return 1;
    } else if (!settings_set(r->settings, name, kept, &known, r->error)) {
        error_prefix(r->error, "%s", name);
    } else if (!known) {
        error_set(r->error, ERROR_USAGE, "unknown key '%s'", name);
    } else {
        return 1;
    }
    r->failed = true;
    return 0;
}

/* NULL with error->code ERROR_NONE when there is no such file. */
static char *read_text(const char *path, struct error *error) {
    error->code = ERROR_NONE;
    FILE *file = fopen(path, "rbe");
    if (!file) {
        if (errno != ENOENT && errno != ENOTDIR) {
            error_set(error, ERROR_FAILURE, "cannot read %s: %s", path, strerror(errno));
        }
        return NULL;
    }
    char *text = malloc(FILE_MOST + 1);
    size_t size = text ? fread(text, 1, FILE_MOST + 1, file) : 0;
    if (!text) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
    } else if (ferror(file)) {
        error_set(error, ERROR_FAILURE, "cannot read %s: %s", path, strerror(errno));
    } else if (size > FILE_MOST) {
        error_set(error, ERROR_USAGE, "%s: more than %d bytes", path, FILE_MOST);
    } else if (memchr(text, '\0', size)) {
        error_set(error, ERROR_USAGE, "%s: holds a zero byte, expected text", path);
    } else {
        text[size] = '\0';
    }
    fclose(file);
    if (error->code != ERROR_NONE) {
        free(text);
        return NULL;
    }
    return text;
}

static bool lines_fit(const char *text, const char *path, struct error *error) {
    size_t number = 1;
    for (const char *line = text; *line; number++) {
        size_t size = strcspn(line, "\n");
        if (size > LINE_MOST) {
            return error_set(error, ERROR_USAGE, "%s, line %zu: %zu bytes, expected at most %d",
                             path, number, size, LINE_MOST);
        }
        line += size + (line[size] == '\n');
    }
    return true;
}

bool config_read_file(struct config *config, const char *path, struct settings *settings,
                      struct error *error) {
    struct error scratch;
    error = error ? error : &scratch;
    char *text = read_text(path, error);
    if (!text) {
        return error->code == ERROR_NONE;
    }
    struct reading r = {config, settings, error, false};
    bool ok = lines_fit(text, path, error);
    if (ok) {
        int line = ini_parse_string(text, handle_pair, &r);
        if (r.failed) {
            ok = error_prefix(error, "%s, line %d", path, line);
        } else if (line != 0) {
            ok = error_set(error, ERROR_USAGE, "%s, line %d: expected 'name = value'", path, line);
        }
    }
    free(text);
    return ok;
}

bool config_read_environment(struct settings *settings, struct error *error) {
    bool known;
    const char *no_color = getenv("NO_COLOR");
    if (no_color && *no_color) {
        settings_set(settings, "color", "never", &known, error);
    }
    const char *name;
    for (size_t i = 0; (name = settings_name(i)); i++) {
        char variable[32] = "ALLMEM_";
        size_t at = strlen(variable);
        for (const char *c = name; *c && at + 1 < sizeof variable; c++) {
            variable[at++] = (char)toupper((unsigned char)*c);
        }
        variable[at] = '\0';
        const char *value = getenv(variable);
        if (value && *value && !settings_set(settings, name, value, &known, error)) {
            return error_prefix(error, "%s in the environment", variable);
        }
    }
    return true;
}

void config_finish(struct config *config) {
    for (size_t i = 0; i < config->count; i++) {
        free(config->strings[i]);
    }
    free(config->strings);
    free(config->keys);
    *config = (struct config){0};
}
