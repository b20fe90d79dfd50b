package clitest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quoted finds calls of a program in a page: in a line of a code block, or between backticks.
var quoted = regexp.MustCompile("(?m)(?:^(?:[$#] )?|`)((?:addagent|addctl) [a-z][^`\n|;&#>]*)")

// TestQuoted holds the calls of the program in the pages of a folder, and in README.md above it, against its commands
// and their flags.
func (m Manual) TestQuoted(t *testing.T, dir string) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	name, seen := m.Root.Name(), 0
	for _, page := range append(pages, filepath.Join(dir, "..", "README.md")) {
		if filepath.Base(page) == m.Markdown { // made from the commands
			continue
		}
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range quoted.FindAllStringSubmatch(string(data), -1) {
			words := strings.Fields(call[1])
			if words[0] != name || words[1] == "is" { // a sentence that begins a line
				continue
			}
			seen++
			c, rest, err := m.Root.Find(words[1:])
			if err != nil || c == m.Root {
				t.Errorf("%s: no command in %q", page, call[1])
				continue
			}
			for _, word := range rest {
				flag, isFlag := strings.CutPrefix(word, "--")
				flag, _, _ = strings.Cut(strings.TrimRight(flag, ",.)"), "=")
				if isFlag && flag != "help" && c.Flags().Lookup(flag) == nil && c.InheritedFlags().Lookup(flag) == nil {
					t.Errorf("%s: no flag --%s in %q", page, flag, call[1])
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("%d calls of %s in the pages: the pattern is broken", seen, name)
	}
}
