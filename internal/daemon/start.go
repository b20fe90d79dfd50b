package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/systemd"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/run"
	"github.com/robfig/cron/v3"
)

// presenceRefresh is how often nodeinfo/presence.json says that the node lives
// when nothing else changed.
const presenceRefresh = 10 * time.Minute

// addresses are this machine's, looked up anew now and then: it takes three
// dumps of the kernel's tables, a tenth of a quiet beat.
type addresses struct {
	known []string
	when  time.Time
}

func (a *addresses) At(now time.Time) []string {
	if since := now.Sub(a.when); since < 0 || since >= presenceRefresh {
		// A machine that cannot list its interfaces has no addresses to tell.
		a.known, _ = presence.Addresses()
		a.when = now
	}
	return a.known
}

// ParseSchedule understands a five-field cron line in UTC, and "@every D".
func ParseSchedule(text string) (agent.Schedule, error) {
	if every, ok := strings.CutPrefix(strings.TrimSpace(text), "@every "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(every))
		if err != nil || d < time.Second {
			return nil, fmt.Errorf("schedule %q: after @every comes a duration of at least 1s, such as @every 30s", text)
		}
		return agent.Every(d), nil
	}
	s, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w; five fields (minute hour day month weekday) or @every 30s are understood", text, err)
	}
	if s.Next(time.Now()).IsZero() {
		return nil, fmt.Errorf("schedule %q: that never comes", text)
	}
	return utc{s}, nil
}

// AgentSettings is what the config says of the agent itself; the schedule is at this node's own second.
func AgentSettings(cfg *config.Config, id string) (agent.Settings, error) {
	s, err := ParseSchedule(cfg.Beat.Schedule)
	if err != nil {
		return agent.Settings{}, err
	}
	return agent.Settings{
		Schedule:  agent.Shifted{Schedule: s, By: agent.Offset(id, cfg.Beat.Spread, agent.Interval(s, time.Now()))},
		WorkAfter: agent.Offset(id+" work", cfg.Beat.WorkSpread, cfg.Beat.WorkSpread),
		Rules:     rulesOf(cfg, id),
	}, nil
}

func rulesOf(cfg *config.Config, id string) work.Rules {
	return work.Rules{RetryFirst: cfg.Work.RetryFirst, RetryMax: cfg.Work.RetryMax, WedgeAfter: cfg.Work.WedgeAfter, Node: id}
}

// utc keeps a cron line from following the machine's time zone through summer time.
type utc struct{ cron.Schedule }

func (u utc) Next(t time.Time) time.Time { return u.Schedule.Next(t.UTC()) }

// Start is the only place where the concrete kinds meet. It is one straight
// line: each step needs what the steps above it made. The beat lock comes
// first, since everything after it may write.
func Start(ctx context.Context, l ConfigLoader, cfg *config.Config, o Options) (*App, error) {
	w := &App{once: o.Purpose != "run", control: &controlFiles{stateDir: cfg.StateDir, asks: o.Asks, woken: o.Woken}}
	fail := func(err error) (*App, error) {
		w.Close()
		return nil, err
	}
	for _, dir := range []string{cfg.RunDir, cfg.Nodeinfo(), filepath.Join(cfg.Home, "gitrepo"), filepath.Join(cfg.Home, "log"), cfg.StateDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fail(cli.Failed(fmt.Errorf("make %s: %w", dir, err)))
		}
	}
	lock, err := run.TryBeatLock(cfg.BeatLock(), o.Purpose)
	if err != nil {
		var busy *run.Busy
		if errors.As(err, &busy) {
			return fail(&cli.Exit{Code: cli.ExitBusy, Err: fmt.Errorf("another agent beats here: %w", err)})
		}
		return fail(cli.Failed(err))
	}
	w.stop = append(w.stop, func() { lock.Close() })
	w.lock = lock
	// The beat lock lies in run_dir. Somebody with another one (--home, a second
	// config) must not beat over the same clones.
	house, err := files.TryLockFolder(cfg.Nodeinfo())
	if err != nil {
		if errors.Is(err, files.ErrHeld) {
			return fail(&cli.Exit{Code: cli.ExitBusy, Err: fmt.Errorf("another agent, with its locks elsewhere, beats in %s", cfg.Home)})
		}
		return fail(cli.Failed(err))
	}
	w.stop = append(w.stop, func() { house.Close() })

	for _, dir := range []string{cfg.Nodeinfo(), cfg.StateDir, request.Dir(cfg.StateDir), keptDir(cfg.StateDir), filepath.Dir(node.DisabledPath(cfg.StateDir, ""))} {
		// Temporary files of a writer that was killed; ours alone, since the beat lock is ours.
		if _, err := files.Sweep(dir, time.Now().Add(-time.Hour)); err != nil {
			return fail(cli.Failed(err))
		}
	}
	if o.Part != "" {
		if err := files.Write(filepath.Join(cfg.Home, "nodeinfo", "nodepart.txt"), []byte(o.Part+"\n"), 0o644); err != nil {
			return fail(cli.Failed(err))
		}
	}
	info, err := node.ReadInfo(cfg.Nodeinfo())
	if err != nil {
		return fail(cli.Misuse(err))
	}
	me, err := Identify(ctx, l.Process, cfg, false)
	if err != nil {
		return fail(cli.Misuse(err))
	}

	o.Voice.Flags, o.Voice.Path = l.Flags.Suffix(), journal.LogPath(cfg.Home)
	w.id, w.Log = me.ID, journal.NewHumanLog(o.Voice)
	w.Log.Configure(cfg.Log)
	w.stop = append(w.stop, w.Log.Close)
	w.journal = journal.NewWriter(cfg.Home)
	w.journal.Configure(cfg.Log)
	w.stop = append(w.stop, w.journal.Close)
	for _, n := range me.Notices {
		w.Log.Say(journal.News{At: time.Now(), Level: journal.Notice, Text: n})
	}

	settings, err := AgentSettings(cfg, me.ID)
	if err != nil {
		return fail(cli.Misuse(err))
	}
	sources, err := ConfiguredRepos(cfg, info)
	if err != nil {
		return fail(cli.Misuse(err))
	}
	if o.Purpose == "run" { // for one beat it is not worth while
		w.watcher = worktree.NewWatcher()
	}
	w.clones = newClones(filepath.Join(cfg.Home, "gitrepo"))
	w.stop = append(w.stop, w.clones.Close)
	boot := node.System{}.BootID()
	self, _ := os.Executable() // where it is not known, scripts find it in the usual PATH or not at all
	home, name := l.Process.Account()
	w.runner = &run.Runner{
		LockPath: cfg.WorkLock(), Home: cfg.Home, InitMemory: cfg.InitMemory(), Self: filepath.Dir(self), Inherited: os.Environ(), UserHome: home, User: name,
		BootID: boot, Changed: w.clones.changed,
	}
	nodeinfo := cfg.Nodeinfo()
	w.survey = &work.Survey{Root: filepath.Join(cfg.Home, "gitrepo"), Open: w.clones.treeInUse, InitMemory: cfg.InitMemory()}
	w.sinks = &sinks{nodeinfo: nodeinfo, stateDir: cfg.StateDir, machine: MachineOf(l.Process, cfg, me)}
	w.stop = append(w.stop, w.sinks.Close)
	readInfo := func() (node.Info, error) { return node.ReadInfo(nodeinfo) }
	w.metrics = &metricsReporter{info: readInfo, hand: w.runner, reached: map[string]bool{}}
	w.stop = append(w.stop, w.metrics.Close)
	if !w.once { // it takes a life to see that nothing helps
		w.selfKill = newSelfKill(&selfKill{id: me.ID, sinks: w.sinks, machine: w.sinks.machine, wake: func() { signalBeat(o.Woken) }, say: w.Log.Say}, cfg.StateDir)
	}
	if err := w.configure(cfg, sources, &settings); err != nil {
		return fail(cli.Misuse(err))
	}
	notice, err := w.journal.Recall()
	if err != nil {
		return fail(cli.Failed(err))
	}
	if notice != "" {
		w.Log.Say(journal.News{At: time.Now(), Level: journal.Warning, Text: notice})
	}

	before, err := journal.ReadBeat(cfg.Home)
	if err != nil {
		w.Log.Say(journal.News{At: time.Now(), Level: journal.Warning, Text: err.Error()})
	}

	if o.Voice.Screen != nil && before != nil {
		before.Troubles = nil // whoever watches is told what is wrong, also what was said before
	}

	notify, err := systemd.New(l.Process.Env, os.Getpid())
	if err != nil {
		w.Log.Say(journal.News{At: time.Now(), Level: journal.Warning, Text: err.Error()})
	}
	aliveEach := time.Duration(0)
	if watchdog, on := notify.Watchdog(); on {
		aliveEach = watchdog / 2
	}
	hostname, _ := os.Hostname()
	addresses := &addresses{}
	w.Agent = agent.New(agent.Config{
		Settings: settings,
		ID:       me.ID, Version: cli.Version(), By: o.Purpose, Hardware: me.Hardware.String(), InitDone: w.journal.InitDone(cfg.InitMemory()), Before: before,
		Known:   info,
		Info:    readInfo,
		Clones:  w.clones,
		Survey:  w.survey,
		Runner:  w.runner,
		Control: w.control,
		Memory:  w.journal,
		Record: func(r *presence.Record) {
			r.Hostname, r.BootID = hostname, boot
			r.StateLog, r.StateTss = w.journal.States().String(), w.journal.States().Stamp()
			r.Addresses = addresses.At(r.BeatSeen)
		},
		Supervise: notify,
		AliveEach: aliveEach,
		Say:       w.Log.Say,
	})
	told := o.Told
	if told == nil {
		told = w.Log.Beat
	}
	w.Agent.Told = func(b journal.Beat) {
		told(b)
		w.metrics.show(b)
		if err := w.metrics.Tick(b.Start); err != nil && w.once { // there is no next beat of this process to say it
			w.Log.Say(journal.News{At: time.Now().UTC(), Level: journal.Warning, Text: err.Error()})
		}
	}
	if m := w.sinks.machine; m != nil {
		w.Agent.Notice = m.notice
	}
	if w.selfKill != nil {
		w.Agent.SelfDestruct = w.selfKill.consider
		w.Agent.Notice = w.selfKill.notice(w.Agent.Notice)
	}
	renewal := &reloader{ConfigLoader: l, app: w, cfg: cfg, stamp: o.Stamp, again: o.Again, unkept: o.Stamp != "", names: branchNames(cfg, info)}
	w.control.reload = renewal.reload
	return w, nil
}

// MachineOf is this node at its cloud; nil where that is none, or nothing of this agent's business.
func MachineOf(p *cli.Process, cfg *config.Config, me node.Identity) *Machine {
	if p.Getuid() != 0 || me.Hardware.EC2 == "" && cfg.EC2.Tags != "on" {
		return nil
	}
	return &Machine{Metadata: cloud.NewMetadata(MetadataEndpoint(p)), id: me.Hardware.EC2}
}

// MetadataEndpoint is where the metadata service is; "" = where it always is. The variable is that of AWS's own tools.
func MetadataEndpoint(p *cli.Process) string { return p.Env("AWS_EC2_METADATA_SERVICE_ENDPOINT") }

// Options is what differs between the commands that beat.
type Options struct {
	Purpose string             // "run" or "beat"
	Told    func(journal.Beat) // nil = the line in the log
	Voice   journal.LogOptions
	Part    string        // for nodeinfo/nodepart.txt; "" = as it is
	Stamp   string        // of the config's files; "" = they are not what is in force
	Asks    []journal.Ask // of this command itself
	Woken   chan struct{} // somebody wants a beat now
	Again   *atomic.Bool  // somebody wants the config read again
}

// Identify finds out who this node is. dry writes nothing.
func Identify(ctx context.Context, p *cli.Process, cfg *config.Config, dry bool) (node.Identity, error) {
	info := cfg.Nodeinfo()
	o := node.IdentifyOptions{StateDir: cfg.StateDir, InfoDir: info, DryRun: dry,
		Memory: []string{filepath.Join(info, "presence.json"), filepath.Join(info, "beat.json"), cfg.InitMemory(), node.WedgedPath(cfg.StateDir),
			PresenceMemory(cfg.StateDir), roomsDir(cfg.StateDir), endedPath(cfg.StateDir), tagsMemory(cfg.StateDir), hookMemory(cfg.StateDir)}}
	if p.Getuid() == 0 {
		o.CloudID = func(ctx context.Context) (string, error) { return cloud.InstanceID(ctx, MetadataEndpoint(p)) }
	}
	return node.Identify(ctx, o)
}

// configuredRepo is a repository of the config: the folder below gitrepo/ and where it comes from.
type configuredRepo struct {
	name   string
	source remote.Source
}

// ConfiguredRepos are the repositories of the config, their branches filled in from nodeinfo.
func ConfiguredRepos(cfg *config.Config, info node.Info) ([]configuredRepo, error) {
	var all []configuredRepo
	var problems []error
	for i, r := range cfg.Repos {
		branch, err := config.FillBranch(r.Branch, info.Fields)
		if err != nil {
			key := fmt.Sprintf("repos[%d].branch", i)
			problems = append(problems, fmt.Errorf("%s: %s: %w", cfg.Origin(key), key, err))
		}
		all = append(all, configuredRepo{r.Name, remote.Source{
			URL: r.URL, Mirrors: r.Mirrors, Branch: branch, Rewind: r.Rewind, Agent: cli.UserAgent("addagent"), Auth: r.Auth, Network: cfg.Network,
		}})
	}
	return all, errors.Join(problems...)
}

func limitsOf(cfg *config.Config) clone.Limits {
	return clone.Limits{Look: cfg.Beat.LookTimeout, Stall: cfg.Beat.FetchStall, Fetch: cfg.Beat.FetchTimeout}
}

// OpenClones opens the repositories of the config, for a command that beats no more than once.
func OpenClones(cfg *config.Config, info node.Info) (*clones, error) {
	all, err := ConfiguredRepos(cfg, info)
	if err != nil {
		return nil, err
	}
	c := newClones(filepath.Join(cfg.Home, "gitrepo"))
	c.never = cfg.Presence.URL
	c.renew(all, len(cfg.Repos) == 0 || cfg.Discover, limitsOf(cfg), cfg.Network)
	return c, nil
}
