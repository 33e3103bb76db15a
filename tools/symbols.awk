# symbols.awk: from public headers, the name of each function or object that an RN_API declaration
# makes.
#
# A declaration reaches from a line that starts with RN_API to the first semicolon. What is in
# brackets is dropped from the inside out, so that what is left is "type name (parameters)" or "type
# name".

/^RN_API[ \t(]/ { open = 1; text = "" }
open {
    text = text " " $0
    if (index($0, ";")) {
        open = 0
        print symbol(text)
    }
}

# The name is the last word before the last pair of brackets; attributes behind the declaration and
# the brackets of types that are macros, as rn_chan(T), are taken away first.
function symbol(text,    words, n)
{
    sub(/;.*/, "", text)
    gsub(/\/\*[^*]*\*\//, " ", text)
    while (match(text, /\([^()]*\)/))
        text = substr(text, 1, RSTART - 1) "\001" substr(text, RSTART + RLENGTH)
    gsub(/__attribute__[ \t]*\001/, " ", text)
    sub(/[ \t]*\001[ \t]*$/, "", text)
    gsub(/[^A-Za-z0-9_]+/, " ", text)
    sub(/ +$/, "", text)
    n = split(text, words, " ")
    return words[n]
}
