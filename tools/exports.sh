#!/bin/sh
# exports.sh                     writes src/runnel.map from the public headers' RN_API declarations
# exports.sh --check [LIBRARY]   says whether the map is that, and whether the library exports it
# exports.sh --list              names what the headers declare
set -eu
cd "$(dirname "$0")/.."
node=RUNNEL_0
map=src/runnel.map

symbols() {
    tools/files.sh 'include/*.h' | xargs awk -f tools/symbols.awk | LC_ALL=C sort -u
}

generate() {
    printf '%s {\n    global:\n' "$node"
    symbols | sed 's/.*/        &;/'
    printf '    local:\n        *;\n};\n'
}

exported() {
    nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort -u
}

case ${1:-} in
'')
    generate >"$map.new"
    mv "$map.new" "$map"
    exit
    ;;
--list)
    symbols
    exit
    ;;
esac

wrong=0
generate | diff -u "$map" - || {
    echo "$map is not what the headers declare: run tools/exports.sh"
    wrong=1
}
if [ -n "${2:-}" ]; then
    declared=$(mktemp)
    trap 'rm -f "$declared"' EXIT
    symbols >"$declared"
    exported "$2" | diff -u "$declared" - || {
        echo "$2 exports something else than the headers declare (-: missing, +: too many)"
        wrong=1
    }
fi
exit "$wrong"
