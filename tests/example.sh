#!/bin/sh
# example.sh BASE PROGRAM...: runs an example and holds its output against BASE.expected (line by line), against
# BASE.expected.sorted (in any order), or gives it to the script BASE.check on standard input. One must be there.
set -u
base=$1
shift
output=$("$@" 2>&1) || {
    printf 'exit status %s\n%s\n' "$?" "$output"
    exit 1
}
if [ -f "$base.expected" ]; then
    printf '%s\n' "$output" | diff -u "$base.expected" - && echo ok
elif [ -f "$base.expected.sorted" ]; then
    printf '%s\n' "$output" | LC_ALL=C sort | diff -u "$base.expected.sorted" - && echo ok
elif [ -f "$base.check" ]; then
    printf '%s\n' "$output" | sh "$base.check" && echo ok
else
    echo "$base: neither .expected, .expected.sorted nor .check"
    exit 1
fi
