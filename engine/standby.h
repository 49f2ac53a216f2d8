/* SPDX-License-Identifier: Apache-2.0
 *
 * A session's way back from a device that fails: its state some tokens ago, in the machine's own
 * memory, and the tokens since. Only what "auto" has put on a device has one. After the failure the
 * state is what the copy holds, and the tokens since are `behind`: session.c reads them again, on
 * the CPU, before anything else.
 */
#pragma once

#include "engine/engine.h"

/* A copy is made before more tokens than this would have to be read again. */
enum { STANDBY_TOKENS = 4096 };

struct standby_copy; /* shared by a session and its forks */

struct standby {
    struct standby_copy *copy; /* NULL: the state that a session begins with */
    token *since;              /* [STANDBY_TOKENS]; NULL: there is no way back */
    size_t count;              /* of them */
    size_t behind;             /* the last ones of them that the state does not hold */
};

/* For a new session. Without memory for it there is no way back, which is no error. */
void standby_begin(struct session *s);
void standby_end(struct session *s);
/* A layer's bytes as they were loaded. */
void standby_load(struct session *s, size_t layer, const void *data);
/* `s` goes on where `from` is. */
void standby_fork(struct session *s, const struct session *from);
/* `n` tokens have come into the state. False: the device failed while the state was copied, and
 * they have not been noted. */
bool standby_note(struct session *s, const token *ids, size_t n, struct error *error);
/* Fills the zeroed states of the backend that computes from now on. */
void standby_restore(struct session *s);
