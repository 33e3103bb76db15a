#!/bin/sh
# check.sh BUILD: every check that reads the tree and a finished build rather than runs programs.
set -eu
cd "$(dirname "$0")/.."
build=$1
wrong=0

check() {
    "$@" || {
        echo "check.sh: failed: $*"
        wrong=1
    }
}

# groff must have nothing to say about the man pages.
man_pages() {
    own=$(realpath docs/man/*.1)
    said=$(cd "$build/man" && groff -z -ww -man -Tutf8 -rLL=100n man3/*.3 man7/*.7 $own 2>&1)
    [ -z "$said" ] || {
        echo "$said"
        return 1
    }
}

# The order of locks has no cycle.
lock_order() {
    said=$(grep -v '^#' docs/locks.txt | sed -n 's/ < / /p' | tsort 2>&1 >/dev/null) && [ -z "$said" ] || {
        echo "docs/locks.txt: $said"
        return 1
    }
}

check lock_order
check tools/format.sh --check
check tools/layers.sh
check tools/shape.sh
check tools/headers.sh
check tools/exports.sh --check "$build"
check man_pages
exit "$wrong"
