package objects

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// ErrNotRead is in the error for an object that is not among those that were read.
var ErrNotRead = errors.New("object was not read")

// Content is what was read: commits with their trees and files, in memory. It may be used by many goroutines at a
// time.
type Content struct{ *pack.Memory }

// NewContent returns an empty one that takes up to so many bytes, and passes over objects that are larger than most.
func NewContent(limit, most int64) *Content { return &Content{pack.NewMemory(limit, most)} }

func (c *Content) get(id string, kind plumbing.ObjectType) ([]byte, error) {
	h, ok := ParseID(id)
	if !ok {
		return nil, fmt.Errorf("%q is no id of an object", id)
	}
	got, data, ok := c.Get(h)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s %s: %w", kind, id, ErrNotRead)
	case got != kind:
		return nil, fmt.Errorf("%s is a %s, not a %s", id, got, kind)
	case data == nil:
		return nil, fmt.Errorf("%s %s: %w", kind, id, ErrTooBig)
	}
	return data, nil
}

// Has says whether an object was read, or passed over.
func (c *Content) Has(id string) bool {
	h, ok := ParseID(id)
	if ok {
		_, _, ok = c.Get(h)
	}
	return ok
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
	all, err := Lines(data).entries()
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", id, err)
	}
	return all, nil
}

// Find returns what is at a path in the tree of a commit; fs.ErrNotExist when nothing is. The root is "".
func (c *Content) Find(commit, name string) (Entry, error) {
	info, err := c.Commit(commit)
	if err != nil {
		return Entry{}, err
	}
	root, _ := ParseID(info.Tree)
	at, err := find(root, name, func(id plumbing.Hash) (Lines, error) {
		return c.get(id.String(), plumbing.TreeObject)
	})
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", QuotePath([]byte(name)), err)
	}
	return at.entry(), nil
}

// File returns the content of the file at a path in the tree of a commit; fs.ErrNotExist when nothing is there. It
// must not be changed.
func (c *Content) File(commit, name string) ([]byte, error) {
	e, err := c.Find(commit, name)
	switch {
	case err != nil:
		return nil, err
	case e.Dir || e.Symlink:
		return nil, fmt.Errorf("%s: is no file", QuotePath([]byte(name)))
	}
	return c.Blob(e.ID)
}

// parseInfo reads a whole commit. Format: gitformat-commit, as git-cat-file(1) shows it.
func parseInfo(data []byte) (CommitInfo, error) {
	c, err := ParseCommit(data)
	if err != nil {
		return CommitInfo{}, err
	}
	info := CommitInfo{Tree: c.Tree.String()}
	for _, p := range c.Parents {
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
