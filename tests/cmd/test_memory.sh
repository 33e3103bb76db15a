# Memory does not grow with the input: a long run needs what a short one needs.
. "$(dirname "$0")/lib.sh"

# A sanitizer keeps what was freed, and its own books.
case ${CFLAGS:-} in
*sanitize*)
    echo skipped
    exit
    ;;
esac

# A job knows runnel as its parent, and so can say what the most memory was that it ever had.
peak='while read -r name value unit; do
    case $name in VmHWM:) echo "$value" ;; esac
done </proc/$PPID/status'

# most JOBS WORD...: the peak in KiB that the last of so many jobs sees
most() {
    local jobs=$1
    shift
    yes 0123456789 | head -n "$jobs" | "$RUNNEL" "$@" sh -c "$peak" | sort -n | tail -n 1
}
short=$(most 50)
long=$(most 600 --progress 2>/dev/null)
is "600 jobs need what 50 do: $short KiB, $long KiB" $((long < short + 1024)) 1
long=$(most 600 -k)
is "600 jobs in order need what 50 do: $short KiB, $long KiB" $((long < short + 1024)) 1

# A million lines, nothing run: the command's own memory when the last line is out but its end is
# not read.
mkfifo lines
yes 0123456789 | "$RUNNEL" --dry-run echo 2>/dev/null >lines &
pid=$!
exec 5<lines
head -n 1000 <&5 >/dev/null
before=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$pid/status)
head -n 1000000 <&5 >/dev/null
after=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$pid/status)
exec 5<&-
wait $pid 2>/dev/null
is "a million lines need what a thousand do: $before KiB, $after KiB" $((after < before + 512)) 1
finish
