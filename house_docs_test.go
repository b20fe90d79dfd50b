package house

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mention finds `path/to/file.ext` and `folder/` in the documents.
var mention = regexp.MustCompile("`((?:[A-Za-z0-9_.-]+/)+[A-Za-z0-9_.*-]*|[A-Za-z0-9_-]+\\.(?:go|md|sh))`")

// ofThisHouse are the first parts of paths that are ours and must exist; others (`nodework/`, `gitrepo/`, ...) are
// files on people's nodes.
var ofThisHouse = []string{"agent", "work", "presence", "fleet", "systemd", "internal", "cmd", "demo", "examples", "test", "docs", "packaging", "cloudformation", "packer", "vagrant"}

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

// TestDocsAreListed: docs/README.md links every page and file of docs/ once, and says what a reader can do with it.
func TestDocsAreListed(t *testing.T) {
	data, err := os.ReadFile("docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob("docs/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		name := filepath.Base(path)
		if n := strings.Count(string(data), "]("+name+")"); n != 1 && name != "README.md" {
			t.Errorf("docs/README.md links %s %d times", name, n)
		}
	}
	link := regexp.MustCompile(`\]\(([A-Za-z0-9_./-]+)(#[a-z0-9-]+)?\)`)
	for _, path := range append(all, "README.md") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(path, ".md") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(page), -1) {
			target, err := os.ReadFile(filepath.Join(filepath.Dir(path), m[1]))
			switch {
			case err != nil:
				t.Errorf("%s links %s: %v", path, m[1], err)
			case m[2] != "" && !slices.Contains(anchors(string(target)), m[2]):
				t.Errorf("%s links %s%s: no such heading", path, m[1], m[2])
			}
		}
		_, begins, _ := strings.Cut(string(page), "\n\n")
		if generated := strings.HasSuffix(path, "commands.md") || strings.HasSuffix(path, "addctl.md"); !generated && path != "README.md" && !strings.HasPrefix(begins, "Use this page to ") {
			t.Errorf("%s does not begin with what a reader can do with it: %.60q", path, begins)
		}
	}
}

// anchors are what links can name in a page.
func anchors(page string) (all []string) {
	odd := regexp.MustCompile(`[^a-z0-9 _-]`)
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") {
			title := odd.ReplaceAllString(strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#"))), "")
			all = append(all, "#"+strings.ReplaceAll(title, " ", "-"))
		}
	}
	return all
}

// TestDocsSayWhatIsSo holds statements of the documents against what they are about.
func TestDocsSayWhatIsSo(t *testing.T) {
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	// How often git must push into one branch: in words, and in the table below.
	page := read("docs/performance.md")
	words := map[string]string{"2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "10": "ten", "11": "eleven", "12": "twelve"}
	said := regexp.MustCompile(`ten nodes need (\w+) pushes each and a hundred nodes need (\w+)\.`).FindStringSubmatch(strings.ReplaceAll(page, "\n", " "))
	for i, nodes := range []string{"10", "100"} {
		row := regexp.MustCompile(`(?m)^\| ` + nodes + ` \| a transition \| git, one branch \| \d+ \| [\d.]+ \| ([\d.]+) \|`).FindStringSubmatch(page)
		if said == nil || row == nil {
			t.Fatal("docs/performance.md has no sentence or no row about one branch")
		}
		pushes, err := strconv.ParseFloat(row[1], 64)
		if err != nil || said[i+1] != words[strconv.Itoa(int(math.Round(pushes)))] {
			t.Errorf("docs/performance.md says %s pushes each with %s nodes, and measured %s", said[i+1], nodes, row[1])
		}
	}
	// What a node prints about features of git that it does not have.
	sources, err := filepath.Glob("internal/git/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, path := range sources {
		if !strings.HasSuffix(path, "_test.go") {
			printed.WriteString(read(path))
		}
	}
	for _, text := range []string{"submodule as it is", "Git LFS pointer as it is", "content is not converted (eol, ident, encoding, filter), though ", "a tag does not move", "the repository names its objects by "} {
		if !strings.Contains(read("docs/git.md"), text) || !strings.Contains(printed.String(), text) {
			t.Errorf("docs/git.md and internal/git do not both say %q", text)
		}
	}
	// One port for metrics, everywhere.
	port := regexp.MustCompile(`127\.0\.0\.1:(9\d\d\d)\b`)
	for _, path := range []string{"docs/metrics.md", "docs/config.md", "docs/addagent.yaml", "internal/metrics/server.go"} {
		for _, m := range port.FindAllStringSubmatch(read(path), -1) {
			if m[1] != "9464" {
				t.Errorf("%s: port %s", path, m[1])
			}
		}
	}
	// A line of a fleet's room names deployment, part and a short commit, as fleet/control words it.
	line := regexp.MustCompile("`(\\d+ of \\d+ [^`]*)`")
	shape := regexp.MustCompile(`^\d+ of \d+ [a-z0-9]+/[a-z0-9]+ [a-z]+ at [0-9a-f]{7}(: .*| \(was \d+, for .*\).*)$`)
	lines := line.FindAllStringSubmatch(read("docs/chat.md"), -1)
	for _, m := range lines {
		if !shape.MatchString(m[1]) {
			t.Errorf("docs/chat.md: a fleet's room has no line such as %q", m[1])
		}
	}
	if len(lines) < 2 {
		t.Errorf("docs/chat.md shows %d lines of a fleet's room", len(lines))
	}
}
