#!/bin/sh
# man.sh DIR VERSION: makes the man pages of the public headers in DIR/man3 and DIR/man7.
set -eu
cd "$(dirname "$0")/.."
out=$1
rm -rf "$out/man3" "$out/man7"
mkdir -p "$out/man3" "$out/man7"
LC_ALL=C awk -v out="$out" -v version="$2" -f tools/man.awk include/runnel.h include/runnel/*.h

# What no page shows, nobody would find.
missing=$(tools/exports.sh --list | while read -r name; do
    grep -q "[ *]$name(" "$out"/man3/*.3 || echo "$name"
done)
if [ -n "$missing" ]; then
    echo "on no man page:" $missing >&2
    exit 1
fi
