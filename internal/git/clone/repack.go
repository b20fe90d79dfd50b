package clone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/diskspace"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// maxPacks is how many packs a clone may have before they are repacked. Each change brings one of a few kilobytes.
	maxPacks = 50
	// slack is how many bytes a clone may hold that are no longer needed, besides as many as it needs: repacking
	// copies what is needed, so it has to be worth it. It is also less than what one large file may bring with one
	// push.
	slack = 32 << 20
)

// repackState is what a Repo remembers of repacking, so that what fails is not tried again at each change.
type repackState struct {
	packs int   // due again when there are more
	bytes int64 // what the packs held after it
}

// repackWhenDue makes one pack of many small ones, and drops what is no longer needed. A clone that turns out to be
// damaged is pack.ErrMissing.
func (r *Repo) repackWhenDue(w *watch, s *Applied, at plumbing.Hash) error {
	ours := made(r.gitDir())
	packs, bytes, largest := packSizes(r.gitDir())
	due := packs > max(maxPacks, r.repacked.packs)
	if !due && ours && bytes > slack && bytes-r.repacked.bytes > slack/2 {
		due = bytes-largest > largest+slack || bytes > 2*trackedBytes(r.gitDir())+slack
	}
	if !due {
		return nil
	}
	err := repack(w.ctx, r.gitDir(), at, ours, w.advance)
	packs, bytes, _ = packSizes(r.gitDir())
	r.repacked = repackState{bytes: bytes}
	if err == nil {
		return nil
	}
	r.repacked.packs = packs + maxPacks
	if ours && (errors.Is(err, pack.ErrMissing) || errors.Is(err, pack.ErrCorrupt)) {
		return fmt.Errorf("repack: %w: %w", pack.ErrMissing, err)
	}
	// The clone is whole all the same.
	s.Notices = append(s.Notices, fmt.Sprintf("packs were not repacked: %v", err))
	return nil
}

// packSizes counts the packs of a clone, and their bytes.
func packSizes(gitDir string) (packs int, bytes, largest int64) {
	entries, _ := os.ReadDir(packFolder(gitDir)) // a folder that is not there has none
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".pack") {
			packs++
			bytes += info.Size()
			largest = max(largest, info.Size())
		}
	}
	return packs, bytes, largest
}

func packFolder(gitDir string) string { return filepath.Join(gitDir, "objects", "pack") }

// trackedBytes is about how much the tracked files hold, with 64 bytes for the line of each in a tree. Packed they
// need less.
func trackedBytes(gitDir string) (sum int64) {
	worktree.EachTracked(filepath.Join(gitDir, "index"), func(_ plumbing.Hash, size int64) { sum += size + 64 })
	return sum
}

// repack makes few packs of the many of a clone. In one that the agent made (ours) everything that is needed comes
// into one pack, but for what the largest holds already when most of that is needed, and the rest is dropped. In a
// person's clone nothing is dropped, and only as many of the smaller packs are merged as to keep their number small.
//
// Nothing is deleted before the new pack was read back object by object, is known to hold all that it should, and is
// on the disk under its name. step is called between any two changes on the disk.
func repack(ctx context.Context, gitDir string, at plumbing.Hash, ours bool, step func()) error {
	store, err := objects.Open(gitDir)
	if err != nil {
		return err
	}
	defer store.Close()
	f := &repacking{Repack: store.NewRepack(), ctx: ctx, gitDir: gitDir, objects: store, step: step}
	if ours {
		err = f.needed(at)
	} else {
		err = f.small()
	}
	if err != nil || len(f.old) == 0 || len(f.old) < 2 && !ours {
		return err
	}
	stem := ""
	if f.Len() > 0 {
		if stem, err = f.Write(ctx, diskspace.Guard(gitDir, func(int64, int) { step() })); err != nil {
			return err
		}
		// A power cut may not keep the deletions and lose the new names.
		if err := files.SyncFolder(packFolder(gitDir)); err != nil {
			return err
		}
	}
	if err := f.drop(stem); err != nil || !ours {
		return err
	}
	return f.removeLoose(time.Now())
}

// repacking is one run of repack.
type repacking struct {
	*pack.Repack
	ctx     context.Context
	gitDir  string
	objects *objects.Reader
	step    func()
	old     []string                          // stems of packs that go
	border  map[plumbing.Hash]bool            // commits whose parents the clone does without
	commits map[plumbing.Hash][]plumbing.Hash // in the list, with their parents
	lenient bool                              // what is missing was missing before
	room    int64                             // bytes that history may still take
}

// own lists the packs of the clone itself: alternates belong to others. Those that git or a person marked to be kept,
// or that are of a kind of their own, stay as they are.
func (f *repacking) own() (may, stay []*pack.Pack) {
	for _, p := range f.objects.Packs() {
		if marked(p.Stem(), ".keep", ".promisor", ".mtimes") {
			stay = append(stay, p)
		} else {
			may = append(may, p)
		}
	}
	slices.SortFunc(may, func(a, b *pack.Pack) int { return int(min(max(a.Size()-b.Size(), -1), 1)) })
	return may, stay
}

func marked(stem string, ends ...string) bool {
	return slices.ContainsFunc(ends, func(end string) bool {
		_, err := os.Lstat(stem + end)
		return err == nil
	})
}

// needed lists what the clone shows and what people made in it, and chooses the packs that go.
func (f *repacking) needed(at plumbing.Hash) error {
	may, stay := f.own()
	if err := f.mark(at); err != nil {
		return err
	}
	if n := len(may); n > 0 {
		largest := may[n-1]
		live, err := f.Live(largest)
		if err != nil {
			return err
		}
		if live >= largest.Size()/3*2 {
			stay = append(stay, largest)
		}
	}
	if err := errors.Join(refs.WriteShallow(f.gitDir, f.ends()), f.LeaveOut(stay)); err != nil {
		return err
	}
	// Those that cannot be opened go, too: what is needed was found elsewhere.
	for _, index := range files.Matching(packFolder(f.gitDir), "pack-*.idx") {
		stem := strings.TrimSuffix(index, ".idx")
		if !slices.ContainsFunc(stay, func(p *pack.Pack) bool { return p.Stem() == stem }) && !marked(stem, ".keep") {
			f.old = append(f.old, stem)
		}
	}
	return nil
}

// small chooses the smaller packs of a person's clone: so many that each that stays is larger than twice all below it.
// The number of packs stays below the logarithm of their size.
func (f *repacking) small() error {
	may, stay := f.own()
	sum, n := int64(0), 0
	for n < len(may) && (n < 2 || may[n].Size() <= 2*sum) {
		sum += may[n].Size()
		n++
	}
	stay = append(stay, may[n:]...)
	for _, p := range may[:n] {
		f.old = append(f.old, p.Stem())
		if err := f.AddPack(p); err != nil {
			return err
		}
	}
	return f.LeaveOut(stay)
}

// drop deletes the packs that were merged, and what git made to find things in them faster.
func (f *repacking) drop(stem string) error {
	remove := func(path string) error {
		f.step()
		return os.RemoveAll(path)
	}
	top := filepath.Join(f.gitDir, "objects")
	shortcuts := files.Matching(top, "pack/multi-pack-index*")
	for _, path := range append(shortcuts, filepath.Join(top, "info/packs"), filepath.Join(top, "info/commit-graph")) {
		if err := remove(path); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(top, "info", "commit-graphs")); err != nil {
		return err
	}
	for _, old := range f.old {
		if old == stem {
			continue
		}
		// First the index: a pack without one is invisible, an index without its pack is damage.
		for _, end := range []string{".idx", ".pack", ".rev", ".bitmap", ".promisor", ".mtimes"} {
			if err := remove(old + end); err != nil {
				return err
			}
		}
	}
	f.step()
	return nil
}

// removeLoose deletes loose objects that are in the new pack by now, and those that nothing needs once they are an
// hour old: before that a program may be about to use them. The agent makes none; people and their programs do.
func (f *repacking) removeLoose(now time.Time) error {
	return eachLoose(f.gitDir, func(id plumbing.Hash, path string) error {
		if !f.Has(id) {
			info, err := os.Lstat(path)
			if err != nil || now.Sub(info.ModTime()) < leftOverAge {
				return nil
			}
		}
		f.step()
		return os.RemoveAll(path)
	})
}

// eachLoose visits the loose objects of a clone.
func eachLoose(gitDir string, visit func(plumbing.Hash, string) error) error {
	top := filepath.Join(gitDir, "objects")
	for _, folder := range files.Matching(top, "[0-9a-f][0-9a-f]") {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if id, ok := objects.ParseID(filepath.Base(folder) + e.Name()); ok {
				if err := visit(id, filepath.Join(folder, e.Name())); err != nil {
					return err
				}
			}
		}
		_ = os.Remove(folder) // when it is empty
	}
	return nil
}
