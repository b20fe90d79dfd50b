package journal

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/addagent/addagent/work/run"
)

// KnownItems are the items that the last beat knew, in its order, and those that have left a log, as repo:item.
func KnownItems(home string) []string {
	var names []string
	if b, err := ReadBeat(home); err == nil && b != nil { // one that is damaged names none
		for _, i := range b.Items {
			names = append(names, i.Repo+":"+i.Item)
		}
		if h := b.InHand; h != nil && !slices.Contains(names, h.Name()) {
			names = append(names, h.Name())
		}
	}
	return append(names, ItemsWithLogs(filepath.Join(home, "log", "work"), names)...)
}

// logFolder takes the name of a folder of logs apart: the repository's name, an
// underscore, and an item, which begins with the word of its level.
var logFolder = regexp.MustCompile(`^(.+?)_((?:root|init|common|part\.|stacktype\.|service\.).*)$`)

// ItemsWithLogs are the items that have a folder in log/work, but for the known ones.
func ItemsWithLogs(dir string, known []string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // nothing has run yet
	}
	taken := map[string]bool{}
	for _, name := range known {
		repo, item, _ := strings.Cut(name, ":")
		taken[filepath.Base(run.LogDir(dir, repo, item))] = true
	}
	var names []string
	for _, e := range entries {
		if m := logFolder.FindStringSubmatch(e.Name()); m != nil && !taken[e.Name()] {
			names = append(names, m[1]+":"+m[2])
		}
	}
	return names
}
