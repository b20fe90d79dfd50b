package offer

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/service/tree"
	"github.com/addagent/addagent/work"
)

const commit = "1111111111111111111111111111111111111111"

// life is a node whose agent is a new process at each beat.
type life struct {
	*testing.T
	dir       string
	now       time.Time
	inventory work.Inventory
	drained   map[string]node.Brake
	published []presence.Service // as the presence repository has them
	away      bool               // the presence repository
	missing   string             // its clone is, in discover mode
	said      []string
	ran       int // delete.sh
	forgot    []string
}

func newLife(t *testing.T, port string) *life {
	d, wrong := service.Parse("service.yaml", "db", nil, []byte("check: { http: \"http://"+port+"/\" }\ndrain: 5m\n"))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	d.Check.Kind, d.Check.Target = service.TCP, port
	o := tree.Offer{Description: d, Repo: "ops", Dir: "nodeservice/db", Version: commit, Folder: commit, Wish: service.Wanted, ListedIn: []string{"lists"}, Scripts: map[string]string{"work.sh": "a", "delete.sh": "b"}}
	l := &life{T: t, dir: t.TempDir(), now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	l.inventory = work.Inventory{OffersKnown: true, Offers: map[string]tree.Offer{"db": o}}
	l.inventory.Judgements = []work.Judgement{{Item: work.ServiceItem(o, ""), Verdict: work.Same, Memory: work.Memory{Version: commit}}}
	return l
}

// want changes whether the lists name the service.
func (l *life) want(w service.Wish) {
	o := l.inventory.Offers["db"]
	if o.Wish = w; w != service.Wanted {
		o.ListedIn = nil
	}
	l.inventory.Offers = map[string]tree.Offer{"db": o}
}

// beat is a beat of a new process, a minute after the one before. The answer is the code that is announced.
func (l *life) beat() string {
	l.now = l.now.Add(time.Minute)
	o := &Offers{Root: l.dir, StateDir: l.dir, Say: func(n journal.News) { l.said = append(l.said, n.Text) },
		Open:      func(string, string) (*objects.Tree, error) { return nil, errors.New("there is no clone") },
		Missing:   func(repo string) bool { return repo == l.missing },
		Published: func() ([]presence.Service, bool) { return l.published, true }}
	o.Recall()
	inventory := l.inventory
	inventory.Judgements = slices.Clone(l.inventory.Judgements)
	o.Join(&inventory, l.now)
	_, wrong := o.Beat(l.Context(), Beat{Now: l.now, Inventory: &inventory, Drained: l.drained, MinDrain: 2 * time.Minute, RetryMax: time.Minute,
		Forget: func(it work.Item) error { l.forgot = append(l.forgot, it.Name); return nil }})
	for _, text := range wrong {
		if !strings.Contains(text, "keep a copy") {
			l.said = append(l.said, text)
		}
	}
	inventory.Judgements = slices.Clone(l.inventory.Judgements)
	o.Join(&inventory, l.now)
	for _, j := range inventory.Judgements {
		if j.Item.Action == "delete" && j.Verdict.Wanted() {
			l.ran++
			testkit.Must(l.T, os.MkdirAll(work.MemoryOf("", l.dir, "ops", j.Item.Name), 0o755))
			testkit.Must(l.T, work.VersionIn(work.MemoryOf("", l.dir, "ops", j.Item.Name)).Put([]byte(commit+"\n")))
		}
	}
	r := presence.Record{}
	o.Fill(&r)
	r = presence.Normalize(r)
	if !l.away {
		l.published = r.Services
	}
	if len(r.Services) == 0 {
		return ""
	}
	return r.Services[0].Code
}

func (l *life) beats(n int) string {
	var all []string
	for range n {
		all = append(all, strings.TrimPrefix(l.beat(), "ER00"))
	}
	return strings.Join(all, " ")
}

func (l *life) expect(got, want string) {
	l.Helper()
	if got != want {
		l.Errorf("%s, want %s\n%s", got, want, strings.Join(l.said, "\n"))
	}
}

// TestRemovalOfOneProcessEach: each step is on the disk before it begins, so every beat may be another process.
func TestRemovalOfOneProcessEach(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer server.Close()
	l := newLife(t, server.Addr().String())
	l.inventory.Offers["db"].Scripts["tool.sh"] = "c"
	l.expect(l.beats(2), "000000 000000")

	// all lists are emptied, and that is taken back within the time of its users
	l.want(service.Unwanted)
	l.expect(l.beats(4), "20 20 20 20")
	l.want(service.Wanted)
	l.expect(l.beats(2), "000000 000000")

	// the presence repository is away: it stays, announced to no one
	l.want(service.Unwanted)
	l.away = true
	l.expect(l.beats(30), strings.TrimSpace(strings.Repeat("20 ", 30)))
	l.away = false
	l.expect(l.beats(6), "20 20 20 20 20 20")
	// what cannot be read moves nothing
	l.want(service.Unknown)
	l.expect(l.beats(20), strings.TrimSpace(strings.Repeat("20 ", 20)))
	if l.ran > 0 {
		t.Fatal("it was undone before its users had their time")
	}
	l.want(service.Unwanted)
	l.expect(l.beats(1), "22")
	// a new wish waits until it is gone, and so does its set-up
	l.want(service.Wanted)
	l.expect(l.beats(3), "22 22 22") // its check still passes
	if l.ran < 1 || !strings.Contains(strings.Join(l.said, "\n"), "delete.sh has succeeded, and the check still passes") {
		t.Errorf("ran %d: %s", l.ran, l.said)
	}
	testkit.Must(t, server.Close())
	l.expect(l.beats(1), "24")
	l.inventory.Judgements[0].Memory, l.inventory.Judgements[0].Verdict = work.Memory{}, work.First
	l.want(service.Unwanted)
	l.expect(l.beats(1), "")
	if _, err := os.Stat(work.ServiceDir(l.dir, "db")); !os.IsNotExist(err) || l.forgot[len(l.forgot)-1] != "service.db" {
		t.Errorf("not forgotten: %v %v", err, l.forgot)
	}
	l.want(service.Wanted)
	l.expect(l.beats(1), "21")
}

// TestNothingReadUndoesNothing: a service whose set-up never succeeded has no copy of its delete.sh.
func TestNothingReadUndoesNothing(t *testing.T) {
	l := newLife(t, "127.0.0.1:1")
	l.inventory.Judgements[0].Memory = work.Memory{Last: &work.Attempt{}}
	l.expect(l.beats(1), "21")
	l.want(service.Unwanted)
	for l.beat() != "ER0022" {
	}
	readable := l.inventory
	l.inventory, l.ran = work.Inventory{}, 0
	l.expect(l.beats(2), "22 22")
	l.inventory = readable
	l.expect(l.beats(2), "24 ")
}

// TestOldAnnouncement: users are told of this removal, not of an earlier one with the same code.
func TestOldAnnouncement(t *testing.T) {
	l := newLife(t, "127.0.0.1:1")
	l.beats(2)
	l.away, l.published = true, []presence.Service{{Name: "db", Code: string(service.Draining), Time: l.now.Add(-time.Hour)}}
	l.want(service.Unwanted)
	l.expect(l.beats(30), strings.TrimSpace(strings.Repeat("20 ", 30)))
	l.away = false
	l.expect(l.beats(7), "20 20 20 20 20 20 22")
}

// TestCloneMovedAside: in discover mode a clone that is not there for a while withdraws nothing.
func TestCloneMovedAside(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer server.Close()
	l := newLife(t, server.Addr().String())
	l.beats(2)
	all := l.inventory
	l.inventory, l.missing = work.Inventory{OffersKnown: true}, "ops"
	l.expect(l.beats(3), "000000 000000 000000")
	l.inventory, l.missing = all, "lists" // the description is there, and nothing names it
	l.want(service.Unwanted)
	l.expect(l.beats(3), "000000 000000 000000")
	l.missing = ""
	l.expect(l.beats(1), "20")
}

// TestLargeFolder: a folder that is too large to be kept is read once, and stays a trouble.
func TestLargeFolder(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "ops.git"))
	src.Commit("main", gittest.File("nodeservice/db/a", strings.Repeat("a", copyMost/2)), gittest.File("nodeservice/db/b", strings.Repeat("b", copyMost)))
	opened := 0
	o := &Offers{StateDir: t.TempDir(), Open: func(_, version string) (*objects.Tree, error) {
		opened++
		return objects.OpenTree(version, src.Dir)
	}}
	o.Recall()
	k := &kept{Offer: tree.Offer{Description: service.Description{Name: "db"}, Repo: "ops", Dir: "nodeservice/db", Version: src.Tip("main"), Folder: commit}}
	for range 3 {
		if err := o.keep(k); err == nil || !strings.Contains(err.Error(), "are kept)") {
			t.Error(err)
		}
	}
	if opened != 1 {
		t.Errorf("read %d times", opened)
	}
	k.Folder = strings.Repeat("2", 40)
	if _ = o.keep(k); opened != 2 {
		t.Error("another content is not read")
	}
}

// TestDrain: a person drains one service, or all, and takes that back.
func TestDrain(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer server.Close()
	l := newLife(t, server.Addr().String())
	l.expect(l.beats(2), "000000 000000")
	for _, of := range []string{"db", ""} {
		l.drained = map[string]node.Brake{of: {Reason: "new disk", By: "ann"}}
		l.expect(l.beats(2), "20 20")
		l.drained = map[string]node.Brake{"other": {Reason: "new disk", By: "ann"}}
		l.expect(l.beats(2), "000000 000000")
	}
	if said := strings.Join(l.said, "\n"); !strings.Contains(said, "service db is draining: new disk (ann)") {
		t.Error(said)
	}
}
