#!/usr/bin/env bash
# http.sh - measures the HTTP server beside nginx, Go's net/http, hyper and a bare epoll loop.
#
# Usage: bench/http.sh [-n RUNS] [-b BUILD_DIR] [-s SECONDS]
#
# Prints markdown. Three questions: what a small answer costs (wrk, 100 connections, SECONDS each, 3 unless
# told), what an idle connection costs in memory, and whether all of ten thousand busy connections are served
# alike. Server and client have a processor each; the servers take turns, run by run. Everything listens on
# 127.0.0.1, is bounded in time, and ends when this script does. A peer that is not on the machine is left out.
set -u

here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
runs=5
build=${BUILD_DIR:-$(dirname "$here")/build/release}
seconds=3
many=10000   # connections of the second and third question
many_runs=3  # of these questions, at most
settle_s=5   # after which an idle connection's memory is read
start_s=10   # for a server to come up
limit_s=60   # one client; one that hangs must not hold up the rest

usage() {
    echo "usage: bench/http.sh [-n RUNS] [-b BUILD_DIR] [-s SECONDS]" >&2
    exit 2
}

while getopts n:b:s: option; do
    case $option in
    n) runs=$OPTARG ;;
    b) build=$OPTARG ;;
    s) seconds=$OPTARG ;;
    *) usage ;;
    esac
done
[ "$many_runs" -le "$runs" ] || many_runs=$runs
ulimit -n "$(ulimit -Hn)"

tmp=$(mktemp -d)
pid=
clean_up() {
    [ -z "$pid" ] || kill "$pid" 2> /dev/null
    rm -rf "$tmp"
}
trap clean_up EXIT
: > "$tmp/raw"
mkfifo "$tmp/life" # standard input of all that is started: it ends with this script
exec {life}<> "$tmp/life"

say() { echo "http.sh: $*" >&2; }

# ---- the servers ----

load=$build/bench/bench-http-load
floor=("$build/bench/bench-http-floor")
runnel=("$build/bench/bench-http-server")
go=("$tmp/go-http")
hyper=("$build/bench/rust/release/bench-hyper")
nginx=()
versions=()

find_peers() {
    local candidate
    for candidate in nginx /usr/sbin/nginx; do
        [ ${#nginx[@]} -gt 0 ] || ! command -v "$candidate" > /dev/null || nginx=("$candidate")
    done
    [ ${#nginx[@]} -eq 0 ] || versions+=("$("${nginx[@]}" -v 2>&1 | sed 's/.*: //')")
    for candidate in "${GO:-}" go /usr/local/go/bin/go; do
        [ -n "$candidate" ] && command -v "$candidate" > /dev/null || continue
        if (cd "$here/go" && GOFLAGS=-mod=mod GOTOOLCHAIN=local "$candidate" build -o "$tmp/go-http" ./http) >&2; then
            versions+=("$("$candidate" env GOVERSION)")
        fi
        break
    done
    if command -v cargo > /dev/null &&
        CARGO_TARGET_DIR=$build/bench/rust timeout 600 cargo build --release --locked --quiet \
            --manifest-path "$here/rust/Cargo.toml" >&2; then
        versions+=("hyper $(sed -n '/^name = "hyper"$/{n;s/version = "\(.*\)"/\1/p}' "$here/rust/Cargo.lock")")
    fi
}

title() {
    case $1 in
    floor) echo "epoll loop, fixed answer" ;;
    runnel) echo "**runnel**" ;;
    go) echo "Go net/http" ;;
    *) echo "$1" ;;
    esac
}

nginx_config() { # port
    cat << END
worker_processes 1;
worker_rlimit_nofile $(ulimit -n);
daemon off;
pid $tmp/nginx.pid;
error_log $tmp/nginx.log;
events { worker_connections 16384; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    default_type text/plain;
    client_body_temp_path $tmp/nginx-body;
    proxy_temp_path $tmp/nginx-proxy;
    fastcgi_temp_path $tmp/nginx-fastcgi;
    uwsgi_temp_path $tmp/nginx-uwsgi;
    scgi_temp_path $tmp/nginx-scgi;
    server {
        listen 127.0.0.1:$1 backlog=4096;
        location = / { return 200 "Hello, world!"; }
    }
}
END
}

# nginx takes no port that the system chooses, and does not end with its standard input. The floor, started for
# a moment, tells a port that is free; timeout is the end.
start_nginx() {
    true | "${floor[0]}" > "$tmp/port"
    port=$(cat "$tmp/port")
    nginx_config "$port" > "$tmp/nginx.conf"
    rm -f "$tmp/nginx.pid"
    taskset -c 0 timeout -k 5 $((limit_s * 3)) "${nginx[@]}" -p "$tmp" -c "$tmp/nginx.conf" \
        < "$tmp/life" > /dev/null 2> "$tmp/err" {life}>&- &
    pid=$!
}

# Starts a server on the first processor; leaves $pid and $port.
start() { # server
    local waited=0
    : > "$tmp/port"
    if [ "$1" = nginx ]; then
        start_nginx
    else
        local -n command=$1
        RUNNEL_WORKERS=1 GOMAXPROCS=1 taskset -c 0 "${command[@]}" \
            < "$tmp/life" > "$tmp/port" 2> "$tmp/err" {life}>&- &
        pid=$!
    fi
    while [ ! -s "$tmp/port" ] || ! (exec 3<> "/dev/tcp/127.0.0.1/$(cat "$tmp/port")") 2> /dev/null; do
        waited=$((waited + 1))
        if [ "$waited" -gt $((start_s * 20)) ] || ! kill -0 "$pid" 2> /dev/null; then
            say "$1 did not start: $(head -1 "$tmp/err")"
            stop
            return 1
        fi
        sleep 0.05
    done
    port=$(cat "$tmp/port")
}

stop() {
    kill "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
    pid=
}

# The processes of the running server.
family() {
    local parent=$pid children
    echo "$parent"
    while children=$(pgrep -d, -P "$parent"); do
        tr , '\n' <<< "$children"
        parent=$children
    done
}

# Its processor time so far, in ms.
cpu_ms() {
    local p
    for p in $(family); do sed 's/.*) //' "/proc/$p/stat"; done |
        awk -v tick="$(getconf CLK_TCK)" '{ t += $12 + $13 } END { print t * 1000 / tick }'
}

# Its memory with page tables, in KiB.
memory_kib() {
    local p
    for p in $(family); do cat "/proc/$p/status"; done | awk '/^VmRSS|^VmPTE/ { kib += $2 } END { print kib }'
}

# ---- the questions ----

ask_hello() { # server
    local before after
    timeout "$limit_s" taskset -c 1 wrk -t1 -c100 -d1s "http://127.0.0.1:$port/" > /dev/null
    before=$(cpu_ms)
    timeout "$limit_s" taskset -c 1 wrk -t1 -c100 -d"${seconds}s" "http://127.0.0.1:$port/" > "$tmp/wrk"
    after=$(cpu_ms)
    if grep -q 'Socket errors\|Non-2xx' "$tmp/wrk"; then
        say "$1: $(grep 'Socket errors\|Non-2xx' "$tmp/wrk")"
        return 1
    fi
    awk -v s="$1" -v ms="$(awk "BEGIN { print $after - $before }")" '/ requests in / { n = $1 }
        /^Requests\/sec/ { rate = $2 }
        END { if (n > 0) printf "hello %s %.3f %.0f\n", s, ms * 1000 / n, rate }' "$tmp/wrk" >> "$tmp/raw"
}

ask_idle() { # server
    local before after client waited=0
    timeout "$limit_s" "$load" idle "$port" 1 < /dev/null > /dev/null
    before=$(memory_kib)
    : > "$tmp/idle"
    timeout "$limit_s" "$load" idle "$port" "$many" < "$tmp/life" > "$tmp/idle" {life}>&- &
    client=$!
    while [ ! -s "$tmp/idle" ] && kill -0 "$client" 2> /dev/null && [ "$waited" -lt 600 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    sleep "$settle_s"
    after=$(memory_kib)
    if [ -s "$tmp/idle" ]; then
        awk "BEGIN { printf \"idle $1 %.2f\\n\", ($after - $before) / $many }" >> "$tmp/raw"
    else
        say "$1: not all idle connections were answered"
    fi
    kill "$client" 2> /dev/null
    wait "$client" 2> /dev/null
}

ask_active() { # server
    timeout "$limit_s" "$load" active "$port" "$many" "$((seconds * 3))" < /dev/null > "$tmp/active" ||
        return 1
    echo "active $1 $(cat "$tmp/active")" >> "$tmp/raw"
}

find_peers
servers=()
for server in runnel nginx go hyper floor; do
    declare -n command=$server
    if [ ${#command[@]} -gt 0 ] && command -v "${command[0]}" > /dev/null; then
        servers+=("$server")
    else
        say "$(title "$server") is left out: it is not here"
    fi
done
command -v wrk > /dev/null || say "wrk is not here, so nobody knows what a request costs"
if [ "$(nproc)" -lt 2 ]; then
    say "there is one processor only, which server and client share"
    taskset() { shift 2; "$@"; }
fi

for i in $(seq "$runs"); do
    say "round $i of $runs"
    for server in "${servers[@]}"; do
        if command -v wrk > /dev/null && start "$server"; then
            ask_hello "$server"
            stop
        fi
        [ "$i" -le "$many_runs" ] || continue
        for question in ask_idle ask_active; do
            if start "$server"; then
                "$question" "$server"
                stop
            fi
        done
    done
done

# ---- the report ----

figures() { # question server column: of all runs
    awk -v q="$1" -v s="$2" -v c="$3" '$1 == q && $2 == s { print $c }' "$tmp/raw"
}

median() { figures "$@" | median_of; }

# Median and range in a cell of the table.
cell() { # question server column format
    figures "$1" "$2" "$3" | sort -n | awk -v f="$4" '{ v[NR] = $1 } END {
        if (NR == 0) { printf "n/a"; exit }
        m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
        printf f " (" f "-" f ")", m, v[1], v[NR] }'
}

printf '\n## HTTP\n\n`Hello, world!` to a GET; server and client have a processor each. wrk with 100 connections for'
printf ' %s s, %s runs, servers\nin turn; %s connections, %s runs.' "$seconds" "$runs" "$many" "$many_runs"
printf ' Median (smallest-largest). Memory is VmRSS and page tables %s s\nafter the one request' "$settle_s"
printf ' of each connection. The last column is the share of the median that the slowest connection got.\n'
printf 'Peers: %s.\n\n' "$(IFS=,; echo "${versions[*]:-none}" | sed 's/,/, /g')"
echo "| server | CPU us per request | requests/s | KiB per idle connection | requests/s, $many connections | slowest over median |"
echo "|---|---|---|---|---|---|"
for server in "${servers[@]}"; do
    echo "| $(title "$server") | $(cell hello "$server" 3 %.1f) | $(cell hello "$server" 4 %.0f) |" \
        "$(cell idle "$server" 3 %.1f) | $(cell active "$server" 3 %.0f) | $(cell active "$server" 4 %.2f) |"
done
echo
if [ -n "$(median hello runnel 3)" ]; then
    f() { awk "BEGIN { printf \"$1\", $2 }"; }
    verdict "CPU per request" "$(f %.1f "$(median hello runnel 3)")" under 9 us
    if [ -n "$(median hello nginx 4)" ]; then
        verdict "requests/s against nginx" \
            "$(f %.2f "$(median hello runnel 4) / $(median hello nginx 4)")" over 1 times
    fi
    verdict "memory of an idle connection" "$(f %.1f "$(median idle runnel 3)")" under 8 KiB
fi
