#!/bin/sh
# run.sh RUNNEL: hashes every file that git tracks here with sha256sum, four at a time and in order,
# and then says whether the result is that of a plain sequential run.
set -eu
runnel=$(realpath "$1")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Without git, or before the first commit: what lies here outside build/.
top=$(git rev-parse --show-toplevel 2>/dev/null) || top=
if [ "$top" = "$(pwd -P)" ] && [ -n "$(git ls-files)" ]; then
    git ls-files -z
else
    find . \( -path ./build -o -path ./.git \) -prune -o -type f -print0 | sort -z
fi | xargs -0 sh -c 'for file; do [ ! -f "$file" ] || printf "%s\0" "$file"; done' - >"$work/files"

"$runnel" -0 -k -j4 --progress sha256sum <"$work/files" >"$work/parallel"
xargs -0 sha256sum <"$work/files" >"$work/sequential"

tail -n 3 "$work/parallel"
count=$(wc -l <"$work/sequential")
if ! cmp "$work/parallel" "$work/sequential"; then
    echo "run.sh: the two runs differ"
    exit 1
fi
echo "$count files: four at a time and in order gives what one after another gives."
