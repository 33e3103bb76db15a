#!/bin/bash
# The running worker is read anew after every park: in what the compiler makes of a function that asks, parks
# and asks again, there are two reads of the thread's storage. Both compilers merge two calls of a function
# that is merely noinline, so this is looked at, not trusted.
set -u
compiler=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case $("$compiler" -dumpmachine) in
x86_64*) arch=x86_64 read='%fs:' ;;
aarch64*) arch=aarch64 read='tpidr_el0' ;;
*) echo "unknown processor"; exit 1 ;;
esac

cat >"$work/twice.c" <<'C'
#include "here.h"

void somewhere(void);

__attribute__((noinline)) int same_worker(void)
{
    struct worker *before = worker_here();
    somewhere();
    return worker_here() == before;
}

__attribute__((noinline)) int no_park(struct worker **out)
{
    out[0] = worker_here();
    out[1] = worker_here();
    return 0;
}

static struct worker *wrapped(void)
{
    return worker_here();
}

int loop(int n)
{
    int changes = 0;
    for (struct worker *last = wrapped(); n > 0; n--) {
        somewhere();
        changes += wrapped() != last;
    }
    return changes;
}
C

objdump=$("$compiler" -print-prog-name=objdump)
command -v "$objdump" >/dev/null || objdump=objdump
command -v "$objdump" >/dev/null || objdump=llvm-objdump

# reads FUNCTION: how often it reads the thread's storage, itself or by a call (-Os).
reads() {
    "$objdump" -d --no-show-raw-insn "$work/twice.o" |
        awk -v name="<$1>:" '/^[0-9a-f]+ </ { inside = $2 == name } inside' | grep -Ec "$read|call.*<worker_here>|bl.*<worker_here>"
}

for flags in -O1 -O2 -O3 -Os "-O2 -fPIC" "-O3 -fno-plt -fPIC"; do
    if ! "$compiler" -std=gnu11 $flags -I"$SOURCE_DIR/src" -I"$SOURCE_DIR/src/arch/$arch" \
        -c "$work/twice.c" -o "$work/twice.o"; then
        exit 1
    fi
    for function in same_worker no_park loop; do
        count=$(reads $function)
        if [ "$count" -lt 2 ]; then
            echo "$function with $flags: $count reads of the worker, expected 2 or more"
            "$objdump" -d "$work/twice.o"
            exit 1
        fi
    done
done
echo ok
