# Signals: the first stops taking inputs, the second ends what runs; runnel dies of it; nobody is
# left behind.
. "$(dirname "$0")/lib.sh"
mkfifo messages
fifo ready release never

# Each job says that it runs, then waits to be released.
cat >held <<'EOF'
echo $$ >>pids
echo "$1" >ready
read -r x <release
echo "$1 done"
EOF

# begin WORD...: starts the command on endless input in the background; its messages come to
# descriptor 6
begin() {
    rm -f pids
    (runnel_with_signals "$@" <endless >out.text 2>messages) &
    pid=$!
    exec 6<messages
}
mkfifo endless
yes >endless &
yes_pid=$!
exec 7<endless # keeps the pipe open from one scenario to the next

# end: what came of it
end() {
    wait "$pid" 2>/dev/null
    status=$?
    err=$(cat <&6)
    exec 6<&-
}

for signal in INT TERM HUP; do
    number=$(kill -l "$signal")
    begin -j1 sh held {#}
    next ready
    is "SIG$signal: a job runs" "$got" 1
    kill -s "$signal" "$pid"
    read -r got <&6
    is "SIG$signal: is answered" "$got" \
        "runnel: SIG$signal: no more jobs are started; 1 still running (a second signal ends them)"
    echo >release
    end
    is "SIG$signal: dies of it" "$status" $((128 + number))
    is "SIG$signal: the running job finished, no other was started" "$(cat out.text)" "1 done"
    is "SIG$signal: nothing else is said" "$err" ""
done

# The second signal ends the running jobs, which get SIGTERM, and their children too.
cat >family <<'EOF'
sh -c 'echo $$ >>pids; echo child >ready; read -r x <never' &
echo $$ >>pids
trap 'echo last words; exit 0' TERM
echo parent >ready
wait
EOF
begin -j1 sh family
next ready
next ready
kill -INT "$pid"
read -r got <&6
kill -INT "$pid"
end
matches "second signal: is answered" "$err" "^runnel: SIGINT: ending 1 running jobs$"
is "second signal: dies of it" "$status" 130
is "second signal: the jobs get SIGTERM, and what they write then is printed" "$(cat out.text)" \
    "last words"
matches "second signal: the ended job is reported" "$err" \
    '^runnel: job 1 \(input "y"\): ended before it was done$'
for p in $(cat pids); do is_gone "second signal" "$p"; done

# Many at once, none left.
begin -j8 sh held
for i in 1 2 3 4 5 6 7 8; do next ready; done
kill -TERM "$pid"
read -r got <&6
is "eight running" "$got" \
    "runnel: SIGTERM: no more jobs are started; 8 still running (a second signal ends them)"
kill -INT "$pid"
end
is "dies of the first of two different signals" "$status" 143
is "eight were started" "$(wc -l <pids)" 8
for p in $(cat pids); do is_gone "eight running" "$p"; done

# SIGKILL follows for those that do not listen. This takes the grace period.
cat >stubborn <<'EOF'
trap '' TERM INT HUP
echo $$ >>pids
echo >ready
while :; do read -r x <never; done
EOF
begin -j1 sh stubborn
next ready
kill -INT "$pid"
read -r got <&6
kill -INT "$pid"
end
is "a job that ignores SIGTERM: dies" "$status" 130
for p in $(cat pids); do is_gone "a job that ignores SIGTERM" "$p"; done

# Other signals that would kill it end the jobs at once, and leave nobody either.
ulimit -c 0
for signal in QUIT USR1 USR2 ALRM VTALRM PROF XCPU XFSZ IO PWR STKFLT SYS PIPE RTMIN RTMAX; do
    begin -j1 sh held
    next ready
    kill -s "$signal" "$pid"
    end
    matches "SIG$signal: is answered" "$err" '^runnel: (SIG[A-Z0-9]+|signal [0-9]+): ending 1 running jobs$'
    is "SIG$signal: dies of it" "$status" $((128 + $(kill -l "$signal")))
    for p in $(cat pids); do is_gone "SIG$signal" "$p"; done
done

# Nobody reads the output, and the pipe is full: the third signal gives up on it. Three different
# ones, since two of a kind that come together are one.
mkfifo unread
(runnel_with_signals -j1 sh -c 'head -c 1000000 /dev/zero; echo $$ >>pids; echo >ready' \
    ::: a b >unread 2>err.text) &
pid=$!
exec 5<unread
next ready
kill -INT "$pid"
kill -TERM "$pid"
kill -HUP "$pid"
wait "$pid" 2>/dev/null
status=$?
exec 5<&-
is "the third signal: dies of the first" "$((status == 130 || status == 143 || status == 129))" 1

# The same once the last job is printed: the summary is what nobody reads.
fifo printed full
dd if=/dev/zero of=full bs=4096 oflag=nonblock 2>dd.text # until there is no room
(runnel_with_signals --progress -j1 echo ::: last >printed 2>full) &
pid=$!
next printed
is "a summary that nobody reads: the last job is printed" "$got" last
for signal in INT TERM HUP; do kill -s "$signal" "$pid"; done
wait "$pid" 2>/dev/null
status=$?
is "a summary that nobody reads: the third signal gives up" \
    "$((status == 130 || status == 143 || status == 129))" 1

# After --fail-fast one signal is not the third: what the failed job wrote is still printed.
(runnel_with_signals -j1 --fail-fast sh -c 'head -c 1000000 /dev/zero; exit 3' \
    ::: a >unread 2>err.text) &
pid=$!
exec 5<unread
size=$(head -c 1 <&5 | wc -c) # it has failed: its output comes, and is more than the pipe holds
kill -INT "$pid"
size=$((size + $(cat <&5 | wc -c)))
exec 5<&-
wait "$pid" 2>/dev/null
is "a signal after --fail-fast: status" $? 3
is "a signal after --fail-fast: the output is whole" "$size" 1000000
matches "a signal after --fail-fast: the failure is reported" "$(cat err.text)" \
    '^runnel: job 1 \(input "a"\): exit status 3$'

# A signal while it waits for input.
exec 7<&-
wait "$yes_pid" 2>/dev/null
mkfifo quiet
(runnel_with_signals sh -c 'echo >ready' <quiet >out.text 2>messages) &
pid=$!
exec 5>quiet 6<messages
echo one >&5
next ready
kill -INT "$pid"
end
is "a signal while waiting for input" "$status" 130
exec 5>&-

# What is ignored stays ignored, as with nohup.
(
    trap '' HUP
    exec "$RUNNEL" -j1 sh held {#} ::: a b >out.text 2>messages
) &
pid=$!
exec 6<messages
next ready
kill -HUP "$pid"
echo >release
next ready
is "an ignored SIGHUP changes nothing" "$got" 2
echo >release
end
is "an ignored SIGHUP: status" "$status" 0
is "an ignored SIGHUP: output" "$(cat out.text)" "1 done
2 done"

finish
