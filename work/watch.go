package work

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work/sets"
)

// Watch is what an item depends on: a path of a repository, a set of nodes, or one of endpoints.
type Watch struct {
	Repo  string     // "" = the item's own repository
	Path  string     // relative, clean, with slashes; "." = the whole repository
	Nodes sets.Nodes // with it Repo and Path are empty

	Service service.Watch // the same
}

// ofSet says whether it is of a set, which no tree knows.
func (w Watch) ofSet() bool { return w.Nodes != (sets.Nodes{}) || w.Service != (service.Watch{}) }

// key is the watch's name among the ids, see Fingerprints; own is the repository of the item.
func (w Watch) key(own string) string {
	switch {
	case w.Nodes != (sets.Nodes{}):
		return w.Nodes.Key()
	case w.Service != (service.Watch{}):
		return w.Service.Key()
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

// missing says which of the watched paths are not there, and what may be meant: such an item is deaf, and a person has
// misspelt it as likely as not. The init is left out, whose scripts are named when they are skipped.
func missing(it Item, all map[string]Checkout, ids map[string]string) (said []string) {
	for _, w := range it.Watch {
		c := all[cmp.Or(w.Repo, it.Repo)]
		if it.Level == Init || w.ofSet() || c.Tree == nil || ids[w.key(it.Repo)] != "" {
			continue
		}
		text := strings.TrimPrefix(w.key(it.Repo), "./") + ": not there"
		at, name := path.Split(w.Path)
		_, obstacle, _ := entryAt(c.Tree, w.Path)
		entries, _ := c.Tree.List(path.Clean(at))
		near := nearest(name, entries)
		switch {
		case obstacle != "":
			text += " (" + obstacle + ")"
		case strings.ContainsAny(w.Path, "*?[!"):
			text += ": a watch is a path, not a pattern"
		case near != "":
			// Escaped: letters that look the same may not be the same, as where an accent is a character of its own.
			text += fmt.Sprintf(", did you mean %s?", strings.Trim(strconv.QuoteToASCII(at+near), `"`))
		}
		said = append(said, text)
	}
	return said
}

// nearest is the name in a folder that is most like another one, "" when none is. What is not ASCII does not count.
func nearest(name string, entries []objects.Entry) string {
	ascii := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r > unicode.MaxASCII {
				return -1
			}
			return unicode.ToLower(r)
		}, s)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = ascii(e.Name)
	}
	if i := slices.Index(names, strictyaml.Nearest(ascii(name), names)); i >= 0 {
		return entries[i].Name
	}
	return ""
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
