package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/work"
)

// Peers are the other nodes, as presence was read last: nodeinfo/nodes.json, and the sets that items watch. Reading
// goes on beside the beats, at most one at a time, and what could not be read stands as it was read before.
type Peers struct {
	id     string // this node
	reader *fold.Reader
	every  time.Duration
	limit  time.Duration                                 // of one reading
	nodes  string                                        // nodeinfo/nodes.json
	memory files.Remembered[map[string]presence.Settled] // what sets were let through, so that one beat a process (cron) settles them as well
	Spec   any                                           // of the config that it was made from
	waits  bool                                          // this process is one beat: what is due is read in it
	before bool                                          // others were read before this process began

	// Of the goroutine of the beats:
	next    time.Time
	settled map[string]presence.Settled // by filter
	seen    map[string]bool             // the filters that were advanced in this beat

	services services

	mu    sync.Mutex
	busy  bool
	fleet presence.Fleet
	wrong error
	going sync.WaitGroup
	stop  context.CancelFunc
	ctx   context.Context
}

// New reads from source, for the node id; once tells that this process is one beat, which waits for what it reads.
func New(cfg *config.Config, source remote.Source, id string, once bool) (*Peers, error) {
	reader, err := fold.NewReader(fold.Options{Source: source, Prefix: cfg.Presence.RefPrefix,
		CacheDir: filepath.Join(cfg.StateDir, "fleet"), Timeout: cfg.Beat.FetchTimeout})
	if err != nil {
		return nil, err
	}
	limit := Patience * cfg.Beat.LookTimeout
	if once { // the beat waits for it
		limit = cfg.Beat.LookTimeout
	}
	p := &Peers{id: id, reader: reader, every: cfg.Presence.Read, limit: limit, waits: once,
		nodes: nodesFile(cfg.Home), memory: peersMemory(cfg), seen: map[string]bool{}}
	p.settled, _, p.wrong = p.memory.Recall()
	if p.settled == nil {
		p.settled = map[string]presence.Settled{}
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	st, err := os.Stat(p.nodes)
	if p.before = err == nil; p.before && once {
		// A process of one beat has no memory of when it read: the file has.
		p.next = st.ModTime().Add(p.every)
	}
	if st, err := os.Stat(p.memory.Path); err == nil && time.Since(st.ModTime()) < awaitMax {
		for name, s := range p.settled {
			p.seen[name] = s.New // as the beat before, of another process, has left it
		}
	}
	p.services.file, p.services.memory = filepath.Join(cfg.Home, "nodeinfo", "services.json"), servicesMemory(cfg)
	p.services.known, _, _ = p.services.memory.Recall() // of a broken one the next set is taken as it is
	p.services.wanted = len(p.services.known) > 0       // by an earlier process
	if p.services.known == nil {
		p.services.known = map[string]knownSet{}
	}
	p.services.filters = map[string]presence.ServiceFilter{}
	for key, k := range p.services.known {
		p.services.filters[key] = k.Filter
	}
	if p.every > 0 {
		_ = reader.Recall() // what stands in the way of it does so at the next reading, which says it
		p.fleet = reader.Last()
	}
	return p, nil
}

// awaitMax is how long ago work may have asked in vain for a first set, for that to be wanted still: five beats are
// sooner.
const awaitMax = time.Hour

// peersMemory is what sets were let through by earlier processes. Of a broken one the next set is taken as it is.
func peersMemory(cfg *config.Config) files.Remembered[map[string]presence.Settled] {
	return files.Remembered[map[string]presence.Settled]{Path: filepath.Join(cfg.StateDir, "peers.json")}
}

// nodesFile is where scripts find who else is there.
func nodesFile(home string) string { return filepath.Join(home, "nodeinfo", "nodes.json") }

// Tick reads the others when that is due.
func (p *Peers) Tick(now time.Time) error {
	awaited := p.awaited()
	p.seen = map[string]bool{}
	p.mu.Lock()
	busy, wrong := p.busy, p.wrong
	// Beats do not come to the millisecond; and a clock that was set back must not end the reading.
	left := p.next.Sub(now)
	due := p.every > 0 && (left < time.Second || left > p.every || awaited)
	services := p.services.begin(now)
	if (due || services) && !busy {
		p.busy = true
	}
	p.mu.Unlock()
	if !due && !services || busy {
		return wrong
	}
	if due {
		p.next = now.Add(p.every)
	}
	p.going.Go(func() { p.read(now, due, services) })
	if !p.waits {
		return wrong
	}
	p.going.Wait()
	return p.wrong
}

// read reads the nodes, the services, or both.
func (p *Peers) read(now time.Time, nodes, services bool) {
	ctx, cancel := context.WithTimeout(p.ctx, p.limit)
	defer cancel()
	var f presence.Fleet
	var e presence.Endpoints
	var err error
	if nodes {
		if f, err = p.reader.Read(ctx, now); err == nil {
			err = p.show(f, now)
		}
	}
	if services && err == nil {
		if e, err = p.reader.Endpoints(ctx, now); err == nil {
			err = p.services.show(e)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	if p.ctx.Err() != nil {
		return
	}
	if p.wrong = nil; err != nil {
		p.wrong = fmt.Errorf("read presence: %w", err)
		return
	}
	if nodes {
		p.fleet = f
	}
	if services {
		p.services.read = e
	}
}

// show writes nodeinfo/nodes.json, also when nothing in it differs: its time says how fresh it is.
func (p *Peers) show(f presence.Fleet, now time.Time) error {
	data, err := presence.EncodeNodes(f, now)
	if err != nil {
		return err
	}
	if old, err := files.ReadSmall(p.nodes, 64<<20); err == nil && bytes.Equal(old, data) {
		return os.Chtimes(p.nodes, time.Time{}, now)
	}
	return files.Replace(p.nodes, data, 0o644)
}

// awaited tells whether the beat before asked for a first set that was not let through yet: presence is read at each
// beat then.
func (p *Peers) awaited() bool {
	for name, asked := range p.seen {
		if asked && p.settled[name].New {
			return true
		}
	}
	return false
}

// Set is what work.Survey asks: the set of the nodes that agree with filter, once it has settled. They are judged by
// the time that they were read at: what was read an hour ago, because presence is away, says nothing of who is missing
// now.
func (p *Peers) Set(filter map[string]string) work.NodeSet {
	p.mu.Lock()
	f := p.fleet
	p.mu.Unlock()
	name := fmt.Sprint(filter) // sorted by key
	read := f.From != ""
	if !p.seen[name] { // asked again in one beat, it is the same beat
		p.seen[name] = true
		before := p.settled[name]
		after := before
		switch set := presence.Set(f, filter, f.At); {
		case meets(p.settled, name, p.before, read, presence.Shows(f, p.id)):
			after = before.First(set, presence.Shows(f, p.id))
		case read:
			after = before.Next(set)
		}
		if after != before {
			p.settled[name] = after
			p.remember()
		}
	}
	s := p.settled[name]
	if s.New || !read {
		return work.NodeSet{Await: s.Await()}
	}
	return work.NodeSet{ID: s.Set, Known: true}
}

// meets decides whether this node is about to meet others for the first time: it never let a set through, and what was
// read, if anything was, does not show the node itself. Before tells that others were read by an earlier process.
func meets(settled map[string]presence.Settled, name string, before, read, shown bool) bool {
	if s, known := settled[name]; known {
		return s.New
	}
	for _, s := range settled {
		if !s.New {
			return false
		}
	}
	return !shown && (read || !before)
}

// PlannedSet is Set for a plan, which asks no server and writes nothing: no set is known, and what waits for the first
// one goes on to.
func PlannedSet(cfg *config.Config) func(filter map[string]string) work.NodeSet {
	settled, _, _ := peersMemory(cfg).Peek()
	_, err := os.Stat(nodesFile(cfg.Home))
	return func(filter map[string]string) work.NodeSet {
		name := fmt.Sprint(filter)
		s := settled[name]
		if _, known := settled[name]; !known && meets(settled, name, err == nil, false, false) {
			s = s.First("", false)
		}
		return work.NodeSet{Await: s.Await()}
	}
}

// remember keeps what was let through. That it cannot be written is no matter of its own: a full disk is said
// elsewhere, and at worst a set is let through a beat early.
func (p *Peers) remember() {
	_ = p.memory.Save(p.settled)
}

func (p *Peers) Close() {
	p.stop()
	p.going.Wait()
	p.services.prune()
	_ = p.reader.Close()
}

// ReadNow is presence as it is this moment, whatever was read before; refs does not take a fold's word for it.
func ReadNow(ctx context.Context, source remote.Source, prefix string, refs bool, now time.Time) (presence.Fleet, error) {
	reader, err := fold.NewReader(fold.Options{Source: source, Prefix: prefix, Refs: refs})
	if err != nil {
		return presence.Fleet{}, err
	}
	f, err := reader.Read(ctx, now)
	return f, errors.Join(err, reader.Close())
}

// Patience is how much longer than a look a push may take: nothing waits for it, and when a whole fleet tells at once
// a push that is given up and repeated is more work for a server that has too much already.
const Patience = 6
