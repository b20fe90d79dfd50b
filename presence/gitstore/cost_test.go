package gitstore

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// A quiet beat is to cost next to nothing.
func TestQuietTellAllocatesNothing(t *testing.T) {
	g := New(Options{Remote: newRefsOnly(0), StateFile: filepath.Join(t.TempDir(), "presence.json"), Refresh: time.Hour, Timeout: time.Minute})
	defer g.Close()
	r := said(node.Idle, 0)
	r.Repos = []presence.Repo{{Name: "ops", Version: id1, Done: map[string]string{"root": "f"}}}
	r.Services = []presence.Service{{Name: "api", Code: "000000", Mode: "api", Role: "na", Time: noon}}
	if err := g.Tell(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := g.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := g.Tell(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkQuietTell(b *testing.B) {
	g := New(Options{Remote: newRefsOnly(0), StateFile: filepath.Join(b.TempDir(), "presence.json")})
	defer g.Close()
	r := said(node.Idle, 0)
	if err := errors.Join(g.Tell(b.Context(), r), g.Flush(b.Context())); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Tell(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// A push from memory, without the server: commits, ids, and the memory written twice, after a history of 500.
func BenchmarkPush(b *testing.B) {
	r := newRefsOnly(0)
	g := New(Options{Remote: r, StateFile: filepath.Join(b.TempDir(), "presence.json")})
	defer g.Close()
	state := [2]node.State{node.Idle, node.Working}
	tell := func(i int) {
		if err := errors.Join(g.Tell(b.Context(), said(state[i%2], time.Duration(i)*time.Second)), g.Flush(b.Context())); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 500 {
		tell(i)
	}
	b.ReportAllocs()
	for i := 500; b.Loop(); i++ {
		tell(i)
	}
}
