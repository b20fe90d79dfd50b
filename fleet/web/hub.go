package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/presence"
)

const (
	// slowly is how often the history and the queue are read while a browser looks: the fold is a minute old anyway.
	slowly = 15 * time.Second
	// recount is how often services are counted anew when no node changed: a silent node leaves its sets at last.
	recount = time.Minute
	// goneMost bounds the nodes whose end is remembered. A stream that missed more of them gets everything again.
	goneMost = 1000
)

// Source is what a Hub reads. None of the functions is called twice at a time.
type Source struct {
	Presence string // the repository as people may see it
	Fleet    func(context.Context) (presence.Fleet, error)
	// History reads all lines since a time, the first time, and later those that are new.
	History func(ctx context.Context, since time.Time) ([]Line, error)
	Queue   func(context.Context) (event.Queue, error) // nil = there is none
	Every   time.Duration                              // between readings, and one second more for each 1,000 nodes
	Window  time.Duration                              // how much of the history is read
}

// Hub reads while a browser looks, and has what was read last. Each change has a number, so that a stream that was away
// gets what changed since.
type Hub struct {
	Source
	epoch string // of this process: numbers of another one mean nothing

	reading sync.Mutex // Fleet is being called
	slow    sync.Mutex // History and Queue are

	mu       sync.Mutex
	streams  int
	looked   chan struct{} // closed when the first stream comes
	changed  chan struct{} // closed at the next change
	number   uint64        // of the last change; 0 = nothing was read
	read     time.Time     // when Fleet was called last
	counted  time.Time     // when versions and services were
	fleet    presence.Fleet
	ends     presence.Endpoints // of services, as counted last
	parts    parts
	raw      []part           // parts as JSON
	nodes    map[string]shown // by id
	order    []string         // their ids, trouble first
	gone     map[string]uint64
	forgot   uint64 // ends before this number are forgotten
	when     appeared
	past     *past              // nil = the history was not read yet
	since    map[string]entered // of past
	listed   time.Time          // when the slow part was read
	unlisted *Failure           // of the last reading of the history
	unqueued string             // why the queue could not be read; "" = it could
	made     cache
}

// part is a value of parts as JSON.
type part struct {
	name   string
	value  []byte
	number uint64
}

// shown is a node as browsers have it.
type shown struct {
	key    nodeKey
	data   json.RawMessage
	number uint64
}

// nodeKey is what the JSON form of a node depends on.
type nodeKey struct {
	commit string
	age    presence.Age
	since  time.Time
}

// NewHub makes a hub that has read nothing.
func NewHub(s Source) *Hub {
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	return &Hub{Source: s, epoch: fmt.Sprintf("%x", id), looked: make(chan struct{}), changed: make(chan struct{}),
		nodes: map[string]shown{}, gone: map[string]uint64{}, when: appeared{}, parts: parts{Presence: s.Presence}}
}

// Run reads until ctx ends, and only while there are streams.
func (h *Hub) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { h.whileLooked(ctx, h.Read, h.pause) })
	both.Go(func() { h.whileLooked(ctx, h.ReadSlow, func() time.Duration { return slowly }) })
	both.Wait()
}

func (h *Hub) whileLooked(ctx context.Context, read func(context.Context), pause func() time.Duration) {
	for {
		h.mu.Lock()
		looked := h.looked
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-looked:
		}
		read(ctx)
		timer := time.NewTimer(pause())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// pause is how long to wait between two readings.
func (h *Hub) pause() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pauseNow()
}

func (h *Hub) pauseNow() time.Duration {
	return h.Every + time.Duration(len(h.fleet.Nodes)/1000)*time.Second
}

// enter counts a stream; ok is false when there are as many as may be. leave must follow.
func (h *Hub) enter(most int) (leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= most {
		return nil, false
	}
	if h.streams++; h.streams == 1 {
		close(h.looked)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.streams--; h.streams == 0 {
			h.looked = make(chan struct{})
		}
	}, true
}

// Fresh reads unless what was read is as new as a stream would have it.
func (h *Hub) Fresh(ctx context.Context) {
	h.freshen(ctx, &h.reading, func() bool { return time.Since(h.read) >= h.pauseNow() }, h.Read)
}

// FreshHistory is Fresh for the history and the queue.
func (h *Hub) FreshHistory(ctx context.Context) {
	h.freshen(ctx, &h.slow, func() bool { return time.Since(h.listed) >= slowly }, h.ReadSlow)
}

func (h *Hub) freshen(ctx context.Context, reading *sync.Mutex, old func() bool, read func(context.Context)) {
	// Who waits for another one's reading needs none of its own.
	reading.Lock()
	h.mu.Lock()
	isOld := old()
	h.mu.Unlock()
	reading.Unlock()
	if isOld {
		read(ctx)
	}
}

// Read reads the nodes once.
func (h *Hub) Read(ctx context.Context) {
	h.reading.Lock()
	defer h.reading.Unlock()
	f, err := h.Source.Fleet(ctx)
	if err != nil && ctx.Err() != nil {
		return // who asked is gone, which says nothing about the repository
	}
	h.take(f, err, time.Now())
}

// ReadSlow reads the history and the queue once.
func (h *Hub) ReadSlow(ctx context.Context) {
	h.slow.Lock()
	defer h.slow.Unlock()
	now := time.Now()
	lines, err := h.History(ctx, now.Add(-h.Window))
	var q event.Queue
	var qerr error
	if h.Queue != nil {
		q, qerr = h.Queue(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return // as in Read; lines that were read are not read again
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listed = now
	if (err == nil) != (h.unlisted == nil) {
		h.made.history = nil // its note says otherwise
	}
	if h.unlisted = failure(h.unlisted, err, now); err == nil && (len(lines) > 0 || h.past == nil) {
		if h.past == nil {
			h.past = newPast()
		}
		h.past.add(lines)
		h.past.forget(now.Add(-h.Window))
		h.since, h.counted = h.past.entered(), time.Time{}
		h.when.recall(h.past, h.fleet.Nodes)
		h.made.history = nil
	}
	switch {
	case h.Queue == nil || qerr != nil && ctx.Err() != nil:
	case qerr != nil:
		h.unqueued = "the queue could not be read: " + qerr.Error()
	default:
		h.parts.Queue, h.unqueued = actions(q), ""
	}
	if !h.read.IsZero() { // a browser should not see an empty grid first
		h.publish(now)
	}
}

// failure is how a failure goes on.
func failure(before *Failure, err error, now time.Time) *Failure {
	switch {
	case err == nil:
		return nil
	case before == nil:
		return &Failure{err.Error(), now.UTC()}
	}
	return &Failure{err.Error(), before.Since}
}

// take takes in a reading. One that failed changes nothing but Error.
func (h *Hub) take(f presence.Fleet, err error, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read = now
	if h.parts.Error = failure(h.parts.Error, err, now); err == nil {
		if h.fleet.From != "" {
			h.when.see(f.Nodes, now)
		} else {
			h.when.see(f.Nodes, time.Time{})
			if h.past != nil {
				h.when.recall(h.past, f.Nodes)
			}
		}
		h.fleet = f
		h.parts.From, h.parts.Notes = f.From, append([]string{}, f.Notes...)
	}
	h.publish(now)
}

// publish makes what browsers get of what was read, and wakes the streams when something changed.
func (h *Hub) publish(now time.Time) {
	number := h.number + 1
	moved := h.show(number, now)
	if moved || now.Sub(h.counted) >= recount {
		h.counted = now
		h.ends = presence.EndpointsOf(h.ends, h.fleet, now)
		h.parts.Versions, h.parts.Services = versionsOf(h.fleet.Nodes, h.when, now), presence.ServicesOf(h.ends, h.fleet, now)
	}
	h.parts.Every = h.pauseNow().Seconds()
	all := h.parts
	if h.unqueued != "" {
		all.Notes = append(slices.Clone(all.Notes), h.unqueued)
	}
	for i, p := range all.encoded() {
		if i == len(h.raw) {
			h.raw = append(h.raw, part{name: p.name})
		}
		if !bytes.Equal(h.raw[i].value, p.value) {
			h.raw[i].value, h.raw[i].number = p.value, number
			moved = true
		}
	}
	if !moved {
		return
	}
	h.number = number
	h.made.grid, h.made.change = nil, nil
	close(h.changed)
	h.changed = make(chan struct{})
}

// show makes the JSON form of nodes that changed, and tells whether there are any.
func (h *Hub) show(number uint64, now time.Time) (moved bool) {
	there := make(map[string]bool, len(h.fleet.Nodes))
	for _, n := range h.fleet.Nodes {
		there[n.InstanceID] = true
		if last := h.since[n.InstanceID]; n.Since.IsZero() && last.state == string(n.State) {
			n.Since = last.at
		}
		key := nodeKey{n.Commit, n.Age(now), n.Since}
		if was, known := h.nodes[n.InstanceID]; known && was.key == key && n.Commit != "" {
			continue
		}
		data, err := encodeNode(n, now)
		if err != nil || bytes.Equal(data, h.nodes[n.InstanceID].data) {
			continue // a record that was read can be written
		}
		h.nodes[n.InstanceID], moved = shown{key, data, number}, true
		delete(h.gone, n.InstanceID)
	}
	for id := range h.nodes {
		if !there[id] {
			delete(h.nodes, id)
			h.gone[id], moved = number, true
		}
	}
	if len(h.gone) > goneMost {
		clear(h.gone)
		h.forgot = number
	}
	if moved {
		h.order = h.order[:0]
		for _, n := range presence.Troubled(h.fleet, now) {
			h.order = append(h.order, n.InstanceID)
		}
	}
	return moved
}

// encoded are the parts as JSON. They hold texts, numbers and times, which can be written.
func (p parts) encoded() []part {
	text := func(v any) []byte { data, _ := json.Marshal(v); return data }
	all := []part{{name: "presence", value: text(p.Presence)}, {name: "from", value: text(p.From)}, {name: "every", value: text(p.Every)},
		{name: "error", value: text(p.Error)}, {name: "notes", value: text(append([]string{}, p.Notes...))},
		{name: "versions", value: text(append([]Versions{}, p.Versions...))}, {name: "services", value: text(append([]presence.ServiceStatus{}, p.Services...))}}
	if p.Queue != nil {
		all = append(all, part{name: "queue", value: text(p.Queue)})
	}
	return all
}

// encode is what changed after a number, or all for 0.
func (h *Hub) encode(after uint64, now time.Time) []byte {
	var b bytes.Buffer
	at, _ := json.Marshal(now.UTC().Truncate(time.Millisecond))
	b.WriteString(`{"time":` + string(at))
	for _, p := range h.raw {
		if p.number > after {
			fmt.Fprintf(&b, ",%q:%s", p.name, p.value)
		}
	}
	var changed [][]byte
	for _, id := range h.order {
		if n := h.nodes[id]; n.number > after {
			changed = append(changed, n.data)
		}
	}
	b.WriteString(`,"nodes":[`)
	b.Write(bytes.Join(changed, []byte(",")))
	b.WriteString("]")
	if after > 0 {
		gone := []string{}
		for id, number := range h.gone {
			if number > after {
				gone = append(gone, id)
			}
		}
		slices.Sort(gone)
		list, _ := json.Marshal(gone)
		b.WriteString(`,"gone":` + string(list))
	}
	b.WriteString("}")
	return b.Bytes()
}

// id names a change, for Last-Event-ID and ETags.
func (h *Hub) id(number uint64) string { return h.epoch + "-" + strconv.FormatUint(number, 10) }

// after is the number in an id; 0 = everything is needed: it is of another process, or too old.
func (h *Hub) after(id string) uint64 {
	text, ok := strings.CutPrefix(id, h.epoch+"-")
	number, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil || number > h.number || number < h.forgot {
		return 0
	}
	return number
}
