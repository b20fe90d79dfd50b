//go:build linux

package torture

import (
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
)

// dripping answers rightly, but from so many bytes on only some now and then (50 KB a second), until it is told to go
// on.
func (b *bad) dripping(after int, goOn <-chan struct{}) func(net.Conn) {
	return func(c net.Conn) {
		left := after
		b.relay(c, func(w io.Writer) io.Writer {
			return writer(func(p []byte) (n int, err error) {
				for n < len(p) && err == nil {
					size := len(p) - n
					select {
					case <-goOn:
					default:
						if left == 0 {
							<-time.After(10 * time.Millisecond)
						}
						size = min(size, max(left, 500))
					}
					wrote := 0
					wrote, err = w.Write(p[n : n+size])
					n, left = n+wrote, max(left-wrote, 0)
				}
				return n, err
			})
		})
	}
}

// TestLongFirstClone lets the server of a new node send its pack so slowly that the clone takes many beats, as a daemon
// and as a single beat; kills the agent in the middle of it, once; and then lets the server go on.
//
// INVARIANT (spec 3, 7): while a look goes on no other begins; at each tick the log, status and beat.json say how far
// it is, and presence hears that the node lives; what is half here is no clone, and nothing of it is worked; when it is
// over the node works what was pushed, once.
func TestLongFirstClone(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	listed(t, 2)
	far := regexp.MustCompile(`fetching ops: \d+ (bytes|KB), \d+ objects? so far`)
	for name, cron := range map[string]bool{"daemon": false, "one beat": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, goOn := newBad(t), make(chan struct{})
			g := newGrid(t, plan{via: func(_, url string) string { return b.via(url) }})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			g.configure(p.presence(g, ", refresh: 5s"))
			g.push("ops", script("nodework/work.sh", "echo start >>$T_DIR/journal\n"), gittest.File("big", noise(4_000_000)))
			b.becomes(b.dripping(60_000, goOn))
			slow := func() {
				t.Helper()
				seen := map[time.Time]bool{}
				g.until("presence to hear that it lives", func() bool {
					g.surprise()
					r := p.record(g.id())
					if r.State != "setup" && r.State != "" {
						t.Fatalf("presence hears %s of a node that is incomplete", r.State)
					}
					if !r.BeatSeen.IsZero() {
						seen[r.BeatSeen] = true
					}
					return len(seen) > 2
				})
				g.until("beat.json to say how far it is", func() bool { return len(g.beat().Fetching) == 1 })
				if f := g.beat(); f.Fetching[0].Bytes < 50_000 || f.State != "setup" || f.Looks[0].Version != "" {
					t.Errorf("beat.json says %+v", f)
				}
				code, status, _ := g.run("status")
				if code != 0 || !strings.Contains(status, "still looking") || !far.MatchString(status) || strings.Contains(status, "LATE") {
					t.Errorf("status ends with %d: %s", code, status)
				}
				if n := len(far.FindAllString(g.log(), -1)); n < 2 {
					t.Errorf("the log says %d times how far it is", n)
				}
			}
			var beat *process
			if cron {
				beat = launch(t, g.command("beat"))
				slow()
			} else {
				g.start()
				slow()
				g.agent.kill()
				// It may quote the last line of the log, which is one of those.
				if code, status, _ := g.run("status"); code != 1 || !strings.Contains(status, "NOT RUNNING") || strings.Contains(status, "\n  look ") {
					t.Errorf("of a dead agent status ends with %d: %s", code, status)
				}
				g.start()
				slow()
			}
			close(goOn)
			if cron {
				g.until("the beat to end", func() bool { return !beat.alive() })
			}
			g.settle("ops", "root")
			p.hear(g, "idle", "presence")
			if n := g.count("start"); n != 1 || len(g.beat().Fetching) != 0 {
				t.Errorf("%d runs, and beat.json says %+v", n, g.beat().Fetching)
			}
			for _, b := range g.records() {
				if len(b.Fetching) > 0 {
					t.Errorf("the journal of beats has a look that goes on: %+v", b)
				}
			}
			if !cron {
				g.stop()
			}
			g.sound("ops")
		})
	}
}
