#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# app/cmd_ask.c on saved sessions: the same bytes each time, citations that are true, --as-of.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"
# shellcheck source=tests/cli/sessions.sh
. "$SOURCE/tests/cli/sessions.sh"

fails "ask without a session or a path" 2 "a path and a question" "$ALLMEM" ask "Who?"
fails "ask of no session" 4 "no session named nobody" "$ALLMEM" ask -s nobody "Who?"
fails "--as-of needs a session" 2 "--as-of needs a saved session" \
    "$ALLMEM" ask --as-of x book.md "Who?"

chapters book.md 5 60
for model in tiny plain; do
    run "$ALLMEM" ingest -q -s $model -m $model.gguf --checkpoint-seconds 0.2 book.md
    is "$model: ingest" "$status" 0
    run "$ALLMEM" ask -s $model "How many ships did the keeper Drake log?"
    is "$model: ask" "$status" 0
    has "$model: it cites" "$out" '[1] book.md, line'
    cp out first_$model
    before=$(memory_of $model) position=$(shown $model 'd["tokens_read"]')
    run "$ALLMEM" ask -s $model "What did Hudson do on day 3?"
    run "$ALLMEM" find -s $model Drake
    run "$ALLMEM" ask -s $model --temp 1.5 --seed 3 "Who logged wind 7?"
    run "$ALLMEM" ask -s $model "How many ships did the keeper Drake log?"
    ok "$model: the same bytes again, after other commands" cmp "$work/out" first_$model
    cp "$sessions/$model.db" moved.db
    "$ALLMEM" session import moved.db ${model}2
    run "$ALLMEM" ask -s ${model}2 "How many ships did the keeper Drake log?"
    ok "$model: the same bytes from another copy" cmp "$work/out" first_$model
    is "$model: asking leaves the memory" "$(memory_of $model)" "$before"
    is "$model: and its place" "$(shown $model 'd["tokens_read"]')" "$position"
done

run "$ALLMEM" ask -s tiny --json "How many ships did the keeper Drake log?"
ok "--json: the shape, and citations verbatim in the file where they say" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert isinstance(d["answer"], str) and d["supported"] is True
assert d["prefill_tokens"] > 0 and d["first_token_seconds"] >= 0, d
lines = open("book.md").read().split("\n")
assert d["citations"], d
for i, c in enumerate(d["citations"]):
    assert c["id"] == i + 1 and c["source"] == "book.md" and c["page"] is None, c
    assert c["quote"] in "\n".join(lines[c["first_line"] - 1:c["last_line"]]), c
    assert "Drake" in c["quote"], c
' "$work/out"
is "prefill is the question and its passages, not the book" \
    "$(json "$work/out" 'd["prefill_tokens"] < 2500')" true
run "$ALLMEM" ask -s tiny --no-cite "How many ships did the keeper Drake log?"
lacks "--no-cite" "$out" "[1]"
run sh -c 'echo "How many ships did the keeper Drake log?" | "$ALLMEM" ask -s tiny -'
ok "the question from standard input" cmp "$work/out" first_tiny
run "$ALLMEM" ask -s tiny "Which zeppelin crossed Patagonia?"
is "what the sources do not have is exit 3" "$status" 3
is "and no source is printed" "$out" "The text does not say anything about that."
run "$ALLMEM" ask -s tiny --json "Which zeppelin crossed Patagonia?"
is "--json: exit 3" "$status" 3
is "--json: no citations" "$(json "$work/out" '[d["supported"], d["citations"]]')" "[false, []]"
run "$ALLMEM" ask -s tiny --json "What is this about?"
is "a question about the whole" "$status" 0
is "is answered from the beginning, without citations" "$(json "$work/out" 'd["citations"]')" "[]"

# The memory as it was.
run "$ALLMEM" ingest -q -s marked book.md
cp book.md second.md
sed -i 's/keeper/warden/g' second.md
run "$ALLMEM" ingest -q -s marked second.md
question="What did the warden Drake log?"
run "$ALLMEM" ask -s marked "$question"
is "now the wardens are known" "$status" 0
run "$ALLMEM" ask -s marked --as-of book.md "$question"
lacks "as of the first book nothing of the second is cited" "$out" second.md
run "$ALLMEM" ask -s marked --as-of BOOK.MD "What did the keeper Drake log?"
is "a part of a mark, in any case" "$status" 0
cp out as_of
run "$ALLMEM" ask -s marked --as-of "50 %" "What did the keeper Drake log?"
is "a share" "$status" 0
run "$ALLMEM" ask -s marked --as-of "99.9%" "What did the keeper Drake log?"
ok "the newest state before the share" test "$status" = 0
fails "a share before all states" 4 "no saved state of the memory at or before 1 %" \
    "$ALLMEM" ask -s marked --as-of "1 %" "What did the keeper Drake log?"
fails "an unknown mark lists those there are" 4 "there are: 'book.md: Chapter" \
    "$ALLMEM" ask -s marked --as-of "Chapter 77" "What?"
fails "an ambiguous mark lists what it may mean" 4 "may mean several saved states" \
    "$ALLMEM" ask -s marked --as-of ".md" "What?"

# A throw-away session.
run "$ALLMEM" ask -q book.md "How many ships did the keeper Drake log?"
is "ask PATH" "$status" 0
has "it cites the file" "$out" "[1] book.md, line"
run "$ALLMEM" session list --json
is "and leaves no session" "$(json "$work/out" '[r["name"] for r in d]')" \
    '["marked", "plain", "plain2", "tiny", "tiny2"]'
finish
