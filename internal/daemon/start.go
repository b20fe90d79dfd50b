package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service/offer"
	"github.com/addagent/addagent/systemd"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
)

// Start makes an agent that can beat. Each step needs what the steps before it made.
func Start(ctx context.Context, l ConfigLoader, cfg *config.Config, o Options) (*App, error) {
	a := &App{Options: o, loader: l, cfg: cfg, once: o.Purpose != "run"}
	for _, step := range []func(context.Context) error{
		a.claimNode,  // folders and locks: from here on no other agent writes here
		a.identify,   // who is this node?
		a.openLogs,   // the logs, and what earlier lives of the agent left in them
		a.buildParts, // clones, runner, sinks, metrics, self-kill, as the config says
		a.makeAgent,  // the agent, with all of them
	} {
		if err := step(ctx); err != nil {
			a.Close()
			return nil, err
		}
	}
	return a, nil
}

// Options is what differs between the commands that beat.
type Options struct {
	Purpose string // "run" or "beat"
	Voice   journal.LogOptions
	Part    string        // for nodeinfo/nodepart.txt; "" = as it is
	Asks    []journal.Ask // of this command itself
	Woken   chan struct{} // a beat is requested now
	Again   *atomic.Bool  // the config is to be read again
}

// claimNode makes the folders and takes the locks.
func (a *App) claimNode(context.Context) error {
	cfg := a.cfg
	for _, dir := range []string{cfg.RunDir, cfg.Nodeinfo(), filepath.Join(cfg.Home, "gitrepo"), filepath.Join(cfg.Home, "log"), cfg.StateDir} {
		said, err := files.MakeFolder(dir, 0o755)
		if err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
		a.aside = append(a.aside, said)
	}
	lock, err := run.TryBeatLock(cfg.BeatLock(), a.Purpose)
	if busy := (*run.Busy)(nil); errors.As(err, &busy) {
		return &cli.Exit{Code: cli.ExitBusy, Err: fmt.Errorf("another agent is running here: %w", err)}
	} else if err != nil {
		return err
	}
	a.onClose(func() { lock.Close() })
	// The beat lock lies in run_dir: an agent with another one (--home, a second config) must not beat here, too.
	home, err := files.TryLock(cfg.HomeLock())
	if errors.Is(err, files.ErrHeld) {
		return &cli.Exit{Code: cli.ExitBusy, Err: fmt.Errorf("another agent, with its locks elsewhere, uses %s", cfg.Home)}
	} else if err != nil {
		return err
	}
	a.onClose(func() { home.Close() })
	a.lock, a.aside = lock, append(a.aside, lock.Aside(), home.Aside)
	for _, dir := range []string{cfg.Nodeinfo(), cfg.StateDir, request.Dir(cfg.StateDir), keptDir(cfg.StateDir), filepath.Dir(node.DisabledPath(cfg.StateDir, ""))} {
		// Temporary files of a writer that was killed; ours alone, since the beat lock is ours.
		if err := files.Sweep(dir, time.Now().Add(-time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

// identify finds out who this node is, and what it is for.
func (a *App) identify(ctx context.Context) (err error) {
	if a.Part != "" {
		if err := files.Write(filepath.Join(a.cfg.Nodeinfo(), "nodepart.txt"), []byte(a.Part+"\n"), 0o644); err != nil {
			return err
		}
	}
	if a.info, err = node.ReadInfo(a.cfg.Nodeinfo()); err != nil {
		return cli.Misuse(err)
	}
	if a.me, err = Identify(ctx, a.loader.Process, a.cfg, false); err != nil {
		return cli.Misuse(err)
	}
	return nil
}

// openLogs opens what the agent writes down, and reads what it wrote before.
func (a *App) openLogs(context.Context) (err error) {
	a.Voice.Flags, a.Voice.Path = a.loader.Flags.Suffix(), journal.LogPath(a.cfg.Home)
	a.Log, a.journal = journal.NewHumanLog(a.Voice), journal.NewWriter(a.cfg.Home)
	a.Log.Configure(a.cfg.Log)
	a.journal.Configure(a.cfg.Log)
	a.onClose(a.Log.Close)
	a.onClose(a.journal.Close)
	for _, n := range append(a.me.Notices, a.aside...) {
		if n != "" {
			a.say(journal.Notice, n)
		}
	}
	notice, err := a.journal.Recall()
	if err != nil {
		return err
	}
	if notice != "" {
		a.say(journal.Warning, notice)
	}
	if a.before, err = journal.ReadBeat(a.cfg.Home); err != nil {
		a.say(journal.Warning, err.Error())
	}
	if a.Voice.Screen != nil && a.before != nil {
		// A person who watches is told what is wrong, also what was said before.
		for i := range a.before.Troubles {
			a.before.Troubles[i].Said = time.Time{}
		}
	}
	return nil
}

// buildParts makes the parts that live as long as the agent, and gives them what the config says of them.
func (a *App) buildParts(context.Context) error {
	cfg, p := a.cfg, a.loader.Process
	settings, err := AgentSettings(cfg, a.me.ID)
	if err != nil {
		return cli.Misuse(err)
	}
	repos, err := ConfiguredRepos(cfg, a.info)
	if err != nil {
		return cli.Misuse(err)
	}
	a.clones = newClones(filepath.Join(cfg.Home, "gitrepo"))
	if !a.once { // for one beat it is not worth while
		a.watcher = worktree.NewWatcher()
		// A quiet beat waits more than it counts: to wake a second thread for that costs an eighth of it.
		a.clones.procs = runtime.GOMAXPROCS(1)
		a.onClose(func() { runtime.GOMAXPROCS(a.clones.procs) })
	}
	a.clones.waits = filepath.Join(cfg.StateDir, "remotes")
	a.onClose(a.clones.Close)
	a.bootID = node.System{}.BootID()
	self, _ := os.Executable() // where it is not known, scripts find it in the usual PATH or not at all
	home, name := p.Account()
	a.runner = &run.Runner{
		LockPath: cfg.WorkLock(), Home: cfg.Home, StateDir: cfg.StateDir, Self: filepath.Dir(self), Inherited: os.Environ(), UserHome: home, User: name,
		Changed: a.clones.changed,
	}
	a.survey = &work.Survey{Root: filepath.Join(cfg.Home, "gitrepo"), Open: a.clones.treeInUse, StateDir: cfg.StateDir}
	a.offers = &offer.Offers{Root: a.survey.Root, StateDir: cfg.StateDir, Open: a.clones.treeInUse, Say: a.Log.Say, Published: func() ([]presence.Service, bool) { return a.sinks.published() }, Missing: func(repo string) bool { return a.clones.discover && a.clones.get(repo) == nil },
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "LANG=C.UTF-8", "ADD_HOME=" + cfg.Home, "ADD_NODE_ID=" + a.me.ID}}
	a.offers.Recall()
	a.sinks = &sinks{nodeinfo: cfg.Nodeinfo(), stateDir: cfg.StateDir, machine: MachineOf(p, cfg, a.me)}
	a.onClose(a.sinks.Close)
	a.metrics = &metricsReporter{info: a.readInfo, runner: a.runner, reached: map[string]bool{}}
	a.onClose(a.metrics.Close)
	if a.once {
		a.Woken = make(chan struct{}, 1)
	}
	a.selfKill = newSelfKill(&selfKill{id: a.me.ID, bootID: a.bootID, once: a.once, sinks: a.sinks, machine: a.sinks.machine, wake: func() { signalBeat(a.Woken) }, woken: a.Woken, say: a.Log.Say}, cfg.StateDir)
	if err := a.configure(cfg, repos, &settings); err != nil {
		return cli.Misuse(err)
	}
	a.settings = settings
	return nil
}

// makeAgent joins the parts to an agent.
func (a *App) makeAgent(context.Context) error {
	control := &controlFiles{stateDir: a.cfg.StateDir, asks: a.Asks, woken: a.Woken,
		reloader: &reloader{ConfigLoader: a.loader, app: a, cfg: a.cfg, stamp: a.cfg.Stamp(), again: a.Again, unkept: a.cfg.Stamp() != "", names: branchNames(a.cfg, a.info)}}
	notify, err := systemd.New(a.loader.Process.Env, os.Getpid())
	if err != nil {
		a.say(journal.Warning, err.Error())
	}
	clock := node.StartClock()
	hostname, _ := os.Hostname()
	own := &presence.Own{}
	if m := a.sinks.machine; m != nil {
		own.Cloud = m.Metadata.PrivateIP
	}
	a.Agent = agent.New(agent.Config{
		Settings: a.settings,
		ID:       a.me.ID, Version: cli.Version(), By: a.Purpose, Hardware: a.me.Hardware.String(), InitDone: journal.InitDone(a.journal.States(), a.cfg.InitMemory()), Before: a.before,
		Known:  a.info,
		Info:   a.readInfo,
		Clones: a.clones,
		Survey: a.survey,
		Runner: a.runner, Services: a.offers,
		Control: control,
		Memory:  a.journal,
		Record: func(r *presence.Record) {
			r.Hostname, r.BootID = hostname, a.bootID
			r.StateLog, r.StateTss = a.journal.States().String(), a.journal.States().Stamp()
			own.Fill(r)
			a.offers.Fill(r)
			if a.requests != nil {
				a.requests.Fill(r)
			}
		},
		Supervise: notify,
		Clock:     clock,
		BootID:    a.bootID,
		AliveEach: notify.AliveEach(),
		Say:       a.Log.Say,
		Told:      a.told,
	})
	if m := a.sinks.machine; m != nil {
		a.Agent.Notice = m.Metadata.Notice
	}
	if err := a.selfKill.recall(a.before, clock.Up()); err != nil {
		a.say(journal.Warning, err.Error())
	}
	a.Agent.SelfDestruct, a.Agent.AwaitSelfDestruct = a.selfKill.consider, a.selfKill.pending
	a.Agent.Notice = a.selfKill.notice(a.Agent.Notice)
	return nil
}

// told is what follows a beat.
func (a *App) told(b journal.Beat) {
	a.Log.Beat(b)
	a.metrics.show(b)
	if err := a.metrics.Tick(b.Start); err != nil && a.once { // there is no next beat of this process to say it
		a.say(journal.Warning, err.Error())
	}
}

func (a *App) readInfo() (node.Info, error) { return node.ReadInfo(a.cfg.Nodeinfo()) }

func (a *App) say(l journal.Level, text string) {
	a.Log.Say(journal.News{At: time.Now(), Level: l, Text: text})
}
