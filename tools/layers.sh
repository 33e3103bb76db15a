#!/bin/sh
# layers.sh: holds every #include against the layers, and names the lines that break them.
#
# A file includes from its own folder or from a lower layer. What is built on the public interface
# only (the kit, HTTP, the adapters, the command, examples, benchmarks) includes <runnel...>, headers
# from outside, and its own folder's.
set -eu
cd "$(dirname "$0")/.."
tools/files.sh 'src/*.[chS]' 'cmd/*.[ch]' 'examples/*.[ch]' 'bench/*.[ch]' 'include/*.h' |
    xargs awk '
BEGIN {
    # Two of one rank do not include each other. The headers of arch need nothing, so that base may
    # use them.
    rank["arch"] = 0; rank["base"] = 1; rank["os"] = 2; rank["fiber"] = 3; rank["sched"] = 4
    rank["wait"] = 5; rank["sync"] = 6; rank["chan"] = 6; rank["io"] = 7; rank["debug"] = 8
}

FNR == 1 {
    folder = FILENAME
    sub(/\/[^\/]*$/, "", folder)
    split(FILENAME, part, "/")
    layer = part[1] == "src" ? part[2] : ""
    public = part[1] != "src" || layer ~ /^(kit|http|ext)$/
    if (part[1] == "src" && !public && !(layer in rank))
        complain("no such layer: " layer)
}

/^[ \t]*#[ \t]*include[ \t]*["<]/ {
    name = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*["<]/, "", name)
    sub(/[">].*/, "", name)
    quoted = $0 ~ /include[ \t]*"/
    split(name, part, "/")
    if (part[1] ~ /^runnel(\.h)?$/ && !quoted)
        next
    if (public)
        check_public()
    else if (quoted || part[1] in rank)
        check_private()
}

function check_public()
{
    if (part[1] in rank && name ~ /\//)
        complain("only the public headers may be used here, not " name)
    else if (quoted && (name ~ /\// || !exists(folder "/" name)))
        complain("\"" name "\" is not of this folder")
}

function check_private(    target)
{
    if (name !~ /\//)
        target = exists("src/arch/x86_64/" name) ? "arch" : ""
    else
        target = part[1]
    if (!(target in rank))
        complain("\"" name "\" is of no layer; write it from src/ on")
    else if (target != layer && rank[target] >= rank[layer])
        complain(layer " must not know " target ": " name)
}

function exists(file,    line, there)
{
    there = (getline line <file) >= 0
    close(file)
    return there
}

function complain(what)
{
    printf "%s:%d: %s\n", FILENAME, FNR, what
    wrong = 1
}

END { exit wrong }
'
