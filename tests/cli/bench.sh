#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# app/cmd_bench.c: speeds, and where the time goes, with a tiny model.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"

"$TINY" "$work/tiny.gguf" || exit 1
bench() {
    "$ALLMEM" bench -m "$work/tiny.gguf" --prompt 64 --gen 4 "$@"
}

run bench
is "bench" "$status" 0
has "prefill" "$out" "prefill     64 tokens at depth 0:"
has "decode" "$out" "decode       4 tokens at depth 0:"
run bench --backend=cpu --operations
is "bench --operations" "$status" 0
has "an operation" "$out" "  matrices "
has "what is no operation" "$out" "  the rest "
has "the limits" "$out" "GB/s read"
run bench --backend=cpu --operations --json
ok "the same in JSON" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert all(d["limits"][k] > 0 for k in ("products_8_bits", "products_16_bits", "bytes_read")), d
for part in (d["prefill"], d["decode"]):
    rows = part["operations"]
    assert 0 < sum(r["share"] for r in rows) <= 1, rows
    matrices = next(r for r in rows if r["operation"] == "matrices")
    assert matrices["flops"] > 0 and matrices["bytes"] > 0 and matrices["of_limit"] > 0, rows
' "$work/out"
fails "a word too many" 2 "found 'x'" "$ALLMEM" bench x
finish
