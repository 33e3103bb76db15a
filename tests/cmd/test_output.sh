# Each job's output is kept whole; -k prints in the order of the inputs.
. "$(dirname "$0")/lib.sh"

run "$RUNNEL" sh -c 'echo out; echo err >&2' ::: x
is "stdout to stdout, stderr to stderr" "$out/$err" "out/err"
run "$RUNNEL" printf '%s' ::: x
is "nothing is added to an output" "$(od -An -c out.text)" "$(printf x | od -An -c)"
run "$RUNNEL" sh -c 'printf "a\0b\377"' ::: x
is "any byte passes" "$(od -An -c out.text)" "$(printf 'a\0b\377' | od -An -c)"

# Two jobs whose lines alternate in time, made so by FIFOs, do not alternate in the output.
fifo to_a to_b
cat >alternate <<'EOF'
if [ "$1" = a ]; then
    echo a1; echo go >to_b; read -r x <to_a; echo a2; echo go >to_b; read -r x <to_a; echo a3
else
    read -r x <to_b; echo b1; echo go >to_a; read -r x <to_b; echo b2; echo go >to_a; echo b3
fi
EOF
run "$RUNNEL" -j2 sh alternate ::: a b
is "outputs are never mixed" "$(sed 's/.$//' out.text | uniq | wc -l)" 2
is "outputs are complete" "$(sort out.text | tr '\n' ' ')" "a1 a2 a3 b1 b2 b3 "

# Each job waits for the one behind it.
fifo done2 done3
cat >backwards <<'EOF'
case $1 in
1) read -r x <done2; echo 1 ;;
2) read -r x <done3; echo 2; echo >done2 ;;
3) echo 3; echo >done3 ;;
esac
EOF
run "$RUNNEL" -k -j3 sh backwards ::: 1 2 3
is "-k: the order of the inputs" "$out" "1
2
3"

# Without -k what is done is printed while others still run: job 1 ends only when job 2's output was
# read.
mkfifo results
fifo release
"$RUNNEL" -j2 sh -c 'if [ "$0" = 1 ]; then read -r x <release; fi; echo "$0"' ::: 1 2 >results &
exec 5<results
read -r got <&5
is "without -k: as they finish" "$got" 2
echo >release
read -r got <&5
is "and then the other" "$got" 1
exec 5<&-
wait $!

# With -k the first in order is printed while the next one runs.
"$RUNNEL" -k -j2 sh -c 'if [ "$0" = 2 ]; then read -r x <release; fi; echo "$0"' ::: 1 2 >results &
exec 5<results
read -r got <&5
is "-k: printed as soon as its turn has come" "$got" 1
echo >release
read -r got <&5
is "-k: and then the next" "$got" 2
exec 5<&-
wait $!

# Outputs larger than pipes, than the memory for one job, than that for all; on both streams at
# once.
cat >large <<'EOF'
head -c "$2" /dev/zero | tr '\0' "$1"
head -c "$2" /dev/zero | tr '\0' "$1" >&2
EOF
for size in 4096 65536 65537 262144 262145 1000000 5000000; do
    run "$RUNNEL" -k -j3 sh large {} "$size" ::: a b c
    for letter in a b c; do
        head -c "$size" /dev/zero | tr '\0' "$letter"
    done >wanted
    is "3 x $size bytes on stdout" "$(cmp out.text wanted 2>&1)" ""
    is "3 x $size bytes on stderr" "$(cmp err.text wanted 2>&1)" ""
done
run "$RUNNEL" -k -j2 seq 1000 ::: 200000 200000 200000
{ seq 1000 200000; seq 1000 200000; seq 1000 200000; } >wanted
is "the text of a large output" "$(cmp out.text wanted 2>&1)" ""

# All finished outputs wait for the first job: more than the memory for all of them.
cat >behind <<'EOF'
if [ "$1" = 1 ]; then read -r x <release; fi
if [ "$1" = 32 ]; then echo >release; fi
head -c 1000000 /dev/zero | tr '\0' x
EOF
seq 40 >input.text
run "$RUNNEL" -k -j2 sh behind <input.text
is "40 MB wait for their turn" "$(tr -d x <out.text | wc -c) $(wc -c <out.text)" "0 40000000"

# -k runs no further ahead than 16 jobs for each at once, but so far.
cat >ahead <<'EOF'
echo "$1" >>started
if [ "$1" = 1 ]; then read -r x <release; wc -l <started; exit; fi
if [ "$1" = 32 ]; then echo >release; fi
EOF
yes | head -n 500 | awk '{ print NR }' >input.text
rm -f started
run "$RUNNEL" -k -j2 sh ahead <input.text
is "-k: the window is used, and not left" "$out" 32

# The temporary file has no name, and lies where TMPDIR says.
mkdir temporary
TMPDIR=$folder/temporary "$RUNNEL" -j1 sh -c 'head -c 3000000 /dev/zero
    ls -l /proc/$PPID/fd >fds; ls -A temporary >names' ::: x >/dev/null
matches "a large output goes to an unnamed file in TMPDIR" "$(cat fds)" \
    "$folder/temporary/.*\(deleted\)"
is "which has no name" "$(cat names)" ""
TMPDIR=$folder/nowhere run "$RUNNEL" -j1 sh -c 'head -c 3000000 /dev/zero' ::: x
is "no place for the temporary file: status" "$status" 1
matches "no place for the temporary file is told" "$err" \
    '^runnel: job 1 \(input "x"\): ended, its output cannot be kept in "'"$folder"'/nowhere": No such file or directory'

# What a job leaves behind and still writes belongs to its output.
run "$RUNNEL" -k sh -c '(read -r x <release; echo late) & echo early; (echo >release) &' ::: x
is "a job is over when nobody holds its output open" "$out" "early
late"
finish
