package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fleet"
)

// peers are the other nodes, as presence was read last: nodeinfo/nodes.json, and the sets that items watch. Reading goes on
// beside the beats, at most one at a time, and what could not be read stands as it was read before.
type peers struct {
	reader *fleet.Reader
	every  time.Duration
	limit  time.Duration // of one reading
	nodes  string        // nodeinfo/nodes.json
	memory string        // what sets were let through, so that one beat a process (cron) settles them as well
	spec   any           // of the config that it was made from
	waits  bool          // this process is one beat: what is due is read in it

	// Of the goroutine of the beats:
	next    time.Time
	settled map[string]fleet.Settled // by filter
	seen    map[string]bool          // the filters that were advanced in this beat

	mu    sync.Mutex
	busy  bool
	fleet fleet.Fleet
	wrong error
	going sync.WaitGroup
	stop  context.CancelFunc
	ctx   context.Context
}

func newPeers(cfg *config.Config, once bool) (*peers, error) {
	reader, err := fleet.New(fleet.Options{Source: presenceSource(cfg), Prefix: cfg.Presence.RefPrefix,
		CacheDir: filepath.Join(cfg.StateDir, "fleet"), Timeout: cfg.Beat.FetchTimeout})
	if err != nil {
		return nil, err
	}
	limit := pushPatience * cfg.Beat.LookTimeout
	if once { // the beat waits for it
		limit = cfg.Beat.LookTimeout
	}
	p := &peers{reader: reader, every: cfg.Presence.Read, limit: limit, waits: once,
		nodes: nodesFile(cfg.Home), memory: filepath.Join(cfg.StateDir, "peers.json"), settled: map[string]fleet.Settled{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	if data, err := files.ReadSmall(p.memory, 1<<20); err == nil {
		_ = json.Unmarshal(data, &p.settled) // a broken one is as none: the next set is taken as it is
	}
	if once {
		// A process of one beat has no memory of when it read: the file has.
		if st, err := os.Stat(p.nodes); err == nil {
			p.next = st.ModTime().Add(p.every)
		}
		p.fleet = reader.Last()
	}
	return p, nil
}

// nodesFile is where scripts find who else is there.
func nodesFile(home string) string { return filepath.Join(home, "nodeinfo", "nodes.json") }

// Tick reads the others when that is due.
func (p *peers) Tick(now time.Time) error {
	p.seen = map[string]bool{}
	p.mu.Lock()
	busy, wrong := p.busy, p.wrong
	// Beats do not come to the millisecond; and a clock that was set back must not end the reading.
	left := p.next.Sub(now)
	due := left < time.Second || left > p.every
	if due && !busy {
		p.busy = true
	}
	p.mu.Unlock()
	if !due || busy {
		return wrong
	}
	p.next = now.Add(p.every)
	p.going.Go(func() { p.read(now) })
	if !p.waits {
		return wrong
	}
	p.going.Wait()
	return p.wrong
}

func (p *peers) read(now time.Time) {
	ctx, cancel := context.WithTimeout(p.ctx, p.limit)
	defer cancel()
	f, err := p.reader.Read(ctx, now)
	if err == nil {
		err = p.show(f, now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	switch {
	case p.ctx.Err() != nil:
	case err != nil:
		p.wrong = fmt.Errorf("read presence: %w", err)
	default:
		p.wrong, p.fleet = nil, f
	}
}

// show writes nodeinfo/nodes.json, also when nothing in it differs: its time says how fresh it is.
func (p *peers) show(f fleet.Fleet, now time.Time) error {
	data, err := fleet.EncodeNodes(f, now)
	if err != nil {
		return err
	}
	if old, err := files.ReadSmall(p.nodes, 64<<20); err == nil && bytes.Equal(old, data) {
		return os.Chtimes(p.nodes, time.Time{}, now)
	}
	return files.Replace(p.nodes, data, 0o644)
}

// Set is what work.Survey asks: the set of the nodes that agree with filter, once it has settled. They are judged by the
// time that they were read at: what was read an hour ago, because presence is away, says nothing of who is missing now.
func (p *peers) Set(filter map[string]string) (id string, known bool) {
	p.mu.Lock()
	f := p.fleet
	p.mu.Unlock()
	if f.From == "" {
		return "", false // never read
	}
	name := fmt.Sprint(filter) // sorted by key
	if !p.seen[name] {         // asked again in one beat, it is the same beat
		p.seen[name] = true
		before := p.settled[name]
		after := before.Next(fleet.Set(f, filter, f.At))
		if after != before {
			p.settled[name] = after
			p.remember()
		}
	}
	return p.settled[name].Set, true
}

// remember keeps what was let through. That it cannot be written is no matter of its own: a full disk is said elsewhere,
// and at worst a set is let through a beat early.
func (p *peers) remember() {
	if data, err := json.Marshal(p.settled); err == nil {
		_ = files.Replace(p.memory, data, 0o600)
	}
}

func (p *peers) close() {
	p.stop()
	p.going.Wait()
	_ = p.reader.Close()
}

// everybody is presence as it is this moment, whatever was read before; refs does not take a fold's word for it.
func everybody(ctx context.Context, cfg *config.Config, refs bool, now time.Time) (fleet.Fleet, error) {
	reader, err := fleet.New(fleet.Options{Source: presenceSource(cfg), Prefix: cfg.Presence.RefPrefix, Refs: refs})
	if err != nil {
		return fleet.Fleet{}, err
	}
	f, err := reader.Read(ctx, now)
	return f, errors.Join(err, reader.Close())
}

// finished is what a node says to have finished, by repo:item.
func finished(r presence.Record) map[string]string {
	all := map[string]string{}
	for _, repo := range r.Repos {
		for item, fingerprint := range repo.Done {
			all[repo.Name+":"+item] = fingerprint
		}
	}
	return all
}
