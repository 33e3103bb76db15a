#!/bin/sh
# man.sh DIR VERSION: makes the man pages of the public headers in DIR/man3 and DIR/man7.
set -eu
cd "$(dirname "$0")/.."
out=$1
rm -rf "$out/man3" "$out/man7"
mkdir -p "$out/man3" "$out/man7"
LC_ALL=C awk -v out="$out" -v version="$2" -f tools/man.awk include/runnel.h include/runnel/*.h

# A page in section 3 exists for each documented function; other references are to headers.
for page in "$out"/man7/rn_*.7; do
    name=$(basename "$page" .7)
    [ -e "$out/man3/$name.3" ] || printf 's/fB%s\\\\fP(3)/fB%s\\\\fP(7)/g\n' "$name" "$name"
done >"$out/to7.sed"
sed -i -f "$out/to7.sed" "$out"/man3/*.3 "$out"/man7/*.7
rm "$out/to7.sed"

failed=0
references=$(sed -n '/^\.SH SEE ALSO/,$p' "$out"/man3/*.3 "$out"/man7/*.7 |
    grep -o 'fBrn_[a-z0-9_]*\\fP([37])' | sort -u | tr -d '\\()' | sed 's/^fB//; s/fP/./')
for page in $references; do
    [ -e "$out/man${page#*.}/$page" ] || {
        echo "$page: some page refers to it, and it does not exist" >&2
        failed=1
    }
done

# Each member of each public struct.
for header in include/runnel/*.h; do
    page=$out/man7/rn_$(basename "$header" .h).7
    [ -e "$page" ] || continue
    for member in $(awk '/^typedef (struct|union).*\{$/ { inside = 1; next } /^}/ { inside = 0 }
        inside && /^    [^ \/*].*;/ { sub(/;.*/, ""); sub(/\)\(.*/, ""); sub(/\[.*/, ""); sub(/.*[ *]/, ""); print }' \
        "$header"); do
        sed -n '/^\.SH TYPES/,/^\.SH /p' "$page" | grep -qw -- "$member" || {
            echo "$(basename "$page"): lacks the member $member" >&2
            failed=1
        }
    done
done
[ "$failed" -eq 0 ]

# What no page shows, nobody would find.
missing=$(tools/exports.sh --list | while read -r name; do
    grep -q "[ *]$name(" "$out"/man3/*.3 || echo "$name"
done)
if [ -n "$missing" ]; then
    echo "on no man page:" $missing >&2
    exit 1
fi
