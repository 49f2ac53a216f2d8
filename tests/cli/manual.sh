#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# assets/allmem.1 and the completions against the program's own help.
# shellcheck source=tests/cli/harness.sh
. "$SOURCE/tests/cli/harness.sh"

assets=$SOURCE/assets
page=$assets/allmem.1

# The options of a help on standard input, sorted.
helped() {
    grep -oE '(^|[ ,[(])(--[a-z][a-z0-9-]*|-[a-zA-Z]\b)' | tr -d ' ,[(' | sort -u
}

# The same of a piece of the page.
documented() {
    sed -n '/^\./s/Fl /\n-/gp' | sed -nE 's/^(--?[a-zA-Z][a-z0-9-]*).*/\1/p' | sort -u
}

# The page's part about a command: from its item to the next command's.
part() {
    awk -v item="$1" '/^\.It Cm/ || /^\.Sh/ {on = $2 == "Cm" && $3 == item} on' "$page"
}

commands=$("$ALLMEM" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
is "the page has every command" "$(sed -n 's/^\.It Cm \([a-z]*\).*/\1/p' "$page" | sort)" \
    "$(echo "$commands" | sort)"
for command in $commands; do
    if [ "$command" != help ]; then
        is "the options of $command" "$(part "$command" | documented)" \
            "$("$ALLMEM" help "$command" | sed '$d' | helped)"
    fi
done
is "the common options" "$(sed -n '/^\.Sh OPTIONS/,/^\.Sh ENV/p' "$page" | documented)" \
    "$("$ALLMEM" --help | helped)"
for command in model session; do
    is "the actions of $command" "$(part "$command" | sed -n 's/^\.It Ic \([a-z]*\).*/\1/p' | sort)" \
        "$("$ALLMEM" help "$command" | sed -n '1s/^[^|]* \([a-z|]*\) .*/\1/p' | tr '|' '\n' | sort)"
done
if command -v mandoc >/dev/null; then
    run mandoc -Tlint "$page"
    is "mandoc has no complaint" "$out$err" ""
else
    skip "mandoc has no complaint" "no mandoc"
fi

# completes NAME EXPECTED WORD...: what bash offers for the last word, sorted, on one line.
completes() {
    name=$1
    expected=$2
    shift 2
    # shellcheck disable=SC2016
    found=$(bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _allmem "$1"
        printf "%s\n" "${COMPREPLY[@]}" | sort | paste -sd " "' - "$assets/allmem.bash" "$ALLMEM" "$@")
    is "bash: $name" "$found" "$expected"
}

"$TINY" tiny.gguf || exit 1
echo "The keeper logged wind." >book.md
run "$ALLMEM" model add tiny.gguf
run "$ALLMEM" ingest -q -m tiny.gguf -s "two words" book.md
if command -v bash >/dev/null; then
    completes "commands" "chat" ch
    completes "actions" "list rm show" source -s x ""
    completes "an option with a digit" "--sha256" model get --sh
    completes "a session, quoted" 'two\ words' ask -s tw
    completes "models here" "tiny" model rm ""
    completes "choices" "auto cpu vulkan" --backend ""
    for pair in "eval --mode" "finetune --stage"; do
        # shellcheck disable=SC2086
        run "$ALLMEM" $pair '?'
        # shellcheck disable=SC2086
        completes "$pair" "$(echo "$err" | sed 's/.*one of //' | tr '|' '\n' | sort | paste -sd ' ')" $pair ""
    done
fi
for shell in bash zsh fish; do
    file=$assets/allmem.$shell
    [ $shell != zsh ] || file=$assets/_allmem
    if command -v $shell >/dev/null; then
        ok "$shell reads its file" $shell -n "$file"
    else
        skip "$shell reads its file" "no $shell"
    fi
done
finish
