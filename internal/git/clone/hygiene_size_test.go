package clone

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// noise cannot be compressed.
func noise(random *rand.Rand, size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return string(b)
}

// TestLargeFilesDoNotPileUp: obsolete versions of a large file are dropped long before there are many packs; and so is
// a large file that was deleted, without another push of that size.
func TestLargeFilesDoNotPileUp(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Git("config", "core.bigFileThreshold", "1m") // no deltas, which would take the server long
	random := rand.New(rand.NewPCG(5, 6))
	const size = 12 << 20
	w.src.Commit("main", append(someFiles(20, "x"), gittest.File("large", noise(random, size)))...)
	w.check()
	most := int64(0)
	for range 6 {
		w.src.Commit("main", gittest.File("large", noise(random, size)))
		w.look()
		most = max(most, gitBytes(t, w.dir))
	}
	w.check()
	if limit := int64(2*size + slack + slack/2); most > limit {
		t.Errorf("%d bytes at one time, more than %d", most, limit)
	}
	w.src.Commit("main", gittest.File("large2", noise(random, 2*size)), gittest.File("large3", noise(random, 2*size)))
	w.look()
	w.src.Commit("main", gittest.Remove("large"), gittest.Remove("large2"), gittest.Remove("large3"))
	w.check()
	if n := gitBytes(t, w.dir); n > slack {
		t.Errorf("%d bytes for a few small files", n)
	}
}

func TestPackedRef(t *testing.T) {
	id := strings.Repeat("1", 40)
	for line, want := range map[string]bool{
		"# pack-refs with: peeled fully-peeled sorted \n": true,
		id + " refs/heads/main\n":                         true,
		"^" + id + "\n":                                   true,
		"":                                                false,
		"\n":                                              false,
		id + " refs/heads/main":                           false,
		id + " refs/heads/a..b\n":                         false,
		id + " main\n":                                    false,
		id[:39] + " refs/heads/main\n":                    false,
		"what is this\n":                                  false,
		"<<<<<<< HEAD\n":                                  false,
	} {
		if packedRef(line) != want {
			t.Errorf("%q: want %v", line, want)
		}
	}
}
