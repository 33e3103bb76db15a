# Exit statuses, and the line that reports a failed job.
. "$(dirname "$0")/lib.sh"

run "$RUNNEL" true ::: a b c
is "all succeeded" "$status $out $err" "0  "
run "$RUNNEL" -j1 sh -c 'exit $0' ::: 0 3 0
is "a job failed" "$status" 123
is "and is reported in one line" "$err" 'runnel: job 2 (input "3"): exit status 3'
run "$RUNNEL" -j1 sh -c 'printf partial >&2; exit $0' ::: 3 0 4
is "the report is a line of its own where stderr did not end its last one" "$err" \
    'partial
runnel: job 1 (input "3"): exit status 3
partialpartial
runnel: job 3 (input "4"): exit status 4'
run "$RUNNEL" -j1 sh -c 'printf partial; exit 3' ::: a
is "a line that stdout did not end is elsewhere" "$out $err" \
    'partial runnel: job 1 (input "a"): exit status 3'
"$RUNNEL" -j1 sh -c 'printf partial; exit 3' ::: a b >both.text 2>&1
is "but not where both go to one file" "$(cat both.text)" 'partial
runnel: job 1 (input "a"): exit status 3
partial
runnel: job 2 (input "b"): exit status 3'
"$RUNNEL" -j1 sh -c 'printf partial; exit 3' ::: a 2>&1 | cat >both.text
is "or into one pipe" "$(cat both.text)" 'partial
runnel: job 1 (input "a"): exit status 3'
run "$RUNNEL" sh -c 'exit 255' ::: a
is "exit status 255 is a failure like others" "$status" 123
run "$RUNNEL" sh -c 'exit 126' ::: a
is "exit status 126 of a job is a failure like others" "$status" 123
if command -v setsid >/dev/null; then
    run "$RUNNEL" setsid sh -c 'exit 3' ::: a
    is "a job leads its process group, so setsid does not wait" "$status" 0
    run "$RUNNEL" setsid --wait sh -c 'exit 3' ::: a
    is "setsid --wait hands the status on" "$err" 'runnel: job 1 (input "a"): exit status 3'
fi
run "$RUNNEL" -k sh -c 'echo "$0"; exit 1' ::: a b
is "the others run on; outputs of failed jobs are printed" "$out" "a
b"
run "$RUNNEL" sh -c 'kill -KILL $$' ::: a
is "killed by a signal" "$status" 125
is "killed by a signal is reported" "$err" 'runnel: job 1 (input "a"): killed by SIGKILL'
run "$RUNNEL" -j1 sh -c 'kill -TERM $$' ::: a
matches "the signal is named" "$err" 'killed by SIGTERM$'

run "$RUNNEL" -j1 ./nowhere ::: a b
is "not found" "$status" 127
matches "not found is reported" "$err" \
    '^runnel: job 1 \(input "a"\): cannot run "./nowhere": No such file or directory'
matches_not "no job follows one that cannot be found" "$err" 'job 2'
run "$RUNNEL" -j1 './{}-{#}' ::: no where
is "a name that the input makes is shown as it was run" "$status $err" \
    '127 runnel: job 1 (input "no"): cannot run "./no-1": No such file or directory
runnel: job 2 (input "where"): cannot run "./where-2": No such file or directory'
run "$RUNNEL" -j1 no-such-command-anywhere ::: a
is "not found in PATH" "$status" 127
yes | run "$RUNNEL" no-such-command-anywhere
is "an endless input ends when the command does not exist" "$status" 127
echo text >plain
run "$RUNNEL" -j1 ./plain ::: a b
is "not executable" "$status" 126
matches "not executable is reported" "$err" \
    '^runnel: job 1 \(input "a"\): cannot run "./plain": Permission denied'
matches_not "no job follows one that cannot be executed" "$err" 'job 2'
mkdir folder
run "$RUNNEL" -j1 ./folder ::: a
is "a folder cannot be executed" "$status" 126
printf 'echo "$0 $1"\n' >no-first-line
chmod +x no-first-line
run "$RUNNEL" -j1 ./no-first-line ::: 'a  b'
is "a script without #! is run by sh" "$status $out $err" "0 ./no-first-line a  b "
PATH=$folder:$PATH run "$RUNNEL" -j1 no-first-line ::: a
is "the same from PATH" "$status $out" "0 $folder/no-first-line a"
printf '\177ELF\0\n' >no-program
chmod +x no-program
run "$RUNNEL" -j1 ./no-program ::: a
is "neither program nor text" "$status" 126
matches "neither program nor text" "$err" 'cannot run "./no-program": Exec format error$'
printf '#!/no/such/shell\n' >script
chmod +x script
run "$RUNNEL" -j1 ./script ::: a
is "no interpreter" "$status" 127
is "no interpreter: it is named" "$err" 'runnel: job 1 (input "a"): cannot run "./script":'\
' its interpreter "/no/such/shell": No such file or directory'
printf '#! /bin/sh\r\n' >from-windows
chmod +x from-windows
PATH=$folder:$PATH run "$RUNNEL" -j1 from-windows ::: a
matches "an interpreter that ends with a carriage return" "$err" \
    'cannot run "from-windows": its interpreter "/bin/sh.x0d": No such file or directory$'

printf '#!/bin/sh\necho ran\n' >there
chmod +x there
run "$RUNNEL" -j1 ./{} ::: nowhere there plain
is "a name made of the input: the others run" "$out" ran
is "the highest status is told" "$status" 127
run "$RUNNEL" -j1 sh -c '[ $0 = 1 ] && exit 7; kill -KILL $$' ::: 1 2
is "a signal counts more than a status" "$status" 125

# What is shown of an input.
run "$RUNNEL" false ::: "$(printf 'a"b\\c\nd\te\033[1m\377\303\244')"
is "inputs are shown so that a terminal is safe" "$err" \
    "runnel: job 1 (input \"a\\\"b\\\\c\\nd\\te\\x1b[1m\\xffä\"): exit status 1"
run "$RUNNEL" false ::: "$(printf '%0500d' 0)"
matches "long inputs are cut" "$err" '^runnel: job 1 \(input "0{40,120}\.\.\."\): exit status 1$'

# --fail-fast
run "$RUNNEL" -j1 --fail-fast sh -c 'echo "$0"; exit $0' ::: 0 7 0
is "--fail-fast: the job's own status" "$status" 7
is "--fail-fast: nothing starts after the failure" "$out" "0
7"
run "$RUNNEL" -j1 --fail-fast sh -c 'kill -KILL $$' ::: a b
is "--fail-fast: killed by a signal is 128+n" "$status" 137
run "$RUNNEL" --fail-fast ./nowhere ::: a
is "--fail-fast: not found" "$status" 127
run "$RUNNEL" --fail-fast true ::: a b
is "--fail-fast: all succeeded" "$status" 0

# The running job is ended: it waits for something that never comes.
fifo never ready
run "$RUNNEL" -j2 --fail-fast sh -c '
    if [ "$0" = 1 ]; then echo $$ >pid; echo before; echo >ready; read -r x <never; echo after; fi
    read -r x <ready; exit 9' ::: 1 2 3
is "--fail-fast ends running jobs" "$status" 9
is "what they had written is printed" "$out" before
matches "they are reported" "$err" '^runnel: job 1 \(input "1"\): ended before it was done$'
matches "the failure is reported" "$err" '^runnel: job 2 \(input "2"\): exit status 9$'
matches_not "and no other" "$err" 'job 3'
is_gone "the ended job" "$(cat pid)"
yes | run "$RUNNEL" -k --fail-fast false
is "--fail-fast ends an endless input" "$status" 1
finish
