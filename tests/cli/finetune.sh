#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# app/cmd_finetune.c, app/corpus.c, app/training_files.c: training a tiny model's memory, its files,
# going on after a stop, refusals.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"

"$TINY" tiny.gguf layers=2
"$TINY" other.gguf layers=2 seed=9
mkdir texts
i=0
while [ $i -lt 400 ]; do
    echo "In chapter $i the lighthouse keeper counted $((i * 7 % 100)) ships and wrote them down."
    i=$((i + 1))
done >texts/novel.txt
echo "A short one." >texts/note.md

# train NAME OPTION...: on the same texts.
train() {
    name=$1
    shift
    run "$ALLMEM" finetune -m tiny.gguf -o "$name" --length 256 --width 32 --chunk 16 --seed 3 \
        "$@" texts
}

# figures NAME KIND STAGE: of the rows of a kind, errors or KL, in order.
figures() {
    awk -v kind="$2" -v stage="$3" '$1 == kind && $7 == stage {print $6}' "$1.tsv"
}

# Whether the last number of a file is less than the first.
falls() {
    awk 'NR == 1 {first = $1} {last = $1} END {exit !(NR > 1 && last < first)}' "$1"
}

train a.gguf --steps 24
is "training succeeds" "$status" 0
has "it says what it did" "$out" "24 steps of 256 tokens"
has "progress tells the held-out error" "$err" "held-out error"
has "and KL" "$err" "held-out KL"
has "and that without an adapter" "$err" "KL without an adapter"
ok "the adapter is there" test -s a.gguf
is "a row per step of stage 1" "$(figures a.gguf train 1 | wc -l)" 8
is "and of stage 2" "$(figures a.gguf train 2 | wc -l)" 16
figures a.gguf held-out 1 >errors
figures a.gguf held-out 2 >divergences
ok "the held-out error falls" falls errors
ok "the held-out KL falls" falls divergences
ok "the adapter names its texts" grep -aq "  novel.txt" a.gguf

cp a.gguf tiny.adapter.gguf
run "$ALLMEM" eval -m tiny.gguf --mode memory --window 64 --keep 0 --tokens 600 \
    --text texts/novel.txt
is "the adapter works" "$status" 0
with=$out
run "$ALLMEM" eval -m tiny.gguf --mode window --window 64 --keep 0 --tokens 600 \
    --text texts/novel.txt
is "the window alone too" "$status" 0
ok "the adapter changes something" test "$(echo "$with" | grep nll)" != "$(echo "$out" | grep nll)"

# The controls: five different figures with kept tokens and without.
i=0
while [ $i -lt 400 ]; do
    echo "$((i * 31 % 977)) sheep went up the hill, and the shepherd did not see where they went."
    i=$((i + 1))
done >other.txt
for keep in 0 16; do
    for control in "--mode full" "--mode window" "--mode memory --no-writes" \
        "--mode memory --other other.txt" "--mode memory"; do
        # shellcheck disable=SC2086
        "$ALLMEM" eval -m tiny.gguf $control --window 64 --keep $keep --tokens 600 \
            --text texts/novel.txt 2>>"$work/err" | grep "^nll"
    done >nlls
    is "five controls, $keep kept" "$(sort -u nlls | wc -l)" 5
done
run "$ALLMEM" eval -m tiny.gguf --mode memory --other texts/novel.txt --window 64 --keep 0 \
    --tokens 600 --text texts/novel.txt
is "the text may be the other one" "$status" 0
fails "full attention has no memory to exchange" 2 "needs --mode window or memory" "$ALLMEM" eval -m tiny.gguf \
    --mode full --other other.txt --text texts/novel.txt
fails "another text must be long enough" 1 "expected at least as many" "$ALLMEM" eval \
    -m tiny.gguf --other texts/note.md --text texts/novel.txt --tokens 600

fails "an earlier adapter is not overwritten" 1 "a.gguf exists; --resume" \
    "$ALLMEM" finetune -m tiny.gguf -o a.gguf --length 256 --width 32 --chunk 16 -q texts

# Pauses in both stages.
train b.gguf --steps 24 --pause-after 0.001 --threads 1
is "one step and a pause" "$(grep -c '^train' b.gguf.tsv)" 1
has "it says that it is not finished" "$out" "--resume goes on"
i=1
while [ $i -lt 10 ]; do
    train b.gguf --resume --pause-after 0.001
    i=$((i + 1))
done
is "ten sittings, ten steps" "$(grep -c '^train' b.gguf.tsv)" 10
train b.gguf --resume --threads 2
is "resuming succeeds" "$status" 0
ok "the adapter is the same as in one go" cmp -s a.gguf b.gguf
train b.gguf --resume
is "what is finished stays finished" "$status" 0
is "no step more" "$(grep -c '^train' b.gguf.tsv)" 24

fails "another stage is refused" 5 "another --stage" "$ALLMEM" finetune -m tiny.gguf -o b.gguf \
    --length 256 --width 32 --chunk 16 --seed 3 --stage 2 --resume -q texts
train c.gguf --stage 2 --from a.gguf --steps 2
is "stage 2 starts from an adapter" "$status" 0
is "where that one ended" "$(figures c.gguf held-out 2 | head -n 1)" "$(tail -n 1 divergences)"
is "and has no stage 1" "$(figures c.gguf train 1 | wc -l)" 0
rm c.gguf c.gguf.checkpoint c.gguf.tsv
fails "another width is refused" 5 "has width 32" "$ALLMEM" finetune -m tiny.gguf -o c.gguf \
    --length 256 --width 16 --chunk 16 --from a.gguf -q texts
rm -f c.gguf.tsv
fails "other texts are refused" 5 "made with other texts" "$ALLMEM" finetune -m tiny.gguf \
    -o b.gguf --length 256 --width 32 --chunk 16 --seed 3 --resume -q texts/novel.txt
fails "another model is refused" 5 "fingerprint" "$ALLMEM" finetune -m other.gguf \
    -o b.gguf --length 256 --width 32 --chunk 16 --seed 3 --resume -q texts
fails "other options are refused" 5 "other options" "$ALLMEM" finetune -m tiny.gguf \
    -o b.gguf --length 256 --width 16 --chunk 16 --seed 3 --resume -q texts
printf x | dd of=b.gguf.checkpoint bs=1 seek=5000 conv=notrunc 2>"$work/dd"
fails "damage is refused" 5 "is damaged" "$ALLMEM" finetune -m tiny.gguf \
    -o b.gguf --length 256 --width 32 --chunk 16 --seed 3 --resume -q texts
fails "no checkpoint" 4 "c.gguf.checkpoint" "$ALLMEM" finetune -m tiny.gguf -o c.gguf \
    --length 256 --chunk 16 --resume -q texts
fails "too little text" 1 "expected at least 1024" "$ALLMEM" finetune -m tiny.gguf -o c.gguf \
    --length 256 --chunk 16 -q texts/note.md
fails "sequences longer than the context" 2 "context, 512" "$ALLMEM" finetune -m tiny.gguf \
    -o c.gguf -q texts
fails "no texts" 2 "no texts" "$ALLMEM" finetune -m tiny.gguf -o c.gguf
fails "no output" 2 "-o is missing" "$ALLMEM" finetune -m tiny.gguf texts
ok "nothing is left of what failed" test ! -e c.gguf

# Without fast weights: the gate of merged tokens, end to end.
run "$ALLMEM" finetune -m tiny.gguf -o gate.gguf --length 256 --width 0 --chunk 16 --seed 3 --steps 24 \
    --distill-rate 0.03 texts
is "a gate is trained" "$status" 0
is "with no stage 1" "$(figures gate.gguf train 1 | wc -l)" 0
is "it starts as nothing" "$(figures gate.gguf held-out 2 | head -n 1)" "$(figures gate.gguf window 2)"
figures gate.gguf held-out 2 >gate_divergences
ok "its held-out KL falls" falls gate_divergences
cp gate.gguf tiny.adapter.gguf
for mode in memory window; do
    "$ALLMEM" eval -m tiny.gguf --mode $mode --window 64 --keep 0 --merge 64 --tokens 600 \
        --text texts/novel.txt 2>>"$work/err" | grep "^nll"
done >gate_nlls
is "it changes what is read" "$(sort -u gate_nlls | wc -l)" 2
for keep in 1024 0; do
    "$ALLMEM" eval -m tiny.gguf --mode memory --keep $keep --tokens 100 --text texts/novel.txt \
        2>>"$work/err" | grep -o "kept [0-9]*, merged [0-9]*"
done >sizes
is "without kept tokens as many more are merged" "$(paste -sd ' ' sizes)" \
    "kept 1024, merged 256 kept 0, merged 1280"
run "$ALLMEM" finetune -m tiny.gguf -o spread.gguf --length 256 --width 0 --chunk 16 --seed 3 --steps 2 \
    --spread texts
is "tokens are spread over the layers" "$status" 0
has "and it says how" "$err" "shares of the layers: "
rm spread.gguf*
fails "stage 1 knows no shares" 2 "--spread with --stage 1" "$ALLMEM" finetune -m tiny.gguf -o spread.gguf \
    --stage 1 --spread -q texts
fails "stage 1 has nothing to train" 2 "stage 2 trains the gate" "$ALLMEM" finetune -m tiny.gguf \
    -o c.gguf --length 256 --width 0 --chunk 16 --stage 1 -q texts
cp a.gguf tiny.adapter.gguf

# A signal while it trains: the best so far stays, and the next sitting goes on.
"$ALLMEM" finetune -m tiny.gguf -o d.gguf --length 256 --width 32 --chunk 16 --steps 1000000 -q \
    texts 2>"$work/err" &
pid=$!
i=0
while [ $i -lt 100 ] && ! grep -q '^train' d.gguf.tsv 2>"$work/grep"; do
    sleep 0.2
    i=$((i + 1))
done
kill -INT $pid
wait $pid
is "interrupted" "$?" 130
ok "an adapter stays" test -s d.gguf
ok "so does a checkpoint" test -s d.gguf.checkpoint
run "$ALLMEM" finetune -m tiny.gguf -o d.gguf --length 256 --width 32 --chunk 16 --resume \
    --seconds 1 -q texts
is "and it goes on" "$status" 0
finish
