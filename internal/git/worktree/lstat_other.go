//go:build !linux

package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stateOf turns what lstat says into what is compared with an index.
func stateOf(info fs.FileInfo) fileState { return plainState(info) }

// renameInto moves a file from one open folder to another.
func renameInto(from *folder, name string, to *folder, target string) error {
	if err := os.Rename(filepath.Join(from.dir.Name(), name), filepath.Join(to.dir.Name(), target)); err != nil {
		return fmt.Errorf("rename to %s: %w", target, err)
	}
	return nil
}

// exchangeInto swaps two files in one step, which cannot be done here.
func exchangeInto(*folder, string, *folder, string) error { return errors.ErrUnsupported }

// syncFilesystem asks for the folder itself only: there is no call for a whole filesystem.
func syncFilesystem(in *folder) error { return in.dir.Sync() }

// bootID names this boot of the machine; empty when the system has no such thing.
func bootID() string { return "" }
