#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every test, twice: the plain build in build-tests/ and one under AddressSanitizer and
# UndefinedBehaviorSanitizer in build-asan/. Installs the packages that are missing. The last line is
# "N passed, N failed"; the exit status is 0 only when nothing failed.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=app/packages.sh
. "$root/app/packages.sh"
allmem_packages="$allmem_packages $test_packages"

# The summary line of a run that did not come to its tests.
give_up() {
    echo "$1"
    echo "0 passed, 1 failed"
    exit 1
}

# build DIRECTORY MESON-OPTION...: sets up once, then builds what changed.
build() {
    directory=$1
    shift
    if [ ! -f "$directory/build.ninja" ]; then
        meson setup "$directory" "$root" "$@" || return 1
    fi
    ninja -C "$directory"
}

install_packages || give_up "packages are missing"
build "$root/build-tests" || give_up "the plain build failed"
build "$root/build-asan" -Db_sanitize=address,undefined -Db_lundef=false \
    --buildtype=debugoptimized || give_up "the build under sanitizers failed"

export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1"
for directory in "$root/build-tests" "$root/build-asan"; do
    rm -f "$directory/meson-logs/testlog.json"
    meson test -C "$directory" --no-rebuild --print-errorlogs
done
exec python3 "$root/tests/tools/count_tests.py" \
    "$root/build-tests/meson-logs/testlog.json" "$root/build-asan/meson-logs/testlog.json"
