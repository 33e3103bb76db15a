#!/bin/sh
# files.sh [PATTERN...]: names the tree's files that match one of the patterns ('*.c', 'src/*.h';
# all without one), one a line, in a fixed order: what git tracks or would track, and without git (a
# tarball) what lies here outside build/. A pattern's * matches slashes too.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- '*'
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ]; then
    git ls-files --cached --others --exclude-standard -- "$@"
else
    for pattern; do
        find . -path ./build -prune -o -type f -path "./$pattern" -print
    done | sed 's|^\./||'
fi | LC_ALL=C sort -u | while IFS= read -r file; do
    [ ! -f "$file" ] || printf '%s\n' "$file"
done
