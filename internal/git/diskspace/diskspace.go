// Package diskspace says whether the disk has room for what git brings, before it is full.
//
// It knows no network and no refs: Guard is asked while a pack comes in, Enough before a tree moves.
package diskspace

import (
	"context"
	"fmt"
	"syscall"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/human"
	"github.com/go-git/go-git/v5/plumbing"
)

// keepFree is how many bytes of disk a pull must leave: enough for the small files in which an agent keeps its state
// for a long time, little enough that a node with a small disk is still served.
const keepFree = 4 << 20

// muchRoom free bytes are enough for any push that people work with, so what a change needs is not counted then. One
// that needed more would end in the middle, be told, and be finished when there is room.
const muchRoom = 2 << 30

// Replaced bounds the bytes of replaced files that are kept for a while when a tree moves.
const Replaced = 32 << 20

// Guard lets a pack in a folder grow until only keepFree is left, and passes on how much has come.
func Guard(dir string, came func(bytes int64, objects int)) pack.Progress {
	next := int64(0)
	return func(size int64, objects int) error {
		came(size, objects)
		if size < next {
			return nil
		}
		free, ok := Free(dir)
		if ok && free < keepFree {
			return fmt.Errorf("%w: %s are free on the disk of %s, %s must stay free", syscall.ENOSPC, human.BinarySize(free), dir, human.BinarySize(keepFree))
		}
		next = size + 16<<20
		if ok {
			next = size + min(16<<20, max((free-keepFree)/2, 64<<10)) // others write to it, too
		}
		return nil
	}
}

// Enough says whether the tree can be moved without filling the disk. When it cannot, nothing has been written
// yet.
func Enough(ctx context.Context, store *objects.Reader, dir string, from, to plumbing.Hash) error {
	free, ok := Free(dir)
	if !ok || free >= muchRoom {
		return nil
	}
	var was plumbing.Hash
	is, err := store.TreeOf(to)
	if err == nil && !from.IsZero() {
		was, err = store.TreeOf(from)
	}
	if err != nil {
		return nil // who moves the tree will find that, and say it
	}
	var written, more, largest int64
	size := func(e *objects.Line) int64 {
		if e == nil || e.Mode == objects.ModeSubmodule {
			return 0
		}
		_, n, _ := store.KindAndSize(e.ID) // 0 of what cannot be read: the move says that
		return (n + 4095) &^ 4095
	}
	d := objects.Differ{Objects: store, Visit: func(c objects.Change) error {
		n := size(c.Is)
		written, more, largest = written+n, more+n-size(c.Was), max(largest, n)
		return ctx.Err()
	}}
	if err := d.Walk(was, is); err != nil {
		return ctx.Err()
	}
	// A file and the one that it replaces are there at the same time; of the replaced ones some are kept for a while.
	need := max(more, 0) + min(written, max(largest, Replaced))
	if free-need < keepFree {
		return fmt.Errorf("%w: the change needs %s on the disk of %s, %s are free and %s must stay free: make room there",
			syscall.ENOSPC, human.BinarySize(need+1<<20-1), dir, human.BinarySize(free), human.BinarySize(keepFree))
	}
	return nil
}
