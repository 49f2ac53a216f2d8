#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The list in app/common_words.c: stems frequent in each of four large texts of Debian 12, packages
# anarchism, jargon-text, python3-doc and perl-doc: at least 12 in a million as geometric mean, 8 in
# the first, 14 in the second. Usage: tests/tools/common_words.sh BUILD_DIR > list
set -eu
export LC_ALL=C
stems=$1/tests/stems
dir=$(mktemp -d)
trap 'rm -r "$dir"' EXIT
count() { # stem and occurrences in a million, sorted
    "$stems" | sort | uniq -c | awk '{ n[$2] = $1; all += $1 }
        END { for (w in n) print w, n[w] / all * 1e6 }' | sort
}
zcat /usr/share/doc/anarchism/markdown/*.md.gz | count > "$dir/1"
zcat /usr/share/doc/jargon-text/jargon.txt.gz | count > "$dir/2"
find -L /usr/share/doc/python3.11/html/_sources -name '*.txt' -exec cat {} + | count > "$dir/3"
cat /usr/share/perl/5*/pod/*.pod | count > "$dir/4"
join "$dir/1" "$dir/2" | join - "$dir/3" | join - "$dir/4" |
    awk '$2 >= 8 && $3 >= 14 && ($2 * $3 * $4 * $5) ^ 0.25 >= 12 && $1 ~ /^[a-z][a-z][a-z]+$/ {
        print $1 }'
