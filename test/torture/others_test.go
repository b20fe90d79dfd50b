//go:build linux

package torture

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/gitrepo/gittest"
	"github.com/addagent/addagent/presence"
)

// TestOthersCannotBeRead has a node read who else is there, and work whenever that set changes; lets a second node come;
// breaks the presence repository in several ways; and lets a third one come when that is over.
//
// INVARIANT (spec 1, 5, 8): nodeinfo/nodes.json is whole at every moment that it is there, and is not emptied because the
// store cannot be read; what watches the set of nodes runs once when that changes, and neither at each beat nor because nobody
// could be asked; the trouble is said once, and its end.
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
				t.Errorf("%d runs because nobody could be asked", n-runs-1)
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
