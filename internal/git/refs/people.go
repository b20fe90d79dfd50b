package refs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/go-git/go-git/v5/plumbing"
)

// maxLog bounds a file of names that is read for what people made, in bytes.
const maxLog = 64 << 20

// People lists the objects that people's own things name in a clone: refs other than the branch of ours (its full
// name), logs of refs, worktrees, and what git notes while it merges or rebases. It rather names too much; most
// clones have nothing.
func People(gitDir, ours string) ([]plumbing.Hash, error) {
	n := idSet{seen: make(map[plumbing.Hash]bool)}
	entries, err := os.ReadDir(gitDir)
	if err != nil {
		return nil, fmt.Errorf("read what people made: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		switch path := filepath.Join(gitDir, name); {
		case name == "HEAD", name == "FETCH_HEAD":
			// git does not keep what was only fetched, either.
		case name == "refs", name == "logs", name == "worktrees", strings.HasPrefix(name, "rebase-"), name == "sequencer":
			err = n.Folder(path, filepath.Join(gitDir, filepath.FromSlash(ours)))
		case name == "packed-refs", e.Type().IsRegular() && name == strings.ToUpper(name):
			err = n.file(path, ours)
		}
		if err != nil {
			return nil, fmt.Errorf("read what people made: %w", err)
		}
	}
	return n.list, nil
}

// idSet collects ids from files.
type idSet struct {
	list []plumbing.Hash
	seen map[plumbing.Hash]bool
}

func (n *idSet) Folder(top, without string) error {
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && strings.HasSuffix(path, filepath.FromSlash("/"+Done)):
			return fs.SkipDir
		case !d.Type().IsRegular() || path == without:
			return nil
		case d.Name() == "index":
			worktree.EachTracked(path, func(id plumbing.Hash, _ int64) { n.add(id) })
			return nil
		}
		return n.file(path, "")
	})
}

// file takes every word of a file that is an id, but for lines that end in a name.
func (n *idSet) file(path, without string) error {
	f, err := files.Open(path)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxLog))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for line := range bytes.Lines(b) {
		words := bytes.Fields(line)
		if len(words) == 2 && (string(words[1]) == without || bytes.HasPrefix(words[1], []byte(Done+"/"))) {
			continue
		}
		for _, word := range words {
			if id, ok := objects.ParseID(string(word)); ok {
				n.add(id)
			}
		}
	}
	return nil
}

func (n *idSet) add(id plumbing.Hash) {
	if !id.IsZero() && !n.seen[id] {
		n.seen[id] = true
		n.list = append(n.list, id)
	}
}

// Borders lists the commits whose parents the clone lacks and that people's own things lead to.
func Borders(gitDir string, people []plumbing.Hash, at plumbing.Hash) ([]plumbing.Hash, error) {
	if len(people) == 0 {
		return nil, nil
	}
	store, err := objects.Open(gitDir)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	var commits, list []plumbing.Hash
	for todo := slices.Clone(people); len(todo) > 0; todo = todo[1:] {
		switch kind, _, _ := store.KindAndSize(todo[0]); kind { // none of what is missing
		case plumbing.CommitObject:
			commits = append(commits, todo[0])
		case plumbing.TagObject:
			if _, data, err := store.Raw(todo[0], pack.MaxTree, nil); err == nil {
				todo = append(todo, Tagged(data)...)
			}
		}
	}
	err = store.Ancestors(commits, func(id plumbing.Hash, _, missing []plumbing.Hash) bool {
		if id != at && len(missing) > 0 {
			list = append(list, id)
		}
		return id != at
	})
	return list, err
}

// Tagged is what a tag names, which begins "object <id>\n".
func Tagged(data []byte) []plumbing.Hash {
	if len(data) > 47 {
		if id, ok := objects.ParseID(string(data[7:47])); ok {
			return []plumbing.Hash{id}
		}
	}
	return nil
}

// Shallow returns the commits behind which a clone has nothing. Lines that are none are left out; sound says that
// there are none of those, and that the file is there.
func Shallow(gitDir string) (list []plumbing.Hash, sound bool) {
	b, err := transport.ReadSmall(filepath.Join(gitDir, "shallow"))
	if err != nil {
		return nil, false
	}
	sound = true
	for line := range strings.Lines(string(b)) {
		id, ok := objects.ParseID(strings.TrimSpace(line))
		if !ok {
			sound = false
			continue
		}
		list = append(list, id)
	}
	return list, sound
}

// WriteShallow writes the boundary.
func WriteShallow(git string, ends []plumbing.Hash) error {
	var text []byte
	for _, id := range ends {
		text = append(text, id.String()+"\n"...)
	}
	return objects.WriteFile(git, "shallow", text)
}
