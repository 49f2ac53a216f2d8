#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# app/update.c: a memory made anew when files changed or went; the session stays until it is whole.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"
# shellcheck source=tests/cli/sessions.sh
. "$SOURCE/tests/cli/sessions.sh"

fails "update of no session" 4 "no session named nobody" "$ALLMEM" session update nobody
mkdir books other
for n in 1 2 3; do
    chapters books/book$n.md 2 20
done
"$ALLMEM" ingest -q -s s books >/dev/null
echo "A note that came by standard input, about pelicans." | "$ALLMEM" ingest -q -s s - >/dev/null
echo "What did the keeper Barentsz log?" | "$ALLMEM" chat -q -s s >/dev/null
turns=$(shown s 'd["turns"]') hash=$(memory_of s)

run "$ALLMEM" session update s
is "nothing changed" "$status" 0
has "it says so" "$err" "nothing has changed"
is "and does nothing" "$(memory_of s)" "$hash"
run "$ALLMEM" session update s --json
is "--json" "$(json "$work/out" '[d["rebuilt"], d["sources"]]')" \
    '[false, {"changed": [], "gone": [], "added": [], "withdrawn": []}]'

echo "The keeper Zheng logged 5 junks." >books/new.md
run sh -c 'cd other && "$ALLMEM" session update s --json'
is "a new file is read, from any folder" "$(json "$work/out" '[d["rebuilt"], d["sources"]["added"]]')" \
    '[false, ["books/new.md"]]'
ok "and only that" test "$(json "$work/out" 'd["read_tokens"]')" -lt 1000

sed -i 's/Amundsen/Nansen/g' books/book1.md
rm books/book2.md
position=$(shown s 'd["tokens_read"]')
run sh -c 'cd other && "$ALLMEM" session update s'
is "changed and gone: rebuilt" "$status" 0
has "what changed is said" "$err" "changed: books/book1.md"
has "what went is said" "$err" "no longer there: books/book2.md"
ok "the memory is shorter" test "$(shown s 'd["tokens_read"]')" -lt "$position"
is "the transcript is kept" "$(shown s 'd["turns"]')" "$turns"
is "nothing stays beside the session" "$(ls -A "$sessions")" s.db
run "$ALLMEM" source -s s list --json
is "the sources are those of now" "$(json "$work/out" 'sorted(r["source"] for r in d)')" \
    '["TREE books", "books/book1.md", "books/book3.md", "books/new.md", "stdin"]'
is "all of them are read" "$(json "$work/out" 'all(r["read"] for r in d)')" true
run "$ALLMEM" find -s s Amundsen
lacks "the old text is not found" "$out" "books/book1.md"
run "$ALLMEM" ask -s s "What did Nansen log?"
has "the new one is" "$out" "books/book1.md"
run "$ALLMEM" session verify s
is "the session is sound" "$status" 0

# Cut off: the session answers as before, and the next update goes on.
cp -a "$sessions/s.db" whole.db
sed -i 's/wind 7/wind 8/' books/book3.md
run "$ALLMEM" session update s
hash=$(memory_of s)
"$ALLMEM" session rm s
"$ALLMEM" session import whole.db s
before=$(memory_of s)
cat >cut.py <<'EOF'
import os, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "session", "update", "s", "-q"])
while p.poll() is None and not os.path.exists(sys.argv[2] + "/.s.db.update"):
    time.sleep(0.001)
time.sleep(0.03)
p.kill()
p.wait()
EOF
run python3 cut.py "$ALLMEM" "$sessions"
is "after kill -9 the session is as it was" "$(memory_of s)" "$before"
run "$ALLMEM" ask -s s "What did Nansen log?"
is "and answers" "$status" 0
run "$ALLMEM" session update s
is "the next update ends it" "$status" 0
is "with the same memory" "$(memory_of s)" "$hash"
is "and leaves nothing beside it" "$(ls -A "$sessions")" s.db

# A memory that this program or the model's adapter has left behind is made anew with its own model.
older() {
    python3 -c 'import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    db.execute("UPDATE session SET spec = 0")' "$sessions/$1.db"
}
older s
fails "a memory of an older version is refused" 5 "allmem session update s reads" \
    "$ALLMEM" ask -s s "What did Nansen log?"
run "$ALLMEM" session update s
is "update makes it anew, without -m" "$status" 0
has "and says why" "$err" "version 0 of its specification"
is "to the same memory" "$(memory_of s)" "$hash"
run env ALLMEM_MODEL="$work/plain.gguf" "$ALLMEM" session update s --json
is "then there is nothing to do" "$(json "$work/out" '[d["rebuilt"], d["outdated"]]')" '[false, null]'
older s
run env ALLMEM_MODEL="$work/plain.gguf" "$ALLMEM" session update s
is "a standing preference for another model does not count" "$status/$(memory_of s)" "0/$hash"
cp tiny.adapter.gguf kept.gguf
"$TINY" tiny.gguf adapter=tiny.adapter.gguf adapter_chunk=32
fails "another adapter" 5 "allmem session update s reads" "$ALLMEM" ask -s s "What did Nansen log?"
run "$ALLMEM" session update s
is "is taken by an update" "$status" 0
run "$ALLMEM" ask -s s "What did Nansen log?"
is "and answers" "$status" 0
cp kept.gguf tiny.adapter.gguf
run "$ALLMEM" session update s
is "the first one again" "$(memory_of s)" "$hash"
cp tiny.gguf kept.gguf
"$TINY" tiny.gguf seed=8 adapter=tiny.adapter.gguf
older s
fails "another model at its path is not taken unasked" 5 "update s -m MODEL" \
    "$ALLMEM" session update s
is "the session is as it was" "$(memory_of s)" "$hash"
"$TINY" tiny.gguf adapter=tiny.adapter.gguf
cmp -s tiny.gguf kept.gguf || echo "# the tiny model is not the same again"

run "$ALLMEM" session update s -m plain.gguf
is "for another model" "$status" 0
run "$ALLMEM" ask -s s "What did Nansen log?"
is "which then answers" "$status" 0
is "without an adapter" "$(shown s 'd["adapter"]')" ""

mv books moved
fails "sources that went away altogether are not thrown away" 4 "none of its sources" \
    "$ALLMEM" session update s
run "$ALLMEM" ask -s s "What did Nansen log?"
is "the session still answers" "$status" 0
finish
