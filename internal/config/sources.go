package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"golang.org/x/sys/unix"
)

const (
	// dropIns is the folder beside the file whose files are read after it.
	dropIns = "addagent.d"
	// sizeLimit is far above any config file: 2,000 repositories take 110 KB.
	sizeLimit = 256 << 10
	// wholeLimit and countLimit are for the file and the drop-ins together.
	wholeLimit = 1 << 20
	countLimit = 100
)

// source is a file of the config: its name, relative to the folder of the config file, and its text.
type source struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// inPlace is the path of a source by its name, for a config file at path.
func inPlace(path, name string) string {
	if name == filepath.Base(path) {
		return path // as the person wrote it
	}
	return filepath.Join(filepath.Dir(path), name)
}

// gather reads the config file at path and its drop-ins, in order.
func (l *loader) gather(path string, optional bool) []source {
	var all []source
	whole := 0
	add := func(name string) {
		l.file = inPlace(path, name)
		l.order = append(l.order, l.file)
		data, err := files.ReadSmall(l.file, sizeLimit)
		whole += len(data)
		switch {
		case errors.Is(err, fs.ErrNotExist) && l.file == path && optional:
		case errors.Is(err, fs.ErrNotExist) && l.file == path:
			l.say(place{}, "", "no such file: create it, or name another with --config")
		case errors.Is(err, fs.ErrNotExist):
			l.say(place{}, "", "points to a file that does not exist: correct the link, or remove it")
		case errors.Is(err, files.ErrTooLarge):
			l.say(place{}, "", fmt.Sprintf("is too large: a config file has at most %s", human.BinarySize(sizeLimit)))
		case err != nil:
			l.say(place{}, "", "cannot be read: "+files.Cause(err).Error())
		case whole > wholeLimit:
			l.say(place{}, "", fmt.Sprintf("is too much: all files together may have at most %s", human.BinarySize(wholeLimit)))
		default:
			all = append(all, source{Name: name, Text: string(data)})
		}
	}
	add(filepath.Base(path))
	for _, name := range l.dropIns(path) {
		add(name)
	}
	return all
}

// dropIns lists the names of the drop-ins in order, and notes similar files that are not read.
func (l *loader) dropIns(path string) []string {
	l.file = inPlace(path, dropIns)
	entries, err := os.ReadDir(l.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.say(place{}, "", "cannot be read: "+files.Cause(err).Error())
	}
	var names []string
	for _, e := range entries { // sorted by name
		name := filepath.Join(dropIns, e.Name())
		yaml, yml := strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml")
		switch {
		case (yaml || yml) && strings.HasPrefix(e.Name(), "."):
			l.note(place{file: inPlace(path, name)}, "", "is not read: its name begins with a dot")
		case yml:
			l.note(place{file: inPlace(path, name)}, "", "is not read: only names that end in .yaml are")
		case yaml:
			names = append(names, name)
		}
	}
	if len(names) > countLimit {
		l.say(place{}, "", fmt.Sprintf("holds %s: merge some, at most %d are read", human.Count(len(names), "file"), countLimit))
		names = names[:countLimit]
	}
	return names
}

// Stamp changes when the config file at path, or a file in addagent.d beside it, is written, replaced, removed or
// added. It reads no file.
func Stamp(path string) string {
	var b strings.Builder
	add := func(name string) {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil { // follows links
			fmt.Fprintf(&b, "%q %v\n", name, err)
			return
		}
		// Programs can set the modification time, but not the change time.
		fmt.Fprintf(&b, "%q %d %d %d %d %d\n", name, st.Dev, st.Ino, st.Size, st.Mode, st.Ctim.Nano())
	}
	add(path)
	dir := inPlace(path, dropIns)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		add(dir)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".yaml") || strings.HasSuffix(e.Name(), ".yml") {
			add(filepath.Join(dir, e.Name()))
		}
	}
	return b.String()
}

// Stamp is that of the files when c was loaded from them; "" for the last good config.
func (c *Config) Stamp() string { return c.stamp }

// Files lists the files that c was loaded from, in order.
func (c *Config) Files() []string {
	var all []string
	for _, s := range c.sources {
		all = append(all, inPlace(c.path, s.Name))
	}
	return all
}

// inOrder sorts problems by file in the order in which the files are read, then by line.
func (l *loader) inOrder() Problems {
	slices.SortStableFunc(l.problems, func(a, b Problem) int {
		file := slices.Index(l.order, a.File) - slices.Index(l.order, b.File)
		return cmp.Or(file, a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Key, b.Key))
	})
	return l.problems
}
