#!/bin/bash
# A debugger walks the stack of a fiber down to fiber_main and stops there: of the one that runs, and of one that
# is parked, from the registers that the switch saved.
set -u

skip() {
    echo "skipped: $1"
    exit 0
}
command -v gdb >/dev/null || skip "gdb is not installed"
case ${CFLAGS:-} in *-fsanitize*) skip "sanitizers and gdb do not get on" ;; esac
case $("${CC:-cc}" -dumpmachine) in
x86_64*) arch=x86_64 registers='$rsp $rbp $rip' ;;
aarch64*) arch=aarch64 registers='$sp $x29 $pc' ;;
*) echo "unknown processor"; exit 1 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/prog.c" <<'C'
#include "sched/park.h"

#include <runnel.h>

struct fiber *parked;
static rn_chan(int) never;

__attribute__((noinline)) void stop_here(void)
{
    __asm__ volatile("");
}

__attribute__((noinline)) static void wait_deep(void)
{
    int value;
    parked = fiber_here();
    (void)rn_recv(NULL, never, &value);
    __asm__ volatile("");
}

static void waiting_fiber(void *arg)
{
    (void)arg;
    wait_deep();
    __asm__ volatile("");
}

__attribute__((noinline)) static void run_deep(void)
{
    stop_here();
    __asm__ volatile("");
}

static void running_fiber(void *arg)
{
    (void)arg;
    rn_yield(); /* so that it was switched to at a resume point too */
    run_deep();
    __asm__ volatile("");
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    never = rn_chan_make(int, 0);
    if (rn_go(waiting_fiber, NULL) != 0)
        return 1;
    while (rn_waiters(never) == 0)
        rn_yield();
    if (rn_go(running_fiber, NULL) != 0)
        return 1;
    for (;;)
        rn_yield();
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
C
"${CC:-cc}" -std=gnu11 -g -O2 ${CFLAGS:-} -I"$SOURCE_DIR/include" -I"$SOURCE_DIR/src" \
    -I"$SOURCE_DIR/src/arch/$arch" "$work/prog.c" "$BUILD_DIR/librunnel.a" -lpthread -o "$work/prog" || exit 1

set -- $registers
cat >"$work/commands" <<GDB
set pagination off
set confirm off
set debuginfod enabled off
break stop_here
run
echo === running\n
backtrace
echo === parked\n
set variable \$parked_sp = parked->context.sp
set variable \$parked_fp = parked->context.fp
set variable \$parked_pc = parked->context.pc
set variable $1 = \$parked_sp
set variable $2 = \$parked_fp
set variable $3 = \$parked_pc
backtrace
echo === end\n
kill
GDB
RUNNEL_WORKERS=1 gdb -nx -batch -x "$work/commands" "$work/prog" </dev/null >"$work/text" 2>&1
grep -q 'ptrace: Operation not permitted\|Could not trace\|Cannot PTRACE' "$work/text" &&
    skip "ptrace is not allowed here"

# frames SECTION: the functions of a backtrace, in one line
frames() {
    awk -v section="=== $1" '/^===/ { inside = $0 == section } inside' "$work/text" |
        sed -n 's/^#[0-9]* *\(0x[0-9a-f]* in \)\{0,1\}\([a-zA-Z0-9_]*\).*/\2/p' | tr '\n' ' '
}
status=0
# expect SECTION REGEX
expect() {
    printf '%s: %s\n' "$1" "$(frames "$1")"
    frames "$1" | grep -Eq "$2" || status=1
}
expect running '^stop_here run_deep running_fiber fiber_main context_start $'
expect parked '^([a-z_]+ )*park ([a-z_]+ )*rn_chan_recv wait_deep waiting_fiber fiber_main context_start $'
[ $status = 0 ] || cat "$work/text"
exit $status
