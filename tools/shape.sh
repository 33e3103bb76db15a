#!/bin/sh
# shape.sh: the limits that keep files readable: 800 lines a file, 70 lines a function (from a { to
# a } in the first column), 100 columns, nothing left for later, and no test that waits for time to
# pass.
set -eu
cd "$(dirname "$0")/.."
# Written so that they do not find themselves.
later='TO''DO|FIX''ME'
sleeping='(^|[^a-zA-Z0-9_])(u|nano)?sleep[ ]*[(]'

tools/files.sh '*.[chS]' '*.sh' '*.awk' '*.cmake' '*CMakeLists.txt' '*.go' .ci/run Makefile |
    LATER=$later SLEEPING=$sleeping xargs awk '
BEGIN {
    LINES_PER_FILE_MAX = 800
    LINES_PER_FUNCTION_MAX = 70
    COLUMNS_MAX = 100
    later = ENVIRON["LATER"]
    sleeping = ENVIRON["SLEEPING"]
}
FNR == 1 { finish_file(); file = FILENAME; code = file ~ /\.[ch]$/; start = 0 }
{ lines = FNR }
code && /^{/ { start = FNR }
code && /^}/ {
    if (start && FNR - start > LINES_PER_FUNCTION_MAX)
        complain(start, "a function of " FNR - start " lines")
    start = 0
}
code && length > COLUMNS_MAX { complain(FNR, "a line of " length " columns") }
$0 ~ later { complain(FNR, "left for later: " $0) }
file ~ /^tests\// && code && $0 ~ sleeping { complain(FNR, "a test that sleeps: " $0) }
END { finish_file(); exit wrong }

function finish_file()
{
    if (lines > LINES_PER_FILE_MAX)
        complain(lines, "a file of " lines " lines")
    lines = 0
}

function complain(line, what)
{
    sub(/[ \t]+/, " ", what)
    printf "%s:%d: %s\n", file, line, what
    wrong = 1
}
'
