package gitstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Clash is the error when another machine moves this node's ref: two machines have the same instance-id.
type Clash struct {
	Ref   string
	Here  presence.Record // what this machine wants to push
	There presence.Record // what the other pushed; zero if it is not a record
}

func (c *Clash) Error() string {
	there, clones := "an unknown writer", ""
	if c.There.InstanceID != "" {
		there = machine(c.There)
	}
	if c.There.Hardware == c.Here.Hardware {
		clones = " (two clones of one image look like the same hardware)"
	}
	return fmt.Sprintf("clash: %s is also written by %s; this one, %s, stops reporting%s: %s", c.Ref, there, machine(c.Here), clones, c.Hint())
}

// Hint is what a person can do about it, with which the error's text ends. The file alone is not enough: an agent puts
// back the name that its hardware is bound to.
func (c *Clash) Hint() string {
	return "give one of the two another name (stop its agent, remove instance.json from its state_dir, write the name into nodeinfo/instance-id.txt) or, if that machine is gone, delete the ref"
}

// Critical says that this needs a person at once: neither machine can know which of them is meant to have the name.
func (c *Clash) Critical() bool { return true }

// machine describes a machine so that a person can find it.
func machine(r presence.Record) string {
	name := r.Hostname
	if name == "" {
		name = "a machine without a hostname"
	}
	return fmt.Sprintf("%s (%s)", name, strings.Join(append(append([]string{}, r.Addresses...), r.Hardware), ", "))
}

// push is one attempt: find out where the ref is, if that is not known, then push what waits.
func (g *Sink) push(ctx context.Context) error {
	g.mu.Lock()
	unclear := g.unclear
	g.mu.Unlock()
	if unclear {
		if err := g.ask(ctx); err != nil {
			return err
		}
	}
	g.mu.Lock()
	if len(g.queue) == 0 {
		g.mu.Unlock()
		return nil // the last push had landed after all
	}
	p, objects, err := plan(g.state, g.queue, g.pace())
	if err != nil {
		g.mu.Unlock()
		return err
	}
	g.held, g.state.Pending = len(g.queue), &p
	old := g.state.Told.Tip
	g.tokens.Spend(time.Now(), g.pace().burst(), g.pace().share())
	g.mu.Unlock()

	g.save()
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	err = g.o.Remote.Push(ctx, remote.Update{Ref: g.state.Ref, Old: old, New: p.Tip, Objects: objects})
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		// Only the ref itself tells what happened: a lock, a hook and a lost answer come in too many words.
		g.unclear = true
		if rejected := new(remote.Rejected); p.forced && errors.As(err, &rejected) {
			g.refused++
		}
		return err
	}
	g.landed()
	return nil
}

// landed records that what was pending is published.
func (g *Sink) landed() {
	g.mu.Lock()
	if g.state.Pending.forced {
		g.refused = 0
	}
	g.state.landed()
	g.unclear = false
	if g.held > 0 {
		g.queue = append([]queued(nil), g.queue[g.held:]...)
		g.held = 0
	} else {
		g.queue = nil // an earlier agent pushed it, and the queue was made without it
	}
	g.take()
	g.mu.Unlock()
	g.save()
}

// ask finds out where the ref is and continues from there. The error is a *Clash when the ref is another machine's.
func (g *Sink) ask(ctx context.Context) error {
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	tip, err := refID(ctx, g.o.Remote, g.state.Ref)
	if err != nil {
		return err
	}
	switch m := g.state; {
	case m.Pending != nil && tip == m.Pending.Tip:
		g.landed()
	case tip == m.Told.Tip: // the push did not land
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.refused >= 2 { // one may have been a lock
			g.refused = 0
			g.state.Append = g.latest.BeatSeen.Add(appendFor)
		}
		g.state.Pending, g.held, g.unclear = nil, 0, false
		g.take() // with its newest beat
	case tip == "":
		g.continueFrom(published{}, nil)
	default:
		t, steps, err := g.theirs(ctx, tip)
		if err != nil {
			return err
		}
		g.continueFrom(t, steps)
	}
	return nil
}

// continueFrom continues from what was found at the ref.
func (g *Sink) continueFrom(t published, steps []historyEntry) {
	g.mu.Lock()
	g.state.Told, g.state.Pending, g.state.Steps = t, nil, steps
	g.queue, g.held, g.unclear, g.refused = nil, 0, false, 0
	g.take()
	g.mu.Unlock()
	g.save()
}

// theirs reads a commit at our ref that the state does not know. With our hardware it is ours: the state was lost, or
// is that of a copied state_dir. Otherwise the error is a *Clash.
func (g *Sink) theirs(ctx context.Context, tip string) (published, []historyEntry, error) {
	g.mu.Lock()
	ours := g.latest
	g.mu.Unlock()
	r, found, err := recognise(ctx, g.o.Remote, g.state.Ref, tip, ours, g.state.Told.Record)
	if err != nil {
		return published{}, nil, err
	}
	return published{Tip: tip, Base: tip, Record: &r}, g.history(ctx, tip, found), nil
}

// recognise reads the record at the tip of our ref. The error is a *Clash when another machine pushed it; before is
// what this machine is known to have pushed.
func recognise(ctx context.Context, s Remote, ref, tip string, ours presence.Record, before *presence.Record) (presence.Record, *objects.Content, error) {
	found, err := s.Read(ctx, []string{tip}, remote.ReadOptions{Depth: 1})
	if err != nil {
		return presence.Record{}, nil, err
	}
	clash := &Clash{Ref: ref, Here: ours}
	data, err := found.File(tip, PathOf(ours.InstanceID))
	if err != nil {
		return presence.Record{}, nil, clash
	}
	r, err := presence.Decode(data)
	if err != nil {
		return presence.Record{}, nil, clash
	}
	if !sameHardware(r, ours) || cloned(r, ours, before) {
		clash.There = r
		return presence.Record{}, nil, clash
	}
	return r, found, nil
}

// history reads the commits behind a tip, so that the branch stays bounded even when the state was lost. What cannot be
// read is dropped when the branch is cut the next time.
func (g *Sink) history(ctx context.Context, tip string, found *objects.Content) []historyEntry {
	if all, err := g.o.Remote.Read(ctx, []string{tip}, remote.ReadOptions{Depth: historyMost}); err == nil {
		found = all
	}
	var steps []historyEntry
	for id := tip; len(steps) < historyMost; {
		c, err := found.Commit(id)
		if err != nil {
			break
		}
		steps = append(steps, historyEntry{tree: c.Tree, at: presence.WholeSecond(c.Author.When), subject: oneLine(c.Subject())})
		if len(c.Parents) == 0 {
			break
		}
		id = c.Parents[0]
	}
	slices.Reverse(steps)
	return steps
}

// refID asks for one ref; "" when it is not there.
func refID(ctx context.Context, s Remote, ref string) (string, error) {
	refs, err := s.Refs(ctx, ref)
	if err != nil {
		return "", err
	}
	for _, r := range refs {
		if r.Name == ref { // and not a longer name
			return r.ID, nil
		}
	}
	return "", nil
}

// sameHardware says whether this machine wrote a record. One without hardware is of an old agent, or was written by
// hand. Where the two have no part of the hardware in common, as when one was written without root, the hostname
// decides.
func sameHardware(theirs, ours presence.Record) bool {
	if theirs.Hardware == "" || theirs.Hardware == ours.Hardware {
		return true
	}
	a, b := parseHardware(theirs.Hardware), parseHardware(ours.Hardware)
	both := func(a, b string) bool { return a != "" && b != "" }
	if both(a.EC2, b.EC2) || both(a.Machine, b.Machine) || both(a.Product, b.Product) {
		return !a.Differs(b)
	}
	return theirs.Hostname != "" && theirs.Hostname == ours.Hostname
}

// cloned says that a record with our hardware is another machine's all the same, as with two clones of one image: it is
// of another boot and later than what this boot has pushed. In a repository restored from a backup it is earlier.
func cloned(theirs, ours presence.Record, told *presence.Record) bool {
	return told != nil && told.BootID == ours.BootID && ours.BootID != "" &&
		theirs.BootID != "" && theirs.BootID != ours.BootID && theirs.BeatSeen.After(told.BeatSeen)
}

// parseHardware reads what node.Hardware.String writes.
func parseHardware(s string) node.Hardware {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "ec2":
		return node.Hardware{EC2: rest}
	case "dmi":
		machine, product, _ := strings.Cut(rest, "/")
		return node.Hardware{Machine: machine, Product: product}
	}
	return node.Hardware{Host: rest}
}
