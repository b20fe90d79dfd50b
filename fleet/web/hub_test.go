package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// world is a presence repository for a hub, of a few words.
type world struct {
	mu    sync.Mutex
	fleet presence.Fleet
	err   error
	reads int
	lines []Line
	queue event.Queue
}

func (w *world) set(f presence.Fleet, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fleet, w.err = f, err
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

func (w *world) source() Source {
	return Source{Presence: "https://git.example.org/presence.git", Every: 10 * time.Millisecond, Window: 24 * time.Hour,
		Fleet: func(context.Context) (presence.Fleet, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reads++
			return w.fleet, w.err
		},
		History: func(context.Context, time.Time) ([]Line, error) { return w.lines, nil },
		Queue:   func(context.Context) (event.Queue, error) { return w.queue, nil }}
}

// told is an event as a browser has it.
type told struct {
	Time     time.Time
	Error    *Failure
	Gone     []string
	Versions []Versions
	Queue    []Action
	Nodes    []struct {
		ID      string `json:"instance-id"`
		State   string
		Age     string
		Next    string
		Since   time.Time
		Trouble int
	}
}

func (e told) nodes() string {
	var all []string
	for _, n := range e.Nodes {
		all = append(all, n.ID+" "+n.State)
	}
	return strings.Join(all, ", ")
}

func decoded(t *testing.T, f *frame) (name string, e told) {
	t.Helper()
	for l := range strings.Lines(string(f.plain)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(l, "\n"), ": ")
		switch key {
		case "event":
			name = value
		case "data":
			testkit.Must(t, json.Unmarshal([]byte(value), &e))
		}
	}
	return name, e
}

// next is what a stream that has a number gets.
func nextFrame(t *testing.T, h *Hub, after uint64) (name string, e told, number uint64) {
	t.Helper()
	f, _ := h.frame(after)
	if f == nil {
		return "", e, after
	}
	name, e = decoded(t, f)
	return name, e, f.number
}

func TestAStreamGetsWhatChanged(t *testing.T) {
	w, ctx, noon := &world{}, t.Context(), time.Now().Truncate(time.Second)
	h := NewHub(w.source())
	if name, _, _ := nextFrame(t, h, 0); name != "" {
		t.Errorf("nothing was read, and there is a %s", name)
	}
	f := fleettest.Of(noon, "2 idle a", "1 wedged a exit 3")
	w.set(f, nil)
	h.Read(ctx)
	name, e, number := nextFrame(t, h, 0)
	if name != "grid" || e.nodes() != "i-3 wedged, i-1 idle, i-2 idle" || e.Nodes[0].Next != "addctl node i-3" || e.Nodes[0].Trouble != 0 || e.Nodes[1].Trouble != presence.Well {
		t.Fatalf("%s: %+v", name, e)
	}
	// Nothing is told of a reading that changed nothing.
	h.Read(ctx)
	if name, e, _ := nextFrame(t, h, number); name != "" {
		t.Errorf("nothing changed: %s %+v", name, e)
	}
	f.Nodes = slices.Clone(f.Nodes[1:])
	f.Nodes[0] = fleettest.One("i-2", node.Working, "b", "", noon)
	w.set(f, nil)
	h.Read(ctx)
	name, e, later := nextFrame(t, h, number)
	if name != "change" || e.nodes() != "i-2 working" || !slices.Equal(e.Gone, []string{"i-1"}) || e.Error != nil {
		t.Errorf("%s: %+v", name, e)
	}
	if v := e.Versions; len(v) != 1 || v[0].Newest != strings.Repeat("b", 40) || v[0].Since.IsZero() || !slices.Equal(v[0].Behind, []string{"i-3"}) {
		t.Errorf("one moved to b: %+v", v)
	}
	// A failure is told with its beginning, and what was read stays.
	w.set(presence.Fleet{}, errors.New("no route to host"))
	h.Read(ctx)
	_, e, failed := nextFrame(t, h, later)
	if e.Error == nil || e.Error.Text != "no route to host" || len(e.Nodes)+len(e.Gone) > 0 {
		t.Errorf("%+v", e)
	}
	since := e.Error.Since
	w.set(presence.Fleet{}, errors.New("refused"))
	h.Read(ctx)
	if _, e, failed = nextFrame(t, h, failed); !e.Error.Since.Equal(since) {
		t.Errorf("since %s, not %s", e.Error.Since, since)
	}
	if _, e, _ := nextFrame(t, h, 0); len(e.Nodes) != 2 {
		t.Errorf("whole: %+v", e)
	}
	w.set(f, nil)
	h.Read(ctx)
	if f, _ := h.frame(failed); !strings.Contains(string(f.plain), `"error":null`) {
		t.Errorf("it was read again: %s", f.plain)
	}
	// Ids of another process, of the future, and of no form give everything.
	for _, id := range []string{"", "x", "0-1", h.id(999), h.epoch + "-"} {
		if got := h.seen(id); got != 0 {
			t.Errorf("%q: %d", id, got)
		}
	}
	if got := h.seen(h.id(later)); got != later {
		t.Errorf("%d, not %d", got, later)
	}
}

// TestManyLeave: more ends than are remembered give everything again.
func TestManyLeave(t *testing.T) {
	w, noon := &world{}, time.Now()
	h := NewHub(w.source())
	w.set(fleettest.Of(noon, fmt.Sprintf("%d idle a", goneMost+2)), nil)
	h.Read(t.Context())
	_, _, number := nextFrame(t, h, 0)
	w.set(fleettest.Of(noon, "1 idle a"), nil)
	h.Read(t.Context())
	if name, e, _ := nextFrame(t, h, number); name != "grid" || len(e.Nodes) != 1 || e.Gone != nil {
		t.Errorf("%s: %d nodes, %d gone", name, len(e.Nodes), len(e.Gone))
	}
	if h.seen(h.id(number)) != 0 {
		t.Error("an id before it is still known")
	}
}

// TestSinceFromTheHistory: the refs do not say since when a node is in its state.
func TestSinceFromTheHistory(t *testing.T) {
	noon := time.Now().UTC().Truncate(time.Second)
	w := &world{lines: []Line{
		{Time: noon.Add(-3 * time.Hour), ID: "i-1", From: "", To: "setup", Version: strings.Repeat("c", 40)},
		{Time: noon.Add(-2 * time.Hour), ID: "i-1", From: "setup", To: "idle", Version: strings.Repeat("a", 40)},
		{Time: noon.Add(-time.Hour), ID: "i-1", From: "present", To: "late"},
		{Time: noon.Add(-time.Minute), ID: "i-1", From: "late", To: "present"},
		{Time: noon.Add(-time.Hour), ID: "i-2", From: "idle", To: "wedged"},
	}}
	w.queue.Actions = []event.Entry{{Phase: event.Waits, Action: event.Action{ID: "a1", DoLevel: "nodes", DoAction: "work", DoGroup: "i-1"}, Added: noon},
		{Action: event.Action{ID: "a2"}, Phase: event.Succeeded, Ended: noon}}
	w.set(fleettest.Of(noon, "2 idle a"), nil)
	h := NewHub(w.source())
	h.Read(t.Context())
	h.ReadSlow(t.Context())
	_, e, _ := nextFrame(t, h, 0)
	if !e.Nodes[0].Since.Equal(noon.Add(-2*time.Hour)) || !e.Nodes[1].Since.IsZero() {
		t.Errorf("%+v", e.Nodes)
	}
	if !e.Versions[0].Since.Equal(noon.Add(-2 * time.Hour)) {
		t.Errorf("%+v", e.Versions)
	}
	if len(e.Queue) != 1 || e.Queue[0].ID != "a1" || e.Queue[0].Text == "" {
		t.Errorf("%+v", e.Queue)
	}
	b, failed := h.HistorySince(noon.Add(-90 * time.Minute))
	if failed != nil {
		t.Fatal(failed)
	}
	var got History
	testkit.Must(t, json.Unmarshal(b.plain, &got))
	var lines []string
	for _, l := range got.List {
		lines = append(lines, fmt.Sprintf("%d %s %s %s", l[0]-noon.Unix(), got.IDs[l[1]], got.Words[l[2]], got.Words[l[3]]))
	}
	if want := []string{"-3600 i-1 present late", "-3600 i-2 idle wedged", "-60 i-1 late present"}; !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

// TestSlowPartsThatFail: the page says it while they do, and no longer.
func TestSlowPartsThatFail(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	w := &world{lines: []Line{{Time: now.Add(-time.Hour), ID: "i-1", To: "idle"}}}
	w.set(fleettest.Of(now, "1 idle a"), nil)
	var herr, qerr error
	source := w.source()
	source.History = func(context.Context, time.Time) ([]Line, error) { lines := w.lines; w.lines = nil; return lines, herr }
	source.Queue = func(context.Context) (event.Queue, error) { return w.queue, qerr }
	h := NewHub(source)
	h.Read(t.Context())
	for _, c := range []struct {
		history, queue   error
		note, queueNotes string
	}{
		{nil, nil, "", "[]"},
		{errors.New("no route"), errors.New("no key"), "the history could not be read again: no route", `["the queue could not be read: no key"]`},
		{nil, nil, "", "[]"},
	} {
		herr, qerr = c.history, c.queue
		h.ReadSlow(t.Context())
		b, failed := h.HistorySince(now.Add(-2 * time.Hour))
		if failed != nil {
			t.Fatal(failed)
		}
		var got History
		testkit.Must(t, json.Unmarshal(b.plain, &got))
		var grid struct{ Notes json.RawMessage }
		testkit.Must(t, json.Unmarshal(h.Grid().plain, &grid))
		if got.Note != c.note || len(got.List) != 1 || string(grid.Notes) != c.queueNotes {
			t.Errorf("%q %s, want %q %s", got.Note, grid.Notes, c.note, c.queueNotes)
		}
	}
}

// TestNoBrowserLooks: nothing is read before the first stream and after the last one.
func TestNoBrowserLooks(t *testing.T) {
	w := &world{}
	w.set(fleettest.Of(time.Now(), "1 idle a"), nil)
	h := NewHub(w.source())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); h.Run(ctx) }()
	defer func() { stop(); <-ended }()
	leave, ok := h.enter(1)
	if _, more := h.enter(1); !ok || more {
		t.Error("one stream may be open, and no other")
	}
	testkit.Eventually(t, "three readings", func() bool { return w.count() > 3 })
	leave()
	// One that began before may go on. Then the loop waits.
	testkit.Eventually(t, "the readings end", func() bool {
		before := w.count()
		return !testkit.Within(20*h.Every, h.Every, func() bool { return w.count() != before })
	})
	if h.streams != 0 {
		t.Error(h.streams)
	}
	if _, ok := h.enter(1); !ok {
		t.Error("it may be entered again")
	}
}

// TestMovedBack: the version that nodes moved to last may be an old one.
func TestMovedBack(t *testing.T) {
	w, noon := &world{}, time.Now().UTC()
	h := NewHub(w.source())
	newest := func(lines ...string) string {
		w.set(fleettest.Of(noon, lines...), nil)
		h.Read(t.Context())
		_, e, _ := nextFrame(t, h, 0)
		return e.Versions[0].Newest[:1] + fmt.Sprint(len(e.Versions[0].Behind))
	}
	for i, step := range []struct{ lines, want string }{{"3 idle a", "a0"}, {"2 idle a,1 idle b", "b2"}, {"3 idle b", "b0"}, {"1 idle a,2 idle b", "a2"}} {
		if got := newest(strings.Split(step.lines, ",")...); got != step.want {
			t.Errorf("step %d: %s, not %s", i, got, step.want)
		}
	}
	if len(h.when) != 2 {
		t.Errorf("it remembers %d versions", len(h.when))
	}
}

func TestVersionsOf(t *testing.T) {
	noon := fleettest.Noon()
	f := fleettest.Of(noon, "3 idle a", "1 idle b", "1 leaving c", "2 idle c")
	when := appeared{{"ops", "main", strings.Repeat("b", 40)}: noon}
	list := versionsOf(f.Nodes, when, noon)
	if len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	got := list[0]
	var text []string
	for _, v := range got.Versions {
		text = append(text, fmt.Sprint(v.Version[:1], v.Nodes))
	}
	if !slices.Equal(text, []string{"b1", "a3", "c2"}) || len(got.Behind) != 5 || got.Behind[0] != "i-1" {
		t.Errorf("%q %q", text, got.Behind)
	}
	if list := versionsOf(nil, nil, noon); list == nil || len(list) > 0 {
		t.Errorf("%v", list)
	}
}

// TestNodesAsTheCommandHasThem: a node has the keys of addctl nodes --json.
func TestNodesAsTheCommandHasThem(t *testing.T) {
	noon := fleettest.Noon()
	f := fleettest.Of(noon, "1 idle a")
	f.Nodes[0].Since = noon
	data, err := encodeNode(f.Nodes[0], noon)
	testkit.Must(t, err)
	list, err := presence.EncodeNodes(f, noon)
	testkit.Must(t, err)
	var page map[string]any
	var command []map[string]any
	testkit.Must(t, errors.Join(json.Unmarshal(data, &page), json.Unmarshal(list, &command)))
	for key, value := range command[0] {
		if fmt.Sprint(page[key]) != fmt.Sprint(value) {
			t.Errorf("%s: %v, not %v", key, page[key], value)
		}
		delete(page, key)
	}
	if len(page) != 2 || page["trouble"] != float64(presence.Well) || page["told"] != "2026-03-01T12:00:00Z" {
		t.Errorf("and more: %v", page)
	}
}
