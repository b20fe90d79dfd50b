package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
)

// clones are this node's repositories, as the agent wants them: asked side by side, moved side by side.
type clones struct {
	dir      string // <home>/gitrepo
	waits    string // a folder that remembers which servers are left alone, and what was accepted; "" = none
	discover bool   // look for clones outside the config
	limits   clone.Limits
	network  remote.Network // of those outside the config
	never    string         // the URL of the repository that is never worked: presence
	procs    int            // processors of a move; 0 = as many as all else

	list []*clonedRepo
}

// clonedRepo is one repository between Ask and Move.
type clonedRepo struct {
	Name    string
	repo    *clone.Repo
	Source  remote.Source
	found   bool          // not in the config
	foreign bool          // and it is no clone that could be looked at
	tip     remote.Tip    // as last asked
	preview *objects.Tree // of the tip, as Preview fetched it; nil = it did not
	Problem error         // why it cannot be asked at all
}

func newClones(dir string) *clones { return &clones{dir: dir} }

// renew makes these the repositories, in this order. What stays as it was keeps its connection, its backoff and memory.
func (c *clones) renew(all []configuredRepo, discover bool, l clone.Limits, network remote.Network) {
	before, same := c.list, l == c.limits
	c.list, c.limits, c.discover, c.network = nil, l, discover, network
	for _, n := range all {
		i := slices.IndexFunc(before, func(r *clonedRepo) bool {
			return same && r.Name == n.name && r.repo != nil && n.source.Same(r.Source)
		})
		if i < 0 {
			c.add(n.name, n.source)
			continue
		}
		before[i].found = false
		c.list = append(c.list, before[i])
		before = slices.Delete(before, i, i+1)
	}
	for _, r := range before {
		taken := slices.ContainsFunc(c.list, func(o *clonedRepo) bool { return o.Name == r.Name })
		switch {
		case r.found && discover && same && !taken:
			c.list = append(c.list, r) // Known compares it with what lies there
		case r.repo != nil:
			r.repo.Close()
		}
	}
}

func (c *clones) add(name string, s remote.Source) {
	limits := c.limits
	if c.waits != "" {
		limits.Waits = filepath.Join(c.waits, name+".json")
	}
	repo := clone.New(filepath.Join(c.dir, name), s, limits)
	if c.waits != "" {
		repo.Remember(filepath.Join(c.waits, name+".accepted"))
	}
	c.list = append(c.list, &clonedRepo{Name: name, Source: s, repo: repo})
}

// Current is what lies on the node, as it was left.
func (c *clones) Current() []journal.Look {
	return c.each(c.Known(), (*clonedRepo).here)
}

// here is what lies there, without asking anybody.
func (r *clonedRepo) here() journal.Look {
	l := journal.Look{Repo: r.Name, Old: true}
	if r.Problem != nil {
		return l
	}
	if here, whole, err := r.repo.Applied(); err == nil && whole {
		l.Branch, l.Version = here.Branch, here.ID
	}
	return l
}

// Ask asks every repository for its tip, side by side, but for those that rest.
func (c *clones) Ask(ctx context.Context, rests func(repo string) bool) []journal.Look {
	return c.each(c.Known(), func(r *clonedRepo) journal.Look {
		if rests(r.Name) {
			return r.here()
		}
		l := journal.Look{Repo: r.Name}
		if r.Problem != nil {
			l.Trouble, l.Old = fmt.Sprintf("look %s: %v", r.Name, r.Problem), r.foreign
			return l
		}
		here, whole, err := r.repo.Applied()
		if err != nil {
			l.Trouble = fmt.Sprintf("look %s: %v", r.Name, err)
			return l
		}
		if whole {
			l.Branch, l.Version = here.Branch, here.ID
		}
		tip, err := r.repo.Ask(ctx)
		l.Notices = r.repo.Notices()
		if behind := r.repo.Behind(); behind != "" {
			l.Trouble = fmt.Sprintf("look %s: %s", r.Name, behind)
		}
		if err != nil {
			l.Trouble, l.Denied = fmt.Sprintf("look %s: %v", r.Name, err), errors.Is(err, remote.ErrAccess)
			return l
		}
		r.tip = tip
		if l.Moved = !whole || tip != here; l.Moved {
			l.Previous = l.Version
		}
		l.Branch, l.Version = tip.Branch, tip.ID
		return l
	})
}

// Move brings those that moved to the tip they were asked for, side by side.
func (c *clones) Move(ctx context.Context, asked []journal.Look, progress func(journal.Fetching)) []journal.Look {
	if !slices.ContainsFunc(asked, func(l journal.Look) bool { return l.Moved }) {
		return asked
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(c.procs))
	looks := c.moved(asked, func(r *clonedRepo, l journal.Look) journal.Look {
		sight, err := r.repo.Apply(ctx, r.tip, func(p clone.Progress) {
			progress(journal.Fetching{Repo: r.Name, Bytes: p.Bytes, Objects: p.Objects, Files: p.Files})
		})
		l.Notices, l.Files, l.Bytes = append(l.Notices, sight.Notices...), sight.Files, sight.Bytes
		if sight.Rebuilt != "" {
			l.Notices = append(l.Notices, "the clone was rebuilt: "+sight.Rebuilt)
		}
		if err != nil {
			l.Moved, l.Blocked, l.Version, l.Previous = false, true, "", ""
			l.Trouble, l.DiskFull = fmt.Sprintf("pull %s: %v", r.Name, err), files.DiskFull(err)
			l.Denied = errors.Is(err, remote.ErrAccess)
			if here, whole, err := r.repo.Applied(); err == nil && whole {
				l.Branch, l.Version = here.Branch, here.ID
			}
			return l
		}
		l.Version, l.Previous, l.Branch, l.Moved = sight.Version, sight.Previous, sight.Branch, sight.Moved
		return l
	})
	// A fetch leaves garbage of several times the resident size: give it back now, the next change may be a day away.
	debug.FreeOSMemory()
	return looks
}

// Preview fetches the tips of those that moved, side by side, into folders below tmp, and moves nothing.
func (c *clones) Preview(ctx context.Context, asked []journal.Look, tmp string) []journal.Look {
	return c.moved(asked, func(r *clonedRepo, l journal.Look) journal.Look {
		dir := filepath.Join(tmp, r.Name)
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			r.preview, err = r.repo.Preview(ctx, dir, r.tip)
		}
		if err != nil {
			l.Trouble, l.Version = fmt.Sprintf("fetch %s: %v", r.Name, err), ""
		}
		return l
	})
}

// moved does one thing with every repository that was asked and has moved; the looks of the others stay.
func (c *clones) moved(asked []journal.Look, do func(*clonedRepo, journal.Look) journal.Look) []journal.Look {
	before := map[string]journal.Look{}
	for _, l := range asked {
		before[l.Repo] = l
	}
	return c.each(c.list, func(r *clonedRepo) journal.Look {
		l := before[r.Name]
		if !l.Moved {
			return l
		}
		return do(r, l)
	})
}

// sideBySide bounds how many are asked at once: a hanging server must not hold up the others, nor all a small node.
const sideBySide = 32

// each does one thing with every repository, side by side, and times it.
func (c *clones) each(list []*clonedRepo, do func(*clonedRepo) journal.Look) []journal.Look {
	looks := make([]journal.Look, len(list))
	var all sync.WaitGroup
	places := make(chan struct{}, sideBySide)
	for i, r := range list {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			start := time.Now()
			looks[i] = do(r)
			looks[i].Ms = milliseconds(start, looks[i].Ms)
		})
	}
	all.Wait()
	return looks
}

// Known are the repositories as they are now. Where the config wants it, these are also the clones that it does not
// name: a folder with a .git in it.
func (c *clones) Known() []*clonedRepo {
	if !c.discover {
		return c.list
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return c.list // no folder, no clones
	}
	known := map[string]bool{}
	c.list = slices.DeleteFunc(c.list, func(r *clonedRepo) bool {
		if !r.found {
			known[r.Name] = true
			return false
		}
		// People repair, move, remove and switch the clones outside the config:
		// a clone that changed is discovered again below.
		s, err := clone.Discover(filepath.Join(c.dir, r.Name))
		s.Agent, s.Network = cli.UserAgent("addagent"), c.network
		// One whose config or HEAD is damaged is kept: it is known, and rebuilt.
		same := r.Problem == nil && (err == nil && s.Same(r.Source) || err != nil && !errors.Is(err, fs.ErrNotExist))
		if known[r.Name] = same; !same && r.repo != nil {
			r.repo.Close()
		}
		return !same
	})
	for _, e := range entries {
		name := e.Name()
		if known[name] || name[0] == '.' || !e.IsDir() && !c.linked(e) {
			continue
		}
		git, err := os.Stat(filepath.Join(c.dir, name, ".git"))
		if err != nil {
			continue
		}
		s, err := clone.Discover(filepath.Join(c.dir, name))
		if err != nil {
			c.list = append(c.list, &clonedRepo{Name: name, Problem: err, found: true, foreign: !git.IsDir()})
			continue
		}
		if c.never != "" && bareURL(s.URL) == bareURL(c.never) {
			continue
		}
		s.Agent, s.Network = cli.UserAgent("addagent"), c.network
		c.add(name, s)
		c.list[len(c.list)-1].found = true
	}
	return c.list
}

// bareURL is a URL without what may as well be left out.
func bareURL(url string) string { return strings.TrimSuffix(strings.TrimRight(url, "/"), ".git") }

// milliseconds is the time since start, to the microsecond, on top of what was measured before.
func milliseconds(start time.Time, before float64) float64 {
	us := time.Since(start).Microseconds() + int64(math.Round(before*1000))
	return float64(us) / 1000
}

// linked says that an entry is a link to a folder elsewhere: people move a large clone to another disk. One to another
// clone here would be the same one twice.
func (c *clones) linked(e fs.DirEntry) bool {
	if e.Type() != fs.ModeSymlink {
		return false
	}
	there, err := filepath.EvalSymlinks(filepath.Join(c.dir, e.Name()))
	if err != nil {
		return false
	}
	here, err := filepath.EvalSymlinks(c.dir)
	if err != nil || filepath.Dir(there) == here {
		return false
	}
	info, err := os.Stat(there)
	return err == nil && info.IsDir()
}

// get is the repository of that name, nil when there is none that can be used.
func (c *clones) get(name string) *clonedRepo {
	for _, r := range c.list {
		if r.Name == name && r.repo != nil {
			return r
		}
	}
	return nil
}

// Tree opens the tree of a repository at a version, or as Preview fetched it; the caller closes it.
func (c *clones) Tree(name, version string) (*objects.Tree, error) {
	r := c.get(name)
	switch {
	case r == nil:
		return nil, fmt.Errorf("no repository %s here", name)
	case r.preview != nil:
		return r.preview, nil
	}
	return r.repo.Tree(version)
}

// treeInUse opens a tree to work by: what of it is damaged is put right by the next look. The caller closes it.
func (c *clones) treeInUse(name, version string) (*objects.Tree, error) {
	if r := c.get(name); r != nil {
		return r.repo.TreeInUse(version)
	}
	return nil, fmt.Errorf("no repository %s here", name)
}

// changedMax bounds the list of changed paths that a script is given.
const changedMax = 10000

// changed lists the paths that differ between two versions; false when the older
// one is not here any more, or there are too many.
func (c *clones) changed(name, from, to string) ([]string, bool) {
	r := c.get(name)
	if r == nil {
		return nil, false
	}
	paths, complete, err := r.repo.Changed(from, to, changedMax)
	return paths, err == nil && complete
}

func (c *clones) Close() {
	for _, r := range c.list {
		if r.repo != nil {
			r.repo.Close()
		}
	}
}

// configuredRepo is a repository of the config: the folder below gitrepo/ and where it comes from.
type configuredRepo struct {
	name   string
	source remote.Source
}

// ConfiguredRepos are the repositories of the config, their branches filled in from nodeinfo.
func ConfiguredRepos(cfg *config.Config, info node.Info) (all []configuredRepo, err error) {
	var problems []error
	for i, r := range cfg.Repos {
		branch, err := address.FillBranch(r.Branch, info.Fields)
		if err != nil {
			key := fmt.Sprintf("repos[%d].branch", i)
			problems = append(problems, fmt.Errorf("%s: %s: %w", cfg.Origin(key), key, err))
		}
		all = append(all, configuredRepo{r.Name, remote.Source{
			URL: r.URLs[0], Mirrors: r.URLs[1:], Branch: branch, Rewind: r.Rewind, Agent: cli.UserAgent("addagent"), Auth: r.Auth, Network: cfg.Network,
		}})
	}
	return all, errors.Join(problems...)
}

// OpenClones opens the repositories of the config, for a command that beats no more than once.
func OpenClones(cfg *config.Config, info node.Info) (*clones, error) {
	all, err := ConfiguredRepos(cfg, info)
	if err != nil {
		return nil, err
	}
	c := newClones(filepath.Join(cfg.Home, "gitrepo"))
	c.configure(cfg, all, nil)
	return c, nil
}

// configure makes the repositories be what the config says. A watcher of edits may be nil.
func (c *clones) configure(cfg *config.Config, all []configuredRepo, w *worktree.Watcher) {
	c.never = cfg.Presence.URL
	limits := clone.Limits{Look: cfg.Beat.LookTimeout, Stall: cfg.Beat.FetchStall, Fetch: cfg.Beat.FetchTimeout, Watcher: w}
	c.renew(all, len(cfg.Repos) == 0 || cfg.Discover, limits, cfg.Network)
}
