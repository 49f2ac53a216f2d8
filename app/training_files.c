/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoint, adapter and log of a training run.
 */
#include "app/training_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "app/files.h"
#include "engine/base/map.h"

static bool make_paths(struct training_files *t, const char *adapter, struct error *error) {
    t->adapter = strdup(adapter);
    if (asprintf(&t->checkpoint, "%s.checkpoint", adapter) < 0) {
        t->checkpoint = NULL;
    }
    if (asprintf(&t->log, "%s.tsv", adapter) < 0) {
        t->log = NULL;
    }
    return (t->adapter && t->checkpoint && t->log) ||
           error_set(error, ERROR_NO_SPACE, "out of memory");
}

static bool refuse_existing(const char *path, struct error *error) {
    struct stat st;
    return lstat(path, &st) != 0 ||
           error_set(error, ERROR_FAILURE,
                     "%s exists; --resume continues that training, or choose another name", path);
}

static bool load(const struct training_files *t, struct finetune *f, struct finetune_run *run,
                 struct error *error) {
    struct map map;
    if (!map_open(&map, t->checkpoint, error)) {
        return false;
    }
    bool ok = finetune_load(f, map.data, map.size, run, error) ||
              error_prefix(error, "checkpoint %s", t->checkpoint);
    map_close(&map);
    return ok;
}

bool training_files_open(struct training_files *t, const char *adapter, bool resume,
                         struct finetune *f, struct finetune_run *run, struct error *error) {
    bool ok = make_paths(t, adapter, error) && (resume ? load(t, f, run, error)
                                                       : refuse_existing(t->adapter, error) &&
                                                             refuse_existing(t->checkpoint, error));
    if (!ok) {
        return false;
    }
    t->table = fopen(t->log, resume ? "ae" : "we");
    if (!t->table) {
        return file_write_error(t->log, errno, error);
    }
    if (!resume) {
        fputs("kind\tstep\tseconds\twindow\tskipped\terror or KL\tstage\tlength\tkept\t"
              "errors of the layers\n",
              t->table);
    }
    return true;
}

void training_files_close(struct training_files *t) {
    if (t->table) {
        fclose(t->table);
    }
    free(t->adapter);
    free(t->checkpoint);
    free(t->log);
    *t = (struct training_files){0};
}

bool training_save_checkpoint(const struct training_files *t, const struct finetune *f,
                              const struct finetune_run *run, struct error *error) {
    struct bytes out = {0};
    bool ok =
        finetune_save(f, run, &out, error) && file_write(t->checkpoint, out.data, out.size, error);
    bytes_finish(&out);
    return ok;
}

bool training_save_adapter(const struct training_files *t, const struct finetune *f,
                           const struct finetune_run *run, const struct corpus *corpus,
                           struct error *error) {
    struct bytes out = {0};
    struct tm day;
    char date[16] = "";
    const time_t now = time(NULL);
    if (gmtime_r(&now, &day)) {
        strftime(date, sizeof date, "%Y-%m-%d", &day);
    }
    const struct finetune_origin origin = {corpus->texts, corpus->count, run->best, date};
    bool ok = finetune_adapter(f, &origin, &out, error) &&
              file_write(t->adapter, out.data, out.size, error);
    bytes_finish(&out);
    return ok;
}

bool training_log(const struct training_files *t, const char *kind, const struct finetune *f,
                  double seconds, const struct finetune_sequence *s,
                  const struct finetune_result *r, struct error *error) {
    fprintf(t->table, "%s\t%llu\t%.1f\t%zu\t%zu\t%.6f\t%d\t%zu\t%zu\t", kind,
            (unsigned long long)finetune_steps(f), seconds, s->window, r->skipped, r->mean,
            (int)finetune_stage(f), s->length, s->keep);
    for (size_t l = 0; r->errors && l < r->layers; l++) {
        fprintf(t->table, "%s%.4f", l ? " " : "", (double)r->errors[l]);
    }
    fputc('\n', t->table);
    errno = 0;
    return (fflush(t->table) == 0 && !ferror(t->table)) || file_write_error(t->log, errno, error);
}
