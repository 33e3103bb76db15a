#!/usr/bin/env bash
# command.sh - measures the runnel command beside xargs, GNU parallel and a bare posix_spawn loop.
#
# Usage: bench/command.sh [-n RUNS] [-b BUILD_DIR]
#
# Prints markdown. Three questions: what a job costs (2,000 x true, two at a time), how soon the first job
# starts, and what a million lines of input cost in time to the first job and in memory. GNU parallel is
# slow enough to get two runs only.
set -u

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
runs=5
build=${BUILD_DIR:-$(dirname "$here")/build/release}
jobs=2000
lines=1000000
window_s=2 # how long each tool works on the million lines

while getopts n:b: option; do
    case $option in
    n) runs=$OPTARG ;;
    b) build=$OPTARG ;;
    *) echo "usage: bench/command.sh [-n RUNS] [-b BUILD_DIR]" >&2; exit 2 ;;
    esac
done

measure=$build/bench/bench-measure
loop=$build/bench/bench-spawn-loop
runnel=
for candidate in "$build/runnel" "$build/bin/runnel" "$build/cmd/runnel" "$build/cmd/runnel/runnel"; do
    if [ -f "$candidate" ] && [ -x "$candidate" ]; then runnel=$candidate; break; fi
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
seq "$jobs" > "$tmp/inputs"
seq "$lines" > "$tmp/lines"
: > "$tmp/raw"

# The tools, as arrays: how each runs a command on every line, two at a time.
tools=(loop xargs)
t_loop=("$loop" 2)
t_xargs=(xargs -P2 -n1)
t_runnel=("$runnel" -j 2)
t_progress=("$runnel" -j 2 --progress)
t_parallel=(parallel --will-cite -j2)
[ -z "$runnel" ] || tools=(loop runnel xargs)
! command -v parallel > /dev/null || tools+=(parallel)

title() {
    case $1 in
    loop) echo "posix_spawn loop" ;;
    runnel) echo "runnel -j 2" ;;
    progress) echo "runnel -j 2 --progress" ;;
    xargs) echo "xargs -P2 -n1" ;;
    parallel) echo "parallel -j2" ;;
    esac
}

# Runs a tool on a file of inputs and notes its figures under a question.
ask() { # question tool inputs [measure options] -- job...
    local question=$1 tool=$2 inputs=$3 options=()
    shift 3
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    local -n command=t_$tool
    rm -f "$tmp/stamp"
    BENCH_STAMP=$tmp/stamp "$measure" "${options[@]}" "${command[@]}" "$@" \
        < "$inputs" 3> "$tmp/one" > "$tmp/stdout" 2> "$tmp/stderr"
    if [ -s "$tmp/one" ]; then
        echo "$question $tool $(cat "$tmp/one")" >> "$tmp/raw"
    else
        echo "command.sh: $(title "$tool"): $(head -1 "$tmp/stderr")" >&2
    fi
}

for i in $(seq "$runs"); do
    echo "command.sh: round $i" >&2
    for tool in "${tools[@]}"; do
        [ "$tool" != parallel ] || [ "$i" -le 2 ] || continue
        ask cost "$tool" "$tmp/inputs" -- true
        [ ! -s "$tmp/stdout" ] || [ "$tool" = parallel ] || echo "command.sh: $tool printed something" >&2
        ask first "$tool" "$tmp/inputs" -t 0.7 -- "$measure" --stamp
    done
done
[ -z "$runnel" ] || tools=("${tools[@]/runnel/progress}")
for i in 1 2; do
    for tool in "${tools[@]}"; do
        ask lines "$tool" "$tmp/lines" -t "$window_s" -- "$measure" --stamp
    done
done

# The median of a column of the raw figures: question, tool, column (3 is the first).
median() {
    awk -v q="$1" -v t="$2" -v c="$3" '$1 == q && $2 == t { print $c }' "$tmp/raw" | median_of
}

row() { # tool
    local lines_tool=${1/runnel/progress}
    awk -v title="$(title "$1")" -v jobs="$jobs" -v wall="$(median cost "$1" 3)" \
        -v cpu="$(median cost "$1" 4)" -v own="$(median cost "$1" 5)" -v first="$(median first "$1" 7)" \
        -v lfirst="$(median lines "$lines_tool" 7)" -v peak="$(median lines "$lines_tool" 6)" 'BEGIN {
            printf "| %s | %.0f | %.0f | %.0f | %.1f | %.3f | %.1f |\n", title, cpu * 1000 / jobs,
                own * 1000 / jobs, jobs / (wall / 1000), first, lfirst / 1000, peak / 1024 }'
}

printf '\n## The command\n\n%s jobs of `true`, two at a time; a million lines of input, stopped after' "$jobs"
printf ' %s s (runnel with --progress there).\nxargs does not capture output; the others do.\n\n' "$window_s"
echo "| tool | CPU us per job, child included | CPU us per job, own | jobs/s | first job, ms | 1 M lines: first job, s | 1 M lines: peak RSS, MiB |"
echo "|---|---|---|---|---|---|---|"
for tool in loop runnel xargs parallel; do
    [ -z "$(median cost "$tool" 3)" ] || row "$tool"
done
echo
if [ -z "$runnel" ]; then
    echo "The command was not built, so there is nothing to compare."
elif [ -n "$(median cost runnel 3)" ]; then
    f() { awk "BEGIN { printf \"$1\", $2 }"; }
    verdict "own CPU per job" "$(f %.0f "$(median cost runnel 5) * 1000 / $jobs")" under 60 us
    verdict "jobs/s against the bare loop" \
        "$(f %.2f "$(median cost loop 3) / $(median cost runnel 3)")" over 0.95 times
    verdict "first job" "$(f %.1f "$(median first runnel 7)")" under 5 ms
    verdict "first job of 1 M lines" "$(f %.3f "$(median lines progress 7) / 1000")" under 0.05 s
    verdict "peak memory with 1 M lines" "$(f %.1f "$(median lines progress 6) / 1024")" under 5 MiB
fi
