//go:build linux

package torture

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// fault breaks places, and repairs them again; without ends they recover by themselves, or the node repairs them.
type fault struct {
	places       []string // that it breaks: presence, chat, ec2
	breaks, ends func(p *places)
	quiet        bool // it recovers by itself, so that nothing need be said
	restart      bool // only a person can fix it: it is asked about seldom, and an agent that starts asks at once
}

// ways are the servers before some places.
func (p *places) ways(names ...string) map[string]*bad {
	all := map[string]*bad{"presence": p.storeWay, "chat": p.roomWay, "ec2": p.cloudWay}
	for name := range all {
		if !slices.Contains(names, name) {
			delete(all, name)
		}
	}
	return all
}

// behave is a fault of the servers before places.
func behave(how func(b *bad) func(net.Conn), names ...string) fault {
	return fault{places: names,
		breaks: func(p *places) {
			for _, b := range p.ways(names...) {
				if how == nil {
					b.down()
				} else {
					b.becomes(how(b))
				}
			}
		},
		ends: func(p *places) {
			for _, b := range p.ways(names...) {
				b.becomes(nil)
			}
		}}
}

// refusing is a fault that a person must fix.
func refusing(f fault) fault {
	f.restart = true
	return f
}

// answer is a server that answers all with a status.
func answer(status int, header ...string) func(b *bad) func(net.Conn) {
	return func(b *bad) func(net.Conn) {
		return b.http(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			fmt.Fprintln(w, "<html>not now</html>")
		})
	}
}

// troubled is how the troubles of a place begin.
var troubled = map[string]string{"presence": "presence repository: ", "chat": "chat: ", "ec2": "tags: "}

// TestPlacesAway breaks the presence repository, the chat room and the cloud, one of them or all, in the ways in which
// servers break; has a node become wedged and well again meanwhile; and repairs them.
//
// INVARIANT (spec 3, 7): work goes on at its usual beat; the places that are well are told all the same, before those
// that are not have answered; a trouble is said once while it stays, names its place, and its end is said; then the
// newest state is in all places, the room heard of the wedge and of its end, and the ref of the node holds a whole
// history; no secret is in what the node wrote.
func TestPlacesAway(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	hangs := func(b *bad) func(net.Conn) { return b.hang }
	babbles := func(b *bad) func(net.Conn) { return b.babble }
	every := []string{"presence", "chat", "ec2"}
	cases := map[string]fault{
		"chat is down":                   behave(nil, "chat"),
		"chat hangs":                     behave(hangs, "chat"),
		"chat answers 500":               behave(answer(500), "chat"),
		"chat answers 429":               behave(answer(429, "Retry-After", "1"), "chat"),
		"chat refuses":                   refusing(behave(answer(400), "chat")),
		"chat babbles":                   behave(babbles, "chat"),
		"presence is down":               behave(nil, "presence"),
		"presence hangs":                 behave(hangs, "presence"),
		"presence babbles":               behave(babbles, "presence"),
		"presence answers 503":           behave(answer(503, "Retry-After", "1"), "presence"),
		"presence shows a web page":      behave(answer(200), "presence"),
		"the cloud is down":              behave(nil, "ec2"),
		"the cloud hangs":                behave(hangs, "ec2"),
		"the cloud answers 503":          behave(answer(503), "ec2"),
		"all are down":                   behave(nil, every...),
		"all hang":                       behave(hangs, every...),
		"presence and the cloud hang":    behave(hangs, "presence", "ec2"),
		"the cloud denies":               {places: []string{"ec2"}, breaks: func(p *places) { p.cloud.deny(true) }, ends: func(p *places) { p.cloud.deny(false) }},
		"presence may only be read":      {places: []string{"presence"}, breaks: func(p *places) { p.readOnly.Store(true) }, ends: func(p *places) { p.readOnly.Store(false) }, restart: true},
		"presence has a full disk":       {places: []string{"presence"}, breaks: (*places).fill, ends: (*places).empty},
		"presence is wiped":              {places: []string{"presence"}, breaks: (*places).wipe, quiet: true},
		"presence is an old backup":      {places: []string{"presence"}, breaks: (*places).restore, quiet: true},
		"presence lost the node's ref":   {places: []string{"presence"}, breaks: (*places).forget, quiet: true},
		"presence is gone from its disk": {places: []string{"presence"}, breaks: (*places).lose, ends: (*places).found, restart: true},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 4)
			t.Parallel()
			g := newGrid(t, plan{beat: ", look_timeout: 10s", work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1"})
			p := newPlaces(t, mounted(t, "size=20m"))
			g.configure(p.all(g))
			g.push("ops", script("nodework/work.sh", "! [ -e bad ]\n"))
			g.start()
			g.settle("ops", "root")
			p.hear(g, "idle", "presence", "chat", "ec2")
			// A count that fails is made again a quarter of an hour later: it is no part of what is broken here.
			g.until("the nodes to be counted", func() bool {
				return strings.Contains(read(filepath.Join(g.dir, "lib", "presence.json")), "fleet_counted")
			})
			p.backup()

			c.breaks(p)
			g.push("ops", gittest.File("bad", "x"))
			g.until("the node to be wedged", func() bool { g.surprise(); return g.state() == "wedged" })
			well := slices.DeleteFunc(slices.Clone(every), func(name string) bool { return slices.Contains(c.places, name) })
			p.hear(g, "wedged", well...)
			if !c.quiet {
				for _, place := range c.places {
					g.until(place+" to be said to be in trouble", func() bool {
						g.surprise()
						troubles, _ := g.news(troubled[place])
						return len(troubles) > 0
					})
				}
			}
			g.beats(3)
			g.push("ops", gittest.Remove("bad"))
			g.settle("ops", "root")
			p.hear(g, "idle", well...)
			if c.ends != nil {
				c.ends(p)
			}
			if c.restart {
				g.stop()
				g.start()
			}
			p.hear(g, "idle", every...)
			g.until("no trouble to be left", func() bool { return len(g.beat().Troubles) == 0 })
			g.stop()
			g.sound("ops")
			for _, place := range every {
				troubles, over := g.news(troubled[place])
				broken := slices.Contains(c.places, place)
				// It may be broken in some ways one after the other, for a push and for a question, and when what hung
				// is cut.
				different := slices.Compact(slices.Sorted(slices.Values(troubles)))
				if len(different) != len(troubles) || len(troubles) > 3 || !broken && len(troubles) > 0 || !c.quiet && !c.restart && broken && len(over) != 1 || len(over) > 1 {
					t.Errorf("%s: its trouble was said %d times, its end %d times:\n%s\n%s", place, len(troubles), len(over), strings.Join(troubles, "\n"), strings.Join(over, "\n"))
				}
			}
			// What is on its way to the room when an agent ends is said again by the next.
			if n, m := len(p.room.lines("ops", ": wedged: ")), len(p.room.lines("ops", "recovered after ", " wedged")); n != 1 || m != 1 && !(c.restart && m == 2) {
				t.Errorf("the room heard %d times that the node is wedged, %d times that it is not any more: %q", n, m, p.room.lines("ops"))
			}
			gittest.Fsck(t, p.store.Dir)
			p.noSecrets(g)
		})
	}
}

// hear waits until places say that the node is in a state, with what is pushed.
func (p *places) hear(g *grid, state string, places ...string) {
	p.t.Helper()
	for _, place := range places {
		g.until(place+" to say "+state, func() bool { g.surprise(); return p.says(g, state, place) })
	}
}

// says tells whether a place says that the node is in a state, with what is pushed.
func (p *places) says(g *grid, state, place string) bool {
	p.t.Helper()
	tip := "ops@" + g.tip("ops")[:7]
	switch place {
	case "presence":
		r := p.record(g.id())
		return string(r.State) == state && len(r.Repos) == 1 && r.Repos[0].Version == g.tip("ops")
	case "ec2":
		// A>B while B is pulled and not done.
		version := p.cloud.tag("add:version")
		return p.cloud.tag("add:state") == state && (version == tip || strings.HasSuffix(version, ">"+g.tip("ops")[:7]))
	}
	// "recovered after 3 s wedged: idle at ..." and "idle: done at ..." are of the same state.
	all := p.room.lines("ops", g.id()+":")
	return len(all) > 0 && strings.Contains(all[len(all)-1], ": "+state) && (state == "leaving" || strings.Contains(all[len(all)-1], tip))
}

// backup keeps a copy of the store as it is.
func (p *places) backup() { p.copy(p.store.Dir, filepath.Join(p.dir, "backup")) }

func (p *places) copy(from, to string) {
	p.t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		p.t.Fatal(err)
	}
}

// fill leaves no room on the store's disk, and empty gives it back.
func (p *places) fill()  { fill(p.t, filepath.Join(p.dir, "ballast"), 0) }
func (p *places) empty() { p.remove("ballast") }

func (p *places) remove(name string) {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

// wipe puts an empty repository in the place of the store.
func (p *places) wipe() {
	p.t.Helper()
	p.remove("presence.git")
	gittest.New(p.t, p.store.Dir)
}

// restore brings back the store as it was before the last beat that told something.
func (p *places) restore() {
	p.t.Helper()
	p.remove("presence.git")
	p.copy(filepath.Join(p.dir, "backup"), p.store.Dir)
}

// forget deletes all refs, and nothing else.
func (p *places) forget() {
	p.t.Helper()
	for ref := range strings.Lines(p.store.Git("for-each-ref", "--format=%(refname)")) {
		p.store.Git("update-ref", "-d", strings.TrimSpace(ref))
	}
}

// lose moves the store away, and found brings it back.
func (p *places) lose()  { p.rename("presence.git", "moved.git") }
func (p *places) found() { p.rename("moved.git", "presence.git") }

func (p *places) rename(from, to string) {
	p.t.Helper()
	if err := os.Rename(filepath.Join(p.dir, from), filepath.Join(p.dir, to)); err != nil {
		p.t.Fatal(err)
	}
}
