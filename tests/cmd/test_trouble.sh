# What goes wrong around jobs: said clearly, with the job's name, and nothing is lost silently.
. "$(dirname "$0")/lib.sh"

# A full disk.
if [ -w /dev/full ]; then
    "$RUNNEL" -j1 echo ::: a b c >/dev/full 2>err.text
    is "full disk: status" $? 1
    matches "full disk" "$(head -n1 err.text)" \
        '^runnel: job 1 \(input "a"\): cannot write its output: No space left on device$'
    # Jobs 2 and 3 are done before job 1 is; their turn comes when the disk is known to be full.
    fifo release
    cat >job <<'EOF'
case $1 in
1) read -r x <release ;;
4) echo >release ;;
esac
echo "$1"
EOF
    "$RUNNEL" -k -j2 sh job ::: 1 2 3 4 >/dev/full 2>err.text
    is "full disk: each job whose output is lost is named with the reason" "$(head -n3 err.text)" \
        'runnel: job 1 (input "1"): cannot write its output: No space left on device
runnel: job 2 (input "2"): cannot write its output: No space left on device
runnel: job 3 (input "3"): cannot write its output: No space left on device'
    rm release
    "$RUNNEL" -j1 true ::: a b c >/dev/full 2>err.text
    is "full disk, nothing to write" "$? $(cat err.text)" "0 "
    yes | "$RUNNEL" -j2 echo >/dev/full 2>err.text
    is "full disk: endless input ends" "${PIPESTATUS[1]}" 1
fi
"$RUNNEL" -j1 echo ::: a b >&- 2>err.text
is "standard output is closed: status" $? 1
matches "standard output is closed" "$(head -n1 err.text)" \
    '^runnel: job 1 \(input "a"\): cannot write its output: Bad file descriptor$'
"$RUNNEL" -j1 sh -c 'echo "$0"; echo e >&2' ::: a 2>&- >out.text
is "standard error is closed: output" "$(cat out.text)" a

# The reader goes away: says whose output that was, dies of SIGPIPE as other programs, and leaves nobody.
mkfifo results
fifo never ready started
lose_reader() { # once job 2 runs, for job 1 to find out
    exec 5<results
    exec 5<&-
    next started
    echo >&"$ready"
    wait "$pid" 2>/dev/null
}
cat >job <<'EOF'
if [ "$1" = 2 ]; then echo $$ >pid; echo >started; read -r x <never; fi
read -r x <ready
echo "$1"
EOF
(runnel_with_signals -j2 sh job ::: 1 2 3 4 >results 2>err.text) &
pid=$!
lose_reader
is "closed pipe: dies of SIGPIPE" $? 141
is "closed pipe: the first job is named, the others are counted" "$(cat err.text)" \
    'runnel: job 1 (input "1"): cannot write its output: Broken pipe
runnel: since then ended, or without their output: 1 more'
is_gone "closed pipe" "$(cat pid 2>/dev/null || echo 0)"
yes | env --default-signal=PIPE "$RUNNEL" -j2 echo 2>err.text | head -n 3 >out.text
is "endless input into head" "${PIPESTATUS[1]} $(cat out.text)" "141 y
y
y"
matches "endless input into head: is told" "$(head -n1 err.text)" \
    '^runnel: job [0-9]+ \(input "y"\): cannot write its output: Broken pipe$'
is "endless input into head: is told in short" "$(($(wc -l <err.text) <= 2))" 1
yes | env --default-signal=PIPE "$RUNNEL" -j2 sh -c 'echo "$0" >&2' 2>&1 | head -n1 >out.text
is "the same where jobs write to standard error" "${PIPESTATUS[1]} $(cat out.text)" "141 y"
yes | env --default-signal=PIPE "$RUNNEL" -j2 false 2>&1 | head -n1 >out.text
is "and where only runnel does" "${PIPESTATUS[1]} $(wc -l <out.text)" "141 1"
env --default-signal=PIPE "$RUNNEL" -j1 sh -c 'echo >started; read -r x <ready; echo "$0"; exit 3' \
    ::: a b >results 2>err.text &
pid=$!
lose_reader
is "closed pipe: the job's own failure is told, too" "$(cat err.text)" \
    'runnel: job 1 (input "a"): cannot write its output: Broken pipe
runnel: job 1 (input "a"): exit status 3'
(
    trap '' PIPE
    exec "$RUNNEL" -j2 sh job ::: 1 2 3 4 >results 2>err.text
) &
pid=$!
lose_reader
is "closed pipe, SIGPIPE ignored: status" $? 1
matches "closed pipe, SIGPIPE ignored: the job is named" "$(head -n1 err.text)" \
    '^runnel: job 1 \(input "1"\): cannot write its output: Broken pipe$'
matches "closed pipe, SIGPIPE ignored: so is who was running" "$(cat err.text)" \
    '^runnel: job 2 \(input "2"\): ended before it was done$'
matches_not "closed pipe, SIGPIPE ignored: no other starts" "$(cat err.text)" 'job 4'
is_gone "closed pipe, SIGPIPE ignored" "$(cat pid 2>/dev/null || echo 0)"

# Jobs hold until the first that cannot be started is told, and are then all released.
# release_all WHAT JOBS REASON
release_all() {
    next messages
    matches "$1: is told" "$got" \
        "^runnel: job [0-9]+ \(input \"[0-9]+\"\): cannot be started yet: $3\$"
    yes '' | head -n "$2" >&"$release"
    wait "$pid"
    is "$1: status" $? 0
    is "$1: all were run" "$(sort -n out.text)" "$(seq "$2")"
}
fifo messages release
hold='read -r x <release; echo "$0"'
(
    ulimit -n 50
    seq 60 | "$RUNNEL" -j 60 sh -c "$hold" >out.text 2>messages
) &
pid=$!
release_all "few descriptors" 60 "Too many open files"

# Room for one or two at a time: what the others hold while they try is no reason to give up.
for i in 1 2 3 4 5; do
    (
        for fd in /proc/self/fd/*; do # those that the test was started with count too
            fd=${fd##*/}
            [ "$fd" -le 2 ] || eval "exec $fd>&-"
        done
        ulimit -n 14
        seq 400 | RUNNEL_WORKERS=2 "$RUNNEL" -j 20 true 2>err.text
    )
    is "next to no descriptors, again and again" $? 0
done

# So few that not one job can be started.
(
    ulimit -n 9
    "$RUNNEL" -j 2 sh -c 'echo "$0"' ::: a b >out.text 2>err.text
)
is "no descriptors: status" $? 1
matches "no descriptors" "$(cat err.text)" \
    '^runnel: .*: Too many open files'

# The limit on processes does not bind root, so somebody else is asked.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$folder"
    install -m 755 "$RUNNEL" ./copy
    rm messages release
    fifo messages release
    chmod 666 messages release
    seq 30 | RUNNEL_WORKERS=2 setpriv --reuid=60123 --regid=60123 --clear-groups \
        bash -c "ulimit -u 10; exec ./copy -j 20 sh -c '$hold'" >out.text 2>messages &
    pid=$!
    release_all "few processes" 30 "Resource temporarily unavailable"
fi

# No /dev/null, as in a bare chroot: that is said, and not that the command is not found.
bare='mount -t tmpfs none /dev && "$@"'
if unshare -m sh -c "$bare" sh true 2>err.text; then
    run unshare -m sh -c "$bare" sh "$RUNNEL" echo ::: a b
    is "no /dev/null" "$status $err" "1 runnel: cannot open /dev/null: No such file or directory"
    run unshare -m sh -c "$bare" sh "$RUNNEL" --dry-run echo ::: a
    is "no /dev/null, none needed" "$status $out" "0 echo a"
fi

# Arguments that are too long together fail the job that they are for.
long=$(head -c 100000 /dev/zero | tr '\0' x)
places=({} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {})
run "$RUNNEL" -j1 true "${places[@]}" ::: short "$long" short
is "arguments too long: status" "$status" 126
matches "arguments too long" "$err" \
    '^runnel: job 2 \(input "x+\.\.\."\): cannot run "true": Argument list too long$'
is "arguments too long: the others run" "$(wc -l <err.text)" 1
finish
