# A job that wants the terminal is stopped by the kernel; that is said, once, instead of waiting in silence.
. "$(dirname "$0")/lib.sh"

if ! command -v script >/dev/null; then # it gives a terminal
    echo "skipped: there is no script(1)"
    exit 0
fi
mkfifo said
cat >job <<'EOF2'
echo $$ >pid
read -r x </dev/tty
EOF2
script -qec "'$RUNNEL' -j1 sh job ::: a 2>&1" /dev/null </dev/null >said &
exec 5<said
IFS= read -r line <&5
matches "a job that reads from the terminal is named" "$line" \
    '^runnel: job 1 \(input "a"\): stopped \(SIGTTIN\): it wants the terminal, which no job may use'
kill -CONT "$(cat pid)" # it is stopped again, which is told again: the first was no mistake
IFS= read -r line <&5
matches "and again when it tries again" "$line" 'stopped \(SIGTTIN\)'
kill -KILL "$(cat pid)"
rest=$(cat <&5)
exec 5<&-
matches "then it is waited for as any other" "$rest" \
    'runnel: job 1 \(input "a"\): killed by SIGKILL'
wait $!
finish
