package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/config/diff"
	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
)

// ConfigLoader is how this process comes by its config, at the start and whenever it
// changes: the files, with the flags of the command line above them.
type ConfigLoader struct {
	Process  *cli.Process
	Flags    *cli.Flags
	Repo     string // a repository more than the config has, by its URL; "" = none
	Complete bool   // what chat and presence need must be there, too
}

// Path is the config's file.
func (l ConfigLoader) Path() string {
	if l.Flags.Config != "" {
		return l.Flags.Config
	}
	return cli.DefaultConfig
}

func (l ConfigLoader) options() config.Options {
	home, _ := l.Process.Account()
	return config.Options{
		Root: l.Process.Getuid() == 0, Home: home, Env: l.Process.Env, Optional: l.Flags.Config == "",
		Schedule: func(text string) error {
			_, err := ParseSchedule(text)
			return err
		},
		ChatURL: chat.Check, Later: !l.Complete,
	}
}

// Read loads the files as they are, with all problems; the config is never nil.
func (l ConfigLoader) Read() (*config.Config, error) {
	cfg, err := config.Load(l.Path(), l.options())
	if err != nil {
		return cfg, err
	}
	return cfg, l.applyFlags(cfg)
}

// applyFlags puts the command line above the config.
func (l ConfigLoader) applyFlags(cfg *config.Config) error {
	if l.Flags.Home != "" {
		dir, err := filepath.Abs(l.Flags.Home)
		if err != nil {
			return err
		}
		if err := cfg.SetHome(dir, "--home"); err != nil {
			return err
		}
	}
	if l.Repo == "" {
		return nil
	}
	return cfg.AddRepo(l.Repo, "--repo")
}

// keptDir is where the last good config lies.
func keptDir(stateDir string) string { return filepath.Join(stateDir, "config") }

// LastGood loads the config, or the last good one when there are mistakes in it, and then says in wrong what they are.
// The error is for a config with mistakes and no good one before it.
func (l ConfigLoader) LastGood() (cfg *config.Config, wrong, err error) {
	cfg, wrong = l.Read()
	absent := wrong == nil && len(cfg.Files()) == 0
	if wrong == nil && !absent {
		return cfg, nil, nil
	}
	if absent {
		wrong = l.gone()
	}
	_ = l.applyFlags(cfg) // whatever is wrong, --home says where to look
	for _, dir := range slices.Compact([]string{cfg.StateDir, config.Default(l.options()).StateDir}) {
		kept, since, err := config.LoadKept(keptDir(dir), l.Path(), l.options())
		if err == nil {
			err = l.applyFlags(kept)
		}
		if err == nil {
			return kept, fmt.Errorf("%w; using the last good config, of %s (addagent check%s)", wrong, human.Time(since), l.Flags.Suffix()), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			wrong = fmt.Errorf("%w; the last good config cannot be used either: %w", wrong, err)
		}
	}
	if absent {
		return cfg, nil, nil // and never was: all defaults
	}
	return cfg, nil, cli.Misuse(wrong)
}

// gone is what is wrong when there was a config and it is not there any more.
func (l ConfigLoader) gone() error {
	return fmt.Errorf("%s is missing (create an empty file to use the defaults)", l.Path())
}

// reloader brings changes of the config into a living agent, between two beats.
type reloader struct {
	ConfigLoader
	app    *App
	cfg    *config.Config // in force
	stamp  string         // of the files it was read from
	again  *atomic.Bool   // SIGHUP was received; nil = not handled
	names  string         // what nodeinfo filled into the branches
	bad    bool           // what lies there is not in force
	unkept bool           // what is in force is not kept yet
	wrong  []string
}

// Reload is called at the begin of every beat: a stat or two when nothing changed.
func (r *reloader) Reload(info node.Info) (agent.Settings, bool, []string) {
	settings, changed := r.reread(info)
	return settings, changed, append(r.whileItLives(), r.wrong...)
}

// reread puts the config in force as it is now, when it changed and has no
// mistakes; those it has stand in r.wrong then.
func (r *reloader) reread(info node.Info) (s agent.Settings, changed bool) {
	stamp, names := config.Stamp(r.Path()), branchNames(r.cfg, info)
	// A bad one is read again whatever its stamp: what it names may be there by now.
	if stamp == r.stamp && names == r.names && !r.bad && (r.again == nil || !r.again.Swap(false)) {
		return s, false
	}
	r.stamp, r.names = stamp, names
	cfg, err := r.Read()
	if err == nil && len(cfg.Files()) == 0 && len(r.cfg.Files()) > 0 {
		err = r.gone()
	}
	if r.bad = err != nil; r.bad {
		all := human.Lines(err.Error()) // a problem a line, and a trouble is one
		r.wrong = []string{fmt.Sprintf("%s; the previous config stays in force (addagent check%s)", all, r.Flags.Suffix())}
		return s, false
	}
	if s, err = r.apply(cfg, info); err != nil {
		r.bad = true // nodeinfo may give what is missing
		r.wrong = []string{fmt.Sprintf("%v; the previous config stays in force", err)}
		return s, false
	}
	return s, true
}

// whileItLives is what must be so for as long as an agent lives, and may not be:
// its lock is where others look for it, its config is kept.
func (r *reloader) whileItLives() []string {
	if err := r.app.lock.Restore(); err != nil {
		return append(r.keep(), fmt.Sprintf("the beat lock was removed, so commands cannot find this agent: %v", err))
	}
	return r.keep()
}

// apply puts a config in force that has no mistakes in itself.
func (r *reloader) apply(cfg *config.Config, info node.Info) (agent.Settings, error) {
	sources, err := ConfiguredRepos(cfg, info)
	if err != nil {
		return agent.Settings{}, err
	}
	settings, err := AgentSettings(cfg, r.app.me.ID)
	if err != nil {
		return agent.Settings{}, err
	}
	r.wrong = nil
	for _, fixed := range []struct {
		key       string
		now, then *string
	}{{"home", &r.cfg.Home, &cfg.Home}, {"run_dir", &r.cfg.RunDir, &cfg.RunDir}, {"state_dir", &r.cfg.StateDir, &cfg.StateDir}} {
		if *fixed.now != *fixed.then {
			r.wrong = append(r.wrong, fmt.Sprintf("%s: %s is now %s, which needs a restart of the agent", cfg.Origin(fixed.key), fixed.key, *fixed.then))
			*fixed.then = *fixed.now
		}
	}
	if text := diff.Words(r.cfg, cfg); text != "" {
		r.app.Log.Say(journal.News{At: time.Now().UTC(), Level: journal.Notice, Text: "the config changed: " + text})
	}
	if err := r.app.configure(cfg, sources, &settings); err != nil {
		return agent.Settings{}, err
	}
	r.cfg = cfg
	r.unkept = true
	return settings, nil
}

// keep keeps the config in force for a start with a bad one, and tries again until it can. What is to note about it is
// logged once, and again when the config or its notes have changed.
func (r *reloader) keep() []string {
	if !r.unkept {
		return nil
	}
	notes, err := r.cfg.Keep(keptDir(r.cfg.StateDir))
	if err != nil {
		return []string{fmt.Sprintf("cannot save the last good config: %v", err)}
	}
	r.unkept = false
	for _, n := range notes {
		r.app.say(journal.Notice, n.Error())
	}
	return nil
}

// branchNames is what a config's branches take from nodeinfo, in one text.
func branchNames(cfg *config.Config, info node.Info) string {
	var names []string
	for _, r := range cfg.Repos {
		if strings.Contains(r.Branch, "{") {
			filled, _ := address.FillBranch(r.Branch, info.Fields)
			names = append(names, filled)
		}
	}
	return strings.Join(names, "\n")
}
