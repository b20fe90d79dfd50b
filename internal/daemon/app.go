// Package daemon makes an agent out of a config, and hands a changed config to one that runs. Begin with Start in
// start.go, the story of a start, and App.configure in app.go. It decides nothing: the concrete kinds only meet here.
package daemon

import (
	"reflect"
	"slices"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/presence/peers"
	"github.com/addagent/addagent/service/offer"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// App is one agent with all that it was made of, so that it can be taken apart again in the right order.
type App struct {
	Options
	Agent *agent.Agent
	Log   *journal.HumanLog

	loader ConfigLoader
	cfg    *config.Config // as at the start; the reloader has the one in force
	once   bool           // this process is one beat
	onStop []func()

	lock     *run.BeatLock
	aside    []string      // says what stood in the place of a folder or a lock; "" = nothing
	info     node.Info     // as at the start
	me       node.Identity // this node
	bootID   string
	journal  *journal.Writer
	before   *journal.Beat // the last record of an earlier life; nil = none
	settings agent.Settings
	watcher  *worktree.Watcher // of edits in the trees; nil where watching is not worth while
	clones   *clones
	runner   *run.Runner
	offers   *offer.Offers
	survey   *work.Survey
	sinks    *sinks
	peers    *peers.Peers    // nil = presence is not read
	requests *request.Remote // nil = none are obeyed
	metrics  *metricsReporter
	selfKill *selfKill
}

// configure puts a changed config in force. It is called between two beats, from the agent's own goroutine.
func (a *App) configure(cfg *config.Config, sources []configuredRepo, s *agent.Settings) error {
	if err := a.configurePeers(cfg); err != nil {
		return err
	}
	if err := a.configureRequests(cfg); err != nil {
		return err
	}
	a.clones.configure(cfg, sources, a.watcher)
	a.runner.Timeout, a.runner.Grace, a.runner.Env, a.runner.Rules = cfg.Work.Timeout, cfg.Work.Grace, cfg.Work.Env, s.Rules
	a.Log.Configure(cfg.Log)
	a.journal.Configure(cfg.Log)
	s.Sinks = a.sinks.configure(cfg)
	a.sinks.sweep(cfg)
	a.metrics.configure(cfg.Metrics)
	s.Tasks = []agent.Task{{Name: "metrics", Tick: a.metrics.Tick}}
	if a.peers != nil {
		s.Tasks = append(s.Tasks, agent.Task{Name: "presence", Tick: a.peers.Tick})
	}
	if a.requests != nil {
		s.Tasks = append(s.Tasks, agent.Task{Name: "requests", Tick: a.requests.Tick})
	}
	a.selfKill.configure(cfg)
	return nil
}

// configurePeers begins, goes on or ends to read who else is there.
func (a *App) configurePeers(cfg *config.Config) error {
	spec := []any{cfg.Presence, cfg.Network, cfg.StateDir}
	if a.peers != nil {
		if reflect.DeepEqual(spec, a.peers.Spec) {
			return nil
		}
		a.peers.Close()
		a.peers, a.survey.Nodes, a.survey.Services, a.survey.Judged = nil, nil, nil, nil
	}
	if cfg.Presence.URL == "" {
		return nil
	}
	peers, err := peers.New(cfg, PresenceSource(cfg), a.me.ID, a.once)
	if err != nil {
		return err
	}
	peers.Spec = spec
	a.peers = peers
	a.survey.Nodes, a.survey.Services = peers.Asks()
	a.survey.Judged = peers.Judged
	return nil
}

// configureRequests begins, goes on or ends to obey requests.
func (a *App) configureRequests(cfg *config.Config) error {
	if a.requests != nil {
		if a.requests.Same(cfg) {
			return nil
		}
		a.requests.Close()
		a.requests = nil
	}
	if cfg.Requests.URL == "" {
		return nil
	}
	var err error
	a.requests, err = request.NewRemote(cfg, cli.UserAgent("addagent"), a.me.ID, a.once, func() { signalBeat(a.Woken) })
	return err
}

// Close ends all parts, the last one first.
func (a *App) Close() {
	if a.requests != nil {
		a.requests.Close()
	}
	if a.peers != nil {
		a.peers.Close()
	}
	for _, stop := range slices.Backward(a.onStop) {
		stop()
	}
}

func (a *App) onClose(stop func()) { a.onStop = append(a.onStop, stop) }
