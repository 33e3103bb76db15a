#!/usr/bin/env bash
# package.sh [BUILD]: installs a build below a temporary folder, and builds and runs programs
# outside the tree against what was installed: by pkg-config and by find_package, with the shared
# and with the static library, and the README's first program.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
cc=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
prefix=$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$build/CMakeCache.txt")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

DESTDIR=$root cmake --install "$build" >"$work/log"
installed=$root$prefix
pc=$(find "$installed" -name runnel.pc)
libdir=$(dirname "$(dirname "$pc")")
cp -r tests/package "$work/outside"
cd "$work/outside"

# expect WHAT LIBRARY PROGRAM: it says what main.c says, and is linked with that library.
expect() {
    local output
    output=$(LD_LIBRARY_PATH=$libdir "$3")
    [[ $output =~ ^runnel\ [0-9.]+:\ 6$ ]] || {
        echo "$1: said '$output'"
        exit 1
    }
    if [ "$2" = shared ]; then
        readelf -d "$3" | grep -q 'NEEDED.*librunnel\.so\.0'
    else
        ! readelf -d "$3" | grep -q librunnel
    fi || {
        echo "$1: not linked with the $2 library"
        exit 1
    }
    echo "package.sh: $1: $output"
}

export PKG_CONFIG_LIBDIR=$libdir/pkgconfig
flags=(-std=gnu11 -Wall -Wextra -Werror -O2)
read -r -a shared < <(pkg-config --cflags --libs runnel)
read -r -a static < <(pkg-config --static --cflags --libs runnel)
"$cc" "${flags[@]}" main.c -o by-pkg-config "${shared[@]}"
expect "pkg-config, shared" shared ./by-pkg-config
"$cc" "${flags[@]}" main.c -o by-pkg-config-static -static "${static[@]}"
expect "pkg-config, static" static ./by-pkg-config-static

cmake -S . -B build -DCMAKE_PREFIX_PATH="$installed" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_C_FLAGS="${flags[*]}" >>"$work/log"
cmake --build build >>"$work/log"
expect "find_package, shared" shared build/with-shared
expect "find_package, static" static build/with-static

[ -s "$installed/share/man/man3/rn_send.3" ] && [ -s "$installed/share/man/man7/rn_chan.7" ] || {
    echo "the man pages are not installed"
    exit 1
}
[ "$("$installed/bin/runnel" -k echo ::: a b | tr '\n' ' ')" = "a b " ] || {
    echo "the installed command does not run"
    exit 1
}

sed -n '/^```c$/,/^```$/{ /^```$/q; /^```c$/d; p; }' "$OLDPWD/README.md" >readme.c
[ -s readme.c ] || {
    echo "README.md shows no program"
    exit 1
}
"$cc" "${flags[@]}" readme.c -o readme "${shared[@]}"
echo "package.sh: the README's program says:"
LD_LIBRARY_PATH=$libdir ./readme
