# man.awk: from public headers, man pages in the folders out/man3 and out/man7.
#
#     awk -v out=DIR -v version=0.1.0 -f man.awk include/runnel/*.h
#
# A comment block in the first column whose first paragraph is "rn_a, rn_b - summary" documents what
# is declared behind it, up to the next block: it becomes rn_a.3, with a link for each further name.
# A header's opening block becomes a page in section 7 that also shows its types and lists its
# functions.

FNR == 1 {
    end_page()
    header = FILENAME
    sub(/^.*include\//, "", header)
    in_comment = 0
    block = ""
    opening = 1
}

# ---- comments ----

!in_comment && /^\/\*$/ { in_comment = 1; n = 0; next }
in_comment && /^ \*\/$/ { in_comment = 0; end_comment(); next }
in_comment { line = $0; sub(/^ \* ?/, "", line); text[++n] = line; next }

# ---- declarations: of a documented block its synopsis, otherwise types and constants ----

skipping && /\\$/ { next }
skipping { skipping = 0; next }
in_body { if (/^}/) in_body = 0; next }

/^#define (rn_|RN_)/ {
    if (/^#define rn_[a-z0-9_]*\(/ && block != "")
        synopsis = synopsis macro_form($0) ";\n"
    else if (/^#define rn_[a-z0-9_]*\(/)
        type_text = type_text macro_form($0) "\n"
    else if (/^#define RN_[A-Z0-9_]+ / && !/\\$/ && !/ RN_(API|BEGIN_DECLS|END_DECLS) /)
        type_text = type_text $0 "\n"
    else
        type_text = ""
    skipping = /\\$/
    next
}
/^#include <runnel\/.*>$/ && gathers { included = included substr($2, 2, length($2) - 2) "\n" }
/^#/ || /^RN_(BEGIN|END)_DECLS/ || /^extern "C"/ { next }
/^RN_API / { in_declaration = 1 }
in_declaration {
    line = $0
    sub(/^RN_API /, "", line)
    synopsis = synopsis line "\n"
    in_declaration = !/;/
    next
}
/^static inline/ { inlined = $0; sub(/^static inline /, "", inlined) }
/^static inline/ && !/;$/ { in_body = 1 }
/^static inline/ && block != "" && /[;)]$/ { sub(/;$/, "", inlined); add_inlined(inlined ";\n"); next }
/^static inline/ { next }
/^{/ { in_body = 1; next }
/^[ \t]*$/ && braces > 0 { type_text = type_text "\n"; next }
/^[ \t]*$/ { if (type_text != "") end_type(); next }
{ type_text = type_text $0 "\n"; braces += gsub(/\{/, "{") - gsub(/\}/, "}") }

END { end_page() }

# A function in a header is declared and defined there: it is shown once.
function add_inlined(declaration)
{
    if (index(synopsis, declaration) == 0)
        synopsis = synopsis declaration
}

# ---- pages ----

function end_comment(    i, first, names, dash)
{
    if (type_text != "")
        end_type()
    for (i = 1; i <= n && text[i] != ""; i++)
        first = first (first == "" ? "" : " ") text[i]
    dash = index(first, " - ")
    names = substr(first, 1, dash - 1)
    if (opening) {
        opening = 0
        noun = names
        gathers = noun ~ /\.h$/ # a header that only includes others
        sub(/\.h$/, "", noun)
        if (gathers && noun != "runnel")
            noun = "runnel-" noun
        overview_summary = substr(first, dash + 3)
        overview_count = copy_rest(i, overview)
        types = functions = included = ""
        return
    }
    if (dash == 0 || names !~ /^rn_[a-z0-9_]+(, rn_[a-z0-9_]+)*$/) {
        for (i = 1; i <= n; i++)
            type_text = type_text (i == 1 ? "/* " : "   ") text[i] (i == n ? " */" : "") "\n"
        return
    }
    write_function()
    block = names
    summary = substr(first, dash + 3)
    body_count = copy_rest(i, body)
    synopsis = ""
}

function copy_rest(from, to,    i, count)
{
    split("", to)
    for (i = from; i <= n; i++)
        to[++count] = text[i]
    return count + 0
}

function end_type()
{
    if (type_text ~ /(^|\n)[^ \/]/)
        types = types (types == "" ? "" : "\n") type_text
    type_text = ""
}

# "#define rn_x(a, b_) ..." as a reader calls it: rn_x(a, b).
function macro_form(line)
{
    sub(/^#define /, "", line)
    sub(/\).*/, ")", line)
    while (match(line, /_[,)]/))
        line = substr(line, 1, RSTART - 1) substr(line, RSTART + 1)
    return line
}

function page(name, section)
{
    file = out "/man" section "/" name "." section
    printf ".TH %s %s \"\" \"runnel %s\" \"runnel\"\n", name, section, version >file
}

function put(line) { print line >file }

function write_function(    names, count, i, sentence)
{
    if (block == "")
        return
    count = split(block, names, ", ")
    page(names[1], 3)
    sentence = ""
    if (match(summary, /\. [A-Za-z]/)) {
        sentence = substr(summary, RSTART + 2)
        summary = substr(summary, 1, RSTART)
    }
    sub(/\.$/, "", summary)
    put(".SH NAME")
    put(block " \\- " escape(summary))
    put(".SH SYNOPSIS")
    put(".EX")
    put("#include <" header ">")
    put("")
    printf "%s", verbatim(synopsis) >file
    put(".EE")
    write_text(body, body_count, sentence)
    put_see(noun "(7)")
    close(file)
    functions = functions block "\t" summary "\n"
    for (i = 2; i <= count; i++) {
        file = out "/man3/" names[i] ".3"
        put(".so man3/" names[1] ".3")
        close(file)
    }
    block = ""
}

function end_page(    i, count, rows, row)
{
    if (type_text != "")
        end_type()
    write_function()
    if (noun == "")
        return
    page(noun, 7)
    sub(/\.$/, "", overview_summary)
    put(".SH NAME")
    put(noun " \\- " escape(overview_summary))
    put(".SH SYNOPSIS")
    put(".B #include <" header ">")
    write_text(overview, overview_count, "")
    if (types != "") {
        put(".SH TYPES")
        put(".EX")
        printf "%s", verbatim(types) >file
        put(".EE")
    }
    if (functions != "")
        put(".SH FUNCTIONS")
    count = split(functions, rows, "\n")
    for (i = 1; i < count; i++) {
        split(rows[i], row, "\t")
        put(".TP")
        put("\\fB" row[1] "\\fP(3)")
        put(escape(row[2]))
    }
    put_included()
    put_see("runnel(1)")
    close(file)
    noun = ""
}

# The pages of the headers that this one includes.
function put_included(    count, paths, i, name)
{
    if (included == "")
        return
    put(".SH HEADERS")
    count = split(included, paths, "\n")
    for (i = 1; i < count; i++) {
        name = paths[i]
        gsub(/^.*\/|\.h$/, "", name)
        put(".TP")
        put("\\fBrn_" name "\\fP(7)")
        put(escape(summary_of("include/" paths[i])))
    }
}

# What a header's opening block says in its first paragraph.
function summary_of(path,    line, text)
{
    getline line <path
    while ((getline line <path) > 0 && line ~ /^ \* /)
        text = text substr(line, 3)
    close(path)
    sub(/^ [^ ]+ - /, "", text)
    sub(/\.$/, "", text)
    return text
}

# ---- text ----

# The fields of a block in the order of the page; each opens a section of its own.
function section_of(field)
{
    if (field == "Caller") return "CALLER"
    if (field == "Blocks") return "BLOCKING"
    if (field == "Order") return "ORDERING"
    if (field == "Returns") return "RETURN VALUE"
    if (field == "Cost") return "COST"
    if (field == "Lifetime") return "LIFETIME"
    if (field == "At once") return "CONCURRENCY"
    return ""
}

function write_text(lines, count, sentence,    i, line, field, gap, example)
{
    see = ""
    in_see = in_items = 0
    gap = sentence == "" ? "" : ".PP"
    if (sentence != "" || has_prose(lines, count))
        put(".SH DESCRIPTION")
    if (sentence != "")
        put(escape(sentence))
    for (i = 1; i <= count; i++) {
        line = lines[i]
        field = field_of(line)
        if (example && line !~ /^    / && line != "") {
            put(".EE")
            example = 0
            gap = ".PP"
        }
        if (field != "") {
            in_items = 0
            in_see = field == "See"
            if (!in_see)
                put(".SH " section_of(field))
            gap = ""
            sub(/^(At once|[A-Z][a-z]+) */, "", line)
            put_prose(line, field)
            in_field = field
        } else if (line == "") {
            gap = ".PP"
        } else if (in_field == "" && line ~ /^    /) {
            if (!example) {
                put(".PP")
                put(".EX")
                example = 1
            } else if (gap != "") {
                put("")
            }
            gap = ""
            put(escape_plain(line))
        } else {
            if (gap != "" && line !~ /^[0-9]+\. /)
                put(gap)
            gap = ""
            put_prose(line, in_field)
        }
    }
    if (example)
        put(".EE")
    in_field = ""
}

function has_prose(lines, count,    i)
{
    for (i = 1; i <= count; i++)
        if (lines[i] != "")
            return field_of(lines[i]) == ""
    return 0
}

function field_of(line)
{
    if (match(line, /^(Caller|Blocks|Order|Returns|Cost|See|At once)  +/) || line == "Lifetime") {
        sub(/  .*/, "", line)
        return line
    }
    return ""
}

# One line of prose; in Returns a line "CODE   meaning" is an item, and in Lifetime "1. rule".
function put_prose(line, field,    code_end)
{
    if (in_see) {
        sub(/^ +/, "", line)
        see = see (see == "" ? "" : " ") line
        return
    }
    if (field != "" && field != "Lifetime")
        sub(/^         /, "", line)
    if (field == "Returns" && match(line, /^[^ ]+( [^ ]+)*  +/) && RLENGTH < 24) {
        put(".TP")
        code_end = RLENGTH
        put("\\fB" escape_plain(trim(substr(line, 1, code_end))) "\\fP")
        line = substr(line, code_end + 1)
        in_items = 1
    } else if (line ~ /^[0-9]+\. /) {
        put(".IP " substr(line, 1, index(line, ".")) " 4")
        sub(/^[0-9]+\. /, "", line)
    } else if (in_items && line ~ /^[^ ]/) {
        put(".PP")
        in_items = 0
    }
    line = trim(line)
    if (line != "")
        put(escape(line))
}

function put_see(own)
{
    put(".SH SEE ALSO")
    if (see != "") {
        sub(/\.$/, "", see)
        see = escape(see)
        gsub(/\\fBrn_[a-z0-9_]+\\fP/, "&(3)", see)
        put(see ",")
    }
    put("\\fB" substr(own, 1, index(own, "(") - 1) "\\fP" substr(own, index(own, "(")))
}

function trim(line)
{
    gsub(/^ +| +$/, "", line)
    return line
}

function escape_plain(line)
{
    gsub(/\\/, "\\e", line)
    gsub(/-/, "\\-", line)
    return (line ~ /^[.']/ ? "\\&" : "") line
}

function escape(line)
{
    line = escape_plain(line)
    gsub(/rn_[a-z0-9_]+/, "\\fB&\\fP", line)
    return line
}

function verbatim(lines,    list, count, i, result)
{
    count = split(lines, list, "\n")
    for (i = 1; i < count; i++)
        result = result escape_plain(list[i]) "\n"
    return result
}
