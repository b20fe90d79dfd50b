package sink

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// room remembers what is said in it, and what of that is critical.
type room struct {
	lines, critical []string
	wrong           error
}

func (r *room) Say(_ context.Context, m chat.Message) error {
	r.lines = append(r.lines, m.Text)
	if m.Critical {
		r.critical = append(r.critical, m.Text)
	}
	return nil
}
func (r *room) Trouble() error              { return r.wrong }
func (r *room) Flush(context.Context) error { return nil }

func recordIn(s node.State, why string, at time.Time) presence.Record {
	return presence.Record{InstanceID: "i-1", Deployment: "fed1", Nodepart: "app1", State: s, Reason: why, BeatSeen: at}
}

func TestChatRemembersWhatItSaid(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "chat.json")
	v := &room{}
	tell := func(c *Chat, s node.State) {
		t.Helper()
		at = at.Add(time.Minute)
		if err := c.Tell(t.Context(), recordIn(s, "ops:root: exit 3", at)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // three lives of the agent
		tell(NewChat(v, false, path), node.Wedged)
	}
	at = at.Add(time.Hour)
	tell(NewChat(v, false, path), node.Wedged)
	if len(v.lines) != 2 || !strings.Contains(v.lines[1], "still wedged") {
		t.Errorf("said %q", v.lines)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the memory: %v %v", st, err)
	}
}

func TestChatWithABrokenMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chat.json")
	if err := os.WriteFile(path, []byte(`{"state": 7`), 0o600); err != nil {
		t.Fatal(err)
	}
	v := &room{}
	c := NewChat(v, false, path)
	err := c.Tell(t.Context(), recordIn(node.Wedged, "ops:root: exit 3", time.Now()))
	if err == nil || !strings.Contains(err.Error(), "chat.json.corrupt") || len(v.lines) != 1 {
		t.Errorf("said %q, %v", v.lines, err)
	}
	if err := c.Tell(t.Context(), recordIn(node.Wedged, "ops:root: exit 3", time.Now())); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestChatSaysWhyLinesDoNotArrive(t *testing.T) {
	v := &room{wrong: errors.New("chat hipchat://: 401")}
	c := NewChat(v, false, filepath.Join(t.TempDir(), "chat.json"))
	if err := c.Tell(t.Context(), recordIn(node.Idle, "", time.Now())); !errors.Is(err, v.wrong) {
		t.Errorf("told: %v", err)
	}
}

func TestWhatIsCritical(t *testing.T) {
	v := &room{}
	c := NewChat(v, false, filepath.Join(t.TempDir(), "chat.json"))
	at := time.Now()
	for _, s := range []node.State{node.Setup, node.InitDone, node.Working, node.Failing, node.Wedged, node.Disabled, node.Idle} {
		if err := c.Tell(t.Context(), recordIn(s, "ops:root: exit 3", at)); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.critical) != 2 || !strings.Contains(v.critical[0], ": wedged: ") || !strings.Contains(v.critical[1], "recovered after 0 s wedged") {
		t.Errorf("said %q", v.critical)
	}
}

// tagger remembers the calls.
type tagger struct {
	calls []map[string]string
	wrong error
}

func (g *tagger) Tag(_ context.Context, tags map[string]string) error {
	g.calls = append(g.calls, tags)
	return g.wrong
}

// TestVersionTag: what was worked last, and what is pulled and not done.
func TestVersionTag(t *testing.T) {
	g := &tagger{}
	s := NewTags(g, filepath.Join(t.TempDir(), "tags.json"))
	a, b := strings.Repeat("1a2b3c4d", 5), strings.Repeat("5e6f7a8b", 5)
	for _, step := range []struct {
		state node.State
		repo  presence.Repo
		want  string
	}{
		{node.Working, presence.Repo{Version: a, Due: []string{"common"}}, "ops@nothing>1a2b3c4"}, // a new node
		{node.Idle, presence.Repo{Version: a, Worked: map[string]string{"common": a}}, "ops@1a2b3c4"},
		{node.Working, presence.Repo{Version: b, Due: []string{"common"}, Worked: map[string]string{"common": a}}, "ops@1a2b3c4>5e6f7a8"},
		{node.Wedged, presence.Repo{Version: b, Due: []string{"common"}, Worked: map[string]string{"common": a}}, "ops@1a2b3c4>5e6f7a8"},
		{node.Idle, presence.Repo{Version: b, Worked: map[string]string{"common": b}}, "ops@5e6f7a8"},
	} {
		step.repo.Name = "ops"
		if err := s.Tell(t.Context(), presence.Record{InstanceID: "i-1", State: step.state, Repos: []presence.Repo{step.repo}}); err != nil {
			t.Fatal(err)
		}
		if got := g.calls[len(g.calls)-1]["add:version"]; got != step.want {
			t.Errorf("%s: add:version is %q, not %q", step.state, got, step.want)
		}
	}
}

func TestTagsAreToldOnChangeInOneCall(t *testing.T) {
	g := &tagger{}
	path := filepath.Join(t.TempDir(), "tags.json")
	s := NewTags(g, path)
	r := presence.Record{InstanceID: "i-1", Deployment: "fed1", Nodepart: "app1", Stacktype: "lad1", State: node.Working, StateLog: strings.Repeat("x", 256), StateTss: "20260301-080022",
		Repos: []presence.Repo{{Name: "ops", Version: strings.Repeat("1a2b3c4d", 5)}, {Name: strings.Repeat("ü", 300), Version: "5d6e"}}}
	tell := func() {
		t.Helper()
		if err := s.Tell(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	tell()
	r.BeatSeen, r.Reason = r.BeatSeen.Add(time.Hour), "what a tag does not say"
	tell()
	r.State = node.Idle
	tell()
	if len(g.calls) != 2 {
		t.Fatalf("%d calls for two states", len(g.calls))
	}
	want := []string{"add:deployment", "add:nodepart", "add:stacktype", "add:state", "add:statelog", "add:statetss", "add:version"}
	var got []string
	for key, value := range g.calls[1] {
		got = append(got, key)
		if n := len([]rune(value)); n > 256 {
			t.Errorf("%s has %d characters", key, n)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || g.calls[1]["add:state"] != "idle" || !strings.HasPrefix(g.calls[1]["add:version"], "ops@1a2b3c4 üü") {
		t.Errorf("tags %v", g.calls[1])
	}
	s = NewTags(g, path) // another life of the agent, or the next process of one beat
	tell()
	if len(g.calls) != 2 {
		t.Errorf("%d calls: a restart tells what was told", len(g.calls))
	}
	g.wrong = errors.New("denied")
	r.State = node.Working
	if err := s.Tell(t.Context(), r); !errors.Is(err, g.wrong) {
		t.Errorf("told: %v", err)
	}
	g.wrong = nil
	tell()
	if len(g.calls) != 4 {
		t.Errorf("%d calls: what failed is told again", len(g.calls))
	}
}

func TestInitDoneIsDoneOnce(t *testing.T) {
	calls, wrong := 0, errors.New("throttled")
	path := filepath.Join(t.TempDir(), "done")
	do := func(context.Context) error { calls++; return wrong }
	s := NewInitDone(do, path)
	r := recordIn(node.Setup, "", time.Now())
	for _, step := range []struct {
		log   string
		wrong error
		calls int
	}{{"setup:20260301-080000;", nil, 0}, {"setup:20260301-080000;initdone:20260301-080022;", wrong, 1},
		{"setup:20260301-080000;initdone:20260301-080022;", nil, 2}, {"setup:20260301-080000;initdone:20260301-080022;", nil, 2}} {
		r.StateLog, wrong = step.log, step.wrong
		if err := s.Tell(t.Context(), r); !errors.Is(err, step.wrong) || calls != step.calls {
			t.Errorf("after %q: %d calls, %v", step.log, calls, err)
		}
	}
	if err := NewInitDone(do, path).Tell(t.Context(), r); err != nil || calls != 2 {
		t.Errorf("another life: %d calls, %v", calls, err)
	}
}
