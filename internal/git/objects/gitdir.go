package objects

import (
	"os"
	"path/filepath"

	"github.com/addagent/addagent/internal/files"
)

// TempFolder is a folder in .git, so on the filesystem of the tree, for files on their way into place.
const TempFolder = "addagent-tmp"

// WriteFile writes a file of a git directory whole or not at all, and makes its folder. Its temp file lies where git
// does not look: beside a ref it would be another ref.
func WriteFile(git, name string, data []byte) error {
	path, temp := filepath.Join(git, filepath.FromSlash(name)), filepath.Join(git, TempFolder)
	for _, folder := range []string{filepath.Dir(path), temp} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return files.WriteVia(temp, path, data, 0o644)
}
