# --progress: a line on a terminal, and a summary at the end.
. "$(dirname "$0")/lib.sh"

run "$RUNNEL" --progress -j1 sh -c 'echo "$0"; exit $0' ::: 0 1 0
is "no terminal: the output is untouched" "$out" "0
1
0"
is "no terminal: no escapes, only the report and the summary" "$(wc -l <err.text)" 2
matches "the summary" "$(tail -n1 err.text)" \
    '^runnel: 3 jobs, 1 failed, [0-9]+\.[0-9]{2} s, [0-9.]+ jobs/s$'
is "the status is the same" "$status" 123
run "$RUNNEL" --progress true :::
matches "no jobs" "$err" '^runnel: 0 jobs, 0 failed'
run "$RUNNEL" true ::: a
is "without --progress nothing is said" "$err" ""

# On a terminal: script(1) gives one, and stdout stays a file so that only the line and messages are
# seen.
if command -v script >/dev/null; then
    mkfifo drawn
    fifo release
    # Jobs hold until the line was drawn: the reader of the terminal's output says so.
    cat >job <<'EOF'
read -r x <release
echo "$1"
[ "$1" != 2 ]
EOF
    line="stty cols 100; '$RUNNEL' --progress -k -j1 sh job ::: 1 2 3 2>&1 >out.text"
    script -qec "$line" /dev/null </dev/null >drawn &
    exec 5<drawn
    text=
    for i in 1 2 3; do
        IFS= read -r -d g word <&5 # each drawing has one g, in "running"
        text+=${word}g
        echo >release
    done
    text+=$(cat <&5)
    exec 5<&-
    wait $!
    matches "the line" "$text" \
        '[0-3]/3 done, [01] failed, [01] running, [0-9.]+ jobs/s, [0-9]+\.[0-9] s'
    matches "a message takes the line away first" "$text" \
        $'\033\\[Krunnel: job 2 \\(input "2"\\): exit status 1'
    matches "the summary takes the line away first" "$(printf %s "$text" | tail -n1)" \
        '(^|K)runnel: 3 jobs, 1 failed'
    is "the output has none of it" "$(cat out.text)" "1
2
3"

    # Outputs that do not end their last line, on the same terminal. The next job holds until the
    # line was drawn behind them.
    cat >job <<'EOF'
read -r x <release
printf "VALUE-$1"
EOF
    line="stty cols 100; '$RUNNEL' --progress -j1 sh job ::: 1 2 3 2>&1"
    script -qec "$line" /dev/null </dev/null >drawn &
    exec 5<drawn
    text=
    for i in 0 1 2; do
        word=
        until [[ $word = *$i/3* ]]; do
            IFS= read -r -d g word <&5 || break
            text+=${word}g
        done
        echo >release
    done
    text+=$(cat <&5)
    exec 5<&-
    wait $!
    matches_not "no output is erased" "$text" $'VALUE-.\r\033'
    is "the line begins below it" "$(grep -c $'VALUE-.\r$' <<<"$text")" 3
    matches "so does the summary" "$(tail -n1 <<<"$text")" '^runnel: 3 jobs'
fi
finish
