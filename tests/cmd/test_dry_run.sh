# --dry-run prints the commands so that a shell reads them back, and runs nothing.
. "$(dirname "$0")/lib.sh"

run "$RUNNEL" --dry-run -j4 touch made ::: a b c
is "one command a line, in order" "$out" "touch made a
touch made b
touch made c"
is "nothing is run" "$(ls made a b c 2>/dev/null)" ""
is "nothing fails" "$status $err" "0 "

inputs=('a b' "c'd" '$(x)' '' '*' "$(printf 'e\nf\tg\033')" '~' '-x=1,2:@%+/.')
run "$RUNNEL" --dry-run printf '[%s]' {} {#} "it's" ::: "${inputs[@]}"
is "quoted for a shell" "$out" "printf '[%s]' 'a b' 1 'it'\''s'
printf '[%s]' 'c'\''d' 2 'it'\''s'
printf '[%s]' '\$(x)' 3 'it'\''s'
printf '[%s]' '' 4 'it'\''s'
printf '[%s]' '*' 5 'it'\''s'
printf '[%s]' \$'e\\nf\\tg\\033' 6 'it'\''s'
printf '[%s]' '~' 7 'it'\''s'
printf '[%s]' -x=1,2:@%+/. 8 'it'\''s'"
cp out.text commands
bash commands >printed
run "$RUNNEL" -k printf '[%s]' {} {#} "it's" ::: "${inputs[@]}"
is "the printed commands do the same" "$(cmp printed out.text)" ""

# In front of a command a shell has words of its own.
run "$RUNNEL" --dry-run {} A=1 if ::: A=1 if time then '' 'a b' ./if $'A=\nb'
is "a command's name is quoted when a shell would not take it for one" "$out" "'A=1' A=1 if
'if' A=1 if
'time' A=1 if
'then' A=1 if
'' A=1 if
'a b' A=1 if
./if A=1 if
\$'A=\\nb' A=1 if"
words=(A=1 if then elif else fi case esac for select do while until done in time function coproc)
for word in "${words[@]}"; do
    printf '#!/bin/sh\necho "${0##*/} $1"\n' >"$word"
    chmod +x "$word"
done
PATH=$folder:$PATH run "$RUNNEL" -j1 {} A=1 ::: "${words[@]}"
cp out.text wanted
run "$RUNNEL" --dry-run {} A=1 ::: "${words[@]}"
cp out.text commands
is "and then the printed commands do the same" \
    "$(PATH=$folder:$PATH bash commands 2>&1 | cmp - wanted)" ""

run "$RUNNEL" --dry-run --shell 'gzip <{} >{}.gz' ::: "a b"
is "--shell" "$out" "sh -c 'gzip <\"\$1\" >\"\$1\".gz' sh 'a b'"
run "$RUNNEL" --dry-run --timeout 1s -k no-such-command ::: x
is "a command that does not exist" "$status $out" "0 no-such-command x"
finish
