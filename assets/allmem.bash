# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Completion for bash. Commands, options, actions and choices come from the program's own help and
# messages, names of sessions and models from its lists.

# A command's options, or those of every command.
_allmem_options() {
    "$1" ${2:+help "$2"} --help 2>/dev/null |
        grep -oE '(^|[ ,[(])(--[a-z][a-z0-9-]*|-[a-zA-Z]\b)' | tr -d ' ,[(' | sort -u
}

# The actions of model, session and source: the bare words of their usage.
_allmem_actions() {
    # shellcheck disable=SC2020 # two characters, each a line's end
    "$1" help "$2" 2>/dev/null | sed -n '1s/^usage: allmem [a-z]* //p' | tr '| ' '\n\n' |
        grep -x '[a-z][a-z]*' | sort -u
}

_allmem_sessions() {
    "$1" session list --json 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",$/\1/p'
}

# Models on this machine, or with "any" those of the catalogue too.
_allmem_models() {
    "$1" model list --json 2>/dev/null |
        if [ "${2-}" = any ]; then cat; else sed '/^  "catalogue"/,$d'; fi |
        sed -n 's/^ *"name": "\(.*\)",$/\1/p' | sort -u
}

# What an option takes, as the message about a wrong value has it.
_allmem_choices() {
    "$1" "$2" '?' 2>&1 | sed -n 's/.*expected one of //p' | tr '|' '\n'
}

_allmem() {
    local program=$1 word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local commands command='' action='' i words=''
    COMPREPLY=()
    # The "=" of --option=value is a word of its own for bash.
    if [ "$word" = = ]; then
        word=''
    elif [ "$before" = = ] && [ "$COMP_CWORD" -gt 2 ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    commands=$("$program" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -s | -m | --session | --model) ((i++)) ;;
        -*) ;;
        *)
            if [ -n "$command" ]; then
                action=${COMP_WORDS[i]}
                break
            elif [[ $'\n'$commands$'\n' == *$'\n'"${COMP_WORDS[i]}"$'\n'* ]]; then
                command=${COMP_WORDS[i]}
            fi
            ;;
        esac
    done

    case $command,$action,$before,$word in
    *,-s,* | *,--session,*) words=$(_allmem_sessions "$program") ;;
    *,-m,* | *,--model,*) words=$(_allmem_models "$program") ;;
    *,--backend,* | *,--color,*) words=$(_allmem_choices "$program" "$before") ;;
    eval,*,--mode,*) words=$'full\nwindow\nmemory' ;;
    finetune,*,--stage,*) words=$'1\n2\nboth' ;;
    *,-*) words=$(_allmem_options "$program" "$command" && _allmem_options "$program") ;;
    ,*) words=$commands$'\n'$(_allmem_sessions "$program") ;;
    help,*) words=$commands ;;
    model,,* | session,,* | source,,*) words=$(_allmem_actions "$program" "$command") ;;
    model,get,*) words=$(_allmem_models "$program" any) ;;
    model,show,* | model,verify,* | model,rm,*) words=$(_allmem_models "$program") ;;
    session,*) words=$(_allmem_sessions "$program") ;;
    esac

    local IFS=$'\n' # a name may hold spaces
    for i in $(compgen -W "${words//\\/}" -- "$word"); do
        COMPREPLY+=("$(printf %q "$i")")
    done
}
complete -o bashdefault -o default -F _allmem allmem
