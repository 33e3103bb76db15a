#!/bin/sh
# negative.sh COMPILER SOURCE_DIR FILE: the file must fail to compile with a message that matches its
# "expect:" line, and must compile with -DRN_FIXED.
set -u
compiler=$1 source_dir=$2 file=$3
flags="-std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I$source_dir/include"
pattern=$(sed -n 's|^/\* expect: \(.*\) \*/$|\1|p' "$file")
if [ -z "$pattern" ]; then
    echo "$file: no line /* expect: regex */"
    exit 1
fi
if output=$("$compiler" $flags "$file" 2>&1); then
    echo "$file: compiled, and must not"
    exit 1
fi
if ! printf '%s\n' "$output" | grep -Eq "$pattern"; then
    printf '%s: failed, but not with "%s":\n%s\n' "$file" "$pattern" "$output"
    exit 1
fi
if ! output=$("$compiler" $flags -DRN_FIXED "$file" 2>&1); then
    printf '%s: does not compile with RN_FIXED:\n%s\n' "$file" "$output"
    exit 1
fi
echo ok
