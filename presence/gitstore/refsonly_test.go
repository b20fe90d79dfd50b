package gitstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// refsOnly is a repository that holds refs and no objects, for tests of when something is pushed.
type refsOnly struct {
	mu     sync.Mutex
	refs   map[string]string
	pushes []time.Time // when; also those that failed
	asked  map[string]int
	fail   func(ctx context.Context, what string) error // nil = nothing fails
}

func newRefsOnly(others int) *refsOnly {
	r := &refsOnly{refs: map[string]string{}, asked: map[string]int{}}
	for i := range others {
		r.refs[fmt.Sprintf("%si-%04d", RefPrefix, i)] = id1
	}
	return r
}

func (r *refsOnly) failing(ctx context.Context, what string) error {
	r.mu.Lock()
	fail := r.fail
	r.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(ctx, what)
}

func (r *refsOnly) Refs(ctx context.Context, prefixes ...string) ([]remote.Ref, error) {
	if err := r.failing(ctx, "refs"); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[prefixes[0]]++
	var all []remote.Ref
	for name, id := range r.refs {
		if strings.HasPrefix(name, prefixes[0]) {
			all = append(all, remote.Ref{Name: name, ID: id})
		}
	}
	return all, nil
}

func (r *refsOnly) Read(context.Context, []string, remote.ReadOptions) (*objects.Content, error) {
	return nil, errors.New("it holds no objects")
}

func (r *refsOnly) Push(ctx context.Context, updates ...remote.Update) error {
	r.mu.Lock()
	r.pushes = append(r.pushes, time.Now())
	r.mu.Unlock()
	if err := r.failing(ctx, "push"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refs[updates[0].Ref] != updates[0].Old {
		return &remote.Rejected{Ref: updates[0].Ref, Why: "it is not there"}
	}
	r.refs[updates[0].Ref] = updates[0].New
	return nil
}

func (r *refsOnly) set(fail func(ctx context.Context, what string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

func (r *refsOnly) pushed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pushes)
}

// inBubble runs a test of the loop, in which time passes as fast as it can.
func inBubble(t *testing.T, r *refsOnly, test func(t *testing.T, g *Sink)) {
	paced(t, r, 0, test)
}

// paced is a bubble whose repository takes so many pushes a minute.
func paced(t *testing.T, r *refsOnly, pushes int, test func(t *testing.T, g *Sink)) {
	memory := filepath.Join(t.TempDir(), "presence.json")
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{Remote: r, StateFile: memory, Refresh: 10 * time.Minute, Pushes: pushes, Timeout: 20 * time.Second})
		defer g.Close()
		test(t, g)
	})
}

// now is a record of this moment.
func now(s node.State) presence.Record {
	r := said(s, 0)
	r.BeatSeen = time.Now()
	r.BeatNextBy = r.BeatSeen.Add(3 * time.Minute)
	return r
}

// beat tells a record and lets the time to the next beat pass.
func beat(t *testing.T, g *Sink, r presence.Record, each time.Duration) error {
	t.Helper()
	err := g.Tell(t.Context(), r)
	synctest.Wait()
	<-time.After(each)
	synctest.Wait() // what is due at this moment is done as well
	return err
}
