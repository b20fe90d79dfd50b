package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// readFleet reads a fleet again and again, as an agent with presence.read does: for each line, which is a minute.
func readFleet(args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("readfleet URL DIR")
	}
	r, err := fold.NewReader(fleetAt(args))
	if err != nil {
		return err
	}
	return errors.Join(serve(out, func(line string) (answer, error) {
		now, err := minuteOf(line)
		if err != nil {
			return answer{}, err
		}
		f, err := r.Read(context.Background(), now)
		if err == nil && len(f.Notes) > 0 {
			err = fmt.Errorf("read: %q", f.Notes)
		}
		return answer{Nodes: len(f.Nodes), From: f.From}, err
	}), r.Close())
}

// foldFleet folds a fleet again and again, as addctl presence:fold --every does.
func foldFleet(args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("foldfleet URL DIR")
	}
	f, err := fold.NewAggregator(fold.AggregatorOptions{Options: fleetAt(args)})
	if err != nil {
		return err
	}
	return errors.Join(serve(out, func(line string) (answer, error) {
		now, err := minuteOf(line)
		if err != nil {
			return answer{}, err
		}
		r, err := f.Once(context.Background(), now)
		return answer{Nodes: r.Nodes, From: presence.FromRefs}, err
	}), f.Close())
}

func fleetAt(args []string) fold.Options {
	return fold.Options{Source: remote.Source{URL: args[0], Agent: "addagent/bench"}, CacheDir: args[1]}
}

func minuteOf(line string) (time.Time, error) {
	minute, err := strconv.Atoi(line)
	return crowdNoon().Add(time.Duration(minute) * time.Minute), err
}

// fleetRepo is a presence repository that some nodes told, behind one server for us and one for git.
type fleetRepo struct {
	b            *bench
	s            *stage
	name         string
	repo         *gittest.Repo
	ours, theirs counted
	nodes        int
	minute       int
	record       func(i int, state node.State, minute int) presence.Record // of a node
	all          map[string][]telling                                      // what was measured, by its row: who and what
}

func (b *bench) fleetRepo(s *stage, name string, nodes int) *fleetRepo {
	return b.fleetOf(s, name, nodes, nodeRecord)
}

func (b *bench) fleetOf(s *stage, name string, nodes int, record func(i int, state node.State, minute int) presence.Record) *fleetRepo {
	root := b.path("run", name)
	f := &fleetRepo{b: b, s: s, name: name, nodes: nodes, repo: gittest.New(s, filepath.Join(root, "repos", "r.git")), all: map[string][]telling{}, record: record,
		ours:   serveCounted(s, filepath.Join(root, "repos"), gittest.ServerOptions{}),
		theirs: serveCounted(s, filepath.Join(root, "repos"), gittest.ServerOptions{})}
	f.say(nodes)
	f.repo.Git("pack-refs", "--all")
	f.repo.Git("repack", "-adq")
	return f
}

// say lets some of the nodes tell something new, in the next minute: the first time all that there are.
func (f *fleetRepo) say(n int) {
	var in bytes.Buffer
	state := []node.State{node.Idle, node.Working}[f.minute%2]
	for i := range n {
		i = i * f.nodes / n
		r := f.record(i, state, f.minute)
		data, err := presence.Encode(r)
		f.s.must(err)
		ref, subject := gitstore.RefName(gitstore.RefPrefix, r.InstanceID), gitstore.Subject(r)
		fmt.Fprintf(&in, "commit %s\ncommitter C <c@example.org> %d +0000\ndata %d\n%s\n", ref, r.BeatSeen.Unix(), len(subject), subject)
		if f.minute > 0 {
			fmt.Fprintf(&in, "from %s^0\n", ref)
		}
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n\n", gitstore.PathOf(r.InstanceID), len(data), data)
	}
	f.repo.Import(in.Bytes())
	f.minute++
}

// our measures one reading or folding, and ends the case unless it saw all nodes.
func (f *fleetRepo) our(h *helper, what, from string) {
	before, cpu := trafficOf(f.ours), childrenCPU()
	a := h.do("%d", f.minute)
	if a.Nodes != f.nodes || a.From != from {
		f.s.Fatalf("%s: %d nodes from %q, not %d from %s", what, a.Nodes, a.From, f.nodes, from)
	}
	t := telling{what: what, who: "addagent", sample: sample{a.cost, trafficOf(f.ours).since(before)}}
	t.server = childrenCPU() - cpu
	f.all[what] = append(f.all[what], t)
}

func (f *fleetRepo) their(dir, what string, argv ...string) {
	m := f.b.time(f.s, f.theirs, dir, argv)
	f.all["git "+what] = append(f.all["git "+what], telling{what: what, who: argv[0] + " " + argv[1], sample: m})
}

// show puts what was measured into the tables, beside git's way. limit is a target in KB both ways.
func (f *fleetRepo) show(what string, limit float64) {
	all := f.all[what]
	m := medianTelling(all)
	f.b.lines = append(f.b.lines, line{what, m.who, len(all), m.sample})
	var peer telling
	if all := f.all["git "+what]; len(all) > 0 {
		peer = medianTelling(all)
		f.b.lines = append(f.b.lines, line{what, peer.who, len(all), peer.sample})
	}
	f.b.check(check{what: what + ": CPU", unit: "ms", limit: noTarget, ours: ms(m.CPU), peer: ms(peer.CPU), peerName: peer.who})
	f.b.check(check{what: what + ": bytes both ways", unit: "KB", limit: limit, ours: kb(m.Up + m.Down), peer: kb(peer.Up + peer.Down), peerName: peer.who})
	f.b.check(check{what: what + ": CPU of git on the server", unit: "ms", limit: noTarget, ours: ms(m.server)})
}

// reading measures what it costs to know what all nodes of a fleet said: for the first time, again when nothing
// changed, and again when ten said something new; and what it costs to fold them.
func (b *bench) reading(s *stage, n int) {
	refs, fold := b.fleetRepo(s, "fleet-refs", n), b.fleetRepo(s, "fleet-fold", n)
	row := func(from, how string) string {
		return fmt.Sprintf("%s records read from %s, %s", thousands(n), from, how)
	}
	const cold, same, ten = "cold", "nothing changed", "10 changed"
	folding := func(how string) string { return fmt.Sprintf("%s refs folded, %s", thousands(n), how) }

	folder := b.helper(s, "foldfleet", fold.ours.URL+"/r.git", b.path("run", "folder"))
	fold.our(folder, folding("the first time"), presence.FromRefs)
	for run := range b.few(5) {
		b.say("  reading %d", run+1)
		dir := b.path("run", "readers", strconv.Itoa(run))
		bare := filepath.Join(dir, "bare.git")
		s.must(os.MkdirAll(bare, 0o755))

		h := b.helper(s, "readfleet", refs.ours.URL+"/r.git", filepath.Join(dir, "refs"))
		gittest.Git(s, bare, "init", "-q", "--bare")
		fetch := []string{"git", "fetch", "-q", refs.theirs.URL + "/r.git", "+" + gitstore.RefPrefix + "*:" + gitstore.RefPrefix + "*"}
		for _, how := range []string{cold, same, ten} {
			if how == ten {
				refs.say(10)
			}
			refs.our(h, row("refs", how), presence.FromRefs)
			refs.their(bare, row("refs", how), fetch...)
		}
		h.end()

		h = b.helper(s, "readfleet", fold.ours.URL+"/r.git", filepath.Join(dir, "fold"))
		clone := filepath.Join(dir, "clone")
		fold.our(h, row("a fold", cold), presence.FromFold)
		fold.their(dir, row("a fold", cold), "git", "clone", "-q", "--depth", "1", fold.theirs.URL+"/r.git", clone)
		fold.our(h, row("a fold", same), presence.FromFold)
		fold.their(clone, row("a fold", same), "git", "pull", "-q", "--ff-only")
		fold.say(10)
		fold.our(folder, folding(ten), presence.FromRefs)
		fold.our(h, row("a fold", ten), presence.FromFold)
		fold.their(clone, row("a fold", ten), "git", "pull", "-q", "--ff-only")
		h.end()
	}
	for _, how := range []string{cold, same, ten} {
		refs.show(row("refs", how), noTarget)
	}
	limit := 5.0
	if n < 1000 {
		limit = noTarget
	}
	fold.show(row("a fold", cold), noTarget)
	fold.show(row("a fold", same), noTarget)
	fold.show(row("a fold", ten), limit)
	fold.show(folding("the first time"), noTarget)
	fold.show(folding(ten), noTarget)
}
