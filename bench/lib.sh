# Sourced by the scripts that render sections of the report.

# The median of the numbers on standard input; nothing when there are none.
median_of() {
    sort -n | awk '{ v[NR] = $1 }
        END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# Says of one target whether it is met: what, figure, relation (under or over), target, unit.
verdict() {
    awk -v what="$1" -v v="$2" -v rel="$3" -v target="$4" -v unit="$5" 'BEGIN {
        met = rel == "under" ? v <= target : v >= target
        printf "- %s: %s %s, target %s%s %s: %s.\n", what, v, unit, rel == "under" ? "at most " : "at least ",
            target, unit, met ? "met" : "**missed**" }'
}
