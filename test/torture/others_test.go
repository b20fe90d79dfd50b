//go:build linux

package torture

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// TestOthersCannotBeRead has a node read who else is there, and work whenever that set changes; lets a second node
// come; breaks the presence repository in several ways; and lets a third one come when that is over.
//
// INVARIANT (spec 1, 5, 8): nodeinfo/nodes.json is whole at every moment that it is there, and is not emptied because
// the store cannot be read; what watches the set of nodes runs once when that changes, and neither at each beat nor
// because presence could not be read; a new node's first run waits until it knows who is there, and runs once; the
// trouble is said once, and its end.
func TestOthersCannotBeRead(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	cases := map[string]fault{
		"is down":               behave(nil, "presence"),
		"hangs":                 behave(func(b *bad) func(net.Conn) { return b.hang }, "presence"),
		"shows a web page":      behave(answer(200), "presence"),
		"is gone from its disk": {breaks: (*places).lose, ends: (*places).found},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 2)
			t.Parallel()
			g := newGrid(t, plan{beat: ", look_timeout: 10s, fetch_stall: 10s, fetch_timeout: 20s"})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			g.configure(p.presence(g, ", read: 1s"))
			g.push("ops", script("nodework/work.sh", "echo start $ADD_NODES_FILE >>$T_DIR/journal\n"),
				gittest.File("nodework/work.yaml", "watch: [ { nodes: { part: app1 } } ]\n"))
			nodes := g.in("nodeinfo", "nodes.json")
			stop := watch(t, nodes, func(text string) string {
				if !json.Valid([]byte(text)) {
					return "is no JSON"
				}
				return ""
			})
			defer stop()
			g.start()
			g.settle("ops", "root")
			p.hear(g, "idle", "presence")
			g.until("the node to find itself", func() bool { g.surprise(); return strings.Contains(read(nodes), g.id()) })
			runs := g.calm()
			if runs != 1 {
				t.Errorf("%d runs at the first boot: what a node meets first it had better meet once", runs)
			}

			like := p.record(g.id())
			p.others(1, 2, like, func(*presence.Record) {})
			g.until("work for a second node", func() bool { g.surprise(); return g.count("start") == runs+1 })
			if n := g.calm(); n != runs+1 {
				t.Errorf("%d runs for one node that came", n-runs)
			}

			c.breaks(p)
			g.until("the trouble to be said", func() bool {
				g.surprise()
				troubles, _ := g.news("read presence: ")
				return len(troubles) > 0
			})
			if n := g.calm(); n != runs+1 {
				t.Errorf("%d runs because presence could not be read", n-runs-1)
			}
			if text := read(nodes); !strings.Contains(text, g.id()) || !strings.Contains(text, "n-01") {
				t.Errorf("presence cannot be read, and nodes.json holds %s", text)
			}
			c.ends(p)
			p.others(2, 3, like, func(*presence.Record) {})
			g.until("work for a third node", func() bool { g.surprise(); return g.count("start") == runs+2 })
			g.until("the trouble to be over", func() bool { _, over := g.news("read presence: "); return len(over) == 1 })
			if n := g.calm(); n != runs+2 {
				t.Errorf("%d runs for one node that came", n-runs-1)
			}
			g.stop()
			if troubles, _ := g.news("read presence: "); len(troubles) > 3 {
				t.Errorf("the trouble was said %d times: %q", len(troubles), troubles)
			}
		})
	}
}

// calm lets some beats pass, and tells how many runs there were until then.
func (g *grid) calm() int {
	g.t.Helper()
	g.beats(4)
	return g.count("start")
}

// TestFirstRunMeetsOthers boots a new node, with an init and without, whose work watches the set of nodes: with
// presence well, away, and not read at all; as a daemon and as a cron; and starts it once more.
//
// INVARIANT (spec 5, 8): the first run waits until presence shows who is there, this node too, and is the only one; it
// says what it waits for; it waits for five beats at most, and at no later start.
func TestFirstRunMeetsOthers(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	cases := map[string]struct {
		away, unread, init, cron bool
		held                     string // among the reasons why it waits
	}{
		"daemon":             {held: "shows this node"},
		"daemon with init":   {init: true, held: "shows this node"},
		"cron":               {cron: true, held: "stable for a beat"},
		"cron with init":     {cron: true, init: true, held: "stable for a beat"},
		"presence is away":   {away: true, held: "beat 4 of at most 5"},
		"presence is unread": {unread: true},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 4)
			t.Parallel()
			g := newGrid(t, plan{beat: ", look_timeout: 2s, fetch_stall: 2s, fetch_timeout: 4s"})
			p := newPlaces(t, filepath.Join(g.dir, "store"))
			each := ", read: 1h" // what is read at each beat until then is read for the first run
			if c.unread {
				each = ""
			}
			g.configure(p.presence(g, each))
			if c.away {
				p.lose()
			}
			g.push("ops", script("nodework/work.sh", "echo start $ADD_VERDICT >>$T_DIR/journal\n"),
				gittest.File("nodework/work.yaml", "watch: [ { nodes: { part: app1 } } ]\n"))
			if c.init {
				write(t, g.in("nodeinfo", "initgitrepo.txt"), "ops\n")
				g.push("ops", gittest.File("nodeinit/common/init.sh", "echo init >>$T_DIR/journal\n"))
			}
			run := func() {
				if !c.cron {
					g.start()
					g.settle("ops", "root")
					g.beats(4)
					g.stop()
					return
				}
				for range 7 {
					if code, _, stderr := g.run("beat"); code != 0 {
						t.Fatalf("a beat ends with %d: %s", code, stderr)
					}
				}
			}
			run()
			if n := g.count("start"); n != 1 || g.count("start", "first") != 1 {
				t.Errorf("the journal says %q", g.journal())
			}
			held := ""
			for _, b := range g.records() {
				for _, i := range b.Items {
					held += i.Held + "\n"
				}
			}
			if c.held == "" && strings.Contains(held, "waiting until") || !strings.Contains(held, c.held) {
				t.Errorf("held by %q, want %q", held, c.held)
			}
			before := len(g.records())
			run()
			if n := g.count("start"); n != 1 {
				t.Errorf("%d runs after another start", n)
			}
			for _, b := range g.records()[before:] {
				if strings.Contains(b.Items[0].Held, "waiting until presence") {
					t.Errorf("it waits again: %s", b.Items[0].Held)
				}
			}
		})
	}
}
