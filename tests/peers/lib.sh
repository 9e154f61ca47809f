# Shared by tests/run and the scripts in this folder; sourced, never run.
# shellcheck shell=bash

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

[ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || die "set HOME or XDG_CACHE_HOME: downloads and builds are kept there"
# shellcheck disable=SC2034 # used by the scripts that source this file
cache=${XDG_CACHE_HOME:-$HOME/.cache}/waxseal

# quietly COMMAND...: the command's output is of interest only when it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [ "$status" -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

# once DIR COMMAND...: unless DIR is there, runs the command with an empty
# folder as its last argument and renames that folder to DIR when it is
# complete. A second run at the same time waits for the first.
#
# Call it as a plain command: after `if` or before `||` the shell would carry on
# past a failure inside COMMAND.
once() {
    local dir=$1
    shift
    [ ! -d "$dir" ] || return 0
    mkdir -p "$(dirname "$dir")"
    (
        flock 9
        [ ! -d "$dir" ] || exit 0
        stage=$(mktemp -d "$dir.XXXXXX")
        trap 'rm -rf "$stage"' EXIT
        "$@" "$stage" 9>&-
        mv "$stage" "$dir"
    ) 9>"$dir.lock"
}
