#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# From a fresh Debian 12 machine to an answer: sh app/quickstart.sh [FILE QUESTION]
# Installs the packages that are missing (with sudo where not root), builds in build/, fetches the
# default model (once, 94 MB, into the user's data directory) and asks QUESTION about FILE. Without
# arguments it asks about a text that is at hand.
set -eu

if [ $# -ne 0 ] && [ $# -ne 2 ]; then
    echo "usage: sh app/quickstart.sh [FILE QUESTION]" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=app/packages.sh
. "$root/app/packages.sh"

# Says a command, then runs it.
run() {
    echo "+ $*"
    "$@"
}

install_packages
if [ ! -f "$root/build/build.ninja" ]; then
    run meson setup "$root/build" "$root"
fi
run ninja -C "$root/build"
allmem=$root/build/app/allmem

# Says what it does, and nothing is fetched when the model is there already.
run "$allmem" model get

if [ $# -eq 2 ]; then
    file=$1
    question=$2
elif [ -f "$root/README.md" ]; then
    file=$root/README.md
    question="What does AllMem keep of a book that it has read?"
else
    file=/usr/share/common-licenses/GPL-3
    question="Under which conditions may I convey verbatim copies?"
fi
run "$allmem" ask "$file" "$question"
