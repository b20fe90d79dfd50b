// Package config reads the config file and the files in addagent.d beside it, and names every mistake with file, line
// and column. Load in load.go reads, keys.go is the one table of keys, kept.go keeps the last good config.
package config

import (
	"cmp"
	"path/filepath"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/git/address"
)

// Config has the values that people may set. Each is filled from the file, from a flag, or by default.
type Config struct {
	Home     string // people's files: nodeinfo/, gitrepo/, log/
	RunDir   string // locks
	StateDir string // what must survive a wiped clone
	Beat     Beat
	Repos    []Repo // empty = every clone found in gitrepo/
	Discover bool   // with Repos: the other clones too
	Network  Network
	Work     Work
	Presence Presence
	Requests Requests
	Chat     []Room
	EC2      EC2
	Wedged   Wedged
	Metrics  Metrics
	Log      Log

	// Notes are worth saying, but not problems: a secret that others can read.
	Notes Problems

	path      string            // of the file, as given to Load; "" = nothing was loaded
	stamp     string            // of the files, see Stamp; "" = this is not what they say
	sources   []source          // what was read, for Keep
	broken    bool              // there were problems: not to be kept
	from      map[string]string // by key, what set it; absent = default
	ownRunDir bool              // RunDir follows StateDir unless it is set
}

// Beat is when and for how long a node looks.
type Beat struct {
	Schedule     string        // five-field cron in UTC, or "@every 10s"
	Spread       time.Duration // the node's own offset is below this and below the interval
	WorkSpread   time.Duration // between a look that found something and its work
	LookTimeout  time.Duration // asking one repository
	FetchStall   time.Duration // no byte, no object, no file for so long
	FetchTimeout time.Duration // a whole fetch
}

// Repo is one repository to work.
type Repo struct {
	Name string // folder below gitrepo/
	// URLs are https, http, ssh, git, file, user@host:path, or an absolute path; never with a secret in them. All but
	// the first are mirrors, in the order to try them.
	URLs   []string
	Branch string // "" = the remote's HEAD; may hold {field}, see FillBranch
	Auth   Auth
	Rewind string // "follow" or "refuse"
	Verify string // "off"
}

// Auth names where credentials are, and Network how servers are reached. Where secretFile takes it, a path of Auth may
// be SecretInEnv and the name of a variable.
type (
	Auth    = address.Auth
	Network = address.Network
)

// Work is how scripts are run and retried.
type Work struct {
	Timeout    time.Duration     // TERM after it
	Grace      time.Duration     // KILL so long after TERM
	RetryFirst time.Duration     // delay after the first failure
	RetryMax   time.Duration     // the longest delay
	WedgeAfter int               // failures in a row
	Env        map[string]string // added to what scripts get
}

// Presence is the repository in which the nodes of a grid share their records.
type Presence struct {
	URL       string        // of the forms of a Repo's; "" = presence is off
	Auth      Auth          // as a Repo's
	RefPrefix string        // begins with refs/ and ends with a slash; the node's id comes after it
	Refresh   time.Duration // the longest time between two pushes
	// PushesPerMinute is how many pushes the repository takes from all nodes together.
	PushesPerMinute int
	Read            time.Duration // how often to read the others into nodes.json; 0 = never
	Output          bool          // others are told the last line that a failed script wrote
}

// Requests is the repository in which something is asked of this node, with a URL and Auth as those of a Repo.
type Requests struct {
	URL   string // "" = nothing is asked
	Auth  Auth
	Allow []string
}

// Room is a chat room. One of URL and URLFile is set.
type Room struct {
	URL     string // a secret, as a whole
	URLFile string // of the file that holds the URL: a path, or SecretInEnv and the name of a variable
	Only    string // "all" or "critical"
	From    string // "node" or "fleet"
}

// EC2 is what the node tells the cloud.
type EC2 struct {
	Tags          string // "auto", "on" or "off"; always "off" without root
	Endpoint      string // http or https URL; "" = the region's own
	Region        string // "" = that of the instance
	LifecycleHook string // completed once the node is initdone; "" = none
}

// Wedged is what happens to a node that stays wedged.
type Wedged struct {
	Kill    string        // "none", "poweroff", "asg-unhealthy", "terminate" or "command"
	After   time.Duration // wedged for so long
	Command []string      // with Kill "command": absolute path of a program, and its arguments
}

// Metrics is where metrics are shown; "" = nowhere.
type Metrics struct {
	Textfile string // path that ends in .prom
	Listen   string // loopback host:port
}

// Log is what the agent writes for people.
type Log struct {
	Level     string // debug, info, warn, error
	Format    string // text, json
	File      bool   // log/addagent.log
	MaxSizeMB int    // of one file
	Keep      int    // rotated files
}

// Options tell Load about its environment.
type Options struct {
	Root     bool                // the agent runs as root
	Home     string              // the user's home folder, used without root
	Env      func(string) string // asked for XDG_RUNTIME_DIR and XDG_STATE_HOME; nil = nothing set
	Optional bool                // no file at the path means defaults
	Schedule func(string) error  // checks beat.schedule; nil = only that there is one
	ChatURL  func(string) error  // checks the URL of a room, and never quotes it; nil = only that it has a scheme
	// Later makes a missing secret for chat or presence a note: a node works even when it cannot report.
	Later bool
}

// Default returns the config of an empty file. For root it has /root, /run/addagent and /var/lib/addagent, and EC2 tags
// on EC2. For others it has their home folder and the XDG base directories, whose variables count only with an absolute
// path, and no cloud.
func Default(o Options) *Config {
	c := &Config{
		Home:     "/root",
		RunDir:   "/run/addagent",
		StateDir: "/var/lib/addagent",
		Beat: Beat{
			Schedule: "* * * * *", Spread: 50 * time.Second,
			LookTimeout: 20 * time.Second, FetchStall: time.Minute, FetchTimeout: 30 * time.Minute,
		},
		Work: Work{
			Timeout: time.Hour, Grace: 30 * time.Second,
			RetryFirst: time.Minute, RetryMax: 15 * time.Minute, WedgeAfter: 3,
		},
		Presence: Presence{RefPrefix: "refs/heads/presence/", Refresh: 10 * time.Minute, PushesPerMinute: 6},
		Requests: Requests{Allow: []string{"work"}},
		EC2:      EC2{Tags: "auto"},
		Wedged:   Wedged{Kill: "none", After: 30 * time.Minute},
		Log:      Log{Level: "info", Format: "text", File: true, MaxSizeMB: 20, Keep: 5},
		from:     map[string]string{},
	}
	if o.Root {
		return c
	}
	env := func(name string) string {
		if o.Env == nil || !filepath.IsAbs(o.Env(name)) {
			return ""
		}
		return o.Env(name)
	}
	c.EC2.Tags = "off"
	c.Home = o.Home
	c.StateDir = filepath.Join(o.Home, ".local/state/addagent")
	if state := env("XDG_STATE_HOME"); state != "" {
		c.StateDir = filepath.Join(state, "addagent")
	}
	if run := env("XDG_RUNTIME_DIR"); run != "" {
		c.RunDir = filepath.Join(run, "addagent")
	} else {
		c.ownRunDir = true
		c.settleRunDir()
	}
	return c
}

func (c *Config) settleRunDir() {
	if c.ownRunDir && c.from["run_dir"] == "" {
		c.RunDir = filepath.Join(c.StateDir, "run")
	}
}

// SetHome moves all folders below dir, those of locks and identity too: what a person tries must not meet the machine's
// own agent. Lines shows from as the origin. The error is of type Problems.
func (c *Config) SetHome(dir, from string) error {
	if problem := checkPath(dir); problem != "" {
		return Problems{{File: from, Key: "home", Text: problem}}
	}
	c.Home, c.RunDir, c.StateDir = dir, filepath.Join(dir, ".addagent", "run"), filepath.Join(dir, ".addagent", "lib")
	for _, key := range []string{"home", "run_dir", "state_dir"} {
		c.from[key] = from
	}
	return nil
}

// AddRepo adds a repository for a flag; its name comes from the URL. The error is of type Problems.
func (c *Config) AddRepo(url, from string) error {
	r := newRepo()
	r.Name, r.URLs = RepoName(url), []string{url}
	wrong := Problem{File: from, Key: "url", Text: checkURL(url)}
	if wrong.Text == "" && sameRepository(url, c.Presence.URL) {
		wrong.Text = "is the presence repository, which is never worked: use another"
	}
	if wrong.Text == "" {
		wrong.Key, wrong.Text = "name", checkRepoName(r.Name)
		if slices.ContainsFunc(c.Repos, func(o Repo) bool { return o.Name == r.Name }) {
			wrong.Text = "there is already a repository " + r.Name
		}
	}
	if wrong.Text != "" {
		return Problems{wrong}
	}
	for _, key := range []string{"name", "url"} {
		c.from[entryKey("repos", len(c.Repos))+key] = from
	}
	c.Repos = append(c.Repos, r)
	return nil
}

// Resolved is one key as it is in force.
type Resolved struct {
	Key   string `json:"key"`   // "beat.spread", "repos[0].url", "work.env.LANG"
	Value string `json:"value"` // as in the file, but with secrets masked
	From  string `json:"from"`  // "default", "FILE:LINE" (of a list several, with commas), or what Set was given
	whole string // with its secrets
}

// Same tells whether another one has the same value, also where that is masked.
func (r Resolved) Same(o Resolved) bool { return r.whole == o.whole }

// Lines lists every key as it is in force, in the order of the documentation.
func (c *Config) Lines() []Resolved {
	var lines []Resolved
	add := func(prefix string, l leaf) {
		key := prefix + l.key
		lines = append(lines, Resolved{Key: key, Value: l.show(), From: c.Origin(key), whole: l.hides(nil).show()})
	}
	for _, l := range now(c.leaves()) {
		if l.section.lines != nil {
			l.section.lines(add)
		} else {
			add("", l)
		}
	}
	return lines
}

// Nodeinfo is the folder with what this node says and is told of itself.
func (c *Config) Nodeinfo() string { return filepath.Join(c.Home, "nodeinfo") }

// BeatLock is held by the process that beats, WorkLock by the one that moves trees or works.
func (c *Config) BeatLock() string { return filepath.Join(c.RunDir, "beat.lock") }
func (c *Config) WorkLock() string { return filepath.Join(c.RunDir, "work.lock") }

// HomeLock is held by the process that beats over this home, wherever its run_dir is.
func (c *Config) HomeLock() string { return filepath.Join(c.Nodeinfo(), ".lock") }

// InitMemory is the folder where the init of this instance is remembered.
func (c *Config) InitMemory() string { return filepath.Join(c.StateDir, "init") }

// Origin is the file and line, or the flag, that set a key.
func (c *Config) Origin(key string) string { return cmp.Or(c.from[key], "default") }
