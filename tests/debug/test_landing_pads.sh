#!/bin/bash
# Where indirect branch tracking is on, an indirect jump may only go to an endbr64. A switch jumps to where the
# other fiber left off, and a fresh fiber to context_start: in the library as it was built, each of these has one.
set -u

case $("${CC:-cc}" -dumpmachine) in
x86_64*) ;;
*) echo "skipped: not x86-64"; exit 0 ;;
esac
objdump=$("${CC:-cc}" -print-prog-name=objdump)
command -v "$objdump" >/dev/null || { echo "skipped: no objdump"; exit 0; }

# An address that is stored as a resume point is loaded by lea just before the stack pointer is stored.
"$objdump" -d --no-show-raw-insn "$BUILD_DIR/librunnel.a" | awk '
/file format/ { delete wanted }
/^[0-9a-f]+ </ { function_name = $2; starts = 1; next }
/^ *[0-9a-f]+:/ {
    address = $1
    sub(/:$/, "", address)
    if (function_name == "<context_start>:" && starts) {
        entries++
        if ($2 != "endbr64")
            complain("context_start begins with " $2)
    }
    starts = 0
    if (address in wanted) {
        resumes++
        if ($2 != "endbr64")
            complain("a fiber resumes at " $2 " in " function_name)
    }
    if ($0 ~ /mov +%rsp,\(%rdi\)/ && lea != "")
        wanted[lea]
    lea = ""
    if ($2 == "lea" && $3 ~ /\(%rip\),%rax$/)
        lea = $5
    if ($0 ~ /jmp +\*0x10\(%rsi\)/)
        jumps++
}
function complain(text)
{
    print text
    bad = 1
}
END {
    print jumps + 0 " switches, " resumes + 0 " resume points, " entries + 0 " entry"
    exit bad || jumps == 0 || resumes != jumps || entries != 1
}'
