package objects

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// TempFolder is a folder in .git, so on the filesystem of the tree, for files on their way into place.
const TempFolder = "addagent-tmp"

// WriteFile writes a file of a git directory whole or not at all, and makes its folder. Its temp file lies where git
// does not look: beside a ref it would be another ref. One process writes at a time: the left-over of a killed one is
// overwritten.
func WriteFile(git, name string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	path := filepath.Join(git, filepath.FromSlash(name))
	temp := filepath.Join(git, TempFolder, "file")
	for _, folder := range []string{filepath.Dir(path), filepath.Dir(temp)} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp) // else the next write overwrites it
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
