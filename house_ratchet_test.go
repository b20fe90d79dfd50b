package house

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// ratchetFile lists what breaks a rule of size or wording today, one "key: number" a line.
// A number may only fall: `RATCHET=1 go test -run TestRatchet .` lowers what became smaller and
// raises nothing. A larger number is written by hand, and the commit says why.
const ratchetFile = "testdata/ratchet.txt"

const (
	fileLines     = 400  // of a file, tests too
	packageLines  = 2000 // of a package, without tests
	commentColumn = 120  // a tab counts as four
	namePackages  = 2    // that define the same lower-case type or function
)

// commandFile is what `package main` of cmd/ may hold.
var commandFile = regexp.MustCompile(`^(cmd_\w+|root|main|complete)\.go$`)

// bannedWords make a sentence that has to be read twice. Each stands with what to write instead.
var bannedWords = map[string]string{
	`nobody|somebody|whoever`:      `name the subject, or use the passive: "not used", "a user", "the caller"`,
	`that is none|is no such`:      `"not a ..."`,
	`no more`:                      `"no longer", or "stopped"; "no more than" is fine`,
	`rests|let [^.]{1,40}? rest`:   `"disabled"`,
	`for ever`:                     `"forever", "permanently", or nothing`,
	`mend|mends|mended|mending`:    `"fix" or "repair"`,
	`sees to it|see to it`:         `"ensures"`,
	`which is not to|is not to be`: `say what it is for`,
}

// product tells whether a file is part of the product: no test, no server or suite that only tests use.
func (s source) product() bool {
	return !s.test() && s.dir != "test" && !strings.HasPrefix(s.dir, "test/") && !strings.HasSuffix(s.dir, "test")
}

// measured returns what breaks a rule, by how much.
func measured(t *testing.T) map[string]int {
	found := map[string]int{}
	lines := map[string]int{}
	names := map[string]map[string]bool{}
	for _, s := range sources(t) {
		n := s.fset.File(s.file.Pos()).LineCount()
		if n > fileLines {
			found["lines of file "+path.Join(s.dir, s.name)] = n
		}
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				found["comments wider than "+strconv.Itoa(commentColumn)] += wide(s, c)
			}
		}
		if !s.product() {
			continue
		}
		lines[s.dir] += n
		if strings.HasPrefix(s.dir, "cmd/") && !commandFile.MatchString(s.name) {
			found["other files in "+s.dir]++
		}
		for _, name := range lowerNames(s.file) {
			if names[name] == nil {
				names[name] = map[string]bool{}
			}
			names[name][s.dir] = true
		}
	}
	for dir, n := range lines {
		if n > packageLines {
			found["lines of "+dir] = n
		}
	}
	for name, where := range names {
		if len(where) > namePackages {
			found["packages that define "+name] = len(where)
		}
	}
	countWords(t, found)
	maps.DeleteFunc(found, func(_ string, n int) bool { return n == 0 })
	return found
}

func wide(s source, c *ast.Comment) int {
	count := 0
	indent := s.fset.Position(c.Pos()).Column - 1 // right for a comment that stands alone, near enough behind code
	for i, line := range strings.Split(c.Text, "\n") {
		width := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
		if i == 0 {
			width += 4 * indent
			if indent > 8 {
				width += indent - 4*indent
			}
		}
		if width > commentColumn && !strings.HasPrefix(line, "//go:") {
			count++
		}
	}
	return count
}

// lowerNames are the types and functions of a file, without methods, that its package keeps to itself.
func lowerNames(f *ast.File) []string {
	var names []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && !d.Name.IsExported() && d.Name.Name != "main" {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			if d.Tok != token.TYPE {
				continue
			}
			for _, spec := range d.Specs {
				if n := spec.(*ast.TypeSpec).Name; !n.IsExported() {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// countWords counts banned words in Go files and in the documents that people write.
func countWords(t *testing.T, found map[string]int) {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, docs...)
	for _, s := range sources(t) {
		if s.dir != "." {
			files = append(files, path.Join(s.dir, s.name))
		}
	}
	patterns := map[string]*regexp.Regexp{}
	for words := range bannedWords {
		patterns[words] = regexp.MustCompile(`(?i)\b(?:` + words + `)\b(?: than)?`)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for words, pattern := range patterns {
			for _, hit := range pattern.FindAllString(string(data), -1) {
				if !strings.HasSuffix(hit, "than") {
					found["words "+words]++
				}
			}
		}
	}
}

func readRatchet(t *testing.T) map[string]int {
	t.Helper()
	f, err := os.Open(ratchetFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed := map[string]int{}
	for in := bufio.NewScanner(f); in.Scan(); {
		key, number, ok := strings.Cut(in.Text(), ": ")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n <= 0 {
			t.Fatalf("%s: not a line \"key: number\": %q", ratchetFile, in.Text())
		}
		listed[key] = n
	}
	return listed
}

func TestRatchet(t *testing.T) {
	listed, found := readRatchet(t), measured(t)
	for key, n := range found {
		if n <= listed[key] {
			continue
		}
		hint := ""
		if words, ok := strings.CutPrefix(key, "words "); ok {
			hint = ": write " + bannedWords[words]
		}
		t.Errorf("%s: %d, and %s allows %d%s", key, n, ratchetFile, listed[key], hint)
	}
	lower := map[string]int{}
	for key, n := range listed {
		if m := min(n, found[key]); m > 0 {
			lower[key] = m
		}
	}
	if maps.Equal(lower, listed) {
		return
	}
	if os.Getenv("RATCHET") == "" {
		t.Logf("%s can be lowered: RATCHET=1 go test -run TestRatchet .", ratchetFile)
		return
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(lower)) {
		fmt.Fprintf(&b, "%s: %d\n", key, lower[key])
	}
	if err := os.WriteFile(ratchetFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
