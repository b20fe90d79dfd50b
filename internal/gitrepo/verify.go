package gitrepo

import (
	"context"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// verifyTree makes the work tree what a commit says, and compares every tracked file by its content: for when the index
// is lost, and after a crash of the machine. As after moveTree, commitMove must follow.
func verifyTree(ctx context.Context, objects storer.EncodedObjectStorer, dir string, at plumbing.Hash, progress func()) (moved, error) {
	return move(ctx, objects, dir, at, at, true, nil, progress, &Progress{})
}
