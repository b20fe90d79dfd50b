package clone

import (
	"os"
	"path/filepath"
	"strings"
)

// gitWorksIn says whether a git program runs in a folder.
func gitWorksIn(dir string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	processes, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return false
	}
	for _, comm := range processes {
		name, err := os.ReadFile(comm)
		if err != nil || !strings.HasPrefix(string(name), "git") {
			continue
		}
		at, err := os.Readlink(filepath.Join(filepath.Dir(comm), "cwd"))
		if err == nil && (at == dir || strings.HasPrefix(at, dir+"/")) {
			return true
		}
	}
	return false
}
