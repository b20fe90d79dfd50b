package fold

import (
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

func TestFoldAndRead(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	f, r := folder(t, server.URL+"/r.git"), reader(t, server.URL+"/r.git")
	now := noon()

	if got := once(t, f, now); got.Pushed || got.Commit != "" {
		t.Errorf("of an empty repository %+v", got)
	}
	if got := read(t, r, now); len(got.Nodes) != 0 || got.From != presence.FromRefs {
		t.Errorf("read %+v", got)
	}
	g.tell("a", node.Setup, now)
	g.tell("a", node.InitDone, now.Add(time.Second))
	g.tell("b", node.Idle, now)
	now = now.Add(time.Minute)
	if got := read(t, r, now); say(got, now) != "a initdone present, b idle present" || got.From != presence.FromRefs {
		t.Errorf("read %q from %s", say(got, now), got.From)
	}
	if got := once(t, f, now); !got.Pushed || got.Nodes != 2 || got.Moved != 2 {
		t.Errorf("fold %+v", got)
	}
	sameSet(t, "first fold", g.lines(), []string{"a >setup", "a setup>initdone", "b >idle"})
	if got := read(t, r, now); say(got, now) != "a initdone present, b idle present" || got.From != presence.FromFold {
		t.Errorf("read %q from %s", say(got, now), got.From)
	}
	g.tell("a", node.Working, now)
	g.tell("a", node.Failing, now.Add(time.Second))
	g.tell("a", node.Failing, now.Add(2*time.Second))
	g.tell("a", node.Idle, now.Add(3*time.Second))
	g.tell("c", node.Setup, now)
	g.tell("c", node.InitDone, now)
	now = now.Add(time.Minute)
	once(t, f, now)
	sameSet(t, "second fold", g.lines(), []string{"a >setup", "a setup>initdone", "b >idle",
		"a initdone>working", "a working>failing", "a failing>idle", "c >setup", "c setup>initdone"})
	if got := read(t, r, now); say(got, now) != "a idle present, b idle present, c initdone present" || got.From != presence.FromFold {
		t.Errorf("read %q from %s", say(got, now), got.From)
	}
	t.Log(g.Git("show", "main:README.md"))
	t.Log(g.Git("show", "main:fold.json"))
	t.Log(g.Git("show", "main:refs.json"))
	t.Log(g.Git("ls-tree", "-r", "main"))
	gittest.Fsck(t, repo.Dir)
}
