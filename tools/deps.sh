#!/usr/bin/env bash
# deps.sh GROUP...: sees to it that what the groups need is here. Says nothing when all is.
#
# With apt-get (Debian and its kin) it installs what is missing, through sudo when not root;
# elsewhere it names what is missing and fails.
set -euo pipefail

# Each line: group | what must succeed when it is there | what it is | Debian's packages for it
table() {
    cat <<'END'
build | has_compiler                    | a C compiler with its headers | gcc libc6-dev
build | has make                        | make                          | make
build | has_cmake 3.20                  | cmake (3.20 or later)         | cmake
test | has bash                         | bash                          | bash
test | has script                       | script(1)                     | bsdutils
test | has_header sqlite3.h             | SQLite, for an example        | libsqlite3-dev
test | has_header llhttp.h || has_header http_parser.h | an HTTP parser (llhttp or http-parser) | libhttp-parser-dev
test | has_header openssl/ssl.h         | OpenSSL                       | libssl-dev
test | has openssl                      | openssl(1)                    | openssl
test | has_header curl/curl.h           | libcurl                       | libcurl4-openssl-dev
test | has curl                         | curl(1)                       | curl
bench | has wrk                         | wrk                           | wrk
bench | has nginx || [ -x /usr/sbin/nginx ] | nginx                     | nginx-light
bench | has go || has /usr/local/go/bin/go | Go, for the twins          | golang-go
bench | has xargs                       | xargs                         | findutils
bench | has taskset                     | taskset                       | util-linux
bench | has pgrep                       | pgrep                         | procps
gcc | has gcc && has g++                | gcc and g++                   | gcc g++ libc6-dev
clang | has clang && has clang++        | clang and clang++             | clang g++
format | has clang-format               | clang-format                  | clang-format
sanitizers | has_library libtsan.so     | ThreadSanitizer for gcc       | gcc libc6-dev
sanitizers | has_library libasan.so     | AddressSanitizer for gcc      | gcc libc6-dev
sanitizers | has_library libubsan.so    | UBSan for gcc                 | gcc libc6-dev
valgrind | has valgrind && has_header valgrind/valgrind.h | valgrind and its headers | valgrind
aarch64 | has aarch64-linux-gnu-gcc     | a compiler for aarch64        | gcc-aarch64-linux-gnu
aarch64 | has_aarch64_headers           | its C library                 | libc6-dev-arm64-cross
aarch64 | has qemu-aarch64              | qemu-user                     | qemu-user
package | has pkg-config                | pkg-config                    | pkg-config
man | has groff                         | groff, to check the pages     | groff-base
END
}

has() { command -v "$1" >/dev/null 2>&1; }
has_compiler() { echo '#include <stdio.h>' | "${CC:-cc}" -E - >/dev/null 2>&1; }
has_cmake() {
    local version
    version=$(cmake --version 2>/dev/null | sed -n 's/^cmake version //p') && [ -n "$version" ] &&
        [ "$(printf '%s\n' "$1" "$version" | sort -V | head -n 1)" = "$1" ]
}
has_header() { echo "#include <$1>" | "${CC:-cc}" -E - >/dev/null 2>&1; }
has_library() { case $(gcc -print-file-name="$1" 2>/dev/null) in /*) ;; *) return 1 ;; esac; }
has_aarch64_headers() { echo '#include <stdio.h>' | aarch64-linux-gnu-gcc -E - >/dev/null 2>&1; }

trim() {
    local words
    read -r -a words <<<"$1"
    echo "${words[*]}"
}

packages=()
missing=()
known=" $(table | cut -d' ' -f1 | sort -u | tr '\n' ' ')"
for group; do
    [[ $known == *" $group "* ]] || {
        echo "deps.sh: no group $group; there are:$known" >&2
        exit 2
    }
    while read -r line; do
        [[ $line == "$group |"* ]] || continue
        rest=${line#*| }
        # A check may hold ||, so the last two columns are taken from the end.
        needs=${rest##*|}
        rest=${rest%|*}
        what=${rest##*|}
        check=${rest%|*}
        eval "$check" && continue
        missing+=("$(trim "$what")")
        read -r -a names <<<"$needs"
        packages+=("${names[@]}")
    done < <(table)
done
[ ${#missing[@]} -gt 0 ] || exit 0

list=$(printf '%s, ' "${missing[@]}")
list=${list%, }
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    has sudo && as_root=(sudo)
    [ -t 0 ] || as_root=(${as_root[@]+"${as_root[@]}" -n})
fi
if ! has apt-get || { [ "$(id -u)" -ne 0 ] && ! has sudo; }; then
    echo "Missing on this machine: $list." >&2
    has apt-get && echo "To install them without sudo, as root: apt-get install ${packages[*]}" >&2
    exit 1
fi
echo "Installing ${packages[*]} (missing: $list)"
run() { ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive "$@"; }
run apt-get install -y --no-install-recommends "${packages[@]}" >/dev/null 2>&1 || {
    run apt-get update
    run apt-get install -y --no-install-recommends "${packages[@]}"
}
