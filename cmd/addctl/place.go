package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// configPath is the config that the flags want; "" = none is to be read.
func (g *global) configPath() string {
	switch {
	case g.config != "":
		return g.config
	case g.presence != "":
		return ""
	}
	return cli.DefaultConfig
}

// settings is the config as the flags want it: of a config that is not to be read
// there are the defaults.
func (p *process) settings(g *global) (*config.Config, error) {
	home, _ := p.Account()
	o := config.Options{Root: p.Getuid() == 0, Home: home, Env: p.Env, Optional: g.config == "", ChatURL: chat.Check, Later: true}
	path := g.configPath()
	if path == "" {
		return config.Default(o), nil
	}
	cfg, err := config.Load(path, o)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	return cfg, nil
}

// asGitWould speaks git's credential-helper protocol by asking git's own helpers,
// without ever asking a person: nobody may be there.
func asGitWould() []string {
	return []string{"sh", "-c", `export GIT_TERMINAL_PROMPT=0; case "$1" in get) exec git credential fill;; erase) exec git credential reject;; esac`, "git-credential"}
}

// place is the presence repository of a config and the flags above it. kind tells
// apart those who remember side by side: two processes cannot share a folder.
func (p *process) place(g *global, cfg *config.Config, kind string) (fold.Options, error) {
	url, auth := cfg.Presence.URL, cfg.Presence.Auth
	prefix := cmp.Or(g.refPrefix, cfg.Presence.RefPrefix, gitstore.RefPrefix)
	if g.presence != "" {
		url, auth = g.presence, config.Auth{}
		// A path may be relative here, for a person typed it.
		if _, err := os.Stat(url); err == nil {
			if url, err = filepath.Abs(url); err != nil {
				return fold.Options{}, cli.Misuse(fmt.Errorf("--presence: %w", err))
			}
		}
	}
	if g.tokenFile != "" || g.gitCredentials || g.sshKeyFile != "" || g.knownHostsFile != "" {
		auth = config.Auth{TokenFile: g.tokenFile, KnownHostsFile: g.knownHostsFile}
		if g.sshKeyFile != "" {
			auth.SSHKeyFiles = []string{g.sshKeyFile}
		}
		if g.gitCredentials {
			auth.Command = asGitWould()
		}
	}
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	if url == "" {
		return fold.Options{}, cli.Misuse(fmt.Errorf("no presence repository is known: give --presence URL, or write presence.url into %s", g.configPath()))
	}
	if g.tokenFile != "" && g.gitCredentials {
		return fold.Options{}, cli.Misuse(errors.New("--token-file and --git-credentials: keep one of them"))
	}
	s := remote.Source{URL: url, Agent: cli.UserAgent("addctl"), Auth: auth, Network: cfg.Network}
	if err := s.Check(); err != nil {
		return fold.Options{}, cli.Misuse(err)
	}
	return fold.Options{Source: s, Prefix: prefix, CacheDir: p.cacheDir(kind, url, prefix)}, nil
}

// cacheDir is where what is read of a repository is remembered; "" = nowhere. A URL
// may hold a password, and makes no name of a folder: its hash does.
func (p *process) cacheDir(kind, url, prefix string) string {
	base := p.Env("XDG_CACHE_HOME")
	if !filepath.IsAbs(base) {
		home, _ := p.Account()
		if h := p.Env("HOME"); filepath.IsAbs(h) {
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

// outside is the presence repository as a command reads it.
type outside struct {
	*fold.Reader
	fold.Options
}

// open is where every command that reads begins.
func (p *process) open(g *global) (*outside, error) {
	cfg, err := p.settings(g)
	if err != nil {
		return nil, err
	}
	o, err := p.place(g, cfg, "nodes")
	if err != nil {
		return nil, err
	}
	r, err := fold.NewReader(o)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	return &outside{Reader: r, Options: o}, nil
}

// says prints words beside the data: on standard error.
func (p *process) says(format string, args ...any) {
	fmt.Fprintln(p.Err, "addctl:", human.Safe(fmt.Sprintf(format, args...)))
}

// notes prints what a reading left out.
func (p *process) notes(f presence.Fleet) {
	for _, n := range f.Notes {
		p.says("%s", n)
	}
}

// unread is the error of a reading, with what a person can do.
func unread(err error, o fold.Options) error {
	advice := ""
	if errors.Is(err, remote.ErrAccess) && o.Source.Auth.Command == nil && o.Source.Auth.TokenFile == "" && strings.HasPrefix(o.Source.URL, "http") {
		advice = " (--token-file FILE or --git-credentials say who you are)"
	}
	return cli.Failed(fmt.Errorf("%s cannot be read: %w%s", o.Source.Redacted(), err, advice))
}

// find is the node that a person means by its id, by the beginning of its id or
// hostname, or by an address; exact ones win.
func find(f presence.Fleet, word string) (presence.Node, error) {
	if n, ok := f.Node(word); ok {
		return n, nil
	}
	for _, meant := range []func(presence.Node) bool{
		func(n presence.Node) bool { return n.Hostname == word || slices.Contains(n.Addresses, word) },
		func(n presence.Node) bool {
			return strings.HasPrefix(n.InstanceID, word) || strings.HasPrefix(n.Hostname, word)
		},
	} {
		var ids []string
		var found presence.Node
		for _, n := range f.Nodes {
			if word != "" && meant(n) {
				ids, found = append(ids, n.InstanceID), n
			}
		}
		switch {
		case len(ids) == 1:
			return found, nil
		case len(ids) > 6:
			return found, cli.Failed(fmt.Errorf("%s may be any of %s, such as %s", word, human.Count(len(ids), "node"), strings.Join(ids[:6], ", ")))
		case len(ids) > 1:
			return found, cli.Failed(fmt.Errorf("%s may be any of %s: %s", word, human.Count(len(ids), "node"), strings.Join(ids, ", ")))
		}
	}
	return presence.Node{}, cli.Failed(fmt.Errorf("there is no node %s among %s (addctl nodes lists them)", word, human.Count(len(f.Nodes), "node")))
}
