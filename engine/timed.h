/* SPDX-License-Identifier: Apache-2.0
 *
 * A backend whose operations are timed: its table is exchanged for one that puts a clock around
 * each and counts the work in it. For measuring: a device is waited for after every operation.
 */
#pragma once

#include "engine/backend.h"
#include "engine/engine.h"

/* Before the first matrix is made; lasts until the backend's end. */
bool timed_begin(struct backend *b, struct error *error);
/* What was done since the begin or the last take; the backend is one that timed_begin was given. */
void timed_take(struct backend *b, struct engine_work work[ENGINE_OPERATIONS]);
