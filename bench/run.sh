#!/usr/bin/env bash
# run.sh - measures runnel beside Go and writes the table.
#
# Usage: bench/run.sh [-n RUNS] [-b BUILD_DIR] [-o FILE] [CASE...]
#
# Runs every case (or those named; "http" and "command" are the last) RUNS times, 5 unless told, with 1 and with 2
# workers, the C program and its Go twin in turn, and prints markdown. Without cases it also writes
# bench/RESULTS.md, with -o another file. BENCH_WORKERS="1 2 8" chooses other numbers of workers.
#
# It builds what it runs in BUILD_DIR (default build/release), which it makes when it is not there. Go is looked for as
# $GO, go, then /usr/local/go/bin/go; without it the Go column stays empty and the text says so.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
runs=5
build=${BUILD_DIR:-$root/build/release}
out=
load=$(cut -d' ' -f1 /proc/loadavg)
limit_s=120 # one process; a case that hangs must not hold up the rest

usage() {
    sed -n '4s/^# //p' "$0" >&2
    echo "cases: $(cut -d'|' -f1 "$here/targets.txt" | grep -v '^ *#' | sort -u | xargs) http command" >&2
    exit 2
}

while getopts n:b:o:h option; do
    case $option in
    n) runs=$OPTARG ;;
    b) build=$OPTARG ;;
    o) out=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
case $runs in '' | *[!0-9]* | 0) usage ;; esac

cases=("$@")
if [ $# -eq 0 ]; then
    mapfile -t cases < <(awk -F'|' '!/^#/ && NF > 1 { gsub(/ /, "", $1); if (!($1 in s)) print $1; s[$1] }' \
        "$here/targets.txt")
    cases+=(http command)
    out=${out:-$here/RESULTS.md}
fi
for name in "${cases[@]}"; do
    [ "$name" = command ] || [ "$name" = http ] || grep -q "^$name *|" "$here/targets.txt" || {
        echo "run.sh: no case $name" >&2
        usage
    }
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
raw=$tmp/raw
: > "$raw"

if [ ! -e "$build/CMakeCache.txt" ] && [ ! -x "$build/bench/runnel-bench" ]; then
    cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release >&2 || exit 1
fi
if [ -e "$build/CMakeCache.txt" ]; then
    cmake --build "$build" --target bench-programs -j"$(nproc)" >&2 || exit 1
fi

export BENCH_ECHO_PEER=$build/bench/bench-echo-peer # the client of tcp_echo

go=
for candidate in "${GO:-}" go /usr/local/go/bin/go; do
    if [ -n "$candidate" ] && command -v "$candidate" > /dev/null; then
        go=$(command -v "$candidate")
        break
    fi
done
go_program=
if [ -n "$go" ]; then
    if (cd "$here/go" && GOFLAGS=-mod=mod GOTOOLCHAIN=local "$go" build -o "$tmp/bench-go" .) >&2; then
        go_program=$tmp/bench-go
    fi
fi

# One process of one side; its result lines go to $raw.
run_one() { # side case workers command...
    local side=$1 name=$2 workers=$3
    shift 3
    if timeout -k 5 "$limit_s" "$@" "$name" > "$tmp/one" 2> "$tmp/err"; then
        awk -v s="$side" -v w="$workers" '{ print s, $1, w, $2 }' "$tmp/one" >> "$raw"
    else
        echo "run.sh: $side $name with $workers workers failed (status $?):" >&2
        head -5 "$tmp/err" >&2
        awk -F'|' -v c="$name" -v s="$side" -v w="$workers" \
            '{ gsub(/ /, "", $1); gsub(/ /, "", $2) } $1 == c { print s, $2, w, "failed" }' \
            "$here/targets.txt" >> "$raw"
    fi
}

for name in "${cases[@]}"; do
    { [ "$name" = command ] || [ "$name" = http ]; } && continue
    for workers in ${BENCH_WORKERS:-1 2}; do
        echo "run.sh: $name, $workers workers" >&2
        for _ in $(seq "$runs"); do
            run_one runnel "$name" "$workers" env RUNNEL_WORKERS="$workers" "$build/bench/runnel-bench"
            [ -z "$go_program" ] ||
                run_one go "$name" "$workers" env GOMAXPROCS="$workers" "$go_program"
        done
    done
done

machine() {
    local model
    model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)
    echo "- Machine: $(nproc) CPUs, ${model:-$(uname -m)}, $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
    echo "- Kernel: $(uname -sr)"
    echo "- C: $("$build/bench/runnel-bench" --version)"
    if [ -n "$go_program" ]; then
        echo "- Go: $("$go" env GOVERSION)"
    else
        echo "- Go: not on this machine, so the Go column is empty and no ratio is known"
    fi
    echo "- Load average when it began: $load (of other programs; above 0.5 the figures are not to be trusted)"
    echo "- Date: $(date -u '+%Y-%m-%d %H:%M') UTC; $runs runs a cell, the two sides in turn"
}

table() { awk -f "$here/table.awk" -v what="$1" "$here/targets.txt" "$here/notes.txt" "$raw"; }

missed() {
    local list
    list=$(table missed)
    if [ -n "$list" ]; then
        printf 'Missed:\n\n%s\n' "$list"
    else
        echo "No target of this table is missed."
    fi
}

report() {
    printf '# Results\n\nWritten by `make bench`; how to read it is in README.md beside this file.\n\n'
    machine
    if [ -s "$raw" ]; then
        printf '\n## The runtime\n\nLess is better. The targets in ns and ms were set on a reference machine'
        printf ' with Go 1.19; the ratio aimed at\nis what the target was to Go there.\n\n'
        table table
        echo
        missed
    fi
    [ ! -s "$tmp/http" ] || cat "$tmp/http"
    [ ! -s "$tmp/command" ] || cat "$tmp/command"
}

case " ${cases[*]} " in
*" http "*) "$here/http.sh" -n "$runs" -b "$build" > "$tmp/http" || true ;;
esac
case " ${cases[*]} " in
*" command "*) "$here/command.sh" -n "$runs" -b "$build" > "$tmp/command" || true ;;
esac
report > "$tmp/report"
cat "$tmp/report"
[ -z "$out" ] || cp "$tmp/report" "$out"
