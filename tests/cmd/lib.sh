# Sourced by the scenarios of the command. $RUNNEL is the command under test.
#
# Each scenario runs in a folder of its own. Nothing waits for a while: what must come before
# something else says so through a FIFO.

set -u
shopt -s lastpipe # so that what is at the end of a pipe can leave its results here
: "${RUNNEL:?the path of the command}"
folder=$(mktemp -d)
failures=0
checks=0

# What is still there belongs to a scenario that failed; the folder's FIFOs would keep it for ever.
clean_up() {
    local job
    for job in $(jobs -p); do
        kill -KILL "$job" 2>/dev/null
    done
    rm -rf "$folder"
}
trap clean_up EXIT
cd "$folder" || exit 1

# run WORD...: runs a command with the test's standard input; leaves $out, $err and $status.
run() {
    "$@" >out.text 2>err.text
    status=$?
    out=$(tr -d '\0' <out.text)
    err=$(cat err.text)
}

# is WHAT GOT WANTED
is() {
    checks=$((checks + 1))
    [ "$2" = "$3" ] && return
    failures=$((failures + 1))
    printf 'FAIL %s\n  got:    %q\n  wanted: %q\n' "$1" "$2" "$3"
}

# matches WHAT GOT PATTERN: an extended regular expression that some line has to match
matches() {
    checks=$((checks + 1))
    printf '%s\n' "$2" | grep -Eq -- "$3" && return
    failures=$((failures + 1))
    printf 'FAIL %s\n  got:    %q\n  wanted: %s\n' "$1" "$2" "$3"
}

# matches_not WHAT GOT PATTERN
matches_not() {
    checks=$((checks + 1))
    printf '%s\n' "$2" | grep -Eq -- "$3" || return
    failures=$((failures + 1))
    printf 'FAIL %s\n  got:       %q\n  unwanted:  %s\n' "$1" "$2" "$3"
}

# fifo NAME...: makes FIFOs that both ends may open and close as they like: this shell keeps each
# open, as descriptor $NAME, so that no line in one is ever lost.
fifo() {
    local name
    for name; do
        mkfifo "$name"
        exec {fd}<>"$name"
        declare -g "$name=$fd"
    done
}

# next NAME: the next line of a FIFO, in $got
next() {
    read -r got <&"${!1}"
}

# The command as a user at a terminal starts it: bash has background commands ignore SIGINT and
# SIGQUIT.
runnel_with_signals() {
    exec env --default-signal=INT,QUIT,PIPE "$RUNNEL" "$@"
}

# gone PID: no such process, or one that only waits to be reaped by whoever inherited it
gone() {
    ! [ -e "/proc/$1" ] || grep -q '^State:[[:space:]]*[ZX]' "/proc/$1/status" 2>/dev/null
}

# is_gone WHAT PID
is_gone() {
    checks=$((checks + 1))
    gone "$2" && return
    failures=$((failures + 1))
    printf 'FAIL %s: process %s is still there\n' "$1" "$2"
    kill -KILL "$2"
}

finish() {
    echo "$checks checks, $failures failed"
    [ "$failures" -eq 0 ]
    exit
}
