//go:build !linux

package worktree

import (
	"errors"
	"io/fs"
	"os"
)

// createNameless would make a file without a name.
func createNameless(*folder, fs.FileMode) (*os.File, int, error) {
	return nil, -1, errors.ErrUnsupported
}

// nameNameless would name it.
func nameNameless(int, *folder, string) error { return errors.ErrUnsupported }
