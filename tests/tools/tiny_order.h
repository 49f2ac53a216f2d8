/* SPDX-License-Identifier: Apache-2.0
 *
 * A tiny model, and an adapter for it, described in words: for tiny_model_tool, and for golden
 * numbers that were computed from its files.
 */
#pragma once

#include "tests/tools/tiny_adapter.h"
#include "tests/tools/tiny_model.h"

struct tiny_order {
    struct tiny_model model;
    struct tiny_adapter adapter;
    const char *adapter_path; /* where the adapter is to be written, or NULL */
};

struct tiny_order tiny_order_of(void);
/* Takes one NAME=VALUE: a number of struct tiny_model (layers=3 width=256 tied=0 seed=7), or
 * architecture=qwen3, type=Q4_1, yarn=4 or linear=4 (scaling of positions), adapter=PATH,
 * adapter_chunk=64, adapter_width=0, adapter_uneven=0.5. False if it is not understood. Keeps
 * pointers into the text.
 */
bool tiny_order_set(struct tiny_order *o, const char *option);
