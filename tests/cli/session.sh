#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# app/cmd_session.c, cmd_find.c, cmd_source.c, and what a session says when something is wrong with
# it: each its own message and exit code, and nothing lost.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"
# shellcheck source=tests/cli/sessions.sh
. "$SOURCE/tests/cli/sessions.sh"

run "$ALLMEM" session list --json
is "list with nothing here" "$status/$out" "0/[]"
fails "an action that is none" 2 "session list|show" "$ALLMEM" session frob
fails "too few names" 2 "session fork NAME NEW" "$ALLMEM" session fork a
for action in "show a" "verify a" "rm a" "rename a b" "fork a b" "export a b"; do
    # shellcheck disable=SC2086
    fails "$action: no such session" 4 "no session named a" "$ALLMEM" session $action
done
is "none of them makes a file" "$(find "$ALLMEM_HOME" -type f)$(ls b 2>/dev/null)" ""

chapters book.md 3 40
run "$ALLMEM" ingest -q -s one book.md
question="What did the keeper Cabral log?"
run "$ALLMEM" ask -s one "$question"
cp out answer
hash=$(memory_of one)
ok "show --json: the shape" python3 -c '
import json, re, sys
d = json.load(open(sys.argv[1]))
assert d["name"] == "one" and d["adapter"] == "tiny.adapter.gguf" and d["documents"] == 1
assert d["model"].endswith("/tiny.gguf") and d["turns"] == 0 and d["skipped"] == 0
assert re.fullmatch("[0-9a-f]{64}", d["memory_hash"])
assert set(d["bytes"]) == {"documents", "index", "transcript", "memory", "file"}
assert d["states"][-1]["position"] == d["tokens_read"] > 0
' "$work/shown"
run "$ALLMEM" session show one
has "show" "$out" "tokens read"
run "$ALLMEM" session list
has "list" "$out" "one "
is "a session at rest is one private file" "$(ls "$sessions") $(stat -c %a "$sessions/one.db")" "one.db 600"

# Search and sources, without a model.
run env -u ALLMEM_MODEL "$ALLMEM" find -s one --json -n 3 Cabral wind
ok "find --json: what it names is there" python3 -c '
import json, sys
rows = json.load(open(sys.argv[1]))
lines = open("book.md").read().split("\n")
assert 0 < len(rows) <= 3
for r in rows:
    assert r["source"] == "book.md" and r["page"] is None and "Cabral" in r["text"]
    assert r["text"].strip() in "\n".join(lines[r["first_line"] - 1:r["last_line"]] + [""]), r
' "$work/out"
run "$ALLMEM" find -s one CABRALS
is "find takes words in any form" "$status" 0
run "$ALLMEM" find -s one "keeper Cabral"
is "find takes phrases" "$status" 0
run "$ALLMEM" find -s one zeppelin
is "find nothing is exit 3" "$status/$out" "3/"
run "$ALLMEM" source -s one list --json
is "source list --json" "$(json "$work/out" '[(r["source"], r["kind"], r["read"]) for r in d]')" \
    '[["book.md", "markdown", true]]'
run "$ALLMEM" source -s one show book.md:3-5
ok "source show lines" test "$out" = "$(sed -n 3,5p book.md)"
run "$ALLMEM" source -s one show 1:3
ok "by the document's number" test "$out" = "$(sed -n 3p book.md)"
cite=$("$ALLMEM" ask -s one "$question" | sed -n 's/^\[1\] \(.*\): ".*/\1/p')
run "$ALLMEM" source -s one show "$cite"
is "a citation opens as it was printed" "$status" 0
has "at the quote" "$out" "Cabral"
run "$ALLMEM" source -s one show book.md
ok "all of it" cmp "$work/out" book.md
fails "a line that is not there" 4 "line" "$ALLMEM" source -s one show book.md:9999
fails "lines backwards" 2 "expected a first line" "$ALLMEM" source -s one show book.md:9-3
fails "a source that is not there" 4 "nothing.md" "$ALLMEM" source -s one show nothing.md

# Taken out: not found, not cited, not brought back by its folder; all that are named or none.
mkdir birds
echo "A heron fishes at dawn." >birds/heron.txt
echo "An owl hunts at night." >birds/owl.txt
echo "A gull cries all day." >birds/gull.txt
run "$ALLMEM" ingest -q -s birds birds
fails "rm of a source that is not there" 4 "no document 'birds/emu.txt'" \
    "$ALLMEM" source -s birds rm birds/owl.txt birds/emu.txt
run "$ALLMEM" find -s birds hunts
is "leaves the others" "$status" 0
fails "rm of nothing" 2 "no such form" "$ALLMEM" source -s birds rm
fails "rm in no session" 4 "no session named nobody" "$ALLMEM" source -s nobody rm birds/owl.txt
run env -u ALLMEM_MODEL "$ALLMEM" source -s birds rm birds/owl.txt
is "rm of a source" "$status/$out" "0/"
has "says which" "$err" "taken out: birds/owl.txt"
has "and what stays" "$err" "allmem session update birds"
run "$ALLMEM" find -s birds hunts
is "it is not found any more" "$status/$out" "3/"
run "$ALLMEM" ingest -q -s birds birds
run "$ALLMEM" source -s birds list --json
is "reading the folder does not bring it back" \
    "$(json "$work/out" '[r["source"] for r in d if "owl" in r["source"]]')" "[]"
run "$ALLMEM" ingest -q -s birds birds/owl.txt
run "$ALLMEM" find -s birds hunts
is "naming it does" "$status" 0
number=$("$ALLMEM" source -s birds list | sed -n 's/^ *\([0-9]*\) .*gull.*/\1/p')
run "$ALLMEM" source -q -s birds rm "$number" birds/owl.txt
is "by number, and several" "$status/$err" "0/"
run "$ALLMEM" find -s birds cries
is "both are gone" "$status" 3
run "$ALLMEM" session rm birds

# Whole files.
run "$ALLMEM" session fork one two
is "fork" "$status/$(memory_of two)" "0/$hash"
echo "A new chapter: the keeper Zheng logged 5 junks." >extra.md
run "$ALLMEM" ingest -q -s two extra.md
is "the fork goes its own way" "$(memory_of one)" "$hash"
fails "fork onto a session" 1 "already exists" "$ALLMEM" session fork one two
run "$ALLMEM" session rename two three
is "rename" "$status/$(ls "$sessions" | tr '\n' ' ')" "0/one.db three.db "
fails "rename onto a session" 1 "exists" "$ALLMEM" session rename three one
fails "a name that is no file name" 2 "begins with" "$ALLMEM" session rename three ../x
run "$ALLMEM" session export three copy.db
is "export" "$status" 0
fails "export onto a file" 1 "already exists" "$ALLMEM" session export three copy.db
run "$ALLMEM" session rm three
is "rm" "$status/$(ls "$sessions")" "0/one.db"
run "$ALLMEM" session import copy.db four
is "import" "$status" 0
run "$ALLMEM" ask -s four "What did Zheng log?"
has "an imported session answers" "$out" "[1] extra.md, line 1"
later=$(memory_of four)
run "$ALLMEM" session rewind four "$(shown four 'd["states"][0]["generation"]')"
is "rewind" "$status/$(memory_of four)" "0/$hash"
run "$ALLMEM" ingest -q -s four
is "and on again, to the same memory" "$(memory_of four)" "$later"
fails "rewind to nothing" 4 "no generation 99" "$ALLMEM" session rewind four 99
fails "rewind to no number" 2 "expected a generation" "$ALLMEM" session rewind four first
fails "import onto a session" 1 "already exists" "$ALLMEM" session import copy.db four
fails "import of something else" 5 "book.md" "$ALLMEM" session import book.md five
fails "import of nothing" 4 "nothing.db" "$ALLMEM" session import nothing.db five
run "$ALLMEM" session verify four
is "verify" "$status" 0

# Two writers; readers are not held up.
cat >writer.py <<'EOF'
import subprocess, sys
p = subprocess.Popen([sys.argv[1], "chat", "-s", "one"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
p.stdin.write(b"What did Cabral log?\n")
p.stdin.flush()
while b"[1] " not in p.stdout.readline():
    pass
print(p.pid, flush=True)
sys.stdin.readline()
p.stdin.close()
sys.exit(p.wait())
EOF
mkfifo go
python3 writer.py "$ALLMEM" <go >pid &
writer=$!
exec 9>go
for _ in $(seq 1 300); do
    [ -s pid ] && break
    sleep 0.1
done
fails "a second writer is told the process" 1 "in use by process $(cat pid)" \
    "$ALLMEM" ingest -q -s one extra.md
fails "rename while it is written" 1 "in use by process" "$ALLMEM" session rename one other
fails "rm while it is written" 1 "in use by process" "$ALLMEM" session rm one
run "$ALLMEM" session fork one while
is "fork while it is written" "$status" 0
run "$ALLMEM" ask -s one "$question"
ok "asking while it is written gives the same bytes" cmp "$work/out" answer
exec 9>&-
wait $writer
is "the writer ends well" "$?" 0

# What a memory is bound to.
"$TINY" other.gguf seed=8
fails "another model, both named" 5 "other.gguf" "$ALLMEM" ask -s one -m other.gguf "$question"
has "the session's model too" "$err" "tiny.gguf"
mkdir same
cp tiny.gguf same/tiny.gguf
fails "the same model without its adapter" 5 "adapter 'tiny.adapter.gguf'" \
    "$ALLMEM" ask -s one -m same/tiny.gguf "$question"
"$TINY" same/tiny.gguf adapter=same/tiny.adapter.gguf adapter_chunk=32
fails "another adapter" 5 "adapter" "$ALLMEM" ask -s one -m same/tiny.gguf "$question"
run env ALLMEM_MODEL="$work/other.gguf" "$ALLMEM" ask -s one "$question"
ok "a standing preference for another model does not count" cmp "$work/out" answer
cp tiny.gguf same/tiny.gguf
cp tiny.adapter.gguf same/tiny.adapter.gguf
run "$ALLMEM" ask -s one -m same/tiny.gguf "$question"
ok "the same files elsewhere are the same model" cmp "$work/out" answer
mkdir linked
ln -s "$work/plain.gguf" linked/tiny.gguf
cp tiny.adapter.gguf linked/tiny.adapter.gguf
(cd linked && ALLMEM_MODEL=tiny.gguf "$ALLMEM" ingest -q -s linked ../book.md)
run "$ALLMEM" ask -s linked "$question"
is "a model by a link has the adapter beside the link, from any folder" \
    "$status $(shown linked 'd["model"], d["adapter"]')" "0 ('$work/linked/tiny.gguf', 'tiny.adapter.gguf')"

# A file that is newer, damaged, or cannot be written.
changed() { # NAME PYTHON: a copy of session one with its bytes changed
    python3 -c '
import sys
b = bytearray(open(sys.argv[1], "rb").read())
exec(sys.argv[3])
open(sys.argv[2], "wb").write(b)' "$sessions/one.db" "$sessions/$1.db" "$2"
}
changed newer 'b[63] += 1'
for command in "session show newer" "ingest -q -s newer extra.md" "ask -s newer Cabral" "session import $sessions/newer.db z"; do
    # shellcheck disable=SC2086
    fails "newer schema: ${command%% newer*}" 5 "version 2" "$ALLMEM" $command
done
ok "it stays as it was" test "$(cmp -l "$sessions/newer.db" "$sessions/one.db" | wc -l)" = 1
run "$ALLMEM" session list
has "list goes on, and says which" "$out" "version 2"
has "list: the others" "$out" "one "
changed header 'b[0:8] = b"whatever"'
fails "no session at all" 5 "header" "$ALLMEM" session show header
changed text 'i = b.index(b"the keeper Cabral logged"); b[i + 11] ^= 1'
fails "a byte of a text: ask" 5 "damaged" "$ALLMEM" ask -s text "$question"
run "$ALLMEM" session verify text
is "a byte of a text: verify" "$status" 5
fails "a byte of a text: import" 5 "damaged" "$ALLMEM" session import "$sessions/text.db" z
python3 - "$sessions/four.db" "$sessions/state.db" <<'EOF'
import shutil, sqlite3, sys
shutil.copy(sys.argv[1], sys.argv[2])
db = sqlite3.connect(sys.argv[2])
row = db.execute("SELECT payload.id FROM payload JOIN part ON payload = payload.id ORDER BY generation DESC, number DESC").fetchone()[0]
body = bytearray(db.execute("SELECT body FROM payload WHERE id = ?", (row,)).fetchone()[0])
body[len(body) // 2] ^= 1
db.execute("UPDATE payload SET body = ? WHERE id = ?", (bytes(body), row))
db.commit()
EOF
fails "a byte of the memory, with the state that is sound" 5 "is sound" \
    "$ALLMEM" ask -s state "$question"
sound=$(echo "$err" | sed -n 's/.*generation \([0-9]*\) is sound.*/\1/p')
run "$ALLMEM" find -s state Cabral
is "its sources can still be searched" "$status" 0
run "$ALLMEM" session rewind state "$sound"
run "$ALLMEM" ask -s state "$question"
is "back at the sound one it answers" "$status" 0
if [ "$(id -u)" = 0 ]; then
    skip "a read-only file" "root writes everything"
else
    cp "$sessions/one.db" "$sessions/fixed.db"
    chmod 400 "$sessions/fixed.db"
    fails "a read-only file is not written" 1 "read-only" "$ALLMEM" ingest -q -s fixed extra.md
    run "$ALLMEM" ask -s fixed "$question"
    ok "but answers" cmp "$work/out" answer
fi

# A disk that is full.
mkdir -p small
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=6m allmem-test small 2>/dev/null; then
    trap 'umount "$work/small"; rm -rf "$work"' EXIT
    ALLMEM_HOME=$work/small
    run "$ALLMEM" ingest -q -s full book.md
    is "a disk with room" "$status" 0
    "$ALLMEM" ask -s full "$question" >"$work/answer"
    full=$(memory_of full)
    python3 -c 'print("The keeper Nansen logged a very long night on the ice.\n" * 200000)' >large.md
    fails "a disk without room for a text" 8 "full" "$ALLMEM" ingest -q -s full large.md
    is "the memory is there" "$(memory_of full)" "$full"
    head -c $(($(df --output=avail -B1 small | tail -1) - 20000)) /dev/zero >small/filler
    fails "a disk without room for the memory" 8 "full" "$ALLMEM" ingest -q -s full extra.md
    run "$ALLMEM" ask -s full "$question"
    # A log needs 32 KiB beside the file, for readers too.
    ok "on the full disk it answers or says why not" test "$status" = 0 -o "$status" = 8
    rm small/filler
    run "$ALLMEM" ask -s full "$question"
    ok "nothing was lost" cmp "$work/out" "$work/answer"
    run "$ALLMEM" ingest -q -s full extra.md
    is "with room again it goes on" "$status" 0
    run "$ALLMEM" session verify full
    is "and is sound" "$status" 0
    ALLMEM_HOME=$work/home
else
    skip "a full disk" "no small file system can be made here"
fi
run "$ALLMEM" session verify one
is "the first session is still sound" "$status" 0
finish
