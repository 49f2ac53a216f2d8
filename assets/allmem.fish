# SPDX-License-Identifier: Apache-2.0
#
# Completion for fish. Commands, options and choices come from the program's own help and messages,
# names of sessions and models from its lists.

function __allmem_commands
    allmem --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\)  *\(.*\)/\1\t\2/p'
end

# The command on the line, then its action; options and the names after -s and -m are left out.
function __allmem_words
    set -l commands (__allmem_commands | string split -f 1 \t)
    set -l words (commandline -opc)[2..]
    set -l found
    while set -q words[1]
        if contains -- $words[1] -s -m --session --model
            set -e words[1]
        else if not string match -q -- '-*' $words[1]
            if set -q found[1]; or contains -- $words[1] $commands
                set -a found $words[1]
            end
        end
        set -e words[1]
    end
    printf '%s\n' $found
end

function __allmem_sessions
    allmem session list --json 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",$/\1\tsession/p'
end

# Models on this machine, or with "any" those of the catalogue too.
function __allmem_models
    allmem model list --json 2>/dev/null |
        if test "$argv" = any; cat; else; sed '/^  "catalogue"/,$d'; end |
        sed -n 's/^ *"name": "\(.*\)",$/\1\tmodel/p'
end

function __allmem_choices
    allmem $argv '?' 2>&1 | string replace -rf '.*expected one of ' '' | string split '|'
end

function __allmem_arguments
    set -l words (__allmem_words)
    set -l before (commandline -opc)[-1]
    switch "$words[1],$words[2],$before,"(commandline -ct)
        case '*,-s,*' '*,--session,*'
            __allmem_sessions
        case '*,-m,*' '*,--model,*'
            __allmem_models
        case '*,--backend,*' '*,--color,*'
            __allmem_choices $before
        case 'eval,*,--mode,*'
            printf '%s\n' full window memory
        case 'finetune,*,--stage,*'
            printf '%s\n' 1 2 both
        case '*,-*'
            set -l help help $words[1]
            set -q words[1]; or set help
            begin
                allmem $help --help
                allmem --help
            end 2>/dev/null |
                grep -oE '(^|[ ,[(])(--[a-z][a-z0-9-]*|-[a-zA-Z]\b)' | tr -d ' ,[(' | sort -u
        case ',*'
            __allmem_commands
            __allmem_sessions
        case 'help,*'
            __allmem_commands
        case 'model,,*' 'session,,*' 'source,,*'
            allmem help $words[1] | sed -n '1s/^usage: allmem [a-z]* //p' | tr '| ' '\n\n' |
                grep -x '[a-z][a-z]*' | sort -u
        case 'model,get,*'
            __allmem_models any
        case 'model,show,*' 'model,verify,*' 'model,rm,*'
            __allmem_models
        case 'session,*'
            __allmem_sessions
    end
end

# Files stay possible wherever an argument may be one.
complete -c allmem -a '(__allmem_arguments)'
