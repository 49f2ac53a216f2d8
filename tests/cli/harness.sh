# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Sourced by the tests of the command line. A test runs the program with `run`, looks at $status,
# $out and $err, and reports each case with `is`, `has` or `ok`; `finish` ends it. Output is TAP, so
# every case counts. From meson come ALLMEM (the program), TINY (writes a tiny model), LAYERS (the
# folder of the layer tools/vulkan_fault.c), SOURCE (the top level). The program's files are under
# $ALLMEM_HOME in a folder that goes away.
set -u

cases=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
ALLMEM_HOME=$work/home
NO_COLOR=
export ALLMEM_HOME NO_COLOR
cd "$work" || exit 1

# run COMMAND...: standard input is empty.
run() {
    "$@" <"${input:-/dev/null}" >"$work/out" 2>"$work/err"
    status=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
}

# report NAME PASSED DETAIL
report() {
    cases=$((cases + 1))
    if [ "$2" = yes ]; then
        echo "ok $cases - $1"
    else
        echo "not ok $cases - $1"
        echo "# $3" | head -20 | sed '2,$s/^/# /'
    fi
}

# is NAME FOUND EXPECTED
is() {
    if [ "$2" = "$3" ]; then
        report "$1" yes ""
    else
        report "$1" no "found '$2', expected '$3'; stderr: ${err:-}"
    fi
}

# has NAME TEXT PART
has() {
    case $2 in
    *"$3"*) report "$1" yes "" ;;
    *) report "$1" no "'$2' lacks '$3'" ;;
    esac
}

# lacks NAME TEXT PART
lacks() {
    case $2 in
    *"$3"*) report "$1" no "'$2' has '$3'" ;;
    *) report "$1" yes "" ;;
    esac
}

# ok NAME COMMAND...: the command succeeds.
ok() {
    name=$1
    shift
    if "$@"; then
        report "$name" yes ""
    else
        report "$name" no "fails: $*"
    fi
}

# fails NAME STATUS PART COMMAND...: one line on stderr, which begins with "allmem: " and has PART;
# nothing on stdout.
fails() {
    name=$1
    expected=$2
    part=$3
    shift 3
    run "$@"
    lines=$(wc -l <"$work/err")
    if [ "$status" != "$expected" ]; then
        report "$name" no "status $status, expected $expected; stderr: $err"
    elif [ "$lines" -ne 1 ] || [ -n "$out" ]; then
        report "$name" no "$lines lines on stderr ($err), stdout: $out"
    else
        case $err in
        "allmem: "*"$part"*) report "$name" yes "" ;;
        *) report "$name" no "stderr '$err' lacks '$part'" ;;
        esac
    fi
}

# skip NAME WHY: a case that this machine cannot try.
skip() {
    cases=$((cases + 1))
    echo "ok $cases - $1 # SKIP $2"
}

finish() {
    echo "1..$cases"
}
