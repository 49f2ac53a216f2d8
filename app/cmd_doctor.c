/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem doctor: what the program found on this machine, as a list of names and findings.
 */
#include <archive.h>
#include <libxml/xmlversion.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#include "app/commands.h"
#include "app/json.h"
#include "app/models.h"
#include "app/options.h"
#include "app/paths.h"
#include "app/progress.h"
#include "app/safe_text.h"
#include "engine/engine.h"
#include "storage/store.h"

enum { DEVICES = 16 };

/* Findings in order: an object keeps it, and --json prints it as it is. */
static void find(json_t *report, const char *name, const char *found) {
    json_object_set_new(report, name, json_text(found ? found : "not set"));
}

/* A line for each device, by the number that --device takes. */
static void find_devices(json_t *report) {
    struct engine_device devices[DEVICES];
    struct error error = {0};
    const size_t count = engine_devices(devices, DEVICES, &error);
    char name[32], text[1200], memory[PROGRESS_SIZE], left[PROGRESS_SIZE];
    find(report, "backends", count ? "cpu, vulkan" : "cpu");
    if (!count) {
        find(report, "vulkan", error.text);
    }
    for (size_t i = 0; i < count; i++) {
        const struct engine_device *d = &devices[i];
        snprintf(name, sizeof name, "device %zu", i + 1);
        snprintf(text, sizeof text, "%.255s, %s, %s (%s free); %.255s%s%s%s", d->name, d->kind,
                 progress_bytes(d->memory, memory), progress_bytes(d->free, left), d->features,
                 d->lacks ? "; cannot be used, it lacks " : "", d->lacks ? d->lacks : "",
                 d->is_gpu || d->lacks ? "" : "; only with --backend=vulkan");
        find(report, name, text);
    }
}

static void find_machine(json_t *report) {
    struct engine_machine m = engine_machine();
    char text[64], size[PROGRESS_SIZE];
    find(report, "version", ALLMEM_VERSION);
    find_devices(report);
    find(report, "cpu kernels", m.kernels);
    snprintf(text, sizeof text, "%zu", m.cores);
    find(report, "cores", text);
    snprintf(text, sizeof text, "%s free", progress_bytes(m.free_memory, size));
    find(report, "memory", m.free_memory == SIZE_MAX ? "the system does not say" : text);
}

static void find_libraries(json_t *report) {
    char sqlite[300];
    store_library(sqlite, sizeof sqlite);
    find(report, "sqlite", sqlite);
    find(report, "libarchive", archive_version_string());
    find(report, "libxml2", LIBXML_DOTTED_VERSION);
    find(report, "jansson", jansson_version_str());
    find(report, "utf8proc", utf8proc_version());
    find(report, "openssl", OpenSSL_version(OPENSSL_VERSION));
}

static bool find_folders(json_t *report, struct error *error) {
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return false;
    }
    find(report, "configuration", paths.config);
    find(report, "data", paths.data);
    find(report, "cache", paths.cache);
    find(report, "state", paths.state);
    paths_finish(&paths);
    return true;
}

static void find_model(json_t *report, const char *model) {
    struct model_choice choice;
    struct error error;
    if (model_choose(&choice, model, &error)) {
        find(report, "model", choice.path);
        find(report, "adapter", choice.adapter ? choice.adapter : "none for this model");
        model_choice_finish(&choice);
    } else {
        find(report, "model", error.text);
    }
}

/* User names and passwords in a proxy's address are nobody's business. */
static void find_proxy(json_t *report, const char *name) {
    const char *value = getenv(name), *at = value ? strrchr(value, '@') : NULL;
    const char *scheme = value ? strstr(value, "://") : NULL;
    char text[300];
    if (at) {
        snprintf(text, sizeof text, "%.*s***%s", scheme ? (int)(scheme + 3 - value) : 0, value, at);
        value = text;
    }
    find(report, name, value);
}

static void find_terminal(json_t *report) {
    find(report, "terminal", isatty(STDOUT_FILENO) ? getenv("TERM") : "output is no terminal");
    find(report, "colour", getenv("NO_COLOR") ? "off (NO_COLOR)" : "on where it is a terminal");
    find(report, "language", getenv("LC_ALL") ? getenv("LC_ALL") : getenv("LANG"));
}

static int print_report(json_t *report, const struct options *options, struct error *error) {
    if (options->json) {
        return json_print(report, error);
    }
    const char *name;
    json_t *found;
    json_object_foreach(report, name, found) {
        const char *text = json_string_value(found);
        char *safe = safe_text_of(text ? text : "?", strlen(text ? text : "?"), SAFE_NAME);
        printf("%-14s %s\n", name, safe ? safe : "?");
        free(safe);
    }
    json_decref(report);
    return 0;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    if (!options_read(NULL, 0, &argc, argv, error)) {
        return error->code;
    }
    json_t *report = json_object();
    find_machine(report);
    find_libraries(report);
    if (!find_folders(report, error)) {
        json_decref(report);
        return error->code;
    }
    find_model(report, options->model);
    find_proxy(report, "https_proxy");
    find_proxy(report, "all_proxy");
    find_proxy(report, "no_proxy");
    find_terminal(report);
    return print_report(report, options, error);
}

const struct command command_doctor = {
    .name = "doctor",
    .usage = "doctor",
    .summary = "show what was found on this machine",
    .help = "",
    .run = run,
};
