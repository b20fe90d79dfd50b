package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitaccess"
	"github.com/addagent/addagent/internal/gitwire"
)

// filesDir is gitDir for what reads and writes refs and objects as files. It refuses repositories that keep them otherwise.
func (l *localRemote) filesDir() (string, error) {
	gitDir, err := l.gitDir()
	if err != nil {
		return "", err
	}
	b, err := gitaccess.ReadSmall(filepath.Join(gitDir, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return gitDir, nil
	}
	if err != nil {
		return "", err
	}
	c := config.NewConfig()
	if err := c.Unmarshal(b); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(gitDir, "config"), err)
	}
	extensions := c.Raw.Section("extensions")
	if kept := extensions.Option("refstorage"); kept != "" && kept != "files" {
		return "", fmt.Errorf("%s keeps its refs in a %s, which cannot be used as files: use ssh or https", l.path, kept)
	}
	if format := extensions.Option("objectformat"); format != "" && format != "sha1" {
		return "", fmt.Errorf("%s names its objects by %s, not by sha1", l.path, format)
	}
	return gitDir, nil
}

func (l *localRemote) refs(_ context.Context, o gitwire.LsOptions) ([]gitwire.Ref, error) {
	gitDir, err := l.filesDir()
	if err != nil {
		return nil, err
	}
	wanted := func(name string) bool {
		return len(o.Prefixes) == 0 || slices.ContainsFunc(o.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	}
	found := make(map[string]string)
	// The loose ones first: one that is packed meanwhile is then seen in one of the two places, or in both.
	loose, err := looseRefs(gitDir, wanted)
	if err != nil {
		return nil, err
	}
	packed, err := readPackedRefs(gitDir)
	if err != nil {
		return nil, err
	}
	for _, r := range packed.refs {
		if wanted(r.name) {
			found[r.name] = r.id.String()
		}
	}
	for name, id := range loose {
		found[name] = id
	}
	list := make([]gitwire.Ref, 0, len(found))
	for name, id := range found {
		list = append(list, gitwire.Ref{Name: name, ID: id})
	}
	return list, nil
}

// looseRefs reads the refs that have a file each. Broken ones are left out, as git does.
func looseRefs(gitDir string, wanted func(name string) bool) (map[string]string, error) {
	found := make(map[string]string)
	err := filepath.WalkDir(filepath.Join(gitDir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone while we looked
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(gitDir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if checkRefName(strings.TrimPrefix(name, "refs/")) != nil || !wanted(name) {
			return nil
		}
		b, err := gitaccess.ReadSmall(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(b))
		if target, ok := strings.CutPrefix(text, "ref: "); ok {
			id, err := readRef(gitDir, strings.TrimSpace(target))
			if err != nil {
				return nil
			}
			text = id.String()
		}
		if _, ok := idOf(text); ok {
			found[name] = text
		}
		return nil
	})
	return found, err
}

// packedRefs is the file packed-refs; see git-pack-refs(1).
type packedRefs struct {
	head string // the comment line, if any
	refs []packedLine
}

type packedLine struct {
	name string
	id   plumbing.Hash
	text string // its lines in the file: a tag has a second one
}

func readPackedRefs(gitDir string) (packedRefs, error) {
	var p packedRefs
	b, err := os.ReadFile(filepath.Join(gitDir, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(b)) {
		switch {
		case strings.HasPrefix(line, "#"):
			p.head += line
		case strings.HasPrefix(line, "^") && len(p.refs) > 0:
			p.refs[len(p.refs)-1].text += line
		default:
			text, name, ok := strings.Cut(strings.TrimRight(line, "\n"), " ")
			id, isID := idOf(text)
			if !ok || !isID {
				return p, fmt.Errorf("%s: unexpected line", filepath.Join(gitDir, "packed-refs"))
			}
			p.refs = append(p.refs, packedLine{name, id, line})
		}
	}
	return p, nil
}
