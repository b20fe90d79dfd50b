//go:build linux

package torture

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestPackCutEverywhere measures how much a server sends for a push, and then breaks the connection at each fiftieth of
// that, half of the times by a reset: for a push to a clone that is here, and, at each twenty-fifth, for the first
// clone.
//
// INVARIANT (spec 4, 6): such a beat ends with 1 and the reason and leaves the clone as it was, in order by git's own
// word, or with 0 and what was pushed, whole; the next beat with a good server brings it to what was pushed.
func TestPackCutEverywhere(t *testing.T) {
	t.Parallel()
	parts := map[string]int{"a push": 50, "a first clone": 25}
	listed(t, parts["a push"]+parts["a first clone"])
	for name, n := range parts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBad(t)
			g := newGrid(t, plan{work: patient, via: func(_, url string) string { return b.via(url) }})
			serial := 0
			push := func() {
				serial++
				g.push("ops", append(small(serial), gittest.File("big", noise(100_000)))...)
				if n == parts["a first clone"] {
					if err := os.RemoveAll(g.in("gitrepo")); err != nil {
						t.Fatal(err)
					}
				}
			}
			push()
			g.beatOnce(0)
			push()
			var sent atomic.Int64
			b.becomes(func(c net.Conn) {
				b.relay(c, func(w io.Writer) io.Writer {
					return writer(func(p []byte) (int, error) {
						n, err := w.Write(p)
						sent.Add(int64(n))
						return n, err
					})
				})
			})
			g.beatOnce(0)
			whole := int(sent.Load())
			if whole < 100_000 {
				t.Fatalf("only %d bytes were counted", whole)
			}
			tried, failed := 0, 0
			for i := 0; i < n; i += testkit.Rounds(7, 1) {
				tried++
				push()
				was := g.worked("ops", "root")
				at := max(1, whole*i/n) | 1
				if i%2 == 0 {
					at++ // an even one is cut by a reset
				}
				b.becomes(b.cut(at))
				code, _, stderr := g.run("beat")
				now := g.worked("ops", "root")
				switch {
				case code == 0 && now == g.tip("ops"): // the end of an answer is not always needed
				case code == 1 && now == was && stderr != "":
					failed++
				default:
					t.Errorf("cut at %d of %d: beat ended with %d, worked %s -> %s, pushed %s: %s", at, whole, code, was, now, g.tip("ops"), stderr)
				}
				if exists(filepath.Join(g.clone("ops"), ".git", "HEAD")) {
					gittest.Fsck(t, g.clone("ops"))
				}
				b.becomes(nil)
				g.heal(fmt.Sprintf("cut at %d of %d", at, whole), nil)
				if t.Failed() {
					t.FailNow()
				}
			}
			if failed < tried*9/10 {
				t.Errorf("only %d of %d beats failed", failed, tried)
			}
		})
	}
}

// TestBitsFlipped flips one bit in each kind of file of a clone: the first byte, the last, and some between; beats;
// pushes.
//
// INVARIANT (spec 4): with the next push at the latest the tree is what was pushed, and what a script saw; untracked
// files survive; nothing of the damage is fatal, and no half-readable object or index is ever believed.
func TestBitsFlipped(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{
		"pack":         "objects/pack/*.pack",
		"pack index":   "objects/pack/*.idx",
		"loose object": "objects/[0-9a-f][0-9a-f]/*",
		"index":        "index",
		"HEAD":         "HEAD",
		"branch":       "refs/heads/main",
		"shallow":      "shallow",
		"config":       "config",
	}
	const places = 8
	listed(t, len(kinds)*places)
	for name, pattern := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{work: patient})
			look := script("nodework/work.sh", watchful+`echo "saw $ADD_VERSION $(git hash-object serial a/b d/*/file | tr '\n' ' ')" >>"$T_DIR/journal"`+"\n")
			serial, right := 0, map[string]string{}
			push := func() {
				serial++
				v := g.push("ops", append(small(serial), look, gittest.File("serial", fmt.Sprint(serial)), gittest.File("a/b", strings.Repeat("b", 4000+serial)), gittest.File("never/changes", noise(3000)))...)
				right[v] = strings.Join(strings.Fields(g.repos["ops"].Git("rev-parse", v+":serial", v+":a/b", fmt.Sprintf("%s:d/%d/file", v, serial%3))), " ")
			}
			push() // each first clone has a commit before its own, so that its file shallow names one
			for place := 0; place < places; place += testkit.Rounds(places-1, 1) {
				// Always of the same form: two packs, one small, and a loose object, which people's git programs make.
				if err := os.RemoveAll(g.in("gitrepo")); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					push()
					g.beatOnce(0)
				}
				write(t, filepath.Join(g.clone("ops"), "people.txt"), "mine\n")
				gittest.Git(t, g.clone("ops"), "hash-object", "-w", "serial", "people.txt")
				paths, err := filepath.Glob(filepath.Join(g.clone("ops"), ".git", pattern))
				if err != nil || len(paths) == 0 {
					t.Fatalf("no %s: %v", pattern, err)
				}
				path := paths[place%len(paths)]
				where := flipBit(t, path, place, places)
				// 5, when it cannot read whether there is a hold: a brake fails closed.
				if code, _, stderr := g.run("beat"); code != 0 && code != 1 && code != 5 {
					t.Errorf("%s: beat ended with %d: %s", where, code, stderr)
				}
				push()
				code, _, stderr := g.run("beat")
				if code != 0 || g.worked("ops", "root") != g.tip("ops") {
					t.Errorf("%s: the beat after a push ended with %d, worked %s, pushed %s: %s", where, code, g.worked("ops", "root"), g.tip("ops"), stderr)
				}
				if got := read(filepath.Join(g.clone("ops"), "people.txt")); got != "mine\n" {
					t.Errorf("%s: people.txt holds %q", where, got)
				}
				if err := os.Remove(filepath.Join(g.clone("ops"), "people.txt")); err != nil {
					t.Error(err)
				}
				if got, want := gittest.TreeOf(t, g.clone("ops")), g.repos["ops"].Git("rev-parse", "main^{tree}"); got != want {
					t.Errorf("%s: the tree is %s, pushed %s", where, got, want)
				}
				if t.Failed() {
					t.FailNow()
				}
			}
			for _, line := range g.journal() {
				if line[0] == "saw" && !slices.Equal(line[2:], strings.Fields(right[line[1]])) {
					t.Errorf("a script was told %s and saw another tree: %v", line[1], line)
				}
			}
		})
	}
}

// flipBit flips a bit of a file: of its first byte, its last, or one between.
func flipBit(t *testing.T, path string, place, places int) string {
	t.Helper()
	data := []byte(read(path))
	if len(data) == 0 {
		t.Fatalf("%s is empty", path)
	}
	at := (len(data) - 1) * place / (places - 1)
	data[at] ^= 1 << (place % 7)
	if err := join(os.Chmod(path, 0o644), os.WriteFile(path, data, 0o644)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("bit %d of byte %d of %d of %s", place%7, at, len(data), filepath.Base(path))
}
