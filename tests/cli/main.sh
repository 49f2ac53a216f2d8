#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# app/main.c: help, unknown words, exit codes, closed descriptors, locales, the error line.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"

run "$ALLMEM" --help
is "--help succeeds" "$status" 0
has "--help lists commands" "$out" "  model "
has "--help lists common options" "$out" "--offline"
is "--help is quiet on stderr" "$err" ""
help=$out
run "$ALLMEM" -h
is "-h is --help" "$out" "$help"
run "$ALLMEM" help
is "help is --help" "$out" "$help"
run "$ALLMEM" help model
has "help COMMAND shows its usage" "$out" "usage: allmem model"
command_help=$out
run "$ALLMEM" model list --help
is "--help after a command is the command's" "$out" "$command_help"
run env -u HOME -u ALLMEM_HOME "$ALLMEM" --help
is "--help needs no HOME" "$status" 0
run "$ALLMEM" --version
has "--version" "$out" "allmem "
run "$ALLMEM" -V model
has "-V anywhere" "$out" "allmem "

fails "an unknown command is a usage error" 2 "unknown command 'frobnicate'" "$ALLMEM" frobnicate
fails "a near miss is suggested" 2 "did you mean 'model'?" "$ALLMEM" modle
fails "help for an unknown command" 2 "did you mean 'model'?" "$ALLMEM" help modell
fails "an unknown option" 2 "unknown option --frob" "$ALLMEM" model list --frob
fails "an unknown option before the command" 2 "unknown option --frob" "$ALLMEM" --frob model
fails "a bad number names option, found and expected" 2 \
    "option --threads: found 'x', expected a whole number" "$ALLMEM" model list --threads x
fails "a missing value" 2 "option --threads" "$ALLMEM" model list --threads
fails "no HOME" 1 "HOME is not set" env -u HOME -u ALLMEM_HOME "$ALLMEM" model list
fails "a relative ALLMEM_HOME" 1 "expected an absolute path" env ALLMEM_HOME=x "$ALLMEM" model list

mkdir -p "$ALLMEM_HOME/config"
printf 'threads = 2\ncolour = never\n' >"$ALLMEM_HOME/config/config.ini"
fails "config.ini: file and line" 2 "config.ini, line 2: unknown key 'colour'" "$ALLMEM" model list
rm "$ALLMEM_HOME/config/config.ini"
fails "the environment" 2 "ALLMEM_THREADS in the environment" \
    env ALLMEM_THREADS=many "$ALLMEM" model list

escape=$(printf '\033[2J\007\tx')
fails "control characters never reach the terminal" 2 "unknown command" "$ALLMEM" "$escape"
is "no control byte in the error" "$(printf %s "$err" | tr -d '[:print:]' | wc -c)" 0

for locale in C POSIX de_DE.UTF-8 xx_YY.none; do
    run env LC_ALL=$locale "$ALLMEM" model list --temp 0.5
    is "LC_ALL=$locale: a point is a point" "$status" 0
done
run env LC_ALL=C "$ALLMEM" model list
first=$out
run env LC_ALL=C.UTF-8 "$ALLMEM" model list
is "the same output in every locale" "$out" "$first"

"$ALLMEM" --help >&- 2>"$work/err"
is "closed stdout is a failure" "$?" 1
has "closed stdout is told" "$(cat "$work/err")" "cannot write the output"
"$ALLMEM" frobnicate 2>&-
is "closed stderr keeps the status" "$?" 2
"$ALLMEM" --help <&- >"$work/out" 2>&1
is "closed stdin" "$?" 0
"$ALLMEM" model list <&- >&- 2>&-
is "all three closed" "$?" 1
is "nothing was written into files" "$(find "$ALLMEM_HOME" -type f)" ""
if [ -w /dev/full ]; then
    "$ALLMEM" --help >/dev/full 2>"$work/err"
    is "a full disk under stdout is code 8" "$?" 8
fi
{
    "$ALLMEM" --help 2>"$work/err"
    echo "$?" >"$work/status"
} | :
is "a reader that went away is no news" "$(cat "$work/err")" ""
case $(cat "$work/status") in
0 | 141) is "status 0 or 141 then" yes yes ;;
*) is "status 0 or 141 then" "$(cat "$work/status")" 141 ;;
esac

run "$ALLMEM" doctor
is "doctor" "$status" 0
has "it names the SQLite, and what its faults mean here" "$out" "sqlite         SQLite 3."
finish
