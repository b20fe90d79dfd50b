//go:build linux

package torture

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// impatient are the deadlines of nodes whose servers misbehave.
const impatient = ", look_timeout: 6s, fetch_stall: 6s, fetch_timeout: 12s"

// TestServerMisbehaves lets the server of one repository do what servers do on bad days, for some beats each.
//
// INVARIANT (spec 3, 4): each beat is bounded by its deadlines; the clone stays as it was and is worked as it is; the
// repository of another server is not disturbed; the trouble is said once and counted, and its end is said; when the
// server is well again, the node is too, by itself, and nothing is left on disk.
func TestServerMisbehaves(t *testing.T) {
	t.Parallel()
	cases := map[string]func(b *bad) func(net.Conn){
		"is down":          nil,
		"hangs":            func(b *bad) func(net.Conn) { return b.hang },
		"babbles":          func(b *bad) func(net.Conn) { return b.babble },
		"trickles":         func(b *bad) func(net.Conn) { return b.trickle },
		"cuts the pack":    func(b *bad) func(net.Conn) { return b.cut(60_000) },
		"bends the pack":   func(b *bad) func(net.Conn) { return b.flip(60_000, 60_000) },
		"sends no end":     func(b *bad) func(net.Conn) { return b.instead(endless) },
		"sends a bomb":     func(b *bad) func(net.Conn) { return b.instead(bomb) },
		"shows a web page": func(b *bad) func(net.Conn) { return b.http(webPage) },
		"is overloaded":    func(b *bad) func(net.Conn) { return b.http(overloaded) },

		"reads nothing":                  func(b *bad) func(net.Conn) { return b.deaf },
		"closes at once":                 func(b *bad) func(net.Conn) { return func(net.Conn) {} },
		"sends half a header":            func(b *bad) func(net.Conn) { return b.halfAHeader },
		"sends half an answer":           func(b *bad) func(net.Conn) { return b.stall(150, 0) },
		"sends half a pack":              func(b *bad) func(net.Conn) { return b.stall(60_000, 0) },
		"closes in the middle of a pack": func(b *bad) func(net.Conn) { return b.cut(60_001) },
		"drips a byte a second":          func(b *bad) func(net.Conn) { return b.stall(0, time.Second) },
		"drips half a pack":              func(b *bad) func(net.Conn) { return b.stall(60_000, time.Second) },
	}
	listed(t, len(cases))
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 3)
			t.Parallel()
			b := newBad(t)
			g := newGrid(t, plan{repos: []string{"ops", "app"}, beat: impatient, via: func(name, url string) string {
				if name == "ops" {
					return b.via(url)
				}
				return url
			}})
			note := script("nodework/work.sh", "echo worked $ADD_REPO $ADD_VERSION >>$T_DIR/journal\n")
			first := g.push("ops", note)
			g.push("app", note)
			g.start()
			g.settle("ops", "root")
			g.settle("app", "root")
			before := g.beat().Seq

			if fault == nil {
				b.down()
			} else {
				b.becomes(fault(b))
			}
			g.push("ops", gittest.File("blob", noise(200_000)))
			g.push("app", gittest.File("later", "x\n"))
			if err := os.Remove(filepath.Join(g.memory("ops", "root"), "work.sh_VERSION")); err != nil { // "again"
				t.Fatal(err)
			}
			g.until("the other repository to be worked", func() bool { return g.worked("app", "root") == g.tip("app") })
			g.until("the clone to be worked as it is", func() bool { return g.count("worked", "ops", first) == 2 })
			g.until("the trouble to be counted", func() bool {
				for _, tr := range g.beat().Troubles {
					if strings.Contains(tr.Key, "ops") && tr.Count >= 3 {
						return true
					}
				}
				return false
			})
			gittest.Fsck(t, g.clone("ops"))
			if got := g.worked("ops", "root"); got != first {
				t.Errorf("worked %s while the server %s, want %s", got, name, first)
			}
			said := regexp.MustCompile(`(?m)^\S+ WARNING .*(look|pull) ops: .*$`)
			// A bent pack may be broken in one way today and in another tomorrow: that is news.
			lines := said.FindAllString(g.log(), -1)
			for i := range lines {
				_, lines[i], _ = strings.Cut(lines[i], " ")
			}
			slices.Sort(lines)
			if different := len(slices.Compact(slices.Clone(lines))); len(lines) != different || different < 1 || different > 3 {
				t.Errorf("the trouble was said %d times:\n%s", len(lines), strings.Join(lines, "\n"))
			}
			for _, rec := range g.records() {
				// Two deadlines of asking (a kept connection that fails is asked again), or asking and fetching, are at
				// most 18 s; and a machine has other things to do.
				if rec.Seq > before && rec.Ms > 60_000 {
					t.Errorf("beat %d took %.0f ms", rec.Seq, rec.Ms)
				}
			}

			b.becomes(nil)
			g.settle("ops", "root")
			g.stop()
			if _, over := g.news(" ops: "); len(over) != 1 {
				t.Errorf("the end of the trouble was said: %q", over)
			}
			if b := g.beat(); len(b.Troubles) != 0 {
				t.Errorf("troubles left: %+v", b.Troubles)
			}
			g.sound("ops")
			g.sound("app")
			if mb := size(t, g.clone("ops")) >> 20; mb > 5 {
				t.Errorf("the clone takes %d MB", mb)
			}
		})
	}
}

func webPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, "<html><h1>Please log in</h1></html>")
}

func overloaded(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "3")
	http.Error(w, "too much to do", http.StatusServiceUnavailable)
}

// noise does not compress, so that a pack is as large as its files.
func noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return string(b)
}

// size is how many bytes of disk a folder takes, apparent.
func size(t *testing.T, dir string) int64 {
	t.Helper()
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// TestAnswersCutAndBentAnywhere breaks the connection, or flips a bit, at random places of all that a server answers to
// a beat, a beat each.
//
// INVARIANT (spec 4): such a beat leaves the clone as it was or brings it to what was pushed, whole, and never anything
// else; no script sees anything else; the next beat with a good server brings it to what was pushed.
func TestAnswersCutAndBentAnywhere(t *testing.T) {
	t.Parallel()
	const usual = 40
	listed(t, usual)
	r := dice(t)
	b := newBad(t)
	g := newGrid(t, plan{beat: ", look_timeout: 10s, fetch_stall: 10s, fetch_timeout: 20s", via: func(_, url string) string { return b.via(url) }})
	right := map[string]string{} // version -> content of file
	change := func() []gittest.Change {
		return []gittest.Change{gittest.File("file", noise(1000+r.IntN(100_000))), gittest.File("small", fmt.Sprint(r.Uint64()))}
	}
	push := func(more ...gittest.Change) {
		version := g.push("ops", append(change(), more...)...)
		right[version] = g.repos["ops"].Git("rev-parse", version+":file")
	}
	push(script("nodework/work.sh", "echo worked $ADD_VERSION $(git hash-object file) >>$T_DIR/journal\n"))
	whole, failed := 0, 0
	for round := range rounds(t, usual) {
		push()
		at := 0
		switch r.IntN(3) {
		case 0:
			at = r.IntN(1500) // heads of answers, the answer to the question for the tip
		default:
			at = r.IntN(110_000)
		}
		how, serve := "cut", b.cut(at+1)
		if r.IntN(2) == 0 {
			how, serve = "bent", b.flip(at, 0)
		}
		was := g.worked("ops", "root")
		b.becomes(serve)
		code, _, stderr := g.run("beat")
		now := g.worked("ops", "root")
		switch {
		case code == 0 && now == g.tip("ops"):
			whole++ // it was behind the end, or asked for once more
		case code == 1 && now == was && stderr != "":
			failed++
		default:
			t.Errorf("round %d, %s at %d: beat ended with %d, worked %s -> %s, pushed %s: %s", round, how, at, code, was, now, g.tip("ops"), stderr)
		}
		if exists(g.clone("ops") + "/.git/HEAD") {
			gittest.Fsck(t, g.clone("ops"))
		}
		if r.IntN(4) == 0 || t.Failed() {
			b.becomes(nil)
			g.beatOnce(0)
			g.sound("ops")
		}
		if t.Failed() {
			t.Fatalf("after round %d, %s at %d", round, how, at)
		}
	}
	t.Logf("%d beats failed, %d came through", failed, whole)
	b.becomes(nil)
	g.beatOnce(0)
	if got := g.worked("ops", "root"); got != g.tip("ops") {
		t.Errorf("worked %s, pushed %s", got, g.tip("ops"))
	}
	g.sound("ops")
	for _, line := range g.journal() {
		if right[line[1]] != line[2] {
			t.Errorf("a script was told %s and saw another tree", line[1])
		}
	}
}
