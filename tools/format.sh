#!/bin/sh
# format.sh [--check]: gives every C file the shape of .clang-format, or shows what would change.
#
# clang-format's output depends on its version; CI has 14.
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" != --check ]; then
    tools/files.sh '*.c' '*.h' | xargs clang-format --style=file -i
    exit
fi
wrong=0
for file in $(tools/files.sh '*.c' '*.h'); do
    clang-format --style=file "$file" |
        diff -u --label "$file" --label "$file formatted" "$file" - || wrong=1
done
[ "$wrong" = 0 ] || echo "format.sh: run make format"
exit "$wrong"
