/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of sessions' states and the tokens since.
 */
#include "engine/standby.h"

#include <stdlib.h>
#include <string.h>

#include "engine/plan.h"
#include "engine/session_private.h"

struct standby_copy {
    size_t users;
    char data[]; /* the layers' states, one after the other */
};

static struct standby_copy *copy_create(const struct session *s) {
    const size_t bytes = session_state_bytes(s);
    if (bytes > plan_free_memory() / 2) {
        return NULL; /* the CPU would not have room for it besides */
    }
    struct standby_copy *copy = calloc(1, sizeof *copy + bytes);
    if (copy) {
        copy->users = 1;
    }
    return copy;
}

static void copy_leave(struct standby_copy *copy) {
    if (copy && --copy->users == 0) {
        free(copy);
    }
}

static char *layer_of(struct standby_copy *copy, const struct session *s, size_t layer) {
    return copy->data + session_bytes_before(s, layer);
}

void standby_begin(struct session *s) {
    s->standby = (struct standby){.since = malloc(STANDBY_TOKENS * sizeof(token))};
}

void standby_end(struct session *s) {
    copy_leave(s->standby.copy);
    free(s->standby.since);
    s->standby = (struct standby){0};
}

void standby_load(struct session *s, size_t layer, const void *data) {
    struct standby *b = &s->standby;
    if (b->since && !b->copy) {
        b->copy = copy_create(s);
    }
    if (b->copy) {
        memcpy(layer_of(b->copy, s, layer), data, session_layout(s, (uint32_t)layer).bytes);
    } else {
        standby_end(s);
    }
}

void standby_fork(struct session *s, const struct session *from) {
    struct standby *to = &s->standby;
    if (!to->since || !from->standby.since) {
        standby_end(s);
        return;
    }
    to->copy = from->standby.copy;
    if (to->copy) {
        to->copy->users++;
    }
    to->count = from->standby.count;
    memcpy(to->since, from->standby.since, to->count * sizeof *to->since);
}

/* False: the device failed. */
static bool copy_state(struct session *s, struct error *error) {
    struct backend *b = s->engine->backend;
    struct standby_copy *copy = copy_create(s);
    if (!copy) {
        standby_end(s);
        return true;
    }
    for (uint32_t l = 0; l < s->shape.layers; l++) {
        b->ops->buffer_read(b, s->states[l], 0, layer_of(copy, s, l), session_layout(s, l).bytes);
    }
    if (!b->ops->wait(b, error)) {
        copy_leave(copy);
        return false;
    }
    copy_leave(s->standby.copy);
    s->standby.copy = copy;
    s->standby.count = 0;
    return true;
}

bool standby_note(struct session *s, const token *ids, size_t n, struct error *error) {
    struct standby *b = &s->standby;
    if (!b->since) {
        return true;
    }
    if (n > STANDBY_TOKENS - b->count) {
        return copy_state(s, error);
    }
    memcpy(b->since + b->count, ids, n * sizeof *ids);
    b->count += n;
    return true;
}

void standby_restore(struct session *s) {
    struct backend *b = s->engine->backend;
    struct standby_copy *copy = s->standby.copy;
    for (uint32_t l = 0; copy && l < s->shape.layers; l++) {
        b->ops->buffer_write(b, s->states[l], 0, layer_of(copy, s, l), session_layout(s, l).bytes);
    }
    if (!copy) {
        session_start_memory(s);
    }
    s->standby.behind = s->standby.count;
}
