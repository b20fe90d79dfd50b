//go:build linux

package torture

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/internal/testkit"
)

// way is how a node lives: as a daemon, or by one process a beat, as under cron.
type way struct {
	name string
	cron bool
}

var ways = []way{{"daemon", false}, {"cron", true}}

// live beats at least n times more, whatever comes of it.
func (g *grid) live(w way, n int) {
	g.t.Helper()
	if !w.cron {
		if g.agent == nil || !g.agent.alive() {
			g.start()
		}
		g.beats(uint64(n))
		return
	}
	for range n {
		if code, _, stderr := g.run("beat"); code == 2 || code == 4 {
			g.t.Errorf("beat ended with %d: %s", code, stderr)
		}
	}
}

// rest ends the daemon, does something, and leaves the next life to live.
func (g *grid) rest(w way, do func()) {
	g.t.Helper()
	if !w.cron {
		g.stop()
	}
	do()
}

var (
	stamps = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	uptime = regexp.MustCompile(`"(\w+_)?up":\s*-?[0-9.e+]+`)
)

// set makes all that the node has written down look as if the clock had been set by so much since.
func (g *grid) set(by time.Duration) {
	g.t.Helper()
	g.rewrite(func(text string) string {
		return stamps.ReplaceAllStringFunc(text, func(stamp string) string {
			at, err := time.Parse(time.RFC3339, stamp)
			if err != nil || at.IsZero() {
				return stamp
			}
			return at.Add(-by).UTC().Format(time.RFC3339Nano)
		})
	})
}

// pass makes all that the node has written down look as if it had been written so long before.
func (g *grid) pass(d time.Duration) {
	g.t.Helper()
	g.set(d)
	g.rewrite(func(text string) string {
		return uptime.ReplaceAllStringFunc(text, func(up string) string {
			name, value, _ := strings.Cut(up, ":")
			seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return fmt.Sprintf("%s:%f", name, seconds-d.Seconds())
		})
	})
}

// rewrite changes the files with which a node remembers.
func (g *grid) rewrite(change func(string) string) {
	g.t.Helper()
	for _, root := range []string{g.in("nodeinfo"), filepath.Join(g.dir, "lib"), g.in("gitrepo")} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".json" || strings.Contains(path, "/.git/") {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(change(read(path))), info.Mode())
		})
		if err != nil {
			g.t.Fatal(err)
		}
	}
}

// asksForPatience answers all with a Retry-After of ten minutes, and counts.
func (b *bad) asksForPatience() *atomic.Int32 {
	asked := &atomic.Int32{}
	b.becomes(b.http(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	return asked
}

// TestTwoWaysToLive takes away servers, time and permission from a daemon that is restarted now and then, and from a
// node that lives by one process a beat.
//
// INVARIANT (spec 3): everything that a beat must remember is on disk, so one process per beat keeps every promise that
// the daemon keeps: the hour until a node without servers is wedged, work_spread, the delays of retries, Retry-After, a
// trouble that is said when it begins, hourly and when it is over, holds, and that a machine does not end itself for a
// bad commit.
func TestTwoWaysToLive(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T, w way){
		"no repository for an hour": func(t *testing.T, w way) {
			b := newBad(t)
			g := newGrid(t, plan{via: func(_, url string) string { return b.via(url) }})
			g.push("ops", script("nodework/work.sh", "true\n"))
			g.live(w, 2)
			b.down()
			g.live(w, 3)
			for range 2 {
				g.rest(w, func() { g.pass(25 * time.Minute) })
				g.live(w, 2)
			}
			if b := g.beat(); b.State != "idle" || b.LastLook.IsZero() || len(b.Troubles) != 1 || time.Since(b.Troubles[0].Since) < 50*time.Minute {
				t.Errorf("after 50 minutes: %s %q, last look %s, troubles %+v", b.State, b.Reason, b.LastLook, b.Troubles)
			}
			g.rest(w, func() { g.pass(15 * time.Minute) })
			g.live(w, 2)
			if b := g.beat(); b.State != "wedged" || !strings.Contains(b.Reason, "no repository could be reached for 1 h 5 min") {
				t.Errorf("after 65 minutes: %s %q", b.State, b.Reason)
			}
			b.becomes(b.pass)
			g.until("the node to be well again", func() bool { g.live(w, 1); return g.beat().State == "idle" })
		},
		"work_spread": func(t *testing.T, w way) {
			g := newGrid(t, plan{beat: ", work_spread: 10h"})
			share := schedule.Offset(g.id()+" work", 10*time.Hour, 10*time.Hour)
			g.push("ops", script("nodework/work.sh", "echo ran >>$T_DIR/journal\n"))
			g.live(w, 2)
			g.rest(w, func() { g.pass(share - 5*time.Minute) })
			g.live(w, 2)
			if _, why, _ := g.run("why"); g.count("ran") != 0 || !strings.Contains(why, "delayed by beat.work_spread until") {
				t.Errorf("ran %d times before its time; why says:\n%s", g.count("ran"), why)
			}
			g.rest(w, func() { g.pass(10 * time.Minute) })
			g.until("the work to run after its delay", func() bool { g.live(w, 1); return g.count("ran") == 1 })
		},
		"retries": func(t *testing.T, w way) {
			g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 1h, retry_max: 8h, wedge_after: 9"})
			g.push("ops", script("nodework/work.sh", "echo ran >>$T_DIR/journal; exit 3\n"))
			g.live(w, 4)
			for n, hours := range []time.Duration{2, 3, 6} {
				if g.count("ran") != n+1 {
					t.Errorf("ran %d times instead of %d", g.count("ran"), n+1)
				}
				g.rest(w, func() { g.pass(hours * time.Hour) })
				g.live(w, 4)
			}
		},
		"a trouble": func(t *testing.T, w way) {
			g := newGrid(t, plan{})
			g.push("ops", script("nodework/work.sh", "true\n"))
			g.live(w, 2)
			g.configure("colour: blue\n")
			g.live(w, 4)
			begun := strings.Count(g.log(), "WARNING "+g.config())
			g.rest(w, func() { g.pass(61 * time.Minute) })
			g.live(w, 4)
			lasts := strings.Count(g.log(), "WARNING ongoing for 1 h")
			g.configure("")
			g.live(w, 3)
			if over := strings.Count(g.log(), "resolved after 1 h"); begun != 1 || lasts != 1 || over != 1 {
				t.Errorf("said %d times at its begin, %d times after an hour, %d times at its end:\n%s", begun, lasts, over, g.log())
			}
		},
		"a hold": func(t *testing.T, w way) {
			g := newGrid(t, plan{})
			g.push("ops", script("nodework/work.sh", "echo ran >>$T_DIR/journal\n"), gittest.File("nodework/hold.yaml", "reason: wait\n"))
			g.live(w, 3)
			if g.count("ran") != 0 || g.state() != "disabled" {
				t.Errorf("%s, ran %d times", g.state(), g.count("ran"))
			}
			g.push("ops", gittest.Remove("nodework/hold.yaml"))
			g.until("the work to run", func() bool { g.live(w, 1); return g.count("ran") == 1 && g.state() == "idle" })
		},
		"Retry-After of a repository and of a room": func(t *testing.T, w way) {
			b := newBad(t)
			g := newGrid(t, plan{via: func(_, url string) string { return b.via(url) }})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			g.configure("chat:\n" + p.chat("ops"))
			g.push("ops", script("nodework/work.sh", "true\n"))
			g.until("the room to hear of the first deploy", func() bool { g.live(w, 1); return len(p.room.lines("ops", ": idle")) > 0 })
			room := p.roomWay.asksForPatience()
			g.push("ops", script("nodework/work.sh", "exit 3\n"))
			g.until("the node to fail", func() bool { g.live(w, 1); return g.state() == "failing" })
			g.until("the room to be asked", func() bool { g.live(w, 1); return room.Load() > 0 })
			repo := b.asksForPatience()
			for range 3 {
				g.live(w, 3)
				if room.Load() != 1 || repo.Load() != 1 {
					t.Errorf("within the ten minutes the room was asked %d times, the repository %d times", room.Load(), repo.Load())
				}
				g.rest(w, func() { g.pass(3 * time.Minute) })
			}
			g.rest(w, func() { g.pass(2 * time.Minute) })
			g.until("both to be asked again", func() bool { g.live(w, 1); return room.Load() == 2 && repo.Load() == 2 })
			for _, says := range []string{"chat: ", "ops: "} {
				// A daemon that starts says anew what it could not tell.
				if troubles, _ := g.news(says); w.cron && len(troubles) != 1 || !strings.Contains(strings.Join(troubles, "\n"), "429") {
					t.Errorf("said %q", troubles)
				}
			}
		},
		"a cloud that refuses tags": func(t *testing.T, w way) {
			g := newGrid(t, plan{})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			g.configure(p.all(g))
			g.push("ops", script("nodework/work.sh", "true\n"))
			p.cloud.deny(true)
			g.until("the cloud to be asked", func() bool { g.live(w, 1); return p.cloud.asked() > 1 })
			before := p.cloud.asked()
			for range 6 {
				g.live(w, 2)
				g.rest(w, func() {})
			}
			if n := p.cloud.asked() - before; n > 6 {
				t.Errorf("asked %d times in twelve beats of which each should be one of a minute", n)
			}
			if b := g.beat(); len(b.Troubles) != 1 || !strings.Contains(b.Troubles[0].Text, "tags: ") {
				t.Errorf("troubles: %+v", b.Troubles)
			}
			p.cloud.deny(false)
			g.rest(w, func() { g.pass(15 * time.Minute) })
			g.until("the tags to be set", func() bool { g.live(w, 1); return p.cloud.tag("add:state") == "idle" && len(g.beat().Troubles) == 0 })
			if troubles, over := g.news("tags: "); w.cron && len(troubles) != 1 || len(over) != 1 {
				t.Errorf("said %q, and its end %q", troubles, over)
			}
		},
		"a bad commit and wedged.kill": func(t *testing.T, w way) {
			g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1"})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			ended := filepath.Join(g.dir, "ended")
			g.configure(p.presence(g, "") + fmt.Sprintf("wedged: { kill: command, after: 10s, command: [/bin/touch, %q] }\n", ended))
			g.push("ops", script("nodework/work.sh", "exit 3\n"))
			g.live(w, 5)
			g.until("the node to say why it does not end the machine", func() bool { g.live(w, 1); return strings.Contains(g.log(), "not terminating: ") })
			g.rest(w, func() { g.pass(24 * time.Hour) })
			g.live(w, 5)
			if _, err := os.Lstat(ended); err == nil || g.state() != "wedged" {
				t.Errorf("%s; the machine ended itself: %v", g.state(), err == nil)
			}
		},
	}
	listed(t, len(cases)*len(ways))
	for name, c := range cases {
		for _, w := range ways {
			t.Run(name+", "+w.name, func(t *testing.T) {
				testkit.OneIn(t, 3)
				t.Parallel()
				c(t, w)
			})
		}
	}
}

// TestClockSet sets the clock forward and back, by a minute, a day and fifty years, between two beats of a node whose
// repository has been away for seconds, and whose scripts wait and fail.
//
// INVARIANT (spec 3): durations are measured and not read off the clock. Nothing is wedged, failing or over because the
// clock was set, nothing waits for a time that was meant on another clock, and the next push is worked.
func TestClockSet(t *testing.T) {
	t.Parallel()
	jumps := []time.Duration{time.Minute, 24 * time.Hour, 50 * 365 * 24 * time.Hour}
	listed(t, 2*len(jumps)*len(ways))
	for _, w := range ways {
		for _, size := range jumps {
			for _, jump := range []time.Duration{size, -size} {
				t.Run(w.name+", "+jump.String(), func(t *testing.T) {
					testkit.OneIn(t, 4)
					t.Parallel()
					b := newBad(t)
					g := newGrid(t, plan{repos: []string{"ops", "away"}, via: func(name, url string) string {
						if name == "away" {
							return b.via(url)
						}
						return url
					}})
					g.push("away", gittest.File("README", "x"))
					g.push("ops", script("nodework/work.sh", "echo ran >>$T_DIR/journal; exit 75\n"))
					g.live(w, 2)
					b.down()
					g.live(w, 3)
					for range 2 { // and once more, while it is being got over
						g.rest(w, func() { g.set(jump) })
						g.live(w, 2)
						if b := g.beat(); b.State != "idle" || len(b.Troubles) != 1 || time.Since(b.Troubles[0].Since).Abs() > 10*time.Minute {
							t.Errorf("%s %q, troubles %+v", b.State, b.Reason, b.Troubles)
						}
					}
					if _, status, _ := g.run("status"); !strings.HasPrefix(status, "IDLE since ") {
						t.Errorf("status says:\n%s", status)
					}
					b.becomes(b.pass)
					g.push("ops", script("nodework/work.sh", "echo done >>$T_DIR/journal\n"))
					g.until("the push to be worked", func() bool {
						g.live(w, 1)
						return g.count("done") == 1 && g.beat().State == "idle" && len(g.beat().Troubles) == 0
					})
				})
			}
		}
	}
}

// TestClockSetWhileAllWaits sets the clock while a script runs, and while presence, a room and the cloud refuse what
// the node has to tell.
//
// INVARIANT (spec 3): the deadline of a script and the pause after a failure are measured; whatever the clock says, the
// script ends in peace, and all hear of it as soon as they listen again.
func TestClockSetWhileAllWaits(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	jumps := []time.Duration{time.Minute, 24 * time.Hour, 50 * 365 * 24 * time.Hour}
	every := []string{"presence", "chat", "ec2"}
	listed(t, 2*len(jumps)*len(ways))
	for _, w := range ways {
		for _, size := range jumps {
			for _, jump := range []time.Duration{size, -size} {
				t.Run(w.name+", "+jump.String(), func(t *testing.T) {
					testkit.OneIn(t, 12)
					t.Parallel()
					g := newGrid(t, plan{work: "timeout: 5m, grace: 1s, retry_first: 1h, retry_max: 8h, wedge_after: 99"})
					p := newPlaces(t, filepath.Join(g.dir, "store"))
					g.configure(p.all(g))
					g.push("ops", script("nodework/work.sh", "true\n"))
					heard := func(state string) func() bool {
						return func() bool {
							g.live(w, 1)
							return !slices.ContainsFunc(every, func(place string) bool { return !p.says(g, state, place) })
						}
					}
					g.until("all to hear that the node is idle", heard("idle"))
					away := behave(nil, every...)
					away.breaks(p)
					g.push("ops", script("nodework/work.sh", "echo began >>$T_DIR/journal; until [ -e $T_DIR/go ]; do sleep 0.1; done; exit 3\n"))
					if w.cron {
						write(t, g.note("go"), "") // a single beat waits for its script
					}
					g.until("the script to run", func() bool {
						if w.cron || g.agent == nil || !g.agent.alive() {
							g.live(w, 1)
						}
						return g.count("began") == 1
					})
					g.rest(w, func() { g.set(jump) })
					g.live(w, 2)
					write(t, g.note("go"), "")
					g.until("the script to end", func() bool { g.live(w, 1); return g.state() == "failing" })
					if b := g.beat(); !strings.Contains(b.Reason, "exit 3") { // a clock that is set may make a retry due
						t.Errorf("%s: %s", b.State, b.Reason)
					}
					g.rest(w, func() { g.set(jump) })
					g.live(w, 2)
					away.ends(p)
					g.until("all to hear that it fails", heard("failing"))
				})
			}
		}
	}
}
