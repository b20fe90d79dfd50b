package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/node"
	"github.com/addagent/addagent/presence/fleet"
)

// tell is the story of the grid, a step a function.
func (g *demoGrid) tell(ctx context.Context) error {
	for _, step := range []func(context.Context) error{g.comeUp, g.workAPush, g.wedge, g.unwedge, g.loseOne, g.comeBack, g.lookBack} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// comeUp starts the machines: the first alone, so that one sees what one does.
func (g *demoGrid) comeUp(ctx context.Context) error {
	g.say("three machines, as an image leaves them: who they are, and the state presetup")
	for _, n := range g.nodes {
		state, err := os.ReadFile(g.path(n.id, "nodeinfo", "state.txt"))
		if err != nil {
			return err
		}
		fmt.Fprintf(g.out, "   %-7s part %-5s %s/nodeinfo/state.txt: %s", n.id, n.part, g.show(n.home), state)
	}
	if err := g.git(ctx, g.path("people", "ops"), "remote", "add", "origin", g.url); err != nil {
		return err
	}
	if err := g.push(ctx, "how a machine is initialised"); err != nil {
		return err
	}
	g.say("a control node gathers what nodes say in the presence repository (addctl presence:fold --every 1s)")
	if err := g.startFold(); err != nil {
		return err
	}
	g.say("%s starts, a beat every second: its log, and what a person in the room #ops reads", g.nodes[0].id)
	if err := g.start(g.nodes[0]); err != nil {
		return err
	}
	if err := g.ready(ctx, g.nodes[0]); err != nil {
		return err
	}
	g.say("and the others")
	for _, n := range g.nodes[1:] {
		if err := g.start(n); err != nil {
			return err
		}
	}
	if err := g.ready(ctx, g.nodes[1:]...); err != nil {
		return err
	}
	return g.ask(ctx, "nodes")
}

// ready waits until nodes are initialised and idle, and until everybody can know.
func (g *demoGrid) ready(ctx context.Context, nodes ...*demoNode) error {
	for _, n := range nodes {
		if err := g.until(ctx, n.id+" is idle in addctl nodes", func() bool { return g.seen(ctx, n).State == node.Idle }); err != nil {
			return err
		}
		if err := g.until(ctx, "the room was told that "+n.id+" is initdone", func() bool { return g.room.heard(n.id, ": initdone: ") == 1 }); err != nil {
			return err
		}
	}
	return nil
}

// pushes is a push of one file.
func (g *demoGrid) pushes(ctx context.Context, path, text, message string) error {
	if err := g.write(map[string]string{"people/ops/" + path: text}); err != nil {
		return err
	}
	return g.push(ctx, message)
}

func (g *demoGrid) workAPush(ctx context.Context) error {
	g.say("a push: the application, and a work script for each part. All three work it")
	texts := map[string]string{"people/ops/app/version.txt": "1\n"}
	for _, n := range g.nodes {
		texts["people/ops/nodework/part/"+n.part+"/work.yaml"] = "watch: [ app/ ]\ntimeout: 1m\n"
		texts["people/ops/nodework/part/"+n.part+"/work.sh"] = gridWork
	}
	if err := g.write(texts); err != nil {
		return err
	}
	if err := g.push(ctx, "version 1"); err != nil {
		return err
	}
	return g.allWorked(ctx, g.nodes)
}

// allWorked waits until nodes have worked what was pushed last, and until that was said in the room.
func (g *demoGrid) allWorked(ctx context.Context, nodes []*demoNode) error {
	done := ": idle: done at ops@" + g.last[:7]
	for _, n := range nodes {
		if err := g.until(ctx, n.id+" has worked "+g.last[:7], func() bool { return g.worked(n) }); err != nil {
			return err
		}
		if err := g.until(ctx, "the room was told that "+n.id+" has worked "+g.last[:7], func() bool { return g.room.heard(n.id, done) == 1 }); err != nil {
			return err
		}
	}
	return nil
}

// wedge lets the script of one part fail, three times.
func (g *demoGrid) wedge(ctx context.Context) error {
	n := g.nodes[2]
	g.say("a broken script for part %s: %s fails, tries again, and wedges at the third time", n.part, n.id)
	if err := g.pushes(ctx, "nodework/part/db1/work.sh", gridBad, "migrate the customers"); err != nil {
		return err
	}
	if err := g.until(ctx, n.id+" is wedged in addctl nodes", func() bool { return g.seen(ctx, n).State == node.Wedged }); err != nil {
		return err
	}
	if err := g.until(ctx, "the room was told that "+n.id+" is wedged", func() bool { return g.room.heard(n.id, ": wedged: ") > 0 }); err != nil {
		return err
	}
	g.say("what needs somebody is on top; the others had nothing to do")
	if err := g.ask(ctx, "nodes"); err != nil {
		return err
	}
	fmt.Fprintln(g.out, "   (VERSIONS may lag: trouble is told at once, the rest in turn, six times a minute from the whole grid)")
	return nil
}

func (g *demoGrid) unwedge(ctx context.Context) error {
	n := g.nodes[2]
	g.say("a new commit is tried at once, and %s is well again", n.id)
	if err := g.pushes(ctx, "nodework/part/db1/work.sh", gridWork, "migrate the customers, after the table is made"); err != nil {
		return err
	}
	if err := g.until(ctx, n.id+" has worked "+g.last[:7], func() bool { return g.worked(n) }); err != nil {
		return err
	}
	if err := g.until(ctx, "the room was told that "+n.id+" is wedged no more", func() bool { return g.room.heard(n.id, "wedged no more") == 1 }); err != nil {
		return err
	}
	return g.toldOnce()
}

// toldOnce makes sure that the wedge was said, and said once.
func (g *demoGrid) toldOnce() error {
	if times := g.room.heard(g.nodes[2].id, ": wedged: "); times != 1 {
		return fmt.Errorf("the room was told %d times that %s is wedged, and not once", times, g.nodes[2].id)
	}
	return nil
}

// loseOne kills the agent that promised first, and waits until the grid misses it.
func (g *demoGrid) loseOne(ctx context.Context) error {
	n := g.nodes[0]
	if err := g.until(ctx, n.id+" is idle in addctl nodes", func() bool { return g.seen(ctx, n).State == node.Idle }); err != nil {
		return err
	}
	g.say("kill -9 of the agent of %s (process %d): it has no time to say goodbye", n.id, n.agent.cmd.Process.Pid)
	n.agent.end(syscall.SIGKILL)
	var by time.Time
	if err := g.until(ctx, n.id+" has promised when it speaks again", func() bool { by = g.seen(ctx, n).By; return !by.IsZero() }); err != nil {
		return err
	}
	fmt.Fprintf(g.out, "   it has promised to speak again by %s, and gets as much time again because clocks differ\n", by.UTC().Format("15:04:05Z"))
	if err := g.until(ctx, n.id+" is late in addctl nodes", func() bool { return g.seen(ctx, n).Age == fleet.Late }); err != nil {
		return err
	}
	g.say("it has missed the time that it named: late")
	if err := g.ask(ctx, "nodes"); err != nil {
		return err
	}
	g.say("the others do not care: a push meanwhile")
	if err := g.pushes(ctx, "app/version.txt", "2\n", "version 2"); err != nil {
		return err
	}
	if err := g.allWorked(ctx, g.nodes[1:]); err != nil {
		return err
	}
	if err := g.until(ctx, n.id+" is missing in addctl nodes", func() bool { return g.seen(ctx, n).Age == fleet.Missing }); err != nil {
		return err
	}
	if err := g.until(ctx, "the control node has written down that "+n.id+" is missing", func() bool {
		out, err := g.ctl(ctx, "log", n.id)
		return err == nil && strings.Contains(out, " missing ")
	}); err != nil {
		return err
	}
	g.say("it has missed that by as much again: missing")
	return g.ask(ctx, "nodes")
}

func (g *demoGrid) comeBack(ctx context.Context) error {
	n := g.nodes[0]
	g.say("%s starts again, works what it missed, and is there", n.id)
	if err := g.start(n); err != nil {
		return err
	}
	if err := g.allWorked(ctx, g.nodes); err != nil {
		return err
	}
	if err := g.until(ctx, n.id+" is present and idle in addctl nodes", func() bool {
		is := g.seen(ctx, n)
		return is.Age == fleet.Present && is.State == node.Idle
	}); err != nil {
		return err
	}
	return g.ask(ctx, "nodes")
}

// lookBack shows where all of that is kept.
func (g *demoGrid) lookBack(ctx context.Context) error {
	g.say("what happened, from the presence repository")
	for _, n := range []*demoNode{g.nodes[0], g.nodes[2]} {
		if err := g.ask(ctx, "log", n.id); err != nil {
			return err
		}
	}
	g.say("git alone can tell, too: each node has a ref, and commits to it what it has to say")
	if err := g.asksGit(ctx, 8, "log", "--oneline", "presence/"+g.nodes[2].id); err != nil {
		return err
	}
	g.say("and everybody's page, which the control node makes")
	if err := g.asksGit(ctx, 14, "show", "main:README.md"); err != nil {
		return err
	}
	return g.toldOnce()
}

// asksGit prints the first lines of what git says of the presence repository.
func (g *demoGrid) asksGit(ctx context.Context, most int, args ...string) error {
	repo := g.path("server", "presence.git")
	out, err := g.gitSays(ctx, repo, args...)
	if err != nil {
		return err
	}
	lines := slices.DeleteFunc(strings.Split(out, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	more := ""
	if len(lines) > most {
		lines, more = lines[:most], "   ...\n"
	}
	fmt.Fprintf(g.out, "   $ git -C %s %s\n%s%s", g.show(repo), strings.Join(args, " "), indented(strings.Join(lines, "\n")), more)
	return nil
}
