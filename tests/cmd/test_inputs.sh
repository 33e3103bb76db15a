# One job an input: lines, NUL-separated, words; and how the input gets into the command.
. "$(dirname "$0")/lib.sh"

# Prints its arguments one a line, in brackets, so that nothing about them is hidden.
cat >show <<'EOF'
#!/bin/sh
for word in "$@"; do printf '[%s]' "$word"; done
printf '\n'
EOF
chmod +x show

# on INPUT WORD...: runs the command in order on an input with printf's escapes
on() {
    printf -- "$1" >input.text
    shift
    run "$RUNNEL" -k "$@" <input.text
}

on 'a\nb\nc\n' ./show
is "one job a line" "$out" "[a]
[b]
[c]"
on 'a\nb' ./show
is "a last line without its end is a job" "$out" "[a]
[b]"
on 'a\n\n b \n\n' ./show
is "every line is a job, an empty one too; nothing is trimmed" "$out" "[a]
[]
[ b ]
[]"
on 'a\r\nb\r\n' ./show
is "a carriage return stays" "$out" "$(printf '[a\r]\n[b\r]')"
on 'a b\tc "d" $e *\n' ./show
is "no shell, no words: a line is one argument" "$out" "$(printf '[a b\tc "d" $e *]')"
on '\377\300x\n' ./show
is "broken UTF-8 passes as it is" "$(od -An -c out.text)" "$(printf '[\377\300x]\n' | od -An -c)"

on 'a\nb\0c\0\0d' -0 ./show
is "-0: inputs end with NUL; newlines are data" "$out" "[a
b]
[c]
[]
[d]"
run "$RUNNEL" -k ./show ::: "a b" "" "c
d"
is "::: words are inputs" "$out" "[a b]
[]
[c
d]"
echo unread | run "$RUNNEL" ./show ::: a
is "::: leaves standard input alone" "$out" "[a]"
(echo first | { "$RUNNEL" true ::: a; cat; }) >out.text
is "::: reads nothing of standard input" "$(cat out.text)" "first"

on 'x\ny\n' ./show -a {} b
is "{} is the input" "$out" "[-a][x][b]
[-a][y][b]"
on 'x\n' ./show '{}{}' 'p{}s' '{' '}' '{ }' '{}'
is "{} wherever it is, as often as it is" "$out" "[xx][pxs][{][}][{ }][x]"
on 'x\ny\n' ./show '{#}' 'n{#}.'
is "{#} is the number; without {} the input is added" "$out" "[1][n1.][x]
[2][n2.][y]"
on 'x\n' ./show '{#}:{}'
is "{#} and {}" "$out" "[1:x]"
on '{}\n{#}\n' ./show 'a{}' {}
is "places in the input are data" "$out" "[a{}][{}]
[a{#}][{#}]"
on '%%s\\n\\\n' ./show
is "backslashes and percents are data" "$out" '[%s\n\]'
on '-n\n--help\n' ./show
is "an input that looks like an option is an argument" "$out" "[-n]
[--help]"
on 'show\n' ./{} yes
is "{} in the command's own name" "$out" "[yes]"
on 'a\n' ./show '{#' '{#}}' '{{}}'
is "braces around places" "$out" "[{#][1}][{a}]"

# The command is found by PATH and keeps its name.
mkdir one two
printf '#!/bin/sh\nrm one/tool\necho one\n' >one/tool
printf '#!/bin/sh\necho two\n' >two/tool
printf 'no program\n' >tool
chmod +x one/tool two/tool
PATH=$folder/none:$folder/one:$folder/two:$PATH run "$RUNNEL" -j1 tool ::: a b
is "the first program on PATH; the next one when it is gone" "$out" "one
two"
PATH=:$PATH run "$RUNNEL" show ::: a
is "an empty entry of PATH is this folder" "$out" "[a]"
run "$RUNNEL" sh -c 'tr "\0" " " </proc/$$/cmdline' ::: a
matches "the program's name is as it was given" "$out" '^sh -c .* a $'

# Standard input of a job is empty, not the list of inputs.
printf 'a\nb\nc\n' >input.text
run "$RUNNEL" -j1 -k sh -c 'cat; echo "$0"' <input.text
is "a job's standard input is empty" "$out" "a
b
c"

# Descriptors of the runtime do not leak into jobs.
run "$RUNNEL" sh -c 'for f in /proc/self/fd/*; do [ "${f##*/}" -gt 2 ] && readlink "$f"; done' ::: x
matches_not "no descriptor leaks" "$out" 'eventpoll|eventfd|pidfd|signalfd'

on 'a\0b\nc\n' ./show
is "a NUL byte cannot be an argument: the others run" "$out" "[c]"
is "a NUL byte: status" "$status" 126
matches "a NUL byte is told" "$err" \
    '^runnel: job 1 \(input "a\\x00b"\): a NUL byte cannot be part of an argument'

# Longer than the kernel lets an argument be.
{ head -c 200000 /dev/zero | tr '\0' x; printf '\nshort\n'; } >input.text
run "$RUNNEL" -k ./show <input.text
is "too long an input fails alone" "$out" "[short]"
is "too long an input: status" "$status" 126
matches "too long an input is told" "$err" \
    '^runnel: job 1 \(input "x+\.\.\."\): its input is too long to be an argument$'
run "$RUNNEL" -k './{}' <input.text
matches "too long an input: no template is blamed" "$err" \
    '^runnel: job 1 \(input "x+\.\.\."\): its input is too long to be an argument$'
{ head -c 131071 /dev/zero | tr '\0' x; printf '\n'; } >input.text
[ "$(getconf PAGESIZE)" != 4096 ] || {
    run "$RUNNEL" sh -c 'echo ${#0}' <input.text
    is "the longest input that can be" "$status $out" "0 131071"
}
{ head -c 131072 /dev/zero | tr '\0' x; } >input.text
[ "$(getconf PAGESIZE)" != 4096 ] || {
    run "$RUNNEL" true <input.text
    is "one byte more" "$status" 126
}

# Lines that end at and around the block that is read at once.
for size in 65533 65534 65535 65536 65537; do
    { head -c "$size" /dev/zero | tr '\0' y; printf '\nz\n'; } >input.text
    run "$RUNNEL" -k sh -c 'echo ${#0}' <input.text
    is "a line of $size bytes" "$out" "$size
1"
done
seq 20000 >input.text
run "$RUNNEL" --dry-run echo <input.text
is "many lines over many blocks" "$(sed 's/^echo //' out.text | cmp - input.text && echo same)" same

# What is not there yet is waited for, and what is there is not kept waiting.
mkfifo feed
fifo answer
"$RUNNEL" -j2 sh -c 'echo "$0" >answer' <feed >/dev/null 2>&1 &
exec 5>feed
for line in one two three; do
    echo "$line" >&5
    next answer
    is "an input is run as soon as it is there" "$got" "$line"
done
exec 5>&-
wait $!
is "the end of a pipe ends the run" $? 0

run "$RUNNEL" echo <.
is "standard input is a folder: status" "$status" 1
matches "standard input is a folder" "$err" "^runnel: cannot read standard input: Is a directory"
run "$RUNNEL" echo <&-
is "standard input is closed: status" "$status" 1
matches "standard input is closed" "$err" "^runnel: cannot read standard input: Bad file descriptor"
finish
