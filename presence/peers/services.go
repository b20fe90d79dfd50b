package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work"
)

// services are the endpoints as they were read last, and the sets of them that items watch. They are read at each beat
// while an item asks for one.
type services struct {
	file   string // nodeinfo/services.json
	memory files.Remembered[map[string]knownSet]
	wanted bool                // the beat before asked for one, or an earlier process did
	asked  map[string]bool     // by key: the sets that were advanced in this beat
	judged bool                // in this beat all items were, so the other sets are not watched
	known  map[string]knownSet // by key
	now    time.Time           // of the beat

	read presence.Endpoints // guarded by Peers.mu; nil = never

	mu      sync.Mutex
	filters map[string]presence.ServiceFilter // what is in the file
}

// knownSet is a set as it was let through.
type knownSet struct {
	presence.Settled
	Endpoints []presence.Endpoint `json:"endpoints"`
	Asked     time.Time           `json:"asked"` // since when it is wanted

	Filter presence.ServiceFilter `json:"filter"`
}

// servicesMemory is what sets were let through by earlier processes.
func servicesMemory(cfg *config.Config) files.Remembered[map[string]knownSet] {
	return files.Remembered[map[string]knownSet]{Path: filepath.Join(cfg.StateDir, "services.json")}
}

// begin begins a beat, and says whether services are to be read in it.
func (s *services) begin(now time.Time) bool {
	s.prune()
	s.wanted = s.wanted || len(s.asked) > 0
	due := s.wanted
	s.now, s.asked, s.wanted = now, map[string]bool{}, false
	return due
}

// prune ends a beat: a set that no item watches is forgotten, so that nothing reads it and no file shows it.
func (s *services) prune() {
	gone := func(key string) bool { return s.judged && !s.asked[key] }
	before := len(s.known)
	maps.DeleteFunc(s.known, func(key string, _ knownSet) bool { return gone(key) })
	if len(s.known) < before {
		_ = s.memory.Save(s.known) // at worst the next process forgets it
		s.mu.Lock()
		maps.DeleteFunc(s.filters, func(key string, _ presence.ServiceFilter) bool { return gone(key) })
		if len(s.filters) == 0 {
			_ = os.Remove(s.file) // it only informs
		}
		s.mu.Unlock()
	}
	s.judged = false
}

// Judged is what work.Survey tells: every item asked for what it watches.
func (p *Peers) Judged() { p.services.judged = true }

// Services is what work.Survey asks: the set of endpoints of a service, once it has settled.
func (p *Peers) Services(w service.Watch) work.NodeSet {
	s := &p.services
	key := w.Key()
	filter := presence.ServiceFilter{Service: w.Service, Role: w.Role, Deployment: w.Deployment}
	p.mu.Lock()
	read, first := s.read, len(s.asked) == 0 && s.read == nil && !p.busy && !p.waits && !s.now.IsZero()
	if first {
		p.busy = true // without waiting for the next beat
	}
	p.mu.Unlock()
	s.mu.Lock()
	s.filters[key] = filter
	s.mu.Unlock()
	if now := s.now; first {
		p.going.Go(func() { p.read(now, false, true) })
	}
	if !s.asked[key] {
		if s.asked == nil {
			s.asked = map[string]bool{}
		}
		s.asked[key] = true
		s.advance(key, read, filter, w.Min)
	}
	return s.answer(s.known[key], filter, w)
}

// advance takes in what was read last. With fewer endpoints than least the set stays as it is.
func (s *services) advance(key string, read presence.Endpoints, filter presence.ServiceFilter, least int) {
	before, known := s.known[key]
	after := before
	if !known {
		after.Asked, after.Filter = s.now.UTC(), filter
	}
	if set := read.Set(filter, ""); read != nil && (before.Set == "" || len(set) >= least) {
		if after.Settled = before.Next(presence.SetID(set)); after.Set != before.Set {
			after.Endpoints = set
		}
	}
	if !known || after.Settled != before.Settled {
		s.known[key] = after
		_ = s.memory.Save(s.known) // at worst a set is let through a beat early
	}
}

// answer is a set as an item gets it.
func (s *services) answer(k knownSet, filter presence.ServiceFilter, w service.Watch) work.NodeSet {
	set := work.NodeSet{ID: k.Set, Known: k.Set != ""}
	least := w.Min
	if w.Required {
		least = max(least, 1)
	}
	switch {
	case !set.Known:
		set.Await = "waiting until services were read once"
	case len(k.Endpoints) < least && least == 1:
		set.Await = "waiting for an endpoint of " + w.Service
	case len(k.Endpoints) < least:
		set.Await = fmt.Sprintf("waiting for endpoints of %s: %d of %d so far", w.Service, len(k.Endpoints), least)
	}
	set.Overdue = set.Await != "" && s.now.Sub(k.Asked) > awaitMax
	if set.Known {
		set.Endpoints, _ = json.Marshal(setOf(filter, k.Endpoints)) // texts and numbers
	}
	return set
}

// Set is the available endpoints of one watch, in services.json and in the file that a script gets.
type Set struct {
	Deployment string              `json:"deployment"`     // whose endpoints; all = of every one
	Endpoints  []presence.Endpoint `json:"endpoints"`      // sorted by node
	ID         string              `json:"id"`             // another one after each change of the endpoints
	Role       string              `json:"role,omitempty"` // absent = any
	Service    string              `json:"service"`        // its name
}

func setOf(f presence.ServiceFilter, all []presence.Endpoint) Set {
	return Set{f.Deployment, append([]presence.Endpoint{}, all...), presence.SetID(all), f.Role, f.Service}
}

// show writes nodeinfo/services.json: the sets as they were read, settled or not.
func (s *services) show(read presence.Endpoints) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sets := []Set{}
	for _, f := range s.filters {
		sets = append(sets, setOf(f, read.Set(f, "")))
	}
	if len(sets) == 0 {
		return nil
	}
	slices.SortFunc(sets, func(a, b Set) int {
		return strings.Compare(a.Service+" "+a.Role+" "+a.Deployment, b.Service+" "+b.Role+" "+b.Deployment)
	})
	data, err := json.MarshalIndent(sets, "", "    ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if old, err := files.ReadSmall(s.file, 64<<20); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return files.Replace(s.file, data, 0o644)
}

// PlannedServices is Services for a plan, which asks no server and writes nothing.
func PlannedServices(cfg *config.Config) func(service.Watch) work.NodeSet {
	s := services{}
	s.known, _, _ = servicesMemory(cfg).Peek()
	return func(w service.Watch) work.NodeSet {
		k := s.known[w.Key()]
		return s.answer(k, presence.ServiceFilter{Service: w.Service, Role: w.Role, Deployment: w.Deployment}, w)
	}
}

// Asks are what a survey asks: for sets of nodes, nil where presence.read is 0, and for those of services.
func (p *Peers) Asks() (nodes func(map[string]string) work.NodeSet, services func(service.Watch) work.NodeSet) {
	if p.every > 0 {
		nodes = p.Set
	}
	return nodes, p.Services
}

// Planned is Asks for a plan.
func Planned(cfg *config.Config) (nodes func(map[string]string) work.NodeSet, services func(service.Watch) work.NodeSet) {
	if cfg.Presence.URL == "" {
		return nil, nil
	}
	if cfg.Presence.Read > 0 {
		nodes = PlannedSet(cfg)
	}
	return nodes, PlannedServices(cfg)
}
