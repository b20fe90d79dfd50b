package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// write puts a file of requests at the ref of a node, whatever it holds.
func (g *grid) write(id string, content any) {
	g.Helper()
	store := g.doctor("person", nil).Store
	data, isText := content.([]byte)
	if !isText {
		var err error
		data, err = presence.EncodeDocument("noderequests", content)
		testkit.Must(g, err)
	}
	b, err := gitstore.ReadBranch(g.Context(), store.repo, gitstore.RequestRef(id), gitstore.Branch{})
	testkit.Must(g, err)
	_, err = b.Push(g.Context(), store.repo, map[string][]byte{"requests.json": data}, "person", "asks", g.now)
	testkit.Must(g, err)
}

// asks is what stands at the ref of a node.
func (g *grid) asks(id string) string {
	g.Helper()
	out, err := exec.Command("git", "-C", g.requests, "show", gitstore.RequestRef(id)+":requests.json").Output()
	testkit.Must(g, err)
	return string(out)
}

func persons(n int, until time.Time) (list []gitstore.Request) {
	for i := range n {
		list = append(list, gitstore.Request{ID: fmt.Sprint("person-", i), Action: "work", By: "ada", Until: until})
	}
	return list
}

// flaky is a repository of which one call fails.
type flaky struct {
	gitstore.Remote
	read, push error
	pushes     int
}

func (f *flaky) Read(ctx context.Context, commits []string, o remote.ReadOptions) (*objects.Content, error) {
	if f.read != nil {
		return nil, f.read
	}
	return f.Remote.Read(ctx, commits, o)
}

func (f *flaky) Push(ctx context.Context, updates ...remote.Update) error {
	if f.pushes++; f.push != nil {
		return f.push
	}
	return f.Remote.Push(ctx, updates...)
}

// TestWhatAPersonAsksIsNotLost: requests that cannot be read now stay; only what is no list is replaced.
func TestWhatAPersonAsksIsNotLost(t *testing.T) {
	g := newGrid(t, "i-1")
	g.write("i-1", persons(1, g.now.Add(time.Hour)))
	before := g.asks("i-1")
	f := &flaky{}
	d := g.doctor("d1", func(o *Options) { f.Remote = o.Store.repo; o.Store.repo = f })
	want := map[string][]gitstore.Request{"i-1": {{ID: "a-1", Action: "work", By: requester, Until: g.now.Add(time.Hour)}}}
	f.read = errors.New("the line is cut")
	if err := d.Store.request(t.Context(), want, nil, nil, g.now); !errors.Is(err, f.read) {
		t.Errorf("%v", err)
	}
	g.want("when it cannot be read", g.asks("i-1"), before)
	f.read = nil
	testkit.Must(t, d.Store.request(t.Context(), want, nil, nil, g.now))
	if asks := g.asks("i-1"); !strings.Contains(asks, "person-0") || !strings.Contains(asks, "a-1") {
		t.Error(asks)
	}
	g.write("i-1", []byte("{"))
	testkit.Must(t, d.Store.request(t.Context(), want, nil, nil, g.now))
	if asks := g.asks("i-1"); !strings.Contains(asks, "a-1") {
		t.Error(asks)
	}
}

// TestOnlyARaceIsTriedAgain: a server that refuses the push for another reason is asked once.
func TestOnlyARaceIsTriedAgain(t *testing.T) {
	g := newGrid(t, "i-1")
	f := &flaky{push: errors.New("429 Too Many Requests")}
	d := g.doctor("d1", func(o *Options) { f.Remote = o.Store.repo; o.Store.repo = f })
	want := map[string][]gitstore.Request{"i-1": persons(1, g.now.Add(time.Hour))}
	if err := d.Store.request(t.Context(), want, nil, nil, g.now); !errors.Is(err, f.push) || f.pushes != 1 {
		t.Errorf("%d pushes, %v", f.pushes, err)
	}
}

// TestNodeThatIsFull: a list of twenty stays as it is, other nodes are asked all the same, and it has room again once
// requests have expired.
func TestNodeThatIsFull(t *testing.T) {
	g := newGrid(t, "i-1", "i-2")
	g.write("i-1", persons(20, g.now.Add(2*time.Minute)))
	before := g.asks("i-1")
	g.add(event.Action{ID: "a", DoLevel: "nodes", DoAction: "work", DoGroup: "i-1", Deadline: "5h"},
		event.Action{ID: "b", DoLevel: "nodes", DoAction: "work", DoGroup: "i-2", Deadline: "5h"})
	d := g.doctor("d1", nil)
	g.round(d)
	g.want("full", g.phases(), "a waiting, b asked")
	g.want("full", g.asks("i-1"), before)
	q, err := d.Store.Read(t.Context())
	testkit.Must(t, err)
	g.want("why", q.Actions[0].Result, "i-1 has 20 requests already: wait, or remove some")
	for range 3 {
		g.beat()
	}
	g.round(d)
	g.want("once they have expired", g.phases(), "a asked, b succeeded")

	// More than a node takes, all expired: they go.
	g.write("i-2", persons(25, g.now.Add(-time.Hour)))
	testkit.Must(t, d.sweep(t.Context(), event.Queue{}, event.Status{}, g.now))
	g.want("swept", g.refs(), "doctor request/i-1")
}

// slow is a fleet whose reading takes long.
type slow struct{ Fleet }

func (f slow) Read(ctx context.Context, now time.Time) (presence.Fleet, error) {
	retry.Wait(ctx, 2*time.Second)
	return f.Fleet.Read(ctx, now)
}

// timed is a provider that keeps until when it may act.
type timed struct {
	*sky
	until time.Time
}

func (c *timed) Do(ctx context.Context, action, id string, l event.Launch) (string, error) {
	c.until, _ = ctx.Deadline()
	return c.sky.Do(ctx, action, id, l)
}

// TestClaimLasts: a claim begins when it is made, and acting ends within three quarters of what is left of it.
func TestClaimLasts(t *testing.T) {
	g := newGrid(t, "i-1")
	g.add(event.Action{ID: "s", DoLevel: "instances", DoAction: "stop", DoGroup: "i-1"})
	f := &flaky{}
	d := g.doctor("d1", func(o *Options) {
		f.Remote = o.Store.repo
		o.Fleet, o.Cloud, o.Lease, o.Store.repo = slow{o.Fleet}, newSky(), time.Minute, &mortal{f, 1}
	})
	if err := d.Round(t.Context(), g.now); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	q, err := g.doctor("person", nil).Store.Read(t.Context())
	testkit.Must(t, err)
	if e := q.Actions[0]; e.Phase != event.Runs || e.Until.Before(g.now.Add(time.Minute+time.Second)) {
		t.Errorf("%s until %s, read from %s", e.Phase, e.Until, g.now)
	}

	c := &timed{sky: newSky()}
	d = g.doctor("d1", func(o *Options) { o.Cloud = c })
	s, err := d.Status(t.Context(), g.now)
	testkit.Must(t, err)
	e := q.Actions[0]
	e.Until = g.now.Add(40 * time.Second)
	testkit.Must(t, d.act(t.Context(), []event.Entry{e}, s, instant{g.now, time.Now()}))
	if left := time.Until(c.until); c.until.IsZero() || left > 30*time.Second {
		t.Errorf("acts for %s of 40 seconds", left)
	}
}

// TestNoViewOfTheProvider: a doctor that has no answer of the provider changes nothing of what was seen.
func TestNoViewOfTheProvider(t *testing.T) {
	g := newGrid(t, "i-1")
	c := newSky()
	c.instances["i-9"] = event.Running // no node yet
	expected := []event.Expected{{Name: "db1", Launch: event.Launch{Template: "lt-1"}}}
	with := func(o *Options) { o.Cloud, o.Expect = c, expected }
	g.round(g.doctor("d1", with))
	c.instances["db1"] = event.Running
	g.beat()
	g.round(g.doctor("d1", with))
	g.add(event.Action{ID: "l", DoLevel: "instances", DoAction: "launch", DoGroup: "db1", EventType: "instances", EventName: "db1", EventState: "terminated"})
	before := tip(t, g.requests)
	g.round(g.doctor("d2", func(o *Options) { o.Expect = expected })) // without credentials
	c.refuse["list"] = errors.New("denied")
	if err := g.doctor("d1", with).Round(t.Context(), g.now); err == nil {
		t.Error("it does not say that the provider is silent")
	}
	g.want("pushed", tip(t, g.requests), before)
	delete(c.refuse, "list")
	g.round(g.doctor("d1", with))
	g.want("pushed", tip(t, g.requests), before)
	delete(c.instances, "db1")
	g.round(g.doctor("d1", with))
	g.want("once it is terminated", g.phases(), "l succeeded")
}
