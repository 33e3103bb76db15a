#!/bin/sh
# headers.sh: every public header alone must compile without a warning, as C and as C++, with each
# compiler that is here. (CI has all four.)
set -eu
cd "$(dirname "$0")/.."
c_flags='-x c -std=gnu11'
cxx_flags='-x c++ -std=c++17 -Wpedantic'
flags='-Wall -Wextra -Werror -fsyntax-only -Iinclude'
found=0
failed=0

# check COMPILER FLAGS...
check() {
    command -v "$1" >/dev/null 2>&1 || return 0
    found=$((found + 1))
    for header in $(tools/files.sh 'include/*.h'); do
        printf '#include <%s>\n' "${header#include/}" | "$@" $flags - || {
            echo "$header: not by $1 alone"
            failed=1
        }
    done
}

check gcc $c_flags
check clang $c_flags
check g++ $cxx_flags
check clang++ $cxx_flags
[ "$found" -gt 0 ] || check "${CC:-cc}" $c_flags
echo "headers.sh: $found compilers"
exit "$failed"
