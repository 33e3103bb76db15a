#!/bin/sh
# exports.sh                   writes each library's map from its public headers' RN_API declarations
# exports.sh --check [BUILD]   says whether the maps are that, and whether the libraries in BUILD export it
# exports.sh --list            names what the headers declare
#
# A library of its own, beside librunnel, has the headers include/runnel/NAME*.h and the sources in a folder with
# NAME.map.
set -eu
cd "$(dirname "$0")/.."
node=RUNNEL_0

# Each line: library, its map, its headers.
libraries() {
    cat <<'END'
runnel src/runnel.map *
runnel-http src/http/http.map include/runnel/http*.h
runnel-tls src/ext/tls/tls.map include/runnel/tls*.h
runnel-curl src/ext/curl/curl.map include/runnel/curl*.h
END
}

# headers_of PATTERN: * stands for what no other library has.
headers_of() {
    if [ "$1" = '*' ]; then
        tools/files.sh 'include/*.h' | grep -Ev '^include/runnel/(http|tls|curl)[^/]*$'
    else
        tools/files.sh "$1"
    fi
}

symbols_of() { # PATTERN
    headers=$(headers_of "$1")
    [ -z "$headers" ] || awk -f tools/symbols.awk $headers | LC_ALL=C sort -u
}

generate() { # PATTERN
    printf '%s {\n    global:\n' "$node"
    symbols_of "$1" | sed 's/.*/        &;/'
    printf '    local:\n        *;\n};\n'
}

exported() {
    nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort -u
}

write_maps() {
    libraries | while read -r library map pattern; do
        [ -d "$(dirname "$map")" ] || continue
        generate "$pattern" >"$map.new"
        mv "$map.new" "$map"
    done
}

check_map() { # MAP PATTERN
    generate "$2" | diff -u "$1" - || {
        echo "$1 is not what the headers declare: run tools/exports.sh"
        return 1
    }
}

check_library() { # FILE PATTERN
    declared=$(mktemp)
    symbols_of "$2" >"$declared"
    exported "$1" | diff -u "$declared" - || {
        rm -f "$declared"
        echo "$1 exports something else than the headers declare (-: missing, +: too many)"
        return 1
    }
    rm -f "$declared"
}

check() { # [BUILD]
    libraries | {
        wrong=0
        while read -r library map pattern; do
            [ -f "$map" ] || continue
            check_map "$map" "$pattern" || wrong=1
            [ -z "${1:-}" ] || [ ! -f "$1/lib$library.so" ] ||
                check_library "$1/lib$library.so" "$pattern" || wrong=1
        done
        [ -z "${1:-}" ] || [ -f "$1/librunnel.so" ] || {
            echo "$1 holds no librunnel.so"
            wrong=1
        }
        exit "$wrong"
    }
}

case ${1:-} in
'') write_maps ;;
--list) symbols_of 'include/*.h' ;;
--check) check "${2:-}" ;;
*)
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
    ;;
esac
