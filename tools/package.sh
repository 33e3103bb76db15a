#!/usr/bin/env bash
# package.sh [BUILD]: installs a build below a temporary folder, and builds and runs programs
# outside the tree against what was installed: by pkg-config and by find_package, with the shared
# and with the static libraries, and the README's first program.
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

# expect_extension WHAT LIBRARY NAME PROGRAM: the same for librunnel-NAME.
expect_extension() {
    local output
    output=$(LD_LIBRARY_PATH=$libdir "$4")
    [[ $output == "$3: "* ]] || {
        echo "$1, $3: said '$output'"
        exit 1
    }
    if [ "$2" = shared ]; then
        readelf -d "$4" | grep -q "NEEDED.*librunnel-$3\.so\.0"
    else
        ! readelf -d "$4" | grep -q librunnel
    fi || {
        echo "$1, $3: not linked with the $2 library"
        exit 1
    }
    echo "package.sh: $1: $output"
}

export PKG_CONFIG_PATH=$libdir/pkgconfig
flags=(-std=gnu11 -Wall -Wextra -Werror -O2)
read -r -a shared < <(pkg-config --cflags --libs runnel)
read -r -a static < <(pkg-config --static --cflags --libs runnel)
"$cc" "${flags[@]}" main.c -o by-pkg-config "${shared[@]}"
expect "pkg-config, shared" shared ./by-pkg-config
"$cc" "${flags[@]}" main.c -o by-pkg-config-static -static "${static[@]}"
expect "pkg-config, static" static ./by-pkg-config-static

# The libraries beside it, as far as they were built: NAME.c says "NAME: ..." and needs that one only.
components=()
for name in http tls curl; do
    [ -f "$libdir/pkgconfig/runnel-$name.pc" ] || continue
    components+=("$name")
    read -r -a shared_extension < <(pkg-config --cflags --libs "runnel-$name")
    # Ours static, others' shared: not everything that those need to be static is here.
    others=$(pkg-config --print-requires-private "runnel-$name")
    read -r -a static_extension < <([ -n "$others" ] && pkg-config --libs $others ||
        pkg-config --static --libs "runnel-$name")
    "$cc" "${flags[@]}" "$name.c" -o "$name-shared" "${shared_extension[@]}"
    expect_extension "pkg-config, shared" shared "$name" "./$name-shared"
    "$cc" "${flags[@]}" "$name.c" -o "$name-static" "-I$installed/include" -Wl,-Bstatic "-L$libdir" "-lrunnel-$name" -lrunnel \
        -Wl,-Bdynamic "${static_extension[@]}"
    expect_extension "pkg-config, static" static "$name" "./$name-static"
done

cmake -S . -B build -DCOMPONENTS="$(IFS=';' && echo "${components[*]-}")" -DCMAKE_PREFIX_PATH="$installed" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_C_FLAGS="${flags[*]}" >>"$work/log"
cmake --build build >>"$work/log"
expect "find_package, shared" shared build/with-shared
expect "find_package, static" static build/with-static
for name in ${components[@]+"${components[@]}"}; do
    expect_extension "find_package, shared" shared "$name" "build/$name-shared"
    expect_extension "find_package, static" static "$name" "build/$name-static"
done

refusal=$(cmake -S . -B build-wrong -DCOMPONENTS=htpp -DCMAKE_PREFIX_PATH="$installed" -DCMAKE_C_COMPILER="$cc" 2>&1 |
    tr -s ' \n' ' ') || true
[[ $refusal == *"there is no component htpp, but http, tls and curl"* ]] || {
    echo "find_package with a wrong component: said '$refusal'"
    exit 1
}

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
