package gitrepo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxPacks is how many packs a clone may have before they are folded. Each change brings one of a few kilobytes.
const maxPacks = 50

// fold makes one pack of many small ones. In a clone that the agent made, the largest pack, which holds the snapshot that
// was cloned first, stays as it is until the rest has grown to half of it, and objects that the applied commit does not
// need are dropped on the way. In one that a person made nothing is dropped: there are other branches in it.
func (r *Repo) fold(w *watch, s *Sight, at plumbing.Hash) {
	entries, err := os.ReadDir(filepath.Join(r.gitDir(), "objects", "pack"))
	if err != nil || len(entries) <= 2*maxPacks {
		return
	}
	if err := foldPacks(w.ctx, r.gitDir(), at, made(r.gitDir()), w.advance); err != nil {
		// The clone is whole all the same; the next change tries again.
		s.Notices = append(s.Notices, fmt.Sprintf("packs were not folded: %v", err))
	}
}

func foldPacks(ctx context.Context, gitDir string, at plumbing.Hash, drop bool, step func()) error {
	objects, closing, err := openObjects(gitDir)
	if err != nil {
		return err
	}
	defer closing()
	choose := smallPacks
	if drop {
		choose = needed
	}
	list, old, err := choose(objects, at)
	if err != nil || len(old) < 2 {
		return err
	}
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.CloseWithError(writePack(ctx, w, objects, list))
	}()
	got, err := receive(ctx, bufio.NewReader(r), receiving{parent: gitDir, step: step})
	_ = r.Close()
	<-ended
	if err != nil {
		return err
	}
	stem := got.stem
	if err := got.install(gitDir); err != nil {
		return err
	}
	for _, p := range old {
		name := strings.TrimSuffix(p.index.Name(), ".idx")
		if strings.HasSuffix(name, stem) {
			continue
		}
		// First the index: a pack without one is invisible, an index without its pack is damage.
		for _, end := range []string{".idx", ".pack", ".rev", ".bitmap"} {
			if err := os.Remove(name + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// needed lists the objects that a commit needs and the largest pack has not, and the packs that can go then.
func needed(objects *objectReader, at plumbing.Hash) ([]packed, []*pack, error) {
	var largest *pack
	rest := int64(0)
	for _, p := range objects.packs.packs {
		rest += p.end
		if largest == nil || p.end > largest.end {
			largest = p
		}
	}
	if largest == nil {
		return nil, nil, nil
	}
	if rest -= largest.end; rest > largest.end/2 {
		largest = nil
	}
	all, err := listObjects(objects, at.String(), "")
	if err != nil {
		return nil, nil, err
	}
	list := all[:0]
	for _, o := range all {
		offset := int64(-1)
		if largest != nil {
			if offset, err = objects.packs.look(largest, o.id); err != nil {
				return nil, nil, err
			}
		}
		if offset < 0 {
			list = append(list, o)
		}
	}
	old := slices.Clone(objects.packs.packs)
	return list, slices.DeleteFunc(old, func(p *pack) bool { return p == largest }), nil
}

// smallPacks lists all objects of the packs below a megabyte.
func smallPacks(objects *objectReader, _ plumbing.Hash) ([]packed, []*pack, error) {
	var list []packed
	var old []*pack
	seen := make(map[plumbing.Hash]bool)
	for _, p := range objects.packs.packs {
		if _, err := os.Stat(strings.TrimSuffix(p.index.Name(), ".idx") + ".keep"); err == nil || p.end > 1<<20 {
			continue
		}
		names := make([]byte, 20*int64(p.fanout[255]))
		if _, err := p.index.ReadAt(names, 8+4*256); err != nil {
			return nil, nil, err
		}
		for ; len(names) > 0; names = names[20:] {
			id := plumbing.Hash(names[:20])
			if !seen[id] {
				seen[id] = true
				list = append(list, packed{id, plumbing.AnyObject})
			}
		}
		old = append(old, p)
	}
	return list, old, nil
}
