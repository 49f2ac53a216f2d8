#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# --backend, --device: what is computed on a Vulkan device is what the CPU computes; what happens
# where there is none. A processor that acts as a device (llvmpipe) will do.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"
# shellcheck source=tests/cli/sessions.sh
. "$SOURCE/tests/cli/sessions.sh"

# The CPU's faster kernels round activations to 8 bits, as a device does that multiplies bytes; without
# that it computes as the reference does.
ALLMEM_KERNELS=reference
ALLMEM_VULKAN=subgroups
export ALLMEM_KERNELS ALLMEM_VULKAN
chapters book.md 4 40
prompt="On day 3 the keeper Drake logged"

fails "no such backend" 2 "--backend" "$ALLMEM" generate --backend=cuda x
fails "--device that is no number" 2 "option --device: found 'x'" "$ALLMEM" generate --device x x
fails "--device with the CPU" 2 "--device: found 1 with --backend=cpu" \
    "$ALLMEM" generate --backend=cpu --device 1 x

run "$ALLMEM" doctor --json
case $out in
*"built without Vulkan"*) built=no ;;
*) built=yes ;;
esac
if [ $built = yes ]; then
    # No driver; no library that is one.
    mkdir lib
    echo >lib/libvulkan.so.1
    for without in VK_ICD_FILENAMES=/nonexistent LD_LIBRARY_PATH="$work/lib"; do
        fails "$without: --backend=vulkan" 1 "no Vulkan" \
            env "$without" "$ALLMEM" generate --backend=vulkan -n 4 "$prompt"
        run env "$without" "$ALLMEM" generate -n 4 "$prompt"
        is "$without: auto is the CPU" "$status$err" 0
        run env "$without" "$ALLMEM" generate -v -n 4 "$prompt"
        has "$without: -v says why" "$err" "no Vulkan"
        run env "$without" "$ALLMEM" generate --device 1 -n 4 "$prompt"
        is "$without: auto with --device is the CPU" "$status" 0
        has "$without: and says so" "$err" "the CPU computes"
        run env "$without" "$ALLMEM" doctor
        has "$without: doctor says why" "$out" "no Vulkan"
    done
else
    fails "--backend=vulkan" 1 "without Vulkan" "$ALLMEM" generate --backend=vulkan -n 4 "$prompt"
    run "$ALLMEM" generate -n 4 "$prompt"
    is "auto is the CPU" "$status$err" 0
fi

run "$ALLMEM" doctor
case $out in
*"device 1 "*) ;;
*)
    skip "Vulkan computes what the CPU computes" "$(printf '%s\n' "$out" | grep '^vulkan')"
    finish
    exit
    ;;
esac
has "doctor: a device with its memory" "$out" " free); subgroups of "
fails "a device that there is not" 2 "option --device: found 16, expected 1 to" \
    "$ALLMEM" generate --backend=vulkan --device 16 x

for model in tiny plain; do
    run "$ALLMEM" generate -m $model.gguf --backend=cpu --temp 0 -n 32 "$prompt"
    expected=$out
    run "$ALLMEM" generate -m $model.gguf --backend=vulkan --temp 0 -n 32 "$prompt"
    is "$model: greedy tokens" "$status$err$out" "0$expected"
done
run "$ALLMEM" generate -m plain.gguf --device 1 --temp 0 -n 32 "$prompt"
is "auto with --device takes the device" "$status$out" "0$expected"
# So long that most of it has left the window.
long=$(head -c 4000 book.md)
run "$ALLMEM" generate -q -m plain.gguf --backend=cpu --window 64 --temp 0 -n 96 "$long"
expected=$out
run "$ALLMEM" generate -q -m plain.gguf --backend=vulkan --window 64 --temp 0 -n 96 "$long"
is "greedy tokens after merged ones" "$status$err$out" "0$expected"

for mode in full window "window --merge 40" memory "memory --merge 40"; do
    # shellcheck disable=SC2086 # options
    set -- --mode $mode --window 64 --keep 24 --tokens 800 --text book.md
    run "$ALLMEM" eval --json --backend=cpu "$@"
    cp out cpu.json
    run "$ALLMEM" eval --json --backend=vulkan "$@"
    ok "eval --mode $mode: nll" python3 -c '
import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
assert a["tokens"] == b["tokens"] and a["state_bytes"] == b["state_bytes"], (a, b)
assert abs(a["nll"] - b["nll"]) < 0.01, (a["nll"], b["nll"])
for x, y in zip(a["buckets"], b["buckets"]):
    assert abs(x["nll"] - y["nll"]) < 0.01, (x, y)' cpu.json out
done

# Of a quantised model, by each kind of product.
"$TINY" packed.gguf type=Q4_1 adapter=packed.adapter.gguf adapter_uneven=0.5
set -- -m packed.gguf --mode memory --window 64 --keep 24 --tokens 300 --text book.md
run "$ALLMEM" eval --json --backend=cpu "$@"
cp out cpu.json
for variants in plain "subgroups dot"; do
    run env ALLMEM_VULKAN="$variants" "$ALLMEM" eval --json --backend=vulkan "$@"
    ok "Q4_1, $variants: nll" python3 -c '
import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
assert abs(a["nll"] - b["nll"]) < 0.01, (a["nll"], b["nll"])' cpu.json out
done

# A session of one backend on the other: fast weights, or merged tokens alone.
question="How many ships did the keeper Drake log?"
goes_on_elsewhere() { # MODEL FIRST SECOND
    name=${1}_$2
    run "$ALLMEM" ingest -q -s "$name" -m "$1.gguf" --window 64 --keep 24 --backend="$2" book.md
    is "$1: ingest by $2" "$status" 0
    before=$(memory_of "$name")
    run "$ALLMEM" ask -s "$name" --backend="$2" "$question"
    expected=$out
    lacks "$1: asked by $2: no word about backends" "$err" "round"
    run "$ALLMEM" ask -s "$name" --backend="$3" "$question"
    is "$1: ingest by $2, asked by $3" "$status$out" "0$expected"
    has "$1: and says so in a line" "$err" "round differently"
    is "$1: which leaves the memory" "$(memory_of "$name")" "$before"
    run "$ALLMEM" ask -q -s "$name" --backend="$3" "$question"
    is "$1: -q: not a word" "$err" ""
}
for model in tiny plain; do
    goes_on_elsewhere $model cpu vulkan
    goes_on_elsewhere $model vulkan cpu
done

# Memory: 64 layers of more than two GB each.
"$TINY" deep.gguf layers=64
fails "more than the device has" 8 "" "$ALLMEM" generate -m deep.gguf \
    --backend=vulkan --window 16777216 "$prompt"
run "$ALLMEM" generate -m deep.gguf --device 1 --window 16777216 "$prompt"
is "auto: nor has the CPU" "$status" 8
has "auto: it was tried" "$err" "the CPU computes"

# The cache of pipelines: damaged, cut off, of another kind.
for file in "$ALLMEM_HOME"/cache/vulkan-*.cache; do
    [ -s "$file" ] || continue
    for damage in "" "x" "$(head -c 5000 /dev/zero | tr '\0' y)"; do
        printf '%s' "$damage" >"$file"
        run "$ALLMEM" generate -m plain.gguf --backend=vulkan --temp 0 -n 8 "$prompt"
        is "a damaged cache of ${#damage} bytes" "$status$err" 0
    done
done

# A device that fails at its N-th submission or wait, or has no more memory, under "auto": a line, and
# the CPU goes on where the device was. Where the device was asked for: an error.
VK_LAYER_PATH=$LAYERS
export VK_LAYER_PATH
faulty() { # FAULT COMMAND...: does what it should, with one line about the device
    fault=$1
    shift
    run env VK_INSTANCE_LAYERS=VK_LAYER_ALLMEM_fault ALLMEM_FAULT="$fault" "$ALLMEM" "$@"
    is "$fault: $1 goes on" "$status" 0
    is "$fault: and says so in a line" "$(grep -v "round differently" err | sed 's/.*;//')" \
        " the CPU computes"
}
for model in tiny plain; do
    run "$ALLMEM" generate -m $model.gguf --backend=cpu --temp 0 -n 32 "$prompt"
    expected=$out
    for fault in submit:0 submit:1 submit:3 submit:9 wait:2 wait:20 memory:1 memory:2; do
        faulty $fault generate -m $model.gguf --device 1 --temp 0 -n 32 "$prompt"
        is "$model, $fault: every token, once" "$out" "$expected"
    done
done
for fault in submit:9 wait:9; do
    run env VK_INSTANCE_LAYERS=VK_LAYER_ALLMEM_fault ALLMEM_FAULT=$fault \
        "$ALLMEM" generate --backend=vulkan --temp 0 -n 32 "$prompt"
    is "$fault: --backend=vulkan" "$status" 1
    has "$fault: --backend=vulkan: says so" "$err" "VK_ERROR_DEVICE_LOST); --backend=cpu"
done
# Further on than what is read again: from a copy of the state, and the tokens since.
chapters long.md 12 40
set -- --mode memory --window 64 --keep 24 --tokens 6000 --text long.md
run "$ALLMEM" eval --json --backend=cpu "$@"
cp out cpu.json
faulty submit:75 eval --json --device 1 --no-progress "$@"
ok "submit:75: nll" python3 -c '
import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
assert len(a["buckets"]) == len(b["buckets"])
for x, y in zip([a] + a["buckets"], [b] + b["buckets"]):
    assert abs(x["nll"] - y["nll"]) < 0.01, (x, y)' cpu.json out
# While it is read, while it is saved, and while it is asked.
run "$ALLMEM" ingest -q -s whole --window 64 --keep 24 --backend=cpu book.md
run "$ALLMEM" ask -s whole --backend=cpu "$question"
expected=$out
for n in 2 7 10 14; do
    faulty submit:$n ingest -s lost$n --window 64 --keep 24 --device 1 --no-progress book.md
    is "submit:$n: ingest reads all" "$(shown lost$n 'd["tokens_read"]')" "$(shown whole 'd["tokens_read"]')"
    run "$ALLMEM" ask -s lost$n --backend=cpu "$question"
    is "submit:$n: and what it read can be asked" "$status$out" "0$expected"
    faulty submit:$n ask -s whole --device 1 "$question"
    is "submit:$n: the answer, once" "$out" "$expected"
done
unset VK_LAYER_PATH

# Two at once, and one killed in between.
for i in 1 2; do
    "$ALLMEM" generate -m plain.gguf --backend=vulkan --temp 0 -n 64 "$prompt" >both_$i 2>&1 &
done
"$ALLMEM" generate -m plain.gguf --backend=vulkan --temp 0 -n 100000 "$prompt" >killed 2>&1 &
killed=$!
while [ ! -s killed ] && kill -0 $killed 2>/dev/null; do
    sleep 0.1
done
kill -9 $killed
wait
run "$ALLMEM" generate -m plain.gguf --backend=vulkan --temp 0 -n 64 "$prompt"
is "after one was killed" "$status" 0
ok "two at once: the first" cmp both_1 out
ok "two at once: the second" cmp both_2 out
finish
