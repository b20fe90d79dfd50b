package clone

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/go-git/go-git/v5/plumbing"
)

// Scripts ask git what changed since they last succeeded: `git log DONE..NOW -- path`, `git diff DONE NOW`. So the
// commit of each last success keeps a name and all its objects, and what was pushed since stays in the clone.

// Depths in which history is fetched: first what one merge needs, at most what a week of pushes has.
const (
	firstStep = 2
	lastStep  = 512
)

const (
	maxHistory = 2000 // how many commits are kept since the oldest of the last successes
	maxRefName = 200  // bytes: a file system takes 255, and the name of a temporary file is longer than the ref's
)

// succeeded reads from the memory of the items what each succeeded with: the files work.sh_VERSION in .temp/add, and
// those that scripts of their own write there. The names are those of refs.
func succeeded(dir string) map[string]plumbing.Hash {
	top := filepath.Join(dir, worktree.OwnFolder, "add")
	done := map[string]plumbing.Hash{}
	for _, pattern := range []string{"*_VERSION", "*/*_VERSION"} {
		for _, path := range files.Matching(top, pattern) {
			info, err := os.Lstat(path)
			if err != nil || !info.Mode().IsRegular() || strings.HasSuffix(path, "_DOING_VERSION") {
				continue
			}
			text, _ := transport.ReadSmall(path) // one that cannot be read names nothing
			if id, ok := objects.ParseID(strings.TrimSpace(string(text))); ok {
				name := refs.Done + "/" + strings.ReplaceAll(strings.TrimSuffix(path[len(top)+1:], "/work.sh_VERSION"), "/", ".")
				if plumbing.ReferenceName(name).Validate() != nil || len(name) > maxRefName {
					name = refs.Done + "/" + id.String()
				}
				done[name] = id
			}
		}
	}
	return done
}

// keepDone names the commits of the last successes, as far as the clone has them, and forgets those of other items.
func keepDone(dir string) (map[string]plumbing.Hash, error) {
	git, done := filepath.Join(dir, ".git"), succeeded(dir)
	store, err := objects.Open(git)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	for name, id := range done {
		if at, err := refs.Read(git, name); err == nil && at == id {
			continue
		}
		if has, err := store.Has(id); err != nil || !has {
			continue // perhaps the remote has it
		}
		if err := refs.Write(git, name, id); err != nil {
			return nil, err
		}
	}
	entries, _ := os.ReadDir(filepath.Join(git, filepath.FromSlash(refs.Done))) // none before the first success
	for _, e := range entries {
		if name := refs.Done + "/" + e.Name(); done[name].IsZero() {
			if err := refs.Drop(git, name); err != nil {
				return nil, err
			}
		}
	}
	return done, nil
}

// connect fetches what lies between the commit that is shown and those of the last successes, where the clone lacks it.
// What the remote cannot give is left out: git then shows the oldest commit that is there as the first.
func (r *Repo) connect(w *watch, s *Applied, to plumbing.Hash, from ...plumbing.Hash) error {
	if ends, _ := refs.Shallow(r.gitDir()); len(ends) == 0 && !made(r.gitDir()) {
		return nil // a person's clone with all history
	}
	store, err := objects.Open(r.gitDir())
	if err != nil {
		return err
	}
	defer store.Close()
	for _, id := range from {
		if id.IsZero() || id == to {
			continue
		}
		if has, err := store.Has(id); err != nil {
			return err
		} else if !has && !r.fetchMore(w, s, store, protocol.FetchRequest{Want: id.String(), Have: to.String(), Shallow: to.String(), Depth: 1}) {
			continue
		}
		more := protocol.FetchRequest{Want: to.String(), Have: to.String(), Shallow: to.String(), Also: []string{id.String()}, Known: []string{id.String()}}
		for more.Depth = firstStep; more.Depth <= lastStep; more.Depth *= 4 {
			whole, err := connected(store, id, to)
			if err != nil {
				return err
			}
			if whole || !r.fetchMore(w, s, store, more) {
				break
			}
		}
	}
	return nil
}

// fetchMore fetches objects without which the tree can be shown, and says whether they came.
func (r *Repo) fetchMore(w *watch, s *Applied, store *objects.Reader, f protocol.FetchRequest) bool {
	f.Thin, f.MaxBytes, f.Advance = true, slack, w.advance
	got, err := r.receive(w, r.gitDir(), f, store.Reader)
	if err != nil || got.Install(r.gitDir()) != nil {
		return false
	}
	s.Bytes += got.Bytes
	return true
}

// connected says whether the clone has what `git log FROM..TO` needs: a commit that both lead to, and no commit on the
// way there with only some of its parents. What one side alone leads to may end anywhere.
func connected(store *objects.Reader, from, to plumbing.Hash) (bool, error) {
	base := map[plumbing.Hash]bool{}
	if err := store.Ancestors([]plumbing.Hash{from}, func(id plumbing.Hash, _, _ []plumbing.Hash) bool {
		base[id] = true
		return id != to
	}); err != nil || base[to] {
		return err == nil, err
	}
	met, half := false, false
	err := store.Ancestors([]plumbing.Hash{to}, func(id plumbing.Hash, there, missing []plumbing.Hash) bool {
		if base[id] {
			met = true
			return false
		}
		half = half || len(there) > 0 && len(missing) > 0
		return !half
	})
	return met && !half, err
}

// sinceDone lists the commits that lead from the one that is shown, and from those of the last successes, to where all
// of these meet; nearest first.
func sinceDone(store *objects.Reader, at plumbing.Hash, done []plumbing.Hash) (line []plumbing.Hash, err error) {
	from := append([]plumbing.Hash{at}, done...)
	open := map[plumbing.Hash]bool{} // to be visited; false = visited
	for _, id := range from {
		open[id] = true
	}
	n, ended := len(open), false // a line that ended meets the others where it ended, or nowhere
	err = store.Ancestors(from, func(id plumbing.Hash, there, _ []plumbing.Hash) bool {
		open[id] = false
		line = append(line, id)
		if n--; n == 0 && !ended || len(line) >= maxHistory {
			return false
		}
		ended = ended || len(there) == 0
		for _, p := range there {
			if _, known := open[p]; !known {
				open[p] = true
				n++
			}
		}
		return true
	})
	return line, err
}

// boundary lists the commits behind which a clone of ours has nothing: the one that is shown and those at which what
// people made ends. Where scripts compare with earlier ones, history goes on from it, as far as it is there.
func boundary(git, branch string, to plumbing.Hash) ([]plumbing.Hash, error) {
	people, err := refs.People(git, branch)
	if err != nil {
		return nil, err
	}
	done := succeeded(filepath.Dir(git))
	if len(done) == 0 {
		more, err := refs.Borders(git, people, to)
		return append([]plumbing.Hash{to}, more...), err
	}
	store, err := objects.Open(git)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if ends, sound := refs.Shallow(git); sound && !lacksParents(store, to, append(slices.Clone(ends), putThere(git))) {
		if !slices.ContainsFunc(ends, func(id plumbing.Hash) bool { return !lacksParents(store, id, ends) }) {
			return ends, nil
		}
	}
	return refs.Borders(git, slices.Concat(people, []plumbing.Hash{to}, slices.Collect(maps.Values(done))), plumbing.ZeroHash)
}

// lacksParents says whether the clone lacks parents of a commit, or of those that it leads to before one of until.
func lacksParents(store *objects.Reader, id plumbing.Hash, until []plumbing.Hash) (lacks bool) {
	_ = store.Ancestors([]plumbing.Hash{id}, func(c plumbing.Hash, _, missing []plumbing.Hash) bool {
		end := slices.Contains(until, c)
		lacks = lacks || len(missing) > 0 && (c == id || !end)
		return !lacks && !end
	}) // a commit that cannot be read is reported by whatever needs it
	return lacks
}

// atFile is in .git: the commit that the agent put there.
const atFile = "addagent-at"

// putThere is the commit at which the agent left a clone of ours; zero when that is not known.
func putThere(git string) plumbing.Hash {
	text, err := transport.ReadSmall(filepath.Join(git, atFile))
	if id, ok := objects.ParseID(strings.TrimSpace(string(text))); ok && err == nil {
		return id
	}
	if ends, _ := refs.Shallow(git); len(ends) > 0 {
		return ends[0] // as it was before there was such a file
	}
	return plumbing.ZeroHash
}
