package objects

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// ErrMissing is in the error for an object that is not among those that were read.
var ErrMissing = pack.ErrMissing

// Content is what was read: commits with their trees and files, in memory. It is for one goroutine at a time.
type Content struct {
	*pack.Memory
	trees *Reader
}

// NewContent returns an empty one that takes up to so many bytes, and passes over objects that are larger than most.
func NewContent(limit, most int64) *Content {
	m := pack.NewMemory(limit, most)
	return &Content{m, &Reader{Reader: m.Reader}}
}

// Has says whether an object was read, or passed over.
func (c *Content) Has(id string) bool {
	h, ok := ParseID(id)
	if ok {
		ok, _ = c.Memory.Has(h) // nothing else can be wrong with it in memory
	}
	return ok
}

// Commit returns a commit. Its parents may not have been read.
func (c *Content) Commit(id string) (CommitInfo, error) {
	h, ok := ParseID(id)
	if !ok {
		return CommitInfo{}, fmt.Errorf("%q is no id of an object", id)
	}
	data, err := c.Load(h, plumbing.CommitObject, c.Most, nil)
	var info CommitInfo
	if err == nil {
		info, err = parseInfo(data)
	}
	if err != nil {
		return CommitInfo{}, fmt.Errorf("commit %s: %w", id, err)
	}
	return info, nil
}

// Tree returns the tree of a commit.
func (c *Content) Tree(commit string) (*Tree, error) {
	info, err := c.Commit(commit)
	if err != nil {
		return nil, err
	}
	root, _ := ParseID(info.Tree)
	return &Tree{objects: c.trees, root: root}, nil
}

// File returns the content of the file at a path in the tree of a commit; fs.ErrNotExist when nothing is there.
func (c *Content) File(commit, name string) ([]byte, error) {
	t, err := c.Tree(commit)
	if err != nil {
		return nil, err
	}
	data, err := t.Read(name, c.Most)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w", QuotePath([]byte(name)), err)
	}
	return data, err
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
