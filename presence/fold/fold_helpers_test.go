package fold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// noon is the time of most tests.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// record is what a node says at a time.
func record(id string, s node.State, at time.Time) presence.Record {
	return presence.Record{
		Addresses: []string{"10.0.0.7"}, Agent: "addagent/1.2.3", BeatSeen: at, BeatNextBy: at.Add(12 * time.Minute),
		BootID: "5f4cf0d6-6f0b-4a3a-8f3c-0d6c6bb1d7a5", Deployment: "fed1", Hardware: "ec2:" + id, Hostname: id + ".example.org",
		InitGitRepo: "ops", InstanceID: id, Nodepart: "app1", Stacktype: "lad1", State: s,
		StateLog: "setup:20260301-080000;initdone:20260301-080022;", StateTss: "20260301-080022",
		Repos: []presence.Repo{{Branch: "main", Name: "ops", Version: fmt.Sprintf("%040x", at.Unix())}},
	}
}

// grid is a presence repository that nodes push to.
type grid struct {
	*gittest.Repo
	tb     testing.TB
	prefix string
	queue  []spoken
}

// spoken is a commit of a node's ref that is not pushed yet.
type spoken struct {
	id, content, subject string
	at                   time.Time
}

func newGrid(tb testing.TB, repo *gittest.Repo) *grid {
	return &grid{Repo: repo, tb: tb, prefix: gitstore.RefPrefix}
}

// say queues what a node says; push sends all that is queued.
func (g *grid) say(r presence.Record, at time.Time) {
	g.tb.Helper()
	data, err := presence.Encode(r)
	if err != nil {
		g.tb.Fatal(err)
	}
	g.write(r.InstanceID, string(data), gitstore.Subject(r), at)
}

// write queues a commit of a node's ref whose record file has any content.
func (g *grid) write(id, content, subject string, at time.Time) {
	g.queue = append(g.queue, spoken{id, content, subject, at})
}

func (g *grid) push() {
	g.tb.Helper()
	there := map[string]bool{}
	for ref := range strings.Lines(g.Git("for-each-ref", "--format=%(refname)", g.prefix)) {
		there[strings.TrimSpace(ref)] = true
	}
	var in bytes.Buffer
	in.WriteString("feature done\n")
	for _, s := range g.queue {
		ref := gitstore.RefName(g.prefix, s.id)
		fmt.Fprintf(&in, "commit %s\ncommitter C <c@example.org> %d +0000\ndata %d\n%s\n", ref, s.at.Unix(), len(s.subject), s.subject)
		if there[ref] {
			fmt.Fprintf(&in, "from %s^0\n", ref)
			delete(there, ref) // the next one follows this one by itself
		}
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n\n", gitstore.PathOf(s.id), len(s.content), s.content)
	}
	in.WriteString("done\n")
	g.Import(in.Bytes())
	g.queue = nil
}

// tell is say and push.
func (g *grid) tell(id string, s node.State, at time.Time) {
	g.tb.Helper()
	g.say(record(id, s, at), at)
	g.push()
}

// many makes n nodes at once, all of them new.
func (g *grid) many(n int, s node.State, at time.Time) {
	g.tb.Helper()
	for i := range n {
		g.say(record(name(i), s, at), at)
	}
	g.push()
	g.Git("pack-refs", "--all")
}

func name(i int) string { return fmt.Sprintf("i-%017x", 0x1000000+i*7919) }

func reader(tb testing.TB, url string) *Reader {
	tb.Helper()
	return readerWith(tb, Options{Source: remote.Source{URL: url}, CacheDir: filepath.Join(tb.TempDir(), "cache")})
}

func readerWith(tb testing.TB, o Options) *Reader {
	tb.Helper()
	r, err := NewReader(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

func folder(tb testing.TB, url string) *Aggregator {
	tb.Helper()
	return folderWith(tb, url, AggregatorOptions{})
}

// folderWith is a folder of the repository at url with a cache of its own.
func folderWith(tb testing.TB, url string, o AggregatorOptions) *Aggregator {
	tb.Helper()
	o.Options = Options{Source: remote.Source{URL: url}, CacheDir: filepath.Join(tb.TempDir(), "cache")}
	f, err := NewAggregator(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

func once(t *testing.T, f *Aggregator, now time.Time) Report {
	t.Helper()
	r, err := f.Once(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, r *Reader, now time.Time) presence.Fleet {
	t.Helper()
	f, err := r.Read(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// told says in short what a fleet holds: "id state age" for each.
func say(f presence.Fleet, now time.Time) string {
	var all []string
	for _, n := range f.Nodes {
		all = append(all, fmt.Sprintf("%s %s %s", n.InstanceID, n.State, n.Age(now)))
	}
	return strings.Join(all, ", ")
}

// lines are all lines of the fold's history, in the order of the files.
func (g *grid) lines() []string {
	g.tb.Helper()
	var all []string
	for name := range strings.Lines(g.Git("ls-tree", "-r", "--name-only", gitstore.FoldRef, gitstore.HistoryFolder+"/")) {
		for line := range strings.Lines(g.Git("show", gitstore.FoldRef+":"+strings.TrimSpace(name))) {
			var tr Transition
			if err := json.Unmarshal([]byte(line), &tr); err != nil {
				g.tb.Fatalf("%s: %q: %v", name, line, err)
			}
			all = append(all, fmt.Sprintf("%s %s>%s", tr.ID, tr.From, tr.To))
		}
	}
	return all
}

// sameSet compares without order.
func sameSet(t *testing.T, what string, got, want []string) {
	t.Helper()
	count := map[string]int{}
	for _, s := range want {
		count[s]++
	}
	for _, s := range got {
		count[s]--
	}
	for _, s := range slices.Sorted(maps.Keys(count)) {
		if n := count[s]; n > 0 {
			t.Errorf("%s: %q is lacking %d times", what, s, n)
		} else if n < 0 {
			t.Errorf("%s: %q is there %d times too often", what, s, -n)
		}
	}
}
