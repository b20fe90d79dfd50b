//go:build linux

package torture

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/presence/gitstore"
)

// TestPlacesChange changes, under a living agent, who is told: presence and a room come; a second room comes before the
// first, with lines for the first on their way; presence moves to another repository; the port of the metrics is
// another; the first room goes; and at last all of it.
//
// INVARIANT (spec 2, 7): a change counts from the next beat on, without a restart; what waits for a place that stays is
// not lost, and goes to no other; a new repository is told what is now; a place that is gone is left in peace; no
// secret is in what the node wrote, nor in what check prints.
func TestPlacesChange(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1"})
	p := newPlaces(t, filepath.Join(g.dir, "store"))
	serial := 0
	push := func(more ...gittest.Change) {
		t.Helper()
		serial++
		g.push("ops", append(more, gittest.File("serial", itoa(serial)))...)
	}
	push(script("nodework/work.sh", "! [ -e bad ]\n"))
	g.start()
	g.settle("ops", "root")
	agent := g.agent.pid()

	here := p.presence(g, "")
	g.configure(here + "chat:\n" + p.chat("ops"))
	p.hear(g, "idle", "presence")
	push()
	g.settle("ops", "root")
	p.hear(g, "idle", "chat")

	// What waits for the first room must not go to the one that takes its place in the list; that hears how things are
	// now.
	p.roomWay.down()
	push(gittest.File("bad", "x"))
	waits := g.tip("ops")[:7]
	p.hear(g, "wedged", "presence")
	g.until("the trouble to be said", func() bool { troubles, _ := g.news("chat: "); return len(troubles) == 1 })
	g.configure(here + "chat:\n" + p.chat("dev") + p.chat("ops"))
	push(gittest.Remove("bad"))
	g.settle("ops", "root")
	p.hear(g, "idle", "presence")
	p.roomWay.becomes(nil)
	p.hear(g, "idle", "chat")
	if len(p.room.lines("ops", ": wedged: ")) != 1 || len(p.room.lines("ops", "recovered after ", " wedged")) != 1 || len(p.room.lines("dev", "working: ", waits)) != 0 {
		t.Errorf("the first room heard %q, the second %q", p.room.lines("ops"), p.room.lines("dev"))
	}
	push()
	g.settle("ops", "root")
	g.until("the second room to hear", func() bool { return len(p.room.lines("dev", ": idle", g.tip("ops")[:7])) == 1 })

	// Another repository knows nothing of the node.
	p.hear(g, "idle", "presence")
	old := p.store.Git("rev-parse", gitstore.RefPrefix+g.id())
	before := p.store
	p.store = gittest.New(t, filepath.Join(p.dir, "other.git"))
	p.url = strings.Replace(p.url, "presence.git", "other.git", 1)
	there := p.presence(g, "")
	ports := []string{gittest.Port(t, "127.0.0.1"), gittest.Port(t, "127.0.0.1")}
	g.configure(there + fmt.Sprintf("metrics: { listen: %q }\n", ports[0]) + "chat:\n" + p.chat("dev") + p.chat("ops"))
	p.hear(g, "idle", "presence")
	if now := before.Git("rev-parse", gitstore.RefPrefix+g.id()); now != old {
		t.Errorf("the repository that is not in the config any more was told something")
	}
	g.until("the metrics", func() bool { return scrape(ports[0]) != "" })
	g.configure(there + fmt.Sprintf("metrics: { listen: %q }\n", ports[1]) + "chat:\n" + p.chat("dev"))
	g.until("the metrics at another port", func() bool { return scrape(ports[1]) != "" })
	if scrape(ports[0]) != "" {
		t.Errorf("the metrics are still at the port that is not in the config any more")
	}
	heard := len(p.room.lines("ops"))
	push()
	g.settle("ops", "root")
	g.until("the room that stays to hear", func() bool { return len(p.room.lines("dev", ": idle", g.tip("ops")[:7])) == 1 })
	if now := len(p.room.lines("ops")); now != heard {
		t.Errorf("the room that is not in the config any more heard %q", p.room.lines("ops")[heard:])
	}

	code, out, errs := g.run("check")
	for _, secret := range []string{roomToken, presenceToken} {
		if code != 0 || strings.Contains(out+errs, secret) {
			t.Errorf("check ends with %d and prints\n%s%s", code, out, errs)
		}
	}
	g.configure("")
	g.until("nothing to be shown", func() bool { return scrape(ports[1]) == "" })
	push()
	g.settle("ops", "root")
	g.surprise()
	if g.beat().PID != agent {
		t.Errorf("the agent was restarted")
	}
	g.stop()
	g.sound("ops")
	p.noSecrets(g)
	gittest.Fsck(t, p.store.Dir)
	gittest.Fsck(t, before.Dir)
}

// TestLastWordInARoom deploys three items at once, disables and enables the node twice, well and wedged, lets work
// fail with one exit code after the other, heal, and fail again, and runs all work again twice.
//
// INVARIANT (spec 7): a deploy is two lines, whatever the number of its items; every wedge and every end of one is
// told, also within the hour; the last line is about the state of the node.
func TestLastWordInARoom(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{work: "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1"})
	p := newPlaces(t, filepath.Join(g.dir, "store"))
	g.push("ops", script("nodework/work.sh", "exit $(cat code)\n"), script("nodework/work.d/a/work.sh", ""), script("nodework/work.d/b/work.sh", ""), gittest.File("code", "0"))
	g.configure("chat:\n" + p.chat("ops") + strings.Replace(p.chat("pager"), "only: all", "only: critical", 1))
	g.start()
	heard := 0
	hears := func(words ...string) {
		t.Helper()
		g.until("the room to hear "+strings.Join(words, ", then "), func() bool {
			g.surprise()
			lines := p.room.lines("ops", g.id()+":")[heard:]
			return len(lines) >= len(words)
		})
		for i, line := range p.room.lines("ops", g.id()+":")[heard:] {
			if i >= len(words) || !strings.Contains(line, ": "+words[i]) {
				t.Fatalf("line %d is %q, not %q", i, line, words)
			}
		}
		heard += len(words)
	}
	does := func(args ...string) {
		t.Helper()
		if code, out, errs := g.run(args...); code > 3 || code == 2 {
			t.Fatalf("%q ends with %d: %s%s", args, code, out, errs)
		}
	}
	hears("setup: ", "initdone: ", "working: 3 items at ops@", "idle: done (3 items) at ops@")
	g.push("ops", gittest.File("serial", "1"))
	hears("working: 3 items at ops@", "idle: done (3 items) at ops@"+g.tip("ops")[:7])
	for range 2 {
		does("disable", "--reason", "migration")
		hears("disabled: ")
		does("enable")
		hears("idle: done at ops@")
	}
	g.push("ops", gittest.File("code", "3"))
	hears("working: 3 items", "wedged: ops:root: exit 3 at ops@"+g.tip("ops")[:7])
	g.push("ops", gittest.File("code", "4"))
	hears("wedged: ops:root: exit 4 at ops@" + g.tip("ops")[:7])
	does("disable", "--reason", "migration")
	hears("disabled: ")
	does("enable")
	hears("wedged: ops:root: exit 4")
	for range 2 {
		g.push("ops", gittest.File("code", "0"))
		hears("recovered after ", "idle: done (3 items)")
		g.push("ops", gittest.File("code", "4"))
		hears("working: 3 items", "wedged: ops:root: exit 4")
	}
	g.push("ops", gittest.File("code", "0"))
	hears("recovered after ", "idle: done (3 items)")
	for range 2 {
		does("beat", "--again")
		hears("working: 3 items at ops@", "idle: done (3 items) at ops@")
	}
	if wedged, over := p.room.lines("pager", ": wedged: "), p.room.lines("pager", "recovered after "); len(over) != 3 || len(wedged) != 4 || !strings.Contains(wedged[1], "exit 4") {
		t.Errorf("the pager heard %q, and %q", wedged, over)
	}
	g.stop()
	g.sound("ops")
}

// TestCopiedDiskTellsAnew goes on with the disk of a node on other hardware, while lines of the first node wait for a
// room that is away, and it is noted that the first one ended itself.
//
// INVARIANT (spec 1, 7): what the first machine told, was about to tell, and did to itself is set aside and not the
// copy's; the copy tells everybody under its own name; the record of the first machine stays as it is, and no clash
// is reported.
func TestCopiedDiskTellsAnew(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	listed(t, 1)
	const one, two = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	g := newGrid(t, plan{})
	p := newPlaces(t, filepath.Join(g.dir, "store"))
	g.configure(p.presence(g, "") + "chat:\n" + p.chat("ops"))
	g.push("ops", script("nodework/work.sh", "true\n"))
	g.beatOn(one)
	first := g.id()
	p.roomWay.down()
	g.push("ops", script("nodework/work.sh", "true # again\n"))
	g.startOn(one)
	p.hear(g, "idle", "presence")
	g.stop()
	p.roomWay.becomes(nil)
	write(t, filepath.Join(g.dir, "lib", "ended.json"), `{"at":"2026-01-01T00:00:00Z","way":"poweroff","why":"x","items":{"ops:root":"x"}}`+"\n")
	heard, tip := len(p.room.lines("ops", first+":")), p.store.Git("rev-parse", gitstore.RefPrefix+first)

	g.beatOn(two)
	for _, name := range []string{"presence.json", "chat", "ended.json", "instance.json"} {
		if !exists(filepath.Join(g.dir, "lib", name+".copied")) {
			t.Errorf("%s of the first machine was not set aside", name)
		}
	}
	if exists(filepath.Join(g.dir, "lib", "ended.json")) {
		t.Error("the copy remembers that it ended itself")
	}
	if g.id() == first || !p.says(g, "idle", "presence") || len(p.room.lines("ops", g.id()+":", "initdone: ")) != 1 {
		t.Errorf("the copy is %s; presence says %+v, the room heard %q", g.id(), p.record(g.id()), p.room.lines("ops"))
	}
	if now := p.store.Git("rev-parse", gitstore.RefPrefix+first); now != tip || len(p.room.lines("ops", first+":")) != heard {
		t.Errorf("the copy spoke for the first machine: %q", p.room.lines("ops", first+":"))
	}
	if strings.Contains(g.log(), "clash") {
		t.Errorf("the log speaks of a clash")
	}
	g.sound("ops")
	gittest.Fsck(t, p.store.Dir)
}
