package fold

import (
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// meter measures one call: bytes both ways, requests, and CPU of this process, which is more than the client's, for the
// server's front runs in it.
type meter struct {
	t      *testing.T
	server *gittest.Server
}

func (m meter) measure(what string, call func()) (bytes, requests int64) {
	m.t.Helper()
	b, n, cpu := m.server.Bytes(), m.server.Requests.Load(), cpuTime(m.t)
	call()
	bytes, requests = m.server.Bytes()-b, m.server.Requests.Load()-n
	m.t.Logf("%-44s %8d bytes %2d requests %7.1f ms CPU", what, bytes, requests, float64((cpuTime(m.t)-cpu).Microseconds())/1000)
	return bytes, requests
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestBytes holds the price of a fleet of a thousand, ten of which changed: bytes and requests. CPU is printed only.
func TestBytes(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g, m := newGrid(t, repo), meter{t, server}
	now := noon()
	g.many(1000, node.Idle, now)
	url := server.URL + "/r.git"

	ten := func(s node.State) {
		now = now.Add(time.Minute)
		for i := range 10 {
			g.say(record(name(i*97), s, now), now)
		}
		g.push()
	}
	refs, folds, f := reader(t, url), reader(t, url), folder(t, url)
	check := func(what string, most, requests int64, call func()) {
		t.Helper()
		b, n := m.measure(what, call)
		if most > 0 && b > most {
			t.Errorf("%s: %d bytes, more than %d", what, b, most)
		}
		if requests > 0 && n != requests {
			t.Errorf("%s: %d requests, not %d", what, n, requests)
		}
	}
	all := func(r *Reader, from string) func() {
		return func() {
			t.Helper()
			if got := read(t, r, now); len(got.Nodes) != 1000 || got.From != from || len(got.Notes) > 0 {
				t.Errorf("%d nodes from %s, %q", len(got.Nodes), got.From, got.Notes)
			}
		}
	}
	check("read, refs, cold", 0, 0, all(refs, presence.FromRefs))
	check("read, refs, nothing changed", 0, 1, all(refs, presence.FromRefs))
	ten(node.Working)
	check("read, refs, 10 changed", 0, 2, all(refs, presence.FromRefs))

	check("fold, cold", 0, 0, func() { once(t, f, now) })
	check("read, fold, cold", 0, 2, all(folds, presence.FromFold))
	check("read, fold, nothing changed", 1500, 1, all(folds, presence.FromFold))
	ten(node.Idle)
	check("fold, 10 changed", 0, 3, func() { once(t, f, now) })
	check("read, fold, 10 changed", 5<<10, 2, all(folds, presence.FromFold))
	ten(node.Failing)
	check("fold, 10 changed, again", 0, 3, func() { once(t, f, now) })
	check("read, fold, 10 changed, again", 5<<10, 2, all(folds, presence.FromFold))
	for range 4 {
		ten(node.Idle)
		once(t, f, now)
	}
	check("read, fold, 10 changed, 4 folds later", 0, 2, all(folds, presence.FromFold))
	now = now.Add(time.Minute)
	check("fold, nothing changed", 0, 1, func() { once(t, f, now) })
	now = now.Add(2 * time.Minute)
	check("fold, sign of life", 0, 2, func() { once(t, f, now) })
	check("read, fold, sign of life", 0, 2, all(folds, presence.FromFold))
	gittest.Fsck(t, repo.Dir)
}
