package main

import (
	"reflect"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// whole is one agent with all that it was wired from, so that it can be taken
// apart again in the right order.
type whole struct {
	id      string
	agent   *agent.Agent
	voice   *journal.HumanLog
	journal *journal.Writer
	repos   *clones
	hand    *run.Runner
	people  *people
	lock    *run.BeatLock     // beat.lock
	witness *worktree.Watcher // of edits in the trees; nil where watching is not worth while
	survey  *work.Survey
	tellers *tellers
	peers   *peers // nil = nobody reads them
	measure *measure
	ending  *ending // nil = it is not for this process to end the machine
	once    bool    // this process is one beat
	stop    []func()
}

// renew puts a changed config in force. It is called between two beats, from the
// agent's own goroutine.
func (w *whole) renew(cfg *config.Config, sources []named, s *agent.Settings) error {
	if err := w.read(cfg); err != nil {
		return err
	}
	limits := limitsOf(cfg)
	limits.Watcher = w.witness
	w.repos.renew(sources, len(cfg.Repos) == 0 || cfg.Discover, limits, cfg.Network)
	w.hand.Timeout, w.hand.Grace, w.hand.Env, w.hand.Rules = cfg.Work.Timeout, cfg.Work.Grace, cfg.Work.Env, s.Rules
	w.voice.Configure(cfg.Log)
	w.journal.Configure(cfg.Log)
	w.repos.never = cfg.Presence.URL
	s.Sinks = w.tellers.renew(cfg)
	w.tellers.sweep(cfg)
	w.measure.renew(cfg.Metrics)
	s.Asides = []agent.Aside{{Name: "metrics", Tick: w.measure.Tick}}
	if w.peers != nil {
		s.Asides = append(s.Asides, agent.Aside{Name: "presence", Tick: w.peers.Tick})
	}
	if w.ending != nil {
		w.ending.renew(cfg)
	}
	return nil
}

// read begins, goes on or ends to read who else is there.
func (w *whole) read(cfg *config.Config) error {
	spec := []any{cfg.Presence, cfg.Network, cfg.StateDir}
	if w.peers != nil {
		if reflect.DeepEqual(spec, w.peers.spec) {
			return nil
		}
		w.peers.close()
		w.peers, w.survey.Nodes = nil, nil
	}
	if cfg.Presence.URL == "" || cfg.Presence.Read == 0 {
		return nil
	}
	peers, err := newPeers(cfg, presenceSource(cfg), w.id, w.once)
	if err != nil {
		return err
	}
	peers.spec = spec
	w.peers, w.survey.Nodes = peers, peers.Set
	return nil
}

func (w *whole) close() {
	if w.peers != nil {
		w.peers.close()
	}
	for i := len(w.stop) - 1; i >= 0; i-- {
		w.stop[i]()
	}
}
