#!/bin/sh
# What `make test` left to `make test-all`: the tests that call testkit.Long or testkit.Rounds, the transcripts that
# skip under [short], and what is not a Go test.
set -eu
cd "$(dirname "$0")/.."
git ls-files '*_test.go' '*.txtar' | xargs awk '
	function left(name) { if (!((FILENAME, name) in seen)) { seen[FILENAME, name]; n++; dir = FILENAME; sub(/\/[^\/]*$/, "", dir); long[dir] = long[dir] " " name } }
	/^func / { name = $2; sub(/\(.*/, "", name) }
	/testkit\.Long\(/ { left(name) }
	/testkit\.OneIn\(/ { left(name "(most)") }
	/^\[short\] skip/ { left(FILENAME) }
	/testkit\.Rounds\(/ { rounds++ }
	END {
		printf "\nmake test left out, make test-all runs: the race detector, images, machines that boot, and %d tests:\n", n
		for (dir in long) print "  " dir ":" long[dir]
		printf "  and more rounds in %d places\n", rounds
	}' | sed 's,: [^ ]*/\([^ /]*\)\.txtar,: \1,'
