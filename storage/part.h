/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: what a snapshot's digest is computed from, in little-endian bytes.
 * README.md has the layout; part_seal_snapshot first, then part_seal for each part in order.
 */
#pragma once

#include "engine/base/bytes.h"
#include "storage/snapshots.h"

void part_seal_snapshot(struct bytes *out, const struct store_snapshot *snapshot);
void part_seal(struct bytes *out, struct blob name, int64_t layer, uint64_t size,
               const uint8_t *hash);
