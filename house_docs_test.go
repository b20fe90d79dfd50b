package house

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mention finds `path/to/file.ext` and `folder/` in the documents.
var mention = regexp.MustCompile("`((?:[A-Za-z0-9_.-]+/)+[A-Za-z0-9_.*-]*|[A-Za-z0-9_-]+\\.(?:go|md|sh))`")

// ofThisHouse are the first parts of paths that are ours and must exist; others (`nodework/`, `gitrepo/`, ...) are
// files on people's nodes.
var ofThisHouse = []string{"agent", "work", "presence", "fleet", "systemd", "internal", "cmd", "demo", "test", "docs", "packaging", "cloudformation", "packer", "vagrant"}

func TestDocsNameWhatExists(t *testing.T) {
	docs := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	more, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, d := range append(docs, more...) {
		f, err := os.Open(d)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(f)
		for n := 1; in.Scan(); n++ {
			for _, m := range mention.FindAllStringSubmatch(in.Text(), -1) {
				p := strings.TrimSuffix(m[1], "/")
				first, _, deep := strings.Cut(p, "/")
				if strings.Contains(m[1], "/") && !slices.Contains(ofThisHouse, first) || strings.Contains(p, "NAME") {
					continue
				}
				if !deep && (filepath.Ext(p) == ".go" || strings.HasSuffix(p, ".sh")) {
					continue // a file of the package the text speaks of, or a script on people's nodes
				}
				if matches, _ := filepath.Glob(p); len(matches) == 0 {
					t.Errorf("%s:%d names %s, which does not exist", d, n, m[1])
				}
				checked++
			}
		}
		f.Close()
	}
	if checked == 0 {
		t.Error("no path found in any document: the pattern is broken")
	}
}
