#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# app/cmd_chat.c: questions line by line; every turn is on the disk before the next prompt.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"
# shellcheck source=tests/cli/sessions.sh
. "$SOURCE/tests/cli/sessions.sh"

fails "chat without a session" 2 "-s NAME is missing" "$ALLMEM" chat
fails "chat with too many words" 2 "too many words" "$ALLMEM" chat -s x y
fails "chat in no session" 4 "no session named x" "$ALLMEM" chat -s x
chapters book.md 3 30
run "$ALLMEM" ingest -q -s book book.md
before=$(memory_of book)

printf 'How many ships did the keeper Barentsz log?\n\nWhich zeppelin crossed Patagonia?\r\n/bye\nnever asked\n' >lines
input=lines run "$ALLMEM" chat -s book
is "chat" "$status" 0
has "it cites" "$out" "[1] book.md, line"
has "it says what the text does not have" "$out" "The text does not say anything about that."
is "no prompt where nobody types" "$err" ""
is "two turns of two sides are kept" "$(shown book 'd["turns"]')" 4
is "chatting leaves the memory" "$(memory_of book)" "$before"
input=lines run "$ALLMEM" chat -s book --json
ok "--json: an object for each answer" python3 -c '
import json, sys
text, decoder, at, all = open(sys.argv[1]).read(), json.JSONDecoder(), 0, []
while text[at:].strip():
    d, n = decoder.raw_decode(text[at:].lstrip())
    at += len(text[at:]) - len(text[at:].lstrip()) + n
    all.append(d)
assert [d["supported"] for d in all] == [True, False], all
' "$work/out"
run "$ALLMEM" ask -s book "How many ships did the keeper Barentsz log?"
cp out asked
printf 'How many ships did the keeper Barentsz log?' >line
input=line run "$ALLMEM" chat -s book
ok "ask and chat give the same bytes" cmp out asked

# Killed between two questions: the first one is there, with its citations.
turns=$(shown book 'd["turns"]')
cat >killed.py <<'EOF'
import subprocess, sys
p = subprocess.Popen([sys.argv[1], "chat", "-s", "book"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
p.stdin.write(b"What did Cabral log?\n")
p.stdin.flush()
while b"[1] " not in p.stdout.readline():
    pass
p.kill()
p.wait()
EOF
run python3 killed.py "$ALLMEM"
is "after kill -9 the answered turn is there" "$(shown book 'd["turns"]')" $((turns + 2))
run "$ALLMEM" session verify book
is "and the session is sound" "$status" 0
finish
