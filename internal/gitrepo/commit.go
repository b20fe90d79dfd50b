package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// commit is what the agent needs of a commit object.
type commit struct {
	tree    plumbing.Hash
	parents []plumbing.Hash
}

// loadCommit reads a commit.
func loadCommit(objects *objectReader, id plumbing.Hash) (commit, error) {
	data, err := objects.load(id, plumbing.CommitObject, maxTree, nil)
	if err != nil {
		return commit{}, fmt.Errorf("commit %w", err)
	}
	c, err := parseCommit(data)
	if err != nil {
		return commit{}, missing(id, err)
	}
	return c, nil
}

// parseCommit reads the header of a commit: one tree, then its parents.
func parseCommit(data []byte) (commit, error) {
	var c commit
	for first := true; ; first = false {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		word, text, _ := bytes.Cut(line, []byte(" "))
		id, isID := idOf(string(text))
		switch {
		case first && string(word) == "tree" && isID && ok:
			c.tree = id
		case first:
			return c, errors.New("commit names no tree")
		case string(word) == "parent" && isID:
			c.parents = append(c.parents, id)
		default:
			return c, nil
		}
		data = rest
	}
}

// source opens any object for a pack: held when it is small, else streamed.
func (o *objectReader) source(id plumbing.Hash) (blobSource, error) {
	kind, data, err := o.raw(id, bigObject, nil)
	if err == nil {
		return blobSource{kind: kind, size: int64(len(data)), write: func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}}, nil
	}
	if !errors.Is(err, errTooBig) {
		return blobSource{}, err
	}
	b, err := o.blob(id, nil)
	if err == nil {
		return blobSource{kind: plumbing.BlobObject, size: b.size, write: func(w io.Writer) error {
			return b.copyTo(w, func() {})
		}}, nil
	}
	// A tree or a commit of more than a megabyte: rare, and bounded.
	kind, data, again := o.raw(id, maxTree, nil)
	if again != nil {
		return blobSource{}, errors.Join(err, again)
	}
	return blobSource{kind: kind, size: int64(len(data)), write: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}, nil
}
