package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// grid is a presence repository that is folded, a requests repository, and nodes that obey what is asked there.
type grid struct {
	*testing.T
	presence, requests string
	now                time.Time
	folds              *fold.Aggregator
	done               map[string][]string // by node: the requests that it obeyed
	said               map[string]string   // by node: what it reported last
	states             map[string]node.State
	services           func(id string, r *presence.Record) // what a node offers and uses; nil = nothing
}

func newGrid(t *testing.T, nodes ...string) *grid {
	dir := t.TempDir()
	g := &grid{T: t, presence: filepath.Join(dir, "presence.git"), requests: filepath.Join(dir, "requests.git"), now: fleettest.Noon(),
		done: map[string][]string{}, said: map[string]string{}, states: map[string]node.State{}}
	testkit.Must(t, exec.Command("git", "init", "-q", "--bare", g.requests).Run())
	var err error
	g.folds, err = fold.NewAggregator(fold.AggregatorOptions{Options: fold.Options{Source: remote.Source{URL: g.presence}}})
	testkit.Must(t, err)
	t.Cleanup(func() { g.folds.Close() })
	for _, id := range nodes {
		g.states[id] = node.Idle
	}
	g.beat()
	return g
}

// beat is a minute: each node reads what is asked, does it, and reports; then presence is folded.
func (g *grid) beat() {
	g.Helper()
	g.now = g.now.Add(time.Minute)
	store, err := remote.New(remote.Source{URL: g.requests})
	testkit.Must(g, err)
	defer store.Close()
	for id, state := range g.states {
		tip, err := gitstore.AskRequests(g.Context(), store, id)
		testkit.Must(g, err)
		var standing []presence.Answer
		if tip != "" {
			list, err := gitstore.ReadRequests(g.Context(), store, tip)
			testkit.Must(g, err)
			for _, r := range list {
				if !slices.Contains(g.done[id], r.ID) {
					g.done[id] = append(g.done[id], r.ID)
				}
				standing = append(standing, presence.Answer{ID: r.ID, Code: presence.AnswerDone, State: "done"})
			}
		}
		one := fleettest.One(id, state, "a", "", g.now)
		if one.Answers = standing; g.services != nil {
			g.services(id, &one.Record)
		}
		// What is the same is said again each five minutes.
		says := fmt.Sprint(state, standing, one.Services, one.Uses, g.now.Unix()/300)
		if g.said[id] == says {
			continue
		}
		g.said[id] = says
		testkit.Must(g, fleettest.Report(g.presence, one.Record, g.now))
	}
	g.fold()
}

func (g *grid) fold() {
	g.Helper()
	_, err := g.folds.Once(g.Context(), g.now)
	testkit.Must(g, err)
}

// doctor is a new process of a doctor.
func (g *grid) doctor(name string, change func(*Options)) *Doctor {
	store, err := Open(remote.Source{URL: g.requests}, name)
	testkit.Must(g, err)
	reader, err := fold.NewReader(fold.Options{Source: remote.Source{URL: g.presence}})
	testkit.Must(g, err)
	g.Cleanup(func() { store.Close(); reader.Close() })
	o := Options{Me: name, Fleet: reader, Store: store, Say: func(text string) { g.Log(name + ": " + text) }}
	if change != nil {
		change(&o)
	}
	return New(o)
}

func (g *grid) add(list ...event.Action) {
	g.Helper()
	_, err := g.doctor("person", nil).Store.Change(g.Context(), g.now, func(q event.Queue) (event.Queue, []event.Line, error) {
		next, _, err := q.Add(list, g.now)
		return next, nil, err
	})
	testkit.Must(g, err)
}

func (g *grid) phases() string {
	g.Helper()
	q, err := g.doctor("person", nil).Store.Read(g.Context())
	testkit.Must(g, err)
	var all []string
	for _, e := range q.Actions {
		all = append(all, e.ID+" "+string(e.Phase))
	}
	return strings.Join(all, ", ")
}

func (g *grid) round(d *Doctor) {
	g.Helper()
	testkit.Must(g, d.Round(g.Context(), g.now))
}

func (g *grid) want(what, got, want string) {
	g.Helper()
	if got != want {
		g.Errorf("%s: %q, not %q", what, got, want)
	}
}

// refs are those of the requests repository.
func (g *grid) refs() string {
	out, err := exec.Command("git", "-C", g.requests, "for-each-ref", "--format=%(refname:lstrip=2)").Output()
	testkit.Must(g, err)
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestNodesAreAsked(t *testing.T) {
	g := newGrid(t, "i-1", "i-2")
	g.add(event.Action{ID: "a", DoLevel: "nodes", DoAction: "work", DoGroup: "all"},
		event.Action{ID: "b", DoLevel: "nodes", DoAction: "work", DoGroup: "i-1", After: "a"},
		event.Action{ID: "c", DoLevel: "nodes", DoAction: "work", DoGroup: "i-2", EventType: "nodes", EventName: "i-2", EventState: "failing"})
	d := g.doctor("d1", nil)
	g.round(d)
	g.want("asked", g.phases(), "a asked, b waiting, c waiting")
	g.want("refs", g.refs(), "doctor request/i-1 request/i-2")
	g.beat()
	g.round(d)
	g.want("answered", g.phases(), "a succeeded, b asked, c waiting")
	g.want("refs", g.refs(), "doctor request/i-1")
	g.beat()
	// A state that came and went between two rounds is not missed: its event is in the history.
	g.states["i-2"] = node.Failing
	g.beat()
	g.states["i-2"] = node.Idle
	g.beat()
	g.round(d)
	g.want("once the event came", g.phases(), "a succeeded, b succeeded, c asked")
	g.beat()
	g.round(d)
	g.want("ended", g.phases(), "a succeeded, b succeeded, c succeeded")
	g.want("refs", g.refs(), "doctor")
	g.want("obeyed", fmt.Sprint(g.done), "map[i-1:[a-1 b-1] i-2:[a-1 c-1]]")

	// Nothing new costs no push.
	before := tip(t, g.requests)
	g.round(d)
	g.round(g.doctor("d2", nil))
	g.want("a quiet round", tip(t, g.requests), before)
}

func tip(t *testing.T, repo string) string {
	out, err := exec.Command("git", "-C", repo, "rev-parse", Ref).Output()
	testkit.Must(t, err)
	return string(out)
}

var errDead = errors.New("killed")

// mortal is a repository of a doctor that dies after so many pushes: the last one lands, and what follows does not
// happen.
type mortal struct {
	gitstore.Remote
	left int
}

func (m *mortal) Push(ctx context.Context, updates ...remote.Update) error {
	if m.left == 0 {
		return errDead
	}
	m.left--
	return m.Remote.Push(ctx, updates...)
}

func (m *mortal) Refs(ctx context.Context, prefixes ...string) ([]remote.Ref, error) {
	if m.left == 0 {
		return nil, errDead
	}
	return m.Remote.Refs(ctx, prefixes...)
}

// TestDoctorDiesBetweenAnyTwoWrites: another one goes on, the chain ends, and each node obeyed each step once.
func TestDoctorDiesBetweenAnyTwoWrites(t *testing.T) {
	for dies := range testkit.Rounds(2, 8) {
		t.Run(fmt.Sprint(dies), func(t *testing.T) {
			g := newGrid(t, "i-1", "i-2")
			g.add(event.Action{ID: "a", DoLevel: "nodes", DoAction: "work", DoGroup: "all", Deadline: "5h"},
				event.Action{ID: "b", DoLevel: "nodes", DoAction: "work", DoGroup: "i-1", After: "a", Deadline: "5h"})
			first := g.doctor("d1", func(o *Options) { o.Store.repo = &mortal{o.Store.repo, dies} })
			second := g.doctor("d2", nil)
			for range 4 {
				if first.Round(t.Context(), g.now) != nil {
					break
				}
				g.beat()
			}
			for range 14 {
				g.beat()
				g.round(second)
			}
			g.want("ended", g.phases(), "a succeeded, b succeeded")
			g.want("obeyed", fmt.Sprint(g.done), "map[i-1:[a-1 b-1] i-2:[a-1]]")
			g.want("refs", g.refs(), "doctor")
		})
	}
}

// sky is a provider that counts what took effect. Actions of one round call it side by side.
type sky struct {
	mu        sync.Mutex
	instances map[string]string // states by id
	tokens    map[string]string // ids by token
	ips       map[string]string // addresses by id
	effects   []string
	refuse    map[string]error
}

func (c *sky) Instances(context.Context) (list []event.Provided, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, state := range c.instances {
		list = append(list, event.Provided{ID: id, IP: c.ips[id], State: state})
	}
	return list, c.refuse["list"]
}

func (c *sky) Do(_ context.Context, action, id string, l event.Launch) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refuse[action]; err != nil {
		return "", err
	}
	become := map[string]string{"start": event.Running, "stop": event.Stopped, "terminate": event.Terminated, "launch": event.Running}[action]
	if action == "launch" {
		if id = c.tokens[l.Token]; id == "" {
			id = "i-" + l.Token
			c.tokens[l.Token], c.ips[id] = id, l.IP
		} else if c.instances[id] == event.Terminated {
			return "", fmt.Errorf("%s: %w", id, ErrGone)
		}
	}
	if c.instances[id] != become {
		c.instances[id] = become
		c.effects = append(c.effects, action+" "+id)
	}
	return id, nil
}

func newSky() *sky {
	return &sky{instances: map[string]string{"i-1": event.Running}, tokens: map[string]string{}, ips: map[string]string{}, refuse: map[string]error{}}
}

// TestInstanceActions: wherever the doctor dies, each call took effect once.
func TestInstanceActions(t *testing.T) {
	for dies := range testkit.Rounds(2, 8) {
		t.Run(fmt.Sprint(dies), func(t *testing.T) {
			g := newGrid(t, "i-1", "i-2")
			c := newSky()
			with := func(o *Options) {
				o.Cloud, o.Expect = c, []event.Expected{{Name: "db1", IP: "10.0.0.9", Launch: event.Launch{Template: "lt-1"}}}
			}
			g.add(event.Action{ID: "l", DoLevel: "instances", DoAction: "launch", DoGroup: "db1", Deadline: "5h"},
				event.Action{ID: "s", DoLevel: "instances", DoAction: "stop", DoGroup: "i-1", After: "l", Deadline: "5h"},
				event.Action{ID: "t", DoLevel: "instances", DoAction: "terminate", DoGroup: "i-2", Attempts: 1})
			token := event.Entry{Action: event.Action{ID: "l"}, Added: g.now}.Token()
			first := g.doctor("d1", func(o *Options) { with(o); o.Store.repo = &mortal{o.Store.repo, dies} })
			second := g.doctor("d2", with)
			for range 3 {
				if first.Round(t.Context(), g.now) != nil {
					break
				}
				g.beat()
			}
			for range 12 {
				g.beat()
				g.round(second)
			}
			g.want("ended", g.phases(), "l succeeded, s succeeded, t failed")
			g.want("effects", strings.Join(c.effects, ", "), "launch i-"+token+", stop i-1")
		})
	}
}

// TestCloudThatFails: a call is tried again, a launch whose instance was terminated under its token gets another one,
// and without the cloud the nodes are asked all the same.
func TestCloudThatFails(t *testing.T) {
	g := newGrid(t, "i-1")
	c := newSky()
	token := event.Entry{Action: event.Action{ID: "l"}, Added: g.now}.Token()
	c.tokens[token], c.instances["i-old"] = "i-old", event.Terminated
	d := g.doctor("d1", func(o *Options) {
		o.Cloud, o.Expect = c, []event.Expected{{Name: "db1", Launch: event.Launch{Template: "lt-1"}}}
	})
	g.add(event.Action{ID: "l", DoLevel: "instances", DoAction: "launch", DoGroup: "db1"},
		event.Action{ID: "w", DoLevel: "nodes", DoAction: "work", DoGroup: "all"})
	c.refuse["list"] = errors.New("denied")
	if err := d.Round(t.Context(), g.now); err == nil || !strings.Contains(err.Error(), "denied") {
		t.Errorf("%v", err)
	}
	g.want("without the cloud", g.phases(), "l waiting, w asked")
	delete(c.refuse, "list")
	for range 3 {
		g.beat()
		g.round(d)
	}
	g.want("ended", g.phases(), "l succeeded, w succeeded")
	g.want("effects", strings.Join(c.effects, ", "), "launch i-"+token+"-1")
}

// TestTwoDoctors: one stops after it claimed, the other takes over; the first wakes up and ends what is not its own.
func TestTwoDoctors(t *testing.T) {
	g := newGrid(t, "i-1")
	g.add(event.Action{ID: "a", DoLevel: "nodes", DoAction: "work", DoGroup: "all", Deadline: "5h"})
	first, second := g.doctor("d1", nil), g.doctor("d2", nil)
	s, err := first.Status(t.Context(), g.now)
	testkit.Must(t, err)
	var claimed []event.Entry
	claim := func(q event.Queue) (next event.Queue, _ []event.Line, _ error) {
		next, claimed = q.Claim("d1", s, first.Lease, g.now)
		return next, nil, nil
	}
	_, err = first.Store.Change(t.Context(), g.now, claim)
	testkit.Must(t, err)
	asleep := g.now
	g.round(second)
	g.want("while the claim lasts", g.phases(), "a running")
	for range 10 {
		g.beat()
		g.round(second)
	}
	g.want("taken over", g.phases(), "a succeeded")
	testkit.Must(t, first.act(t.Context(), claimed, s, instant{asleep, time.Now()}))
	for range 3 {
		g.beat()
		g.round(second)
	}
	g.want("after the first woke up", g.phases(), "a succeeded")
	g.want("obeyed", fmt.Sprint(g.done), "map[i-1:[a-1]]")
	g.want("refs", g.refs(), "doctor")
}

// TestQueueThatIsNone: what is not a queue stays, and is an error; a branch that was deleted begins anew.
func TestQueueThatIsNone(t *testing.T) {
	g := newGrid(t, "i-1")
	d := g.doctor("d1", nil)
	for name, content := range map[string]string{"no JSON": "{", "another type": `{"filetype":"x","value":{}}`} {
		b, err := gitstore.ReadBranch(t.Context(), d.Store.repo, Ref, gitstore.Branch{})
		testkit.Must(t, err)
		_, err = b.Push(t.Context(), d.Store.repo, map[string][]byte{queueFile: []byte(content)}, "x", "x", g.now)
		testkit.Must(t, err)
		before := tip(t, g.requests)
		if err := d.Round(t.Context(), g.now); err == nil || !strings.Contains(err.Error(), "delete the branch to begin anew") {
			t.Errorf("%s: %v", name, err)
		}
		g.want(name, tip(t, g.requests), before)
	}
	testkit.Must(t, exec.Command("git", "-C", g.requests, "update-ref", "-d", Ref).Run())
	g.round(d)
	g.want("anew", g.phases(), "")
}
