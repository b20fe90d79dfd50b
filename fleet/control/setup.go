// Package control is what a control node does: it folds the records of all nodes on a schedule, and tells chat rooms
// about the fleet.
//
// Begin with Service in service.go, the loop. Setup finds the presence repository; announcer.go tells the rooms while
// this control node holds the lease in the fold. The package knows nothing of command lines or tables.
package control

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/fleet/handler"
	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/chat/chatroom"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// Setup is how a control node was started: who it is, and the flags that say where the config and the presence
// repository are. An empty flag leaves it to the config.
type Setup struct {
	UserAgent string              // as servers see it: addctl/1.2.3
	Env       func(string) string // the environment
	Home      string              // of the account that runs it
	Root      bool                // that account is root

	Config         string
	Presence       string
	Requests       string
	RefPrefix      string
	TokenFile      string
	SSHKeyFile     string
	KnownHostsFile string
	GitCredentials bool
}

// configPath is the config to read; "" = none.
func (s *Setup) configPath() string {
	switch {
	case s.Config != "":
		return s.Config
	case s.Presence != "":
		return ""
	}
	return cli.DefaultConfig
}

// ReadConfig reads the config, or returns the defaults where none is to be read.
func (s *Setup) ReadConfig() (*config.Config, error) {
	o := config.Options{Root: s.Root, Home: s.Home, Env: s.Env, Optional: s.Config == "", ChatURL: chat.Check, Later: true}
	if path := s.configPath(); path != "" {
		return config.Load(path, o)
	}
	return config.Default(o), nil
}

// gitCredentialHelper speaks git's credential-helper protocol by asking git's own helpers. It never asks a person: a
// service has none.
func gitCredentialHelper() []string {
	return []string{"sh", "-c", `export GIT_TERMINAL_PROMPT=0; case "$1" in get) exec git credential fill;; erase) exec git credential reject;; esac`, "git-credential"}
}

// options are those of the presence repository. Two processes cannot share a folder of the cache, so what reads and
// what folds have one each, by kind.
func (s *Setup) options(cfg *config.Config, kind string) (fold.Options, error) {
	prefix := cmp.Or(s.RefPrefix, cfg.Presence.RefPrefix, gitstore.RefPrefix)
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	source, err := s.source(cfg, "presence", s.Presence, cfg.Presence.URL, cfg.Presence.Auth)
	if err != nil {
		return fold.Options{}, err
	}
	return fold.Options{Source: source, Prefix: prefix, CacheDir: s.cacheDir(kind, source.URL, prefix)}, nil
}

// RequestsSource is the requests repository, which holds the queue of actions too.
func (s *Setup) RequestsSource() (remote.Source, error) {
	cfg, err := s.ReadConfig()
	if err != nil {
		return remote.Source{}, err
	}
	return s.source(cfg, "requests", s.Requests, cfg.Requests.URL, cfg.Requests.Auth)
}

// Handlers opens the repository with the handlers of events: one that the config names, or else a URL. With the
// argument shim this program calls handler.Supervise.
func (s *Setup) Handlers(name, shim string, env []string) (*handler.Repository, error) {
	cfg, err := s.ReadConfig()
	if err != nil {
		return nil, err
	}
	flag, url, auth, branch := name, "", config.Auth{}, ""
	for _, r := range cfg.Repos {
		if r.Name == name {
			flag, url, auth, branch = "", r.URLs[0], r.Auth, r.Branch
		}
	}
	source, err := s.source(cfg, "handlers", flag, url, auth)
	if err != nil {
		return nil, fmt.Errorf("--handlers %s: %w", name, err)
	}
	if source.Branch = branch; strings.Contains(branch, "{") {
		return nil, fmt.Errorf("--handlers %s: its branch %s depends on the node: give a URL", name, human.Quote(branch))
	}
	dir := s.cacheDir("handlers", source.URL, branch)
	if dir == "" {
		return nil, errors.New("--handlers: neither HOME nor XDG_CACHE_HOME says where the clone is to be")
	}
	return handler.Open(handler.Options{Source: source, Dir: dir, Shim: shim, Env: env})
}

// source is a repository by its flag, else by the config.
func (s *Setup) source(cfg *config.Config, name, flag, url string, auth config.Auth) (remote.Source, error) {
	if flag != "" {
		url, auth = flag, config.Auth{}
		// A path may be relative here, for a person typed it.
		if _, err := os.Stat(url); err == nil {
			if url, err = filepath.Abs(url); err != nil {
				return remote.Source{}, fmt.Errorf("--%s: %w", name, err)
			}
		}
	}
	if s.TokenFile != "" || s.GitCredentials || s.SSHKeyFile != "" || s.KnownHostsFile != "" {
		auth = config.Auth{TokenFile: s.TokenFile, KnownHostsFile: s.KnownHostsFile}
		if s.SSHKeyFile != "" {
			auth.SSHKeyFiles = []string{s.SSHKeyFile}
		}
		if s.GitCredentials {
			auth.Command = gitCredentialHelper()
		}
	}
	if url == "" {
		return remote.Source{}, fmt.Errorf("no %s repository: give --%[1]s URL, or set %[1]s.url in %s", name, cmp.Or(s.configPath(), "the config (--config FILE)"))
	}
	if s.TokenFile != "" && s.GitCredentials {
		return remote.Source{}, errors.New("--token-file and --git-credentials: give only one")
	}
	source := remote.Source{URL: url, Agent: s.UserAgent, Auth: auth, Network: cfg.Network}
	return source, source.Check()
}

// cacheDir is the cache of a repository; "" = none. The name is a hash, since a URL may hold a password.
func (s *Setup) cacheDir(kind, url, prefix string) string {
	base := s.Env("XDG_CACHE_HOME")
	if !filepath.IsAbs(base) {
		home := s.Home
		if h := s.Env("HOME"); filepath.IsAbs(h) {
			home = h
		}
		if !filepath.IsAbs(home) {
			return ""
		}
		base = filepath.Join(home, ".cache")
	}
	sum := sha256.Sum256([]byte(url + "\n" + prefix))
	return filepath.Join(base, "addagent", kind+"-"+hex.EncodeToString(sum[:8]))
}

// Room is a chat room by its address, or by the file or variable that holds it.
func (s *Setup) Room(name, url, file string, through http.RoundTripper) chat.Room {
	return &chatroom.Room{Name: name, URL: url, URLFile: file, Env: s.Env, Options: chat.Options{UserAgent: s.UserAgent, Transport: through}}
}
