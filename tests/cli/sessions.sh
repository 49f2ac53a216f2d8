# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Sourced after harness.sh by the tests of sessions: tiny models and books, and looks into a session.
# A tiny model answers nonsense, but the same nonsense to the same memory.

# chapters FILE COUNT LINES: a Markdown book; each chapter speaks of its own keeper.
chapters() {
    python3 - "$@" <<'EOF'
import sys
path, count, lines = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
keepers = "Amundsen Barentsz Cabral Drake Eriksson Frobisher Gama Hudson".split()
with open(path, "w") as f:
    for c in range(count):
        f.write(f"# Chapter {c + 1}\n\n")
        for n in range(lines):
            f.write(f"On day {n + 1} the keeper {keepers[c % 8]} logged wind {n * 7 % 12} "
                    f"and {n * (c + 3) % 97} ships.\n")
        f.write("\n")
EOF
}

# json FILE EXPRESSION: a Python expression about the JSON document d.
json() {
    python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
r = eval(sys.argv[2])
print(json.dumps(r) if isinstance(r, (bool, dict, list, type(None))) else r)' "$1" "$2"
}

# shown NAME EXPRESSION: the same about session show --json.
shown() {
    "$ALLMEM" session show "$1" --json >"$work/shown" && json "$work/shown" "$2"
}

memory_of() {
    shown "$1" 'd["memory_hash"]'
}

sessions=$ALLMEM_HOME/data/sessions
"$TINY" "$work/tiny.gguf" adapter="$work/tiny.adapter.gguf" adapter_uneven=0.5 || exit 1
"$TINY" "$work/plain.gguf" || exit 1
ALLMEM_MODEL=$work/tiny.gguf
export ALLMEM_MODEL
