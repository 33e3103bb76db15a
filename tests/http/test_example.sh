# The example http_server, as curl and worse clients see it.
# ctest: TIMEOUT=120
. "$(dirname "$0")/../cmd/lib.sh"

program=$BUILD_DIR/examples/http_server
for needed in "$program" curl; do
    command -v "$needed" >/dev/null || {
        echo "left out: there is no $needed"
        exit 0
    }
done

mkdir www www/sub
printf 0123456789 >www/a.txt
echo '<p>home' >www/index.html
head -c 3000000 /dev/zero | tr '\0' x >www/big
touch -d '2020-01-01 00:00:00 UTC' www/a.txt
fifo messages
number='[0-9][0-9]*'

# serve: starts a server on a free port; leaves $pid, $port and $at
serve() {
    "$program" 127.0.0.1:0 www 2>messages &
    pid=$!
    next messages
    while [[ $got != "http_server: "* ]]; do next messages; done # what the one before had to say
    matches "serves" "$got" "^http_server: on 127\.0\.0\.1:$number$"
    port=${got##*:}
    at=http://127.0.0.1:$port
}

# ends WHAT STATUS: how the server ended
ends() {
    wait "$pid" 2>/dev/null
    is "$1" "$?" "$2"
}

ask() { curl -sS --max-time 60 "$@"; }
status_of() { ask -o /dev/null -w '%{http_code}' "$@"; }

# until_so WHAT COMMAND...: tries again and again, but not for ever
until_so() {
    local what=$1 tries=0
    shift
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 1000 ] || {
            is "$what" "not so after $tries tries" so
            return
        }
    done
}

# send TEXT: raw bytes, then the end of input; what comes back is in $got
send() {
    exec {raw}<>"/dev/tcp/127.0.0.1/$port"
    printf "$1" >&"$raw"
    got=$(timeout 30 cat <&"$raw")
    exec {raw}>&-
}

# ---- answers ----

serve
is "hello" "$(ask "$at/")" hello
is "JSON" "$(ask "$at/square/-12")" '{"n":-12,"square":144}'
is "JSON has its type" "$(ask -o /dev/null -w '%{content_type}' "$at/square/3")" application/json
is "not a number" "$(status_of "$at/square/x")" 400
is "no such path" "$(status_of "$at/nowhere")" 404
is "no such method" "$(status_of -X POST "$at/")" 405
is "HEAD" "$(ask -I "$at/" | tr -d '\r' | sed -n 's/^Content-Length: //p')" 6

is "a file" "$(ask "$at/files/a.txt")" 0123456789
is "an index" "$(ask "$at/files/")" '<p>home'
is "a folder is redirected" "$(ask -o /dev/null -w '%{redirect_url}' "$at/files/sub")" "$at/files/sub/"
is "no file" "$(status_of "$at/files/b.txt")" 404
is "nothing above the root" "$(status_of --path-as-is "$at/files/../www/a.txt")" 404
is "one range" "$(ask -r 2-4 "$at/files/a.txt")" 234
is "the last bytes" "$(ask -r -3 "$at/files/a.txt")" 789
is "no such range" "$(status_of -r 10- "$at/files/a.txt")" 416
matches "two ranges" "$(ask -r 0-1,5-6 "$at/files/a.txt" | tr -d '\r')" '^Content-Range: bytes 5-6/10$'
is "not newer" "$(status_of -z www/a.txt "$at/files/a.txt")" 304
ask --etag-save etag -o copy "$at/files/a.txt"
is "the same ETag" "$(status_of --etag-compare etag "$at/files/a.txt")" 304
ask -o copy "$at/files/big"
cmp -s copy www/big
is "a large file arrives whole" "$?" 0
ask -o copy -r 0-999999 "$at/files/big"
ask -o copy -C - "$at/files/big"
cmp -s copy www/big
is "a broken download is resumed" "$?" 0

is "the third of three is one too many" "$(for _ in 1 2 3; do status_of "$at/limited"; done)" 200200429
matches "and is told when to come again" "$(ask -D - -o /dev/null "$at/limited")" '^Retry-After: (30|2[0-9])'
events=$(ask -N "$at/ticks" 2>/dev/null | head -n 5)
matches "events have a kind" "$events" '^event: tick$'
matches "events have data" "$events" "^data: $number$"
matches "HEAD of events comes back" "$(ask -I "$at/ticks" | tr -d '\r')" '^Content-Type: text/event-stream$'

for i in 1 2 3; do
    is "failure $i of the backend" "$(status_of "$at/work?fail=1")" 502
done
is "the breaker is open" "$(status_of "$at/work")" 503
matches "and says for how long" "$(ask -D - -o /dev/null "$at/work")" '^Retry-After: (30|2[0-9])'

# ---- clients that misbehave ----

send 'nonsense\r\n\r\n'
matches "nonsense" "$got" '^HTTP/1.1 400 '
send 'GET / HTTP/1.1\r\n\r\n'
matches "no Host" "$got" '^HTTP/1.1 400 '
send 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
matches "two lengths" "$got" '^HTTP/1.1 400 '
send "GET /$(head -c 20000 /dev/zero | tr '\0' a) HTTP/1.1\r\nHost: x\r\n\r\n"
matches "a long target" "$got" '^HTTP/1.1 414 '
for text in 'GET /files/big HTTP/1.1\r\nHost: x\r\n\r\n' 'GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET / HTTP/1.1\r\nHos' 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc'; do
    exec {raw}<>"/dev/tcp/127.0.0.1/$port" # gone before the answer, or in the middle of the request
    printf "$text" >&"$raw"
    exec {raw}>&-
done
is "the others are served as before" "$(ask "$at/")" hello

kill -TERM "$pid"
ends "SIGTERM" 0

# ---- a service that is saturated, and a second signal ----

serve
held=0
saturated() { # the two may come in each other's way
    [ "$held" -ne 0 ] && kill -0 "$held" 2>/dev/null || {
        curl -s "$at/work?units=8&ms=3600000" >/dev/null &
        held=$!
    }
    [ "$(status_of "$at/work")" = 503 ]
}
until_so "all units are taken" saturated
is "all units are taken" "$(status_of "$at/work?units=1")" 503
matches "come again in a second" "$(ask -D - -o /dev/null "$at/work" | tr -d '\r')" '^Retry-After: 1$'
kill -TERM "$pid"
deaf() { ! status_of "$at/" >/dev/null 2>&1; }
until_so "it listens no more" deaf
kill -TERM "$pid"
ends "the second SIGTERM" 143
next messages
is "is answered" "$got" \
    "runnel: ended by SIGTERM, and a second signal: ending at once in phase drain"

# ---- trouble at the start ----

serve
run "$program" "127.0.0.1:$port" www
is "port in use: status" "$status" 1
is "port in use" "$err" "http_server: listen on 127.0.0.1:$port: Address already in use"
run "$program" unix:/sys/socket www
is "no permission: status" "$status" 1
matches "no permission" "$err" '^http_server: listen on unix:/sys/socket: (Permission denied|Operation not permitted|Read-only file system)$'
run "$program" nobody.invalid:80 www
is "unknown host: status" "$status" 1
is "unknown host" "$err" "http_server: nobody.invalid: no such host"
run "$program" 127.0.0.1:http:80 www
is "not an address: status" "$status" 1
matches "not an address" "$err" '^http_server: address "127.0.0.1:http:80": '
run "$program" 127.0.0.1:0 nowhere
is "no folder: status" "$status" 1
is "no folder" "$err" "http_server: http files: nowhere: No such file or directory"

# ---- SIGTERM under load: every request that was accepted is answered ----

# Each asks again and again on a connection that it keeps, until nobody listens (7). It would end by 52 or 56
# if an answer did not come.
loaders=()
for i in 1 2 3 4; do
    curl -sSN --fail --fail-early "$at/?[1-10000000]" >"loader$i" 2>"loader$i.err" &
    loaders+=($!)
done
begun() { ask -o /dev/null "$at/" && [ -s "$1" ]; }
for i in 1 2 3 4; do
    until_so "loader $i has begun" begun "loader$i"
done
if command -v wrk >/dev/null; then
    wrk -t1 -c20 -d20s "$at/" >wrk.text &
    wrk=$!
    for _ in $(seq 20); do ask -o /dev/null "$at/"; done
fi
kill -TERM "$pid"
ends "SIGTERM under load" 0
for i in 1 2 3 4; do
    wait "${loaders[i - 1]}"
    is "loader $i ends because nobody listens" "$?: $(cat "loader$i.err")" \
        "7: $(grep -m1 '(7)' "loader$i.err")"
    is "loader $i got nothing else" "$(sort -u "loader$i")" hello
done
if [ -n "${wrk:-}" ]; then
    kill -INT "$wrk"
    wait "$wrk"
    matches_not "wrk got no errors as answers" "$(cat wrk.text)" Non-2xx
fi

finish
