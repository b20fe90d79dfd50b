//go:build linux

package torture

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// fleet are nodes of one part, with one repository to work and one presence repository and room.
type fleet struct {
	*places
	nodes []*grid
	marks string // what ends a machine ends nothing, and leaves a line here
}

// newFleet makes n nodes that look at the repository of the first; each ends itself by leaving a mark.
func newFleet(t *testing.T, n int, work string) *fleet {
	t.Helper()
	f := &fleet{}
	for i := range n {
		g := newGrid(t, plan{beat: ", look_timeout: 15s", work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1"})
		if i == 0 {
			f.places = newPlaces(t, filepath.Join(g.dir, "store"))
			f.marks = filepath.Join(g.dir, "marks")
			g.push("ops", script("nodework/work.sh", work))
		} else {
			first := f.nodes[0]
			g.base = strings.Replace(g.base, repoURL(g), repoURL(first), 1)
			g.repos = first.repos
		}
		write(t, g.in("nodeinfo", "instance-id.txt"), fmt.Sprintf("n-%02d\n", i))
		write(t, g.in("nodeinfo", "deployment.txt"), "test\n")
		command := fmt.Sprintf("[ /bin/sh, -c, \"echo n-%02d >>%s\" ]", i, f.marks)
		g.configure(f.presence(g, ", refresh: 10s") + "chat:\n" + f.chat("ops") + fmt.Sprintf("wedged: { kill: command, after: 10s, command: %s }\n", command))
		f.nodes = append(f.nodes, g)
	}
	return f
}

// repoURL is where a node finds its repository.
func repoURL(g *grid) string {
	_, rest, _ := strings.Cut(g.base, "url: \"")
	url, _, _ := strings.Cut(rest, "\"")
	return url
}

// ended are the nodes that ended themselves, once for each time.
func (f *fleet) ended() []string { return strings.Fields(read(f.marks)) }

// considered waits until a node has been asked whether it ends itself, and has said why it does not.
func (f *fleet) considered(g *grid, says string) {
	g.t.Helper()
	g.until("the node to say "+says, func() bool { g.surprise(); return strings.Contains(g.log(), says) })
}

// others puts records of more nodes into presence, as of nodes that do well or not, all of this moment.
func (p *places) others(from, to int, like presence.Record, change func(r *presence.Record)) {
	p.t.Helper()
	var stream strings.Builder
	for i := from; i < to; i++ {
		r := like
		r.InstanceID, r.Hardware = fmt.Sprintf("n-%02d", i), fmt.Sprintf("host:%d", i)
		r.BeatSeen = time.Now().UTC()
		r.BeatNextBy = r.BeatSeen.Add(time.Hour)
		change(&r)
		data, err := presence.Encode(r)
		if err != nil {
			p.t.Fatal(err)
		}
		fmt.Fprintf(&stream, "commit %s%s\ncommitter t <t@t> %d +0000\ndata 1\nx\nM 100644 inline %s\ndata %d\n%s\n", gitstore.RefPrefix, r.InstanceID, r.BeatSeen.Unix(), gitstore.PathOf(r.InstanceID), len(data), data)
	}
	p.store.Import([]byte(stream.String()))
}

// fails is work that fails where a file lies, on that machine alone.
const fails = "! [ -e \"$T_DIR/broken\" ]\n"

// TestNobodyEndsWithTheFleet gives a bad commit to forty nodes at once, some of them real, all set to end themselves
// when they stay wedged; then takes away the git server from a node that is wedged, for many beats.
//
// INVARIANT (spec 6): no node ends itself: the cause may be the work and not the machine; nor does a node that cannot
// read presence at that time; each says why it does not, once.
func TestNobodyEndsWithTheFleet(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	listed(t, 2)
	f := newFleet(t, 5, fails)
	for _, g := range f.nodes {
		g.start()
	}
	for _, g := range f.nodes {
		g.settle("ops", "root")
		f.hear(g, "idle", "presence")
	}
	f.nodes[0].push("ops", script("nodework/work.sh", "exit 1\n"))
	for _, g := range f.nodes {
		f.hear(g, "wedged", "presence")
	}
	f.others(5, 40, f.record("n-00"), func(r *presence.Record) { r.State = node.Wedged })
	for _, g := range f.nodes {
		f.considered(g, "not terminating: no other node of test/app1 is present and healthy")
	}
	for _, g := range f.nodes {
		g.beats(3)
		if n := strings.Count(g.log(), "not terminating"); n != 1 {
			t.Errorf("%s said %d times that it is not terminating", g.id(), n)
		}
	}

	// One that is restarted asks anew; now presence cannot be read.
	alone := f.nodes[0]
	alone.stop()
	f.storeWay.down()
	alone.start()
	f.considered(alone, "kill: refusing to terminate: no fresh presence data")
	alone.beats(3)
	for _, g := range f.nodes {
		if g.state() != "wedged" {
			t.Errorf("%s is %s", g.id(), g.state())
		}
		g.stop()
	}
	if m := f.ended(); len(m) > 0 {
		t.Errorf("ended: %v", m)
	}
	if lines := f.room.lines("ops", "terminating itself"); len(lines) > 0 {
		t.Errorf("the room heard %q", lines)
	}
}

// TestOneEndsAlone breaks two machines of a part so that they fail at what their peers have finished, kills the first
// with -9 while it is about to end itself, and restarts it later.
//
// INVARIANT (spec 6, 7): one of the two ends itself, once, after presence and the room heard that it leaves and why;
// the other waits for as long as the lease lasts; a restarted agent goes on with an attempt that was cut before its
// end, and does not end itself twice for the same failure.
func TestOneEndsAlone(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		killed bool // in the middle of the attempt
	}{
		"left alone":                       {},
		"killed with -9 while it tells it": {killed: true},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 2)
			t.Parallel()
			f := newFleet(t, 4, fails)
			for _, g := range f.nodes {
				g.start()
			}
			for _, g := range f.nodes {
				g.settle("ops", "root")
			}
			broken := f.nodes[:2]
			for _, g := range broken {
				g.stop()
				write(t, g.note("broken"), "")
			}
			f.nodes[0].push("ops", gittest.File("later", "x"))
			for _, g := range f.nodes[2:] {
				g.settle("ops", "root")
				f.hear(g, "idle", "presence")
			}
			for _, g := range broken {
				g.start()
			}
			if c.killed {
				// The lease is won, and the last word is on its way: that is where it is cut.
				var one *grid
				f.nodes[0].until("one to be about to end itself", func() bool {
					for _, g := range broken {
						if strings.Contains(g.log(), "this machine is terminating itself") {
							one = g
							return true
						}
					}
					return false
				})
				one.agent.kill()
				one.start()
			}
			f.nodes[0].until("an end", func() bool { return len(f.ended()) > 0 })
			ended, other := broken[0], broken[1]
			if f.ended()[0] == other.id() {
				ended, other = other, ended
			}
			// Nothing but the mark tells that it had ended: what follows it was before it.
			if r := f.record(ended.id()); r.State != node.Leaving || !strings.Contains(r.Reason, "terminating itself (command)") {
				t.Errorf("when it ended, presence said %s: %s", r.State, r.Reason)
			}
			if n := len(f.room.lines("ops", ended.id()+":test/app1: leaving: terminating itself (command)", "ops:root, which n-02, n-03 finished")); n != 1 && !(c.killed && n == 2) {
				t.Errorf("when it ended, the room had heard: %q", f.room.lines("ops"))
			}
			f.considered(other, "not terminating yet: lease of the part held by "+ended.id())
			ended.stop()
			ended.start()
			f.considered(ended, "already terminated itself for the same failure")
			ended.beats(3)
			if m := f.ended(); len(m) != 1 {
				t.Errorf("ended: %v", m)
			}
			for _, g := range f.nodes {
				g.stop()
				if g != ended && g.state() == "leaving" {
					t.Errorf("%s is leaving", g.id())
				}
			}
			if ended.state() != "wedged" {
				t.Errorf("the one that ended itself, and was started again, is %s", ended.state())
			}
			var lease gitstore.Lease
			text := f.store.Git("show", gitstore.LeaseRef(gitstore.RefPrefix, "kill/test/app1")+":lease.json")
			if err := json.Unmarshal([]byte(text), &lease); err != nil || lease.Holder != ended.id() {
				t.Errorf("the lease is held by %+v (%v)", lease, err)
			}
			gittest.Fsck(t, f.store.Dir)
		})
	}
}
