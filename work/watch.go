package work

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// Watch is what an item depends on: a path of a repository, or a set of nodes.
type Watch struct {
	Repo  string // "" = the item's own repository
	Path  string // relative, clean, with slashes; "." = the whole repository
	Nodes Nodes  // with it Repo and Path are empty
}

// key is the watch's name among the ids, see Fingerprints; own is the repository of the item.
func (w Watch) key(own string) string {
	switch {
	case w.Nodes != (Nodes{}):
		return w.Nodes.key()
	case w.Repo != "" && w.Repo != own:
		return w.Repo + ":" + w.Path
	case w.Path == ".":
		return "."
	}
	return "./" + w.Path
}

// cleanWatch makes a path of a watch comparable. "", "." and "/" mean the whole repository.
func cleanWatch(p string) (string, error) {
	switch {
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return "", fmt.Errorf("%s has control characters", human.Quote(p))
	case p == "" || p == "/":
		return ".", nil
	case strings.HasPrefix(p, "/"):
		return "", fmt.Errorf("%s is absolute: a watch is relative to the root of its repository", human.Quote(p))
	case slices.Contains(strings.Split(p, "/"), ".."):
		return "", fmt.Errorf("%s has \"..\": a watch cannot leave its repository", human.Quote(p))
	}
	return path.Clean(p), nil
}

// overrideMax bounds the local override: a person wrote it.
const overrideMax = 64 << 10

// readOverride reads the local override of an item's watches: a path a line, paths of the own repository. nil when
// there is none; an empty one means the whole repository, as it always did. The problem names file and line.
func readOverride(repoDir, item string) ([]Watch, string) {
	file := filepath.Join(MemoryDir(repoDir, item), overrideFile)
	data, err := files.ReadSmall(file, overrideMax)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) { // or no folder
		return nil, ""
	}
	if err != nil {
		return nil, fmt.Sprintf("%s cannot be used: %v", file, err)
	}
	watch, problem := parseOverride(string(data))
	if problem != "" {
		return nil, file + ":" + problem
	}
	return watch, ""
}

func parseOverride(text string) ([]Watch, string) {
	watch := []Watch{}
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		p, err := cleanWatch(line)
		if err != nil {
			return nil, fmt.Sprintf("%d: %v", n+1, err)
		}
		watch = append(watch, Watch{Path: p})
	}
	if len(watch) == 0 {
		watch = append(watch, Watch{Path: "."})
	}
	return unique(watch), ""
}

// unique leaves the first of equal watches.
func unique(all []Watch) []Watch {
	seen := map[Watch]bool{}
	return slices.DeleteFunc(all, func(w Watch) bool {
		before := seen[w]
		seen[w] = true
		return before
	})
}
