# --shell: the command is a shell's script, and the input in it is data whatever is in it.
. "$(dirname "$0")/lib.sh"

run "$RUNNEL" -k --shell 'echo {} | tr a-z A-Z' ::: ab "c d"
is "a pipe" "$out" "AB
C D"
run "$RUNNEL" --shell printf '[%s]' '&&' echo ::: "a  b"
is "words are joined; without {} the input is added" "$out" "[]a  b"
run "$RUNNEL" --shell 'f() { echo "f: $1"; }; f {}; echo {#}' ::: x
is "{#} is the number" "$out" "f: x
1"

# Inputs that would be code if they were pasted into the script.
hostile=("a'b" 'a"b' 'a b' '$(touch hit)' '`touch hit`' '; touch hit' '$HOME' '\' "'; touch hit; '"
    '"; touch hit; "'
    '*' '~' '#' '-n' '' 'a
touch hit' '&& touch hit' '{}' '{#}' '$1' '${1}')
for script in 'printf %s {}' 'printf %s "{}"' "printf %s '{}'" 'printf %s "$(printf %s {})"' \
    'printf %s "$(printf %s "{}")"' 'x={}; printf %s "$x"' 'x=`printf %s {}`; printf %s "$x"' \
    'printf %s {} # it is {} "here' 'printf %s ""{}""' "printf '%s'{}" 'printf %s \{}' \
    'case {} in *) printf %s {};; esac' '(printf %s {})' 'printf %s "${nothing:-{}}"'; do
    inputs=()
    wanted=
    for input in "${hostile[@]}"; do
        # This one makes the input a format of printf's.
        [ "$script" = "printf '%s'{}" ] && case $input in *[%\\]*) continue ;; esac
        inputs+=("$input")
        wanted+="$input<end>
"
    done
    run "$RUNNEL" -k --shell "$script
        printf '<end>\n'" ::: "${inputs[@]}"
    is "$script" "$out
" "$wanted"
    is "$script: stderr" "$err" ""
done
is "no input was run" "$(ls hit 2>&1 >/dev/null | wc -l)" 1

# Arithmetic takes no quotes.
for script in 'echo $(({} * 2))' 'echo "$(( ({}) * (1 + $(echo {}) - {} + 1) ))"' \
    'x="$(echo $(( {}*2 )))"; echo $x' 'x=`echo $(({}*2))`; (echo "$x")'; do
    run "$RUNNEL" --shell "$script; printf '<%s>' {}" ::: 21
    is "$script" "$out$err" "42
<21>"
done
run "$RUNNEL" --shell 'echo $( (echo {}) ) (( 2>/dev/null' ::: 'a  b'
is "a script that is wrong fails" "$status" 123
run "$RUNNEL" --shell 'printf "[%s]" "$( (printf %s {}) )" {}' ::: 'a  b'
is "a subshell in a substitution is no arithmetic" "$out" "[a  b][a  b]"

run "$RUNNEL" -k --shell "x={}; cat <<END
don't run it: \$x
END" ::: "${hostile[@]}"
is "a here-document takes the input from a variable" "$out" \
    "$(printf "don't run it: %s\n" "${hostile[@]}")"
run "$RUNNEL" -k --shell "cat <<END
don't run it: {}
END
: {}" ::: "${hostile[@]}"
is "{} in a here-document is never run" "$status $(ls hit 2>&1 >/dev/null | wc -l)" "0 1"

run "$RUNNEL" --shell 'exit {}' ::: 5
is "a script's status" "$status" 123
run "$RUNNEL" --shell 'cat; echo {}' ::: x
is "standard input is empty" "$out" x
finish
