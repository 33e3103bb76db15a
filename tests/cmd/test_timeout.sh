# --timeout: a job that runs too long is ended with all that it started, and counts as failed.
. "$(dirname "$0")/lib.sh"
fifo never

# What a job does before its time is over depends on the machine: it gets more until it has done it.
# patiently WANTED WORD...: runs the command with --timeout until its output is as wanted
patiently() {
    local wanted=$1 limit
    shift
    for limit in 200ms 1s 5s 25s; do
        rm -f pids
        run "$RUNNEL" --timeout "$limit" "$@"
        [ "$out" = "$wanted" ] && return
    done
}

cat >hang <<'EOF'
sh -c 'echo $$ >>pids; echo child; read -r x <never' &
echo $$ >>pids
wait
echo after
EOF
patiently "child
child" -j1 sh hang ::: x y
is "a job that hangs: status" "$status" 123
is "its output until then is printed, and the next is run" "$out" "child
child"
is "it is reported" "$err" 'runnel: job 1 (input "x"): timed out
runnel: job 2 (input "y"): timed out'
is "four processes were started" "$(wc -l <pids)" 4
for p in $(cat pids); do is_gone "after a timeout" "$p"; done

run "$RUNNEL" --timeout 1h true ::: a b
is "jobs that end in time" "$status $err" "0 "
run "$RUNNEL" --timeout 100ms --fail-fast sh -c 'read -r x <never' ::: a
is "--fail-fast: as timeout(1)" "$status" 124

# Its process ended long ago, but something in the background holds its output.
patiently started sh -c '(read -r x <never) & echo $! >pids; echo started' ::: a
is "something in the background: status" "$status" 123
is "something in the background: output" "$out" started
for p in $(cat pids); do is_gone "something in the background" "$p"; done

# A job that is runnel itself lets its own jobs finish at a first SIGTERM. They are in groups of their
# own, and gone all the same, whether it leads the job's group or the shell that started it does.
for start in exec ''; do
    patiently started sh -c "$start \"\$0\" sh -c 'echo \$\$ >pids; echo started; read -r x <never' ::: a
        exit" "$RUNNEL" ::: b
    matches "runnel as a job ($start): is told" "$err" 'job 1 \(input "b"\): timed out$'
    for p in $(cat pids); do is_gone "runnel as a job ($start)" "$p"; done
done

# A job that stopped itself is ended all the same.
run "$RUNNEL" --timeout 200ms sh -c 'kill -STOP $$' ::: a
matches "a stopped job" "$err" 'timed out$'

# A job that ends in time while runnel is stopped, as by Ctrl-Z, has not timed out: not when its
# outputs tell of its end, and not when it closed them at once. The limit passes meanwhile; it is
# longer where the job did not even begin within it.
fifo ready release
# pause LIMIT SCRIPT: runs a job that begins with the script, and stops runnel until the limit is over
pause() {
    (exec "$RUNNEL" --timeout "$1" sh -c "$2"'
        echo $$ >ready; read -r x <release' ::: a >out.text 2>err.text) &
    pid=$!
    got=0
    until read -r -t 1 got <&"$ready" || gone "$pid"; do :; done
    kill -STOP "$pid"
    echo >release
    until gone "$got"; do :; done
    sleep "$1"
    kill -CONT "$pid"
    wait "$pid"
    status=$?
}
for words in '' 'exec >/dev/null 2>&1;'; do
    for limit in 1 5 25; do
        pause "$limit" "$words"
        [ "$status" = 0 ] && break
    done
    is "a job that ended while runnel was stopped ($words)" "$status $(cat err.text)" "0 "
done
finish
