package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/cloud"
	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/gitrepo"
	"github.com/addagent/addagent/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/systemd"
	"github.com/addagent/addagent/work"
	"github.com/robfig/cron/v3"
)

// defaultConfig is where the config is when nobody says otherwise.
const defaultConfig = "/etc/addagent/addagent.yaml"

// settings loads the config. A file that was named must be there; the default
// one need not: an agent without config beats over the clones it finds.
func (p *process) settings(g *global) (*config.Config, error) {
	cfg, err := p.load(g)
	if err != nil {
		return nil, misuse(err)
	}
	return cfg, nil
}

// load is settings with all problems; the config is never nil.
func (p *process) load(g *global) (*config.Config, error) {
	path := g.config
	if path == "" {
		path = defaultConfig
	}
	home, _ := p.account()
	cfg, err := config.Load(path, config.Options{
		Root: p.getuid() == 0, Home: home, Env: p.env, Optional: g.config == "",
		Schedule: func(text string) error {
			_, err := parseSchedule(text)
			return err
		},
	})
	if g.home == "" || err != nil {
		return cfg, err
	}
	// The locks and the identity go below the folder too: whoever tries something
	// must not meet the machine's own agent.
	dir, err := filepath.Abs(g.home)
	if err != nil {
		return cfg, err
	}
	return cfg, errors.Join(cfg.Set("home", dir, "--home"),
		cfg.Set("run_dir", filepath.Join(dir, ".addagent", "run"), "--home"),
		cfg.Set("state_dir", filepath.Join(dir, ".addagent", "lib"), "--home"))
}

func beatLock(c *config.Config) string { return filepath.Join(c.RunDir, "beat.lock") }
func workLock(c *config.Config) string { return filepath.Join(c.RunDir, "work.lock") }

// presenceRefresh is how often nodeinfo/presence.json says that the node lives
// when nothing else changed.
const presenceRefresh = 10 * time.Minute

// addresses are this machine's, looked up anew now and then: it takes three
// dumps of the kernel's tables, a tenth of a quiet beat.
type addresses struct {
	known []string
	when  time.Time
}

func (a *addresses) at(now time.Time) []string {
	if since := now.Sub(a.when); since < 0 || since >= presenceRefresh {
		// A machine that cannot list its interfaces has no addresses to tell.
		a.known, _ = presence.Addresses()
		a.when = now
	}
	return a.known
}

// parseSchedule understands a five-field cron line in UTC, and "@every D".
func parseSchedule(text string) (agent.Schedule, error) {
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
	return utc{s}, nil
}

// shiftedSchedule is the config's schedule at this node's own second.
func shiftedSchedule(cfg *config.Config, id string) (agent.Schedule, error) {
	s, err := parseSchedule(cfg.Beat.Schedule)
	if err != nil {
		return nil, err
	}
	return agent.Shifted{Schedule: s, By: agent.Offset(id, cfg.Beat.Spread, agent.Interval(s, time.Now()))}, nil
}

// utc keeps a cron line from following the machine's time zone through summer time.
type utc struct{ cron.Schedule }

func (u utc) Next(t time.Time) time.Time { return u.Schedule.Next(t.UTC()) }

// whole is one agent with all that it was wired from, so that it can be taken
// apart again in the right order.
type whole struct {
	agent *agent.Agent
	voice *voice
	stop  []func()
}

func (w *whole) close() {
	for i := len(w.stop) - 1; i >= 0; i-- {
		w.stop[i]()
	}
}

// wire is the only place where the concrete kinds meet. It is one straight
// line: each step needs what the steps above it made. The beat lock comes
// first, since everything after it may write.
func (p *process) wire(ctx context.Context, g *global, cfg *config.Config, purpose string, told func(agent.Beat), screen voiceOptions) (*whole, error) {
	w := &whole{}
	fail := func(err error) (*whole, error) {
		w.close()
		return nil, err
	}
	for _, dir := range []string{cfg.RunDir, filepath.Join(cfg.Home, "nodeinfo"), filepath.Join(cfg.Home, "gitrepo"), filepath.Join(cfg.Home, "log"), cfg.StateDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fail(failed(fmt.Errorf("make %s: %w", dir, err)))
		}
	}
	lock, err := work.TryLock(beatLock(cfg), purpose)
	if err != nil {
		var busy *work.Busy
		if errors.As(err, &busy) {
			return fail(&exit{exitBusy, fmt.Errorf("another agent beats here: %w", err)})
		}
		return fail(failed(err))
	}
	w.stop = append(w.stop, func() { lock.Close() })
	// The beat lock lies in run_dir. Somebody with another one (--home, a second
	// config) must not beat over the same clones.
	house, err := work.LockFolder(filepath.Join(cfg.Home, "nodeinfo"))
	if err != nil {
		var busy *work.Busy
		if errors.As(err, &busy) {
			return fail(&exit{exitBusy, fmt.Errorf("another agent, with its locks elsewhere, beats in %s", cfg.Home)})
		}
		return fail(failed(err))
	}
	w.stop = append(w.stop, func() { house.Close() })

	for _, dir := range []string{filepath.Join(cfg.Home, "nodeinfo"), cfg.StateDir} {
		// Temporary files of a writer that was killed; ours alone, since the beat lock is ours.
		if _, err := files.Sweep(dir, time.Now().Add(-time.Hour)); err != nil {
			return fail(failed(err))
		}
	}
	info, err := node.ReadInfo(filepath.Join(cfg.Home, "nodeinfo"))
	if err != nil {
		return fail(misuse(err))
	}
	me, err := p.identify(ctx, cfg, false)
	if err != nil {
		return fail(misuse(err))
	}

	screen.maxMB, screen.keep = cfg.Log.MaxSizeMB, cfg.Log.Keep
	screen.level, screen.json = cfg.Log.Level, cfg.Log.Format == "json"
	if cfg.Log.File {
		screen.file = logPath(cfg.Home)
	}
	screen.flags = g.flags()
	w.voice = newVoice(screen)
	w.stop = append(w.stop, w.voice.Close)
	journal := newMemory(cfg.Home, cfg.Log.MaxSizeMB, cfg.Log.Keep)
	w.stop = append(w.stop, journal.Close)
	for _, n := range me.Notices {
		w.voice.Say(agent.News{At: time.Now(), Level: agent.Notice, Text: n})
	}

	schedule, err := shiftedSchedule(cfg, me.ID)
	if err != nil {
		return fail(misuse(err))
	}

	repos, err := p.clones(cfg, info)
	if err != nil {
		return fail(misuse(err))
	}
	w.stop = append(w.stop, repos.close)
	rules := work.Rules{RetryFirst: cfg.Work.RetryFirst, RetryMax: cfg.Work.RetryMax, WedgeAfter: cfg.Work.WedgeAfter, Node: me.ID}
	boot := node.System{}.BootID()
	home, name := p.account()
	hand := &work.Hand{
		LockPath: workLock(cfg), Home: cfg.Home, Env: cfg.Work.Env, Inherited: os.Environ(), UserHome: home, User: name,
		Timeout: cfg.Work.Timeout, Grace: cfg.Work.Grace, Rules: rules, BootID: boot, Changed: repos.changed,
	}
	log, notice, err := node.ReadStateLog(filepath.Join(cfg.Home, "nodeinfo"))
	if err != nil {
		return fail(failed(err))
	}
	if notice != "" {
		w.voice.Say(agent.News{At: time.Now(), Level: agent.Warning, Text: notice})
	}
	journal.log = log

	before, err := readBeat(cfg.Home)
	if err != nil {
		w.voice.Say(agent.News{At: time.Now(), Level: agent.Warning, Text: err.Error()})
	}

	notify, err := systemd.New(p.env, os.Getpid())
	if err != nil {
		w.voice.Say(agent.News{At: time.Now(), Level: agent.Warning, Text: err.Error()})
	}
	aliveEach := time.Duration(0)
	if watchdog, on := notify.Watchdog(); on {
		aliveEach = watchdog / 2
	}
	hostname, _ := os.Hostname()
	addresses := &addresses{}
	w.agent = agent.New(agent.Config{
		ID: me.ID, Version: version, By: purpose, Hardware: me.Hardware.String(), InitDone: journal.initDone(), Before: before,
		Info:      func() (node.Info, error) { return node.ReadInfo(filepath.Join(cfg.Home, "nodeinfo")) },
		Clones:    repos,
		Survey:    &work.Survey{Root: filepath.Join(cfg.Home, "gitrepo"), Open: repos.tree},
		Hand:      hand,
		Rules:     rules,
		Schedule:  schedule,
		WorkAfter: agent.Offset(me.ID+" work", cfg.Beat.WorkSpread, cfg.Beat.WorkSpread),
		Memory:    journal,
		Sinks:     []presence.Sink{presence.NewFiles(filepath.Join(cfg.Home, "nodeinfo"), presenceRefresh)},
		Record: func(r *presence.Record) {
			r.Hostname, r.BootID = hostname, boot
			r.StateLog, r.StateTss = journal.log.String(), journal.log.Stamp()
			r.Addresses = addresses.at(r.BeatSeen)
		},
		Supervise: notify,
		AliveEach: aliveEach,
		Say:       w.voice.Say,
		Told:      told,
	})
	if told == nil {
		w.agent.Told = w.voice.Beat
	}
	return w, nil
}

// identify finds out who this node is. dry writes nothing.
func (p *process) identify(ctx context.Context, cfg *config.Config, dry bool) (node.Identity, error) {
	info := filepath.Join(cfg.Home, "nodeinfo")
	o := node.IdentifyOptions{StateDir: cfg.StateDir, InfoDir: info, DryRun: dry,
		Memory: []string{filepath.Join(info, "presence.json"), filepath.Join(info, "beat.json")}}
	if p.getuid() == 0 {
		o.CloudID = func(ctx context.Context) (string, error) { return cloud.InstanceID(ctx, "") }
	}
	return node.Identify(ctx, o)
}

// clones makes the repositories of the config, or the finder of those that lie there.
func (p *process) clones(cfg *config.Config, info node.Info) (*clones, error) {
	limits := gitrepo.Limits{Look: cfg.Beat.LookTimeout, Stall: cfg.Beat.FetchStall, Fetch: cfg.Beat.FetchTimeout}
	c := newClones(filepath.Join(cfg.Home, "gitrepo"), len(cfg.Repos) == 0 || cfg.Discover, limits, "addagent/"+version)
	var problems []error
	for i, r := range cfg.Repos {
		branch, err := config.FillBranch(r.Branch, info.Fields)
		if err != nil {
			key := fmt.Sprintf("repos[%d].branch", i)
			problems = append(problems, fmt.Errorf("%s: %s: %w", whereSet(cfg, key), key, err))
		}
		c.add(r.Name, gitrepo.Source{
			URL: r.URL, Branch: branch, Rewind: r.Rewind,
			Auth: gitrepo.Auth{
				TokenFile: r.Auth.TokenFile, Username: r.Auth.Username, PasswordFile: r.Auth.PasswordFile,
				SSHKeyFiles: r.Auth.SSHKeyFiles, KnownHostsFile: r.Auth.KnownHostsFile,
			},
		})
	}
	return c, errors.Join(problems...)
}

// whereSet is the file and line, or the flag, that set a key.
func whereSet(cfg *config.Config, key string) string {
	for _, l := range cfg.Lines() {
		if l.Key == key {
			return l.From
		}
	}
	return "config"
}

// account is who the scripts run as: whoever runs the agent.
func (p *process) account() (home, name string) {
	u, err := user.Current()
	if err != nil {
		return p.env("HOME"), p.env("USER")
	}
	return u.HomeDir, u.Username
}
