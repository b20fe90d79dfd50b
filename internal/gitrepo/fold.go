package gitrepo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxPacks is how many packs a clone may have before they are folded. Each change brings one of a few kilobytes.
const maxPacks = 50

// fold makes one pack of many small ones. The largest pack, which holds the snapshot that was cloned first, stays as it
// is until the rest has grown to half of it. Objects that the applied commit does not need are dropped on the way.
// A clone that a person made has other branches too; it is left to git's own housekeeping.
func (r *Repo) fold(w *watch, s *Sight, at plumbing.Hash) {
	entries, err := os.ReadDir(r.gitDir() + "/objects/pack")
	if err != nil || len(entries) <= 2*maxPacks || !made(r.gitDir()) {
		return
	}
	if err := foldPacks(w.ctx, r.gitDir(), at, w.advance); err != nil {
		// The clone is whole all the same; the next change tries again.
		s.Notices = append(s.Notices, fmt.Sprintf("packs were not folded: %v", err))
	}
}

func foldPacks(ctx context.Context, gitDir string, at plumbing.Hash, step func()) error {
	objects, closing, err := openObjects(gitDir)
	if err != nil {
		return err
	}
	defer closing()
	var largest *pack
	rest := int64(0)
	for _, p := range objects.packs.packs {
		rest += p.end
		if largest == nil || p.end > largest.end {
			largest = p
		}
	}
	if largest == nil {
		return nil
	}
	if rest -= largest.end; rest > largest.end/2 {
		largest = nil
	}
	list, err := listObjects(objects, at.String(), "")
	if err != nil {
		return err
	}
	if largest != nil {
		kept := list[:0]
		for _, o := range list {
			offset, err := objects.packs.look(largest, o.id)
			if err != nil {
				return err
			}
			if offset < 0 {
				kept = append(kept, o)
			}
		}
		list = kept
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
	for _, p := range objects.packs.packs {
		name := strings.TrimSuffix(p.index.Name(), ".idx")
		if p == largest || strings.HasSuffix(name, stem) {
			continue
		}
		// First the index: a pack without one is invisible, an index without its pack is damage.
		for _, end := range []string{".idx", ".pack"} {
			if err := os.Remove(name + end); err != nil {
				return err
			}
		}
	}
	return nil
}
