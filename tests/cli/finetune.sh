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

# train NAME OPTION...: 12 steps in all, of the same texts.
train() {
    name=$1
    shift
    run "$ALLMEM" finetune -m tiny.gguf -o "$name" --length 256 --width 32 --chunk 16 --seed 3 "$@" \
        texts
}

# The mean error of the rows of a kind, first or last four.
errors() {
    grep "^$2" "$1.tsv" | cut -f 6 | "$3" -n 4 | awk '{s += $1} END {printf "%d", 1000 * s / NR}'
}

train a.gguf --steps 12
is "training succeeds" "$status" 0
has "it says what it did" "$out" "12 steps of 256 tokens"
has "progress tells the held-out error" "$err" "held-out error"
ok "the adapter is there" test -s a.gguf
is "a row per step" "$(grep -c '^train' a.gguf.tsv)" 12
ok "the error falls" test "$(errors a.gguf train tail)" -lt "$(errors a.gguf train head)"
ok "so does the held-out one" test "$(grep '^held' a.gguf.tsv | tail -n 1 | cut -f 6 | tr -d .)" -lt \
    "$(grep '^held' a.gguf.tsv | head -n 1 | cut -f 6 | tr -d .)"
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

fails "an earlier adapter is not overwritten" 1 "a.gguf exists; --resume" \
    "$ALLMEM" finetune -m tiny.gguf -o a.gguf --length 256 --width 32 --chunk 16 -q texts

train b.gguf --steps 12 --pause-after 0.001 --threads 1
is "one step and a pause" "$(grep -c '^train' b.gguf.tsv)" 1
has "it says that it is not finished" "$out" "--resume goes on"
train b.gguf --resume --pause-after 0.001
train b.gguf --resume --threads 2
is "resuming succeeds" "$status" 0
ok "the adapter is the same as in one go" cmp -s a.gguf b.gguf
train b.gguf --resume
is "what is finished stays finished" "$status" 0
is "no step more" "$(grep -c '^train' b.gguf.tsv)" 12

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
