//go:build !(linux && (amd64 || arm64))

package worktree

import "github.com/go-git/go-git/v5/plumbing"

// Watcher knows nothing on this system: each move looks at every tracked file.
type Watcher struct{}

// NewWatcher returns one.
func NewWatcher() *Watcher { return &Watcher{} }

type DirtySet struct{}

func (w *Watcher) DirtySet() *DirtySet { return nil }

func (n *DirtySet) recall(*indexFile) ([]string, plumbing.Hash, bool) {
	return nil, plumbing.Hash{}, false
}

func (n *DirtySet) watch(*statter) {}

func (n *DirtySet) Forget() {}

func (n *DirtySet) settle(string, plumbing.Hash) {}
