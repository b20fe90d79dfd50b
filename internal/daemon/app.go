package daemon

import (
	"reflect"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/presence/peers"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// App is one agent with all that it was wired from, so that it can be taken
// apart again in the right order.
type App struct {
	id       string
	Agent    *agent.Agent
	Log      *journal.HumanLog
	journal  *journal.Writer
	clones   *clones
	runner   *run.Runner
	control  *controlFiles
	lock     *run.BeatLock     // beat.lock
	watcher  *worktree.Watcher // of edits in the trees; nil where watching is not worth while
	survey   *work.Survey
	sinks    *sinks
	peers    *peers.Peers // nil = nobody reads them
	metrics  *metricsReporter
	selfKill *selfKill // nil = it is not for this process to end the machine
	once     bool      // this process is one beat
	stop     []func()
}

// configure puts a changed config in force. It is called between two beats, from the
// agent's own goroutine.
func (w *App) configure(cfg *config.Config, sources []configuredRepo, s *agent.Settings) error {
	if err := w.configurePeers(cfg); err != nil {
		return err
	}
	limits := limitsOf(cfg)
	limits.Watcher = w.watcher
	w.clones.renew(sources, len(cfg.Repos) == 0 || cfg.Discover, limits, cfg.Network)
	w.runner.Timeout, w.runner.Grace, w.runner.Env, w.runner.Rules = cfg.Work.Timeout, cfg.Work.Grace, cfg.Work.Env, s.Rules
	w.Log.Configure(cfg.Log)
	w.journal.Configure(cfg.Log)
	w.clones.never = cfg.Presence.URL
	s.Sinks = w.sinks.configure(cfg)
	w.sinks.sweep(cfg)
	w.metrics.configure(cfg.Metrics)
	s.Tasks = []agent.Task{{Name: "metrics", Tick: w.metrics.Tick}}
	if w.peers != nil {
		s.Tasks = append(s.Tasks, agent.Task{Name: "presence", Tick: w.peers.Tick})
	}
	if w.selfKill != nil {
		w.selfKill.configure(cfg)
	}
	return nil
}

// configurePeers begins, goes on or ends to read who else is there.
func (w *App) configurePeers(cfg *config.Config) error {
	spec := []any{cfg.Presence, cfg.Network, cfg.StateDir}
	if w.peers != nil {
		if reflect.DeepEqual(spec, w.peers.Spec) {
			return nil
		}
		w.peers.Close()
		w.peers, w.survey.Nodes = nil, nil
	}
	if cfg.Presence.URL == "" || cfg.Presence.Read == 0 {
		return nil
	}
	peers, err := peers.New(cfg, PresenceSource(cfg), w.id, w.once)
	if err != nil {
		return err
	}
	peers.Spec = spec
	w.peers, w.survey.Nodes = peers, peers.Set
	return nil
}

func (w *App) Close() {
	if w.peers != nil {
		w.peers.Close()
	}
	for i := len(w.stop) - 1; i >= 0; i-- {
		w.stop[i]()
	}
}
