package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitpack"
	"github.com/addagent/addagent/internal/gitwire"
)

// ReadOptions say what of the history of commits is read. The zero value: all of it.
type ReadOptions struct {
	Depth    int       // so many commits of each line; 0 = no limit
	Since    time.Time // no commits before it, but those that are asked for; zero = no limit. Not together with Depth
	Filter   string    // left out where the server can: "blob:none" (no contents of files), "tree:0" (no folders either)
	Have     []string  // commits that were read before, wholly: what their folders and files hold does not come again
	Base     *Content  // where those are: with it only the differences of a long folder come; nil = it is not at hand
	MaxBytes int64     // in memory; 0 = 64 MB
}

const defaultContent = 64 << 20

// ErrNotRead is in the error for an object that is not among those that were read.
var ErrNotRead = errors.New("object was not read")

// Content is what was read: commits with their trees and files, in memory. It may be used by many goroutines at a time.
type Content struct {
	objects *gitpack.Memory
}

// Read gets commits by their ids, whole or not at all, in one request; with Since in two. It is an error when there is
// more than ReadOptions.MaxBytes.
func (s *Store) Read(ctx context.Context, ids []string, o ReadOptions) (*Content, error) {
	limit := o.MaxBytes
	if limit <= 0 {
		limit = defaultContent
	}
	var base *gitpack.Memory
	if o.Base != nil {
		base = o.Base.objects
	}
	c := &Content{gitpack.NewMemory(limit, base)}
	if len(ids) == 0 {
		return c, nil
	}
	for _, id := range append(ids[:len(ids):len(ids)], o.Have...) {
		if h, ok := idOf(id); !ok || h.String() != id {
			return nil, fmt.Errorf("read: %q is no id of a commit", id)
		}
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	f := gitwire.FetchRequest{
		Want: ids[0], Also: ids[1:], Known: o.Have, Thin: o.Base != nil, Depth: o.Depth, Since: o.Since, Filter: o.Filter,
		MaxBytes: 2*limit + 64<<10, // small objects are longer in a pack
	}
	if !o.Since.IsZero() {
		// git answers a time that is after all commits with a failure, and for a wanted commit before it sends all of
		// its history. So the wanted ones come first, and those that are young enough then with what is behind them.
		f.Since, f.Depth = time.Time{}, 1
	}
	err := s.readWhole(ctx, f, c)
	if err == nil && !o.Since.IsZero() {
		young := slices.DeleteFunc(ids, func(id string) bool {
			info, err := c.Commit(id)
			return err != nil || info.Committer.When.Before(o.Since)
		})
		if len(young) > 0 {
			f.Want, f.Also, f.Since, f.Depth = young[0], young[1:], o.Since, 0
			err = s.readWhole(ctx, f, c)
		}
	}
	if errors.Is(err, gitpack.ErrTooBig) || errors.Is(err, gitwire.ErrTooLarge) {
		err = fmt.Errorf("more than %d bytes: %w", limit, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", classed(ctx, "read", err))
	}
	c.objects.Seal()
	return c, nil
}

// readWhole makes one request, and looks whether all came that was wanted.
func (s *Store) readWhole(ctx context.Context, f gitwire.FetchRequest, c *Content) error {
	if err := s.at.read(ctx, f, c); err != nil {
		return err
	}
	for _, id := range append([]string{f.Want}, f.Also...) {
		if _, err := c.Commit(id); err != nil && !slices.Contains(f.Known, id) {
			return err
		}
	}
	return nil
}

func (c *Content) get(id string, kind plumbing.ObjectType) ([]byte, error) {
	h, ok := idOf(id)
	if !ok {
		return nil, fmt.Errorf("%q is no id of an object", id)
	}
	got, data, ok := c.objects.Get(h)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s %s: %w", kind, id, ErrNotRead)
	case got != kind:
		return nil, fmt.Errorf("%s is a %s, not a %s", id, got, kind)
	}
	return data, nil
}

// Has says whether an object was read.
func (c *Content) Has(id string) bool {
	h, ok := idOf(id)
	return ok && c.objects.Has(h)
}

// Commit returns a commit. Its parents may not have been read.
func (c *Content) Commit(id string) (CommitInfo, error) {
	data, err := c.get(id, plumbing.CommitObject)
	if err != nil {
		return CommitInfo{}, err
	}
	info, err := parseInfo(data)
	if err != nil {
		return CommitInfo{}, fmt.Errorf("commit %s: %w", id, err)
	}
	return info, nil
}

// Blob returns the content of a file. It must not be changed.
func (c *Content) Blob(id string) ([]byte, error) { return c.get(id, plumbing.BlobObject) }

// Tree returns what a folder holds, in git's order, without submodules.
func (c *Content) Tree(id string) ([]Entry, error) {
	data, err := c.get(id, plumbing.TreeObject)
	if err != nil {
		return nil, err
	}
	lines, all := treeLines{data}, make([]Entry, 0, len(data)/30)
	for {
		var e treeEntry
		ok, err := lines.next(&e)
		if err != nil {
			return nil, fmt.Errorf("tree %s: %w", id, err)
		}
		if !ok {
			return all, nil
		}
		if e.mode != modeSubmodule {
			all = append(all, e.entry())
		}
	}
}

func (e *treeEntry) entry() Entry {
	return Entry{Name: string(e.name), ID: e.id.String(), Dir: e.folder(), Executable: e.mode == modeExecutable, Symlink: e.mode == modeSymlink}
}

// Find returns what is at a path in the tree of a commit; fs.ErrNotExist when nothing is. The root is "".
func (c *Content) Find(commit, name string) (Entry, error) {
	info, err := c.Commit(commit)
	if err != nil {
		return Entry{}, err
	}
	at := treeEntry{mode: modeFolder}
	at.id, _ = idOf(info.Tree)
	clean := strings.Trim(path.Clean("/"+name), "/")
	for part := range strings.SplitSeq(clean, "/") {
		if clean == "" {
			break
		}
		kind, data, ok := c.objects.Get(at.id)
		switch {
		case !at.folder():
			return Entry{}, fmt.Errorf("%s: %w", showPath([]byte(name)), fs.ErrNotExist)
		case !ok || kind != plumbing.TreeObject:
			return Entry{}, fmt.Errorf("%s: tree %s: %w", showPath([]byte(name)), at.id, ErrNotRead)
		}
		lines := treeLines{data}
		for more := true; more; {
			if more, err = lines.next(&at); err != nil {
				return Entry{}, fmt.Errorf("%s: %w", showPath([]byte(name)), err)
			}
			if more && string(at.name) == part {
				break
			}
			if !more {
				return Entry{}, fmt.Errorf("%s: %w", showPath([]byte(name)), fs.ErrNotExist)
			}
		}
	}
	return at.entry(), nil
}

// File returns the content of the file at a path in the tree of a commit; fs.ErrNotExist when nothing is there. It must
// not be changed.
func (c *Content) File(commit, name string) ([]byte, error) {
	e, err := c.Find(commit, name)
	switch {
	case err != nil:
		return nil, err
	case e.Dir || e.Symlink:
		return nil, fmt.Errorf("%s: is no file", showPath([]byte(name)))
	}
	return c.Blob(e.ID)
}

// parseInfo reads a whole commit. Format: gitformat-commit, as git-cat-file(1) shows it.
func parseInfo(data []byte) (CommitInfo, error) {
	c, err := parseCommit(data)
	if err != nil {
		return CommitInfo{}, err
	}
	info := CommitInfo{Tree: c.tree.String()}
	for _, p := range c.parents {
		info.Parents = append(info.Parents, p.String())
	}
	head, message, _ := bytes.Cut(data, []byte("\n\n"))
	info.Message = string(message)
	for line := range bytes.Lines(head) {
		word, text, _ := bytes.Cut(line, []byte(" "))
		switch string(word) {
		case "author":
			info.Author = parsePerson(string(text))
		case "committer":
			info.Committer = parsePerson(string(text))
		}
	}
	return info, nil
}

// parsePerson reads "Name <mail> seconds zone". What people's tools wrote otherwise is read as far as it goes.
func parsePerson(text string) Person {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), "<")
	i := strings.LastIndexByte(rest, '>')
	if i < 0 {
		return Person{Name: strings.TrimSpace(name)}
	}
	p := Person{Name: strings.TrimSpace(name), Email: rest[:i]}
	if when := strings.Fields(rest[i+1:]); len(when) > 0 {
		if n, err := strconv.ParseInt(when[0], 10, 64); err == nil {
			p.When = time.Unix(n, 0).UTC()
		}
	}
	return p
}
