#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A reading that is cut off: by kill -9 at random moments (20, or 200 with ALLMEM_TEST_LONG=1), by
# Ctrl-C, before anything was stored. Going on ends in the memory of the uncut reading.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"
# shellcheck source=tests/cli/sessions.sh
. "$SOURCE/tests/cli/sessions.sh"

chapters first.md 2 20
chapters second.md 3 60
chapters third.md 2 80
for model in tiny plain; do
    "$ALLMEM" ingest -q -s whole_$model -m $model.gguf first.md >/dev/null 2>&1
    run "$ALLMEM" ingest -q -s whole_$model second.md third.md
    is "$model: the uncut reading" "$status" 0
done

cat >kill.py <<'EOF'
"""kill.py ALLMEM MODEL KILLS SEED: prints how many kills hit a reading, and how many readings ended
whole; fails where a session does not open, loses a document or goes back, or where the memory at
the end is another one than whole's."""
import json, os, random, signal, subprocess, sys, time

allmem, model, kills, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
random.seed(seed)
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}

def show(name):
    return json.loads(subprocess.check_output([allmem, "session", "show", name, "--json"]))

def sources(name):
    rows = json.loads(subprocess.check_output([allmem, "source", "-s", name, "list", "--json"]))
    return {r["source"]: r["tokens_read"] for r in rows}

def ingest(name, *paths):
    return subprocess.Popen([allmem, "ingest", "-q", "-s", name, "--checkpoint-seconds", "0.05",
                             *paths], **quiet)

def run(process):
    error = process.communicate()[1].decode()
    assert process.returncode == 0, (seed, process.returncode, error)

whole = show("whole_" + model)
begin = time.monotonic()
run(subprocess.Popen([allmem, "session", "show", "whole_" + model], **quiet))
name, hit, ended, seconds = None, 0, 0, 0.0
while hit < kills:
    if name is None:
        name = "cut_%s_%d" % (model, ended)
        run(subprocess.Popen([allmem, "ingest", "-q", "-s", name, "-m", model + ".gguf", "first.md"],
                             **quiet))
        told, place = {"first.md"}, show(name)["tokens_read"]
    begin = time.monotonic()
    process = ingest(name, "second.md", "third.md")
    time.sleep(random.uniform(0, max(0.25, 0.7 * seconds)))
    killed = process.poll() is None
    process.kill()
    process.communicate()
    if killed:
        hit += 1
    else:
        seconds = time.monotonic() - begin
    now, there = show(name), sources(name)
    assert told <= set(there), (seed, told, there)
    assert now["tokens_read"] >= place, (seed, place, now)
    told, place = set(there), now["tokens_read"]
    if not killed or place == whole["tokens_read"] or hit == kills:
        if "third.md" in told and hit % 2:
            run(ingest(name)) # goes on without paths
        run(ingest(name, "second.md", "third.md"))
        now = show(name)
        assert now["memory_hash"] == whole["memory_hash"], (seed, now, whole)
        assert now["tokens_read"] == whole["tokens_read"], (seed, now, whole)
        run(subprocess.Popen([allmem, "session", "verify", name], **quiet))
        ended += 1
        name = None
print("%d kills, %d readings went on to the same memory (seed %d)" % (hit, ended, seed))
EOF
kills=10
[ "${ALLMEM_TEST_LONG:-0}" = 1 ] && kills=100
for model in tiny plain; do
    run python3 kill.py "$ALLMEM" $model $kills "${ALLMEM_TEST_SEED:-$$}"
    is "$model: $kills times kill -9: the session opens, keeps its documents, ends in the same memory" "$status" 0
    echo "# $out"
done

# Ctrl-C. sh gives a background job SIGINT ignored; Python does not.
chapters long.md 4 300
run "$ALLMEM" ingest -q -s long long.md
cat >interrupt.py <<'EOF'
import json, signal, subprocess, sys, time
allmem, after = sys.argv[1], sys.argv[2:]
p = subprocess.Popen([allmem, "ingest", "-s", "cut", "--json", "long.md"], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)
deadline = time.monotonic() + 30
while time.monotonic() < deadline: # until the text is stored: then it is being read
    r = subprocess.run([allmem, "source", "-s", "cut", "list", "--json"], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL)
    if r.returncode == 0 and json.loads(r.stdout):
        break
time.sleep(0.1)
begin = time.monotonic()
p.send_signal(signal.SIGINT)
out, err = p.communicate()
print(p.returncode, json.dumps(time.monotonic() - begin), err.decode())
EOF
run python3 interrupt.py "$ALLMEM"
is "Ctrl-C is exit 130" "${out%% *}" 130
seconds=$(echo "$out" | sed -n '1s/^[0-9]* \([0-9.]*\) .*/\1/p')
# 0.5 s on a machine that does nothing else; tests run beside others.
ok "and stops soon" python3 -c 'import sys; sys.exit(float(sys.argv[1]) > 2)' "$seconds"
echo "# stopped after $seconds s"
has "what was read is kept, it says" "$out" "what was read is kept"
ok "a checkpoint was written" test "$(shown cut 'd["tokens_read"]')" -gt 0
ok "in the middle" test "$(shown cut 'd["tokens_read"]')" -lt "$(shown long 'd["tokens_read"]')"
run "$ALLMEM" source -s cut list
has "source list says so" "$out" "not read to its end"
run "$ALLMEM" ask -s cut "What did Amundsen log?"
is "the part that was read answers already" "$status" 0
run "$ALLMEM" ingest -s cut
is "ingest without paths goes on" "$status" 0
is "to the same memory" "$(memory_of cut)" "$(memory_of long)"

# Options of the first moment count, also when the reading died before its first checkpoint.
run "$ALLMEM" ingest -q -s narrow --window 256 --keep 64 first.md
cat >early.py <<'EOF'
import json, subprocess, sys, time
allmem = sys.argv[1]
p = subprocess.Popen([allmem, "ingest", "-q", "-s", "early", "--window", "256", "--keep", "64",
                      "--checkpoint-seconds", "30", "first.md"])
while p.poll() is None:
    r = subprocess.run([allmem, "source", "-s", "early", "list", "--json"], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL)
    if r.returncode == 0 and json.loads(r.stdout):
        break
p.kill()
p.wait()
EOF
run python3 early.py "$ALLMEM"
run "$ALLMEM" ingest -q -s early
is "the window is that of the first run" "$(memory_of early)" "$(memory_of narrow)"
finish
