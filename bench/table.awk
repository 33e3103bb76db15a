# table.awk - turns raw results into the markdown tables of RESULTS.md.
#
# Usage: awk -f table.awk -v what=table|missed targets.txt notes.txt raw
#
# raw has one line for each run: side (runnel or go), metric, workers, value. A value of "failed" marks a
# run that did not end well. Less is better in every case.

function trim(s) { gsub(/^[ \t]+|[ \t]+$/, "", s); return s }

# Three figures are enough: the runs differ by more.
function show(v) {
    if (v >= 100) return sprintf("%.0f", v)
    if (v >= 10) return sprintf("%.1f", v)
    return sprintf("%.2f", v)
}

# Sorts the values of one cell into sorted[1..n].
function sort_cell(key,   i, j, n, v) {
    n = runs[key]
    for (i = 1; i <= n; i++) {
        v = value[key, i]
        for (j = i - 1; j >= 1 && sorted[j] > v; j--) sorted[j + 1] = sorted[j]
        sorted[j + 1] = v
    }
    return n
}

function median_of(key,   n) {
    n = sort_cell(key)
    if (n % 2) return sorted[(n + 1) / 2]
    return (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

function cell(key, unit,   n, m) {
    if (failures[key]) return "failed " failures[key] " of " (failures[key] + runs[key])
    if (!runs[key]) return ""
    m = median_of(key)
    n = runs[key]
    return show(m) " " unit " (" show(sorted[1]) "-" show(sorted[n]) ")"
}

# What is missed of one row, in words; empty when all is met.
function shortfall(mine, theirs, target, wanted,   words) {
    if (target != "" && mine > target + 0)
        words = sprintf("over the target by %.0f %%", (mine / target - 1) * 100)
    if (wanted != "" && theirs != "" && mine / theirs > wanted + 0)
        words = words (words == "" ? "" : "; ") \
            sprintf("ratio %.2f where %.2f was aimed at", mine / theirs, wanted)
    return words
}

function row(i, w,   mine, theirs, target, ref, wanted, mine_key, go_key, ratio, short) {
    mine_key = "runnel" SUBSEP metric[i] SUBSEP w
    go_key = "go" SUBSEP metric[i] SUBSEP w
    if (!runs[mine_key] && !failures[mine_key] && !runs[go_key]) return
    mine = runs[mine_key] ? median_of(mine_key) : ""
    theirs = runs[go_key] ? median_of(go_key) : ""
    target = w == 1 ? target1[i] : w == 2 ? target2[i] : ""
    ref = w == 1 ? ref1[i] : ref2[i]
    wanted = ref != "" && target != "" ? target / ref : ""
    ratio = mine != "" && theirs != "" ? sprintf("%.2f", mine / theirs) : ""
    short = mine == "" ? "no result" : shortfall(mine, theirs, target, wanted)

    if (what == "table")
        printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", title[i], w, cell(mine_key, unit[i]),
            cell(go_key, unit[i]), ratio, target == "" ? "" : target " " unit[i],
            wanted == "" ? "" : sprintf("%.2f", wanted),
            short != "" ? "**missed**" : target == "" ? "" : "met"
    else if (short != "") {
        printf "- %s, %s worker%s: %s.\n", title[i], w, w == 1 ? "" : "s", short
        if (metric[i] in note && !(metric[i] in noted)) {
            printf "  %s\n", note[metric[i]]
            noted[metric[i]] = 1
        }
    }
}

/^#/ || /^[ \t]*$/ { next }

FILENAME ~ /targets\.txt$/ {
    split($0, f, "|")
    rows++
    metric[rows] = trim(f[2]); title[rows] = trim(f[3]); unit[rows] = trim(f[4])
    target1[rows] = trim(f[5]); target2[rows] = trim(f[6])
    ref1[rows] = trim(f[7]); ref2[rows] = trim(f[8])
    next
}

FILENAME ~ /notes\.txt$/ {
    i = index($0, ":")
    note[trim(substr($0, 1, i - 1))] = trim(substr($0, i + 1))
    next
}

{
    key = $1 SUBSEP $2 SUBSEP $3
    if (!($3 in seen)) { seen[$3] = 1; workers[++worker_counts] = $3 }
    if ($4 == "failed") failures[key]++
    else value[key, ++runs[key]] = $4 + 0
}

END {
    if (what == "table") {
        print "| case | workers | runnel, median (min-max) | Go, median (min-max) | ratio | target |" \
            " ratio aimed at | |"
        print "|---|---|---|---|---|---|---|---|"
    }
    for (i = 1; i <= rows; i++)
        for (j = 1; j <= worker_counts; j++)
            row(i, workers[j])
}
