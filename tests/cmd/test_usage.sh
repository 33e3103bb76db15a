# The command line: what is understood, and what is said when it is not.
. "$(dirname "$0")/lib.sh"

run "$RUNNEL" --help
is "--help: status" "$status" 0
matches "--help: usage" "$out" '^Usage: runnel \[OPTION\.\.\.\] COMMAND'
is "--help: nothing on stderr" "$err" ""
for option in --jobs --keep-order --null --timeout --fail-fast --dry-run --progress --shell \
    --version; do
    matches "--help names $option" "$out" "$option"
done

run "$RUNNEL" --version
is "--version: status" "$status" 0
matches "--version" "$out" '^runnel [0-9]+\.[0-9]+\.[0-9]+$'

run "$RUNNEL" --help --nonsense
is "--help answers before what is wrong behind it" "$status" 0

# wrong PATTERN WORD...: exit status 1, nothing on stdout, what is wrong, and where help is
wrong() {
    local pattern=$1
    shift
    run "$RUNNEL" "$@" </dev/null
    is "wrong usage '$*': status" "$status" 1
    is "wrong usage '$*': stdout" "$out" ""
    matches "wrong usage '$*'" "$err" "^runnel: $pattern"
    matches "wrong usage '$*' says where help is" "$err" "try 'runnel --help'"
}
wrong "no command given"
wrong "no command given" -j 2
wrong "no command given" ::: a b
wrong "unknown option '-x'" -x true
wrong "unknown option '-x'" -kx true
wrong "unknown option '-x'" --dry-run -xk true
wrong "unknown option '-x'" -k -xj2 true
wrong "unknown option '-:'" --dry-run -:k true
wrong "unknown or ambiguous option '--nonsense'" --nonsense true
wrong "option '--dry-run=yes' takes no value" --dry-run=yes true
wrong "option '--keep-order=yes' takes no value" -k --keep-order=yes true
wrong "option '-j' wants a value" -j
wrong "option '--timeout' wants a value" --timeout
wrong "-j wants a number from 1 to [0-9]+, not '0'" -j 0 true
wrong "-j wants a number from 1 to [0-9]+, not '-1'" -j -1 true
wrong "-j wants a number from 1 to [0-9]+, not '4x'" -j4x true
wrong "-j wants a number from 1 to [0-9]+, not ' 4'" -j ' 4' true
wrong "-j wants a number from 1 to [0-9]+, not ''" -j '' true
wrong "-j wants a number from 1 to [0-9]+, not '99999999999999999999'" -j 99999999999999999999 true
wrong "--timeout wants a duration" --timeout soon true
wrong "--timeout wants a duration" --timeout 5y true
wrong "--timeout wants a duration" --timeout '' true
wrong "--timeout wants a duration" --timeout . true
wrong "--timeout wants a duration" --timeout -1s true
wrong "--timeout wants a duration" --timeout 1s2 true
wrong "--timeout wants more than 0" --timeout 0 true
wrong "--timeout wants more than 0" --timeout 0.0ms true
wrong "--timeout 99999999999999999999s is too long" --timeout 99999999999999999999s true
wrong "--timeout 9999999999h is too long" --timeout 9999999999h true

for duration in 500ms 10s 2m 1h 1.5s .5m 30 100000us 1d; do
    run "$RUNNEL" --timeout "$duration" echo ::: x
    is "--timeout $duration" "$status $out $err" "0 x "
done

# The command's own options are left alone, wherever they stand.
run "$RUNNEL" -j2 -k echo -k --help -j ::: x
is "options behind the command are its own" "$out" "-k --help -j x"
run "$RUNNEL" -k -- echo -n- ::: x
is "-- ends the options" "$out" "-n- x"
run "$RUNNEL" --jobs=2 --keep-order echo ::: x y
is "long options" "$out" "x
y"
run "$RUNNEL" --keep echo ::: x
is "an abbreviated long option" "$out" "x"
run "$RUNNEL" echo ::: a ::: b
is "the second ::: is an input" "$(sort out.text)" ":::
a
b"
run "$RUNNEL" echo :::
is "::: without inputs: no jobs" "$status $out $err" "0  "
run "$RUNNEL" false </dev/null
is "no input: no jobs" "$status $out $err" "0  "

if [ -w /dev/full ]; then
    "$RUNNEL" --help >/dev/full 2>err.text
    is "--help on a full disk: status" $? 1
    matches "--help on a full disk" "$(cat err.text)" "cannot write to standard output"
fi
finish
