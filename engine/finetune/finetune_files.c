/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints and adapters, as bytes. A checkpoint, little-endian:
 *
 *   "ALLMEMFT", version u32, SHA-256 of the base; options: length, width, chunk, sinks u32, rate,
 *   distill_rate f32, far_start, kept, lengths u8, seed u64; layers, parameters of a layer u64;
 *   adapter started from u8 [32]; stage u8, steps, steps of the stage, skipped u64; struct
 *   finetune_run (texts, steps u64, seconds, spent, best, share f64); updates u32 [layers]; shares
 * f32 [layers]; values, first, second moments f32 [layers][count] each; SHA-256 of all before
 */
#include <stdio.h>
#include <string.h>

#include "engine/finetune/finetune_private.h"
#include "engine/gguf_write.h"

static const char MAGIC[8] = "ALLMEMFT";
enum { VERSION = 7 };

static void put_double(struct bytes *b, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bytes_put_u64(b, bits);
}

static double take_double(struct reader *r) {
    const uint64_t bits = reader_u64(r);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* What must be the same in a run that goes on. */
static void put_identity(const struct finetune *f, struct bytes *b) {
    const struct finetune_options *o = &f->options;
    bytes_put(b, MAGIC, sizeof MAGIC);
    bytes_put_u32(b, VERSION);
    bytes_put(b, f->engine->model.base_fingerprint, HASH_BYTES);
    bytes_put_u32(b, o->length);
    bytes_put_u32(b, o->width);
    bytes_put_u32(b, o->chunk);
    bytes_put_u32(b, o->sinks);
    bytes_put_f32(b, o->rate);
    bytes_put_f32(b, o->distill_rate);
    bytes_put_u8(b, o->far_start);
    bytes_put_u8(b, o->kept);
    bytes_put_u8(b, o->lengths);
    bytes_put_u64(b, o->seed);
    bytes_put_u64(b, f->layers);
    bytes_put_u64(b, f->count);
}

static void put_floats(struct bytes *b, const float *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bytes_put_f32(b, v[i]);
    }
}

bool finetune_save(const struct finetune *f, const struct finetune_run *run, struct bytes *out,
                   struct error *error) {
    const size_t from = out->size, all = f->layers * f->count;
    put_identity(f, out);
    bytes_put(out, f->from, HASH_BYTES);
    bytes_put_u8(out, (uint8_t)f->stage);
    bytes_put_u64(out, f->steps);
    bytes_put_u64(out, f->stage_steps);
    bytes_put_u64(out, f->skipped);
    bytes_put(out, run->texts, HASH_BYTES);
    bytes_put_u64(out, run->steps);
    put_double(out, run->seconds);
    put_double(out, run->spent);
    put_double(out, run->best);
    put_double(out, run->share);
    for (size_t l = 0; l < f->layers; l++) {
        bytes_put_u32(out, f->updates[l]);
    }
    put_floats(out, f->shares, f->layers);
    put_floats(out, f->values, all);
    put_floats(out, f->first, all);
    put_floats(out, f->second, all);
    uint8_t hash[HASH_BYTES];
    if (out->failed || !hash_of(out->data + from, out->size - from, hash)) {
        return error_set(error, ERROR_NO_SPACE, "no memory for a checkpoint");
    }
    bytes_put(out, hash, HASH_BYTES);
    return !out->failed || error_set(error, ERROR_NO_SPACE, "no memory for a checkpoint");
}

static void take_floats(struct reader *r, float *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        v[i] = reader_f32(r);
    }
}

/* The part of put_identity that tells why two runs differ. */
static bool check_identity(const struct finetune *f, struct reader *r, struct error *error) {
    struct bytes own = {0};
    put_identity(f, &own);
    if (own.failed) {
        bytes_finish(&own);
        return error_set(error, ERROR_NO_SPACE, "no memory to look at the checkpoint");
    }
    const uint8_t *found = reader_take(r, own.size);
    const size_t model = sizeof MAGIC + 4, options = model + HASH_BYTES;
    bool ok = false;
    if (!found || memcmp(found, own.data, sizeof MAGIC) != 0) {
        error_set(error, ERROR_INCOMPATIBLE, "is no checkpoint of allmem finetune");
    } else if (memcmp(found, own.data, model) != 0) {
        error_set(error, ERROR_INCOMPATIBLE, "has version %u, this program reads version %d",
                  found[sizeof MAGIC], VERSION);
    } else if (memcmp(found + model, own.data + model, HASH_BYTES) != 0) {
        char theirs[HASH_HEX], ours[HASH_HEX];
        hash_hex(found + model, theirs);
        hash_hex(own.data + model, ours);
        error_set(error, ERROR_INCOMPATIBLE,
                  "was made for the model with fingerprint %.12s, found %.12s", theirs, ours);
    } else if (memcmp(found + options, own.data + options, own.size - options) != 0) {
        struct reader o = reader_of(found + options, own.size - options);
        const uint32_t length = reader_u32(&o), width = reader_u32(&o), chunk = reader_u32(&o);
        error_set(error, ERROR_INCOMPATIBLE,
                  "was made with other options: length %u, width %u, chunk %u, found %u, %u, %u; "
                  "sinks, rates, start, kept, lengths and seed must be the same too",
                  length, width, chunk, f->options.length, f->options.width, f->options.chunk);
    } else {
        ok = true;
    }
    bytes_finish(&own);
    return ok;
}

bool finetune_load(struct finetune *f, const void *data, size_t size, struct finetune_run *run,
                   struct error *error) {
    struct reader r = reader_of(data, size);
    if (!check_identity(f, &r, error)) {
        return false;
    }
    const size_t all = f->layers * f->count;
    const size_t rest =
        1 + 3 * 8 + 2 * HASH_BYTES + 5 * 8 + f->layers * 8 + 3 * all * 4 + HASH_BYTES;
    uint8_t hash[HASH_BYTES];
    if (reader_left(&r) != rest) {
        return error_set(error, ERROR_INCOMPATIBLE, "has %zu bytes after its options, expected %zu",
                         reader_left(&r), rest);
    }
    if (!hash_of(data, size - HASH_BYTES, hash)) {
        return error_set(error, ERROR_NO_SPACE, "no memory to check the checkpoint");
    }
    if (memcmp(hash, (const uint8_t *)data + size - HASH_BYTES, HASH_BYTES) != 0) {
        return error_set(error, ERROR_INCOMPATIBLE, "is damaged: its checksum does not match");
    }
    const uint8_t *from = reader_take(&r, HASH_BYTES);
    const uint8_t stage = reader_u8(&r);
    if (stage < FINETUNE_TRANSFER || stage > FINETUNE_DISTILL) {
        return error_set(error, ERROR_INCOMPATIBLE, "is in stage %u, expected 1 or 2", stage);
    }
    if (stage == FINETUNE_DISTILL && !f->options.distill) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "is in stage 2, but only stage 1 was asked for");
    }
    memcpy(f->from, from, HASH_BYTES);
    f->stage = (enum finetune_stage)stage;
    f->steps = reader_u64(&r);
    f->stage_steps = reader_u64(&r);
    f->skipped = reader_u64(&r);
    memcpy(run->texts, reader_take(&r, HASH_BYTES), HASH_BYTES);
    run->steps = reader_u64(&r);
    run->seconds = take_double(&r);
    run->spent = take_double(&r);
    run->best = take_double(&r);
    run->share = take_double(&r);
    for (size_t l = 0; l < f->layers; l++) {
        f->updates[l] = reader_u32(&r);
    }
    take_floats(&r, f->shares, f->layers);
    take_floats(&r, f->values, all);
    take_floats(&r, f->first, all);
    take_floats(&r, f->second, all);
    return true;
}

static void put_pairs(const struct finetune *f, const struct finetune_origin *o,
                      struct gguf_writer *w) {
    const struct finetune_options *p = &f->options;
    const struct gguf_text name = f->engine->model.config.name;
    char base[128], hex[HASH_HEX];
    snprintf(base, sizeof base, "%.*s", (int)(name.size < 100 ? name.size : 100), name.data);
    hash_hex(f->engine->model.base_fingerprint, hex);
    gguf_put_string(w, "general.architecture", "allmem-adapter");
    gguf_put_string(w, "general.name", base);
    gguf_put_u32(w, "allmem.spec", ADAPTER_SPEC);
    gguf_put_string(w, "allmem.base", base);
    gguf_put_string(w, "allmem.base_fingerprint", hex);
    gguf_put_u32(w, "allmem.width", p->width);
    gguf_put_u32(w, "allmem.chunk", p->chunk);
    gguf_put_u32(w, "allmem.sinks", p->sinks);
    gguf_put_string(w, "allmem.training.version", ALLMEM_VERSION);
    gguf_put_string(w, "allmem.training.date", o->date);
    gguf_put_u32(w, "allmem.training.stage", f->stage);
    gguf_put_u32(w, "allmem.training.steps", (uint32_t)f->steps);
    gguf_put_u32(w, "allmem.training.distill_steps",
                 f->stage == FINETUNE_DISTILL ? (uint32_t)f->stage_steps : 0);
    gguf_put_u32(w, "allmem.training.length", p->length);
    gguf_put_u32(w, "allmem.training.seed", (uint32_t)p->seed);
    gguf_put_f32(w, "allmem.training.rate", p->rate);
    gguf_put_f32(w, "allmem.training.distill_rate", p->distill_rate);
    gguf_put_bool(w, "allmem.training.far_start", p->far_start);
    gguf_put_bool(w, "allmem.training.kept", p->kept);
    gguf_put_f32(w,
                 f->stage == FINETUNE_DISTILL ? "allmem.training.held_out_kl"
                                              : "allmem.training.held_out_error",
                 (float)o->held_out);
    gguf_put_strings(w, "allmem.training.texts", o->texts, o->text_count);
    const uint8_t none[HASH_BYTES] = {0};
    if (memcmp(f->from, none, HASH_BYTES) != 0) {
        hash_hex(f->from, hex);
        gguf_put_string(w, "allmem.training.from", hex);
    }
}

bool finetune_adapter(const struct finetune *f, const struct finetune_origin *origin,
                      struct bytes *out, struct error *error) {
    struct gguf_writer w = {0};
    struct parameter table[PARAMETERS];
    parameters_table(&f->shape, table);
    put_pairs(f, origin, &w);
    for (size_t l = 0; l < f->layers; l++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%zu.mem_share", l);
        gguf_put_tensor(&w, name, QUANT_F32, 1, (const uint64_t[]){1}, f->shares + l);
        for (size_t i = 0; i < PARAMETERS && table[i].tensor.name; i++) {
            snprintf(name, sizeof name, "blk.%zu.mem_%s", l, table[i].tensor.name);
            gguf_put_tensor(&w, name, QUANT_F32, table[i].tensor.dims, table[i].tensor.ne,
                            f->values + l * f->count + table[i].offset);
        }
    }
    bool ok = gguf_writer_build(&w, out, error);
    gguf_writer_finish(&w);
    return ok;
}

/* ---- from an adapter ---- */

bool finetune_start_from(struct finetune *f, const char *path, struct error *error) {
    const struct finetune_options *o = &f->options;
    struct adapter a;
    if (!adapter_open(&a, path, &f->engine->model, error)) {
        return false;
    }
    const bool fits = a.width == o->width && a.chunk == o->chunk && a.sinks == o->sinks &&
                      a.merged_gate == (o->width == 0);
    for (uint32_t l = 0; fits && l < f->layers; l++) {
        memcpy(f->values + l * f->count, a.branches[l].values, f->count * sizeof *f->values);
        f->shares[l] = a.branches[l].share;
    }
    if (fits) {
        memcpy(f->from, a.fingerprint, HASH_BYTES);
    }
    if (!fits) {
        error_set(error, ERROR_INCOMPATIBLE,
                  "%s has width %u, chunk %u and %u sinks%s, training has %u, %u and %u", path,
                  a.width, a.chunk, a.sinks, a.merged_gate ? " and a gate of merged tokens" : "",
                  o->width, o->chunk, o->sinks);
    }
    adapter_close(&a);
    return fits;
}
