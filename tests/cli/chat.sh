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

# On a terminal. Ctrl-S holds the output back, so that the answer is under way for as long as the
# test wants; what Ctrl-C does to it is the same as without.
cat >typed.py <<'EOF'
"""typed.py ALLMEM STEP...: types the steps into chat on a pseudo-terminal, each after a prompt; prints
the exit status and what came back."""
import os, pty, select, signal, sys, time

QUESTION = b"How many ships did the keeper Barentsz log?"
steps = {
    "stop": [QUESTION + b"\n\x13", 1.0, b"\x03"],
    "ask": [QUESTION + b"\n"],
    "typed": [b"half a quest", 0.3, b"\x03"],
    "c": [b"\x03"],
    "d": [b"\x04"],
    "term": [signal.SIGTERM],
}
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "chat", "-s", "book"])
seen, prompts, deadline = b"", 0, time.monotonic() + 60

def read(until):
    global seen
    while time.monotonic() < deadline and not until():
        if select.select([fd], [], [], 0.05)[0]:
            try:
                piece = os.read(fd, 4096)
            except OSError:
                piece = b""
            if not piece:
                return
            seen += piece

for step in sys.argv[2:]:
    prompts += 1
    read(lambda: seen.count(b"> ") >= prompts)
    for part in steps[step]:
        if isinstance(part, float):
            time.sleep(part)
        elif isinstance(part, bytes):
            os.write(fd, part)
        else:
            os.kill(pid, part)
read(lambda: False)
if time.monotonic() >= deadline:
    os.kill(pid, signal.SIGKILL)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(seen.decode("utf8", "replace").replace("\r\n", "\n"))
EOF
# Of the last turns: who spoke, and whether to the end.
last_turns() {
    python3 -c '
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute("SELECT CAST(role AS TEXT), complete FROM turn ORDER BY id").fetchall()
print(*("%s%d" % r for r in rows[-int(sys.argv[2]):]))' "$sessions/book.db" "$1"
}
newline='
'
turns=$(shown book 'd["turns"]')
run python3 typed.py "$ALLMEM" stop ask d
is "Ctrl-C stops the answer, the next question is answered, Ctrl-D ends" "${out%%"$newline"*}" 0
has "it says so" "$out" "stopped"
has "and cites for the next" "$out" "[1] book.md, line"
is "both are kept" "$(shown book 'd["turns"]')" $((turns + 4))
is "the stopped one is marked" "$(last_turns 4)" "user1 assistant0 user1 assistant1"
run python3 typed.py "$ALLMEM" typed ask c
is "Ctrl-C takes back a line, and ends on an empty one" "${out%%"$newline"*}" 130
has "between the two a question is answered" "$out" "[1] book.md, line"
is "which is kept, and the line is not" "$(shown book 'd["turns"]')" $((turns + 6))
run python3 typed.py "$ALLMEM" ask term
is "SIGTERM ends it" "${out%%"$newline"*}" 143
run "$ALLMEM" session verify book
is "the session is sound after all that" "$status" 0
ok "and at rest one file" test ! -e "$sessions/book.db-wal"

# Where nobody types, Ctrl-C ends the program.
cat >piped.py <<'EOF'
import signal, subprocess, sys
p = subprocess.Popen([sys.argv[1], "chat", "-s", "book"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
p.stdin.write(b"What did Cabral log?\n")
p.stdin.flush()
while b"[1] " not in p.stdout.readline():
    pass
p.send_signal(signal.SIGINT)
print(p.wait(30))
EOF
run python3 piped.py "$ALLMEM"
is "Ctrl-C while a script is waited for" "$out" 130
finish
