package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/config"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	docsDir = "../../docs"
	madeBy  = "Made from the code by `UPDATE=1 go test -run TestDocs ./cmd/addagent`: change it there."
)

// TestDocs keeps the manual pages and docs/commands.md the same as the commands and
// the config keys. UPDATE=1 writes them.
func TestDocs(t *testing.T) {
	want := map[string]string{}
	root := (&process{env: os.Getenv, getuid: os.Getuid, out: os.Stdout, err: os.Stderr}).root()
	codes := exitCodes(t)
	pages := []*page{rootPage(root, codes)}
	for _, c := range shown(root) {
		pages = append(pages, commandPage(c, codes))
	}
	commands := "# Commands\n\n<!-- " + madeBy + " -->\n\n" + pages[0].markdown(2)
	for _, p := range pages[1:] {
		commands += fmt.Sprintf("## addagent %s\n\n%s.\n\n%s", strings.TrimPrefix(p.name, "addagent-"), mdLine(p.short), p.markdown(3))
	}
	want["commands.md"] = strings.TrimSpace(commands) + "\n"
	keys := configPage(t)
	for _, p := range append(pages, keys) {
		want[fmt.Sprintf("man/%s.%d", p.name, p.number)] = p.roff()
	}

	old, err := filepath.Glob(docsDir + "/man/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if _, ok := want["man/"+filepath.Base(path)]; ok {
			continue
		}
		if os.Getenv("UPDATE") == "" {
			t.Errorf("%s is the page of no command any more: UPDATE=1 go test -run TestDocs ./cmd/addagent", path)
		} else if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		sameAsFile(t, filepath.Join(docsDir, name), want[name])
	}
}

// sameAsFile compares a made document with the one in the repository; UPDATE=1 writes it.
func sameAsFile(t *testing.T, path, want string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is old (%v): UPDATE=1 go test -run '%s' ./cmd/addagent", path, err, t.Name())
	}
}

// shown are the commands that people see.
func shown(root *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(root.Commands()), func(c *cobra.Command) bool { return c.Hidden || c.Name() == "help" })
}

func rootPage(root *cobra.Command, codes []block) *page {
	p := &page{name: "addagent", number: 1, short: root.Short}
	p.words = placeholders(root.Use, root.PersistentFlags())
	p.add("SYNOPSIS", block{text: "addagent [--config FILE] [--home FOLDER] [--json] COMMAND ..."})
	description, _ := prose(root.Long)
	p.add("DESCRIPTION", description...)
	var commands []block
	for _, c := range shown(root) {
		commands = append(commands, block{term: "addagent " + c.Name(), text: c.Short})
	}
	p.add("COMMANDS", commands...)
	p.add("OPTIONS OF EVERY COMMAND", append(options(root.PersistentFlags()), block{term: "-h, --help", text: "print what the command does and takes"})...)
	_, files, environment := aboutNode()
	p.add("EXIT STATUS", codes...)
	p.add("FILES", files...)
	p.add("ENVIRONMENT", environment...)
	also := []string{"addagent.yaml(5)"}
	for _, c := range shown(root) {
		also = append(also, "addagent-"+c.Name()+"(1)")
	}
	p.add("SEE ALSO", block{text: strings.Join(append(also, "systemd.timer(5)", "git(1)"), ", ")})
	return p
}

func commandPage(c *cobra.Command, codes []block) *page {
	p := &page{name: "addagent-" + c.Name(), number: 1, short: c.Short}
	p.words = placeholders(c.Use, c.LocalFlags())
	p.add("SYNOPSIS", block{text: synopsis(c)})
	description, own := prose(c.Long)
	if len(description) == 0 {
		description = []block{{text: "Prints " + c.Short + "."}}
	}
	p.add("DESCRIPTION", description...)
	p.add("OPTIONS", options(c.LocalNonPersistentFlags())...)
	if c.Example != "" {
		p.add("EXAMPLES", block{code: dedent(c.Example)})
	}
	if own == nil {
		own = []block{codes[0], codes[1]}
	}
	if !slices.ContainsFunc(own, func(b block) bool { return b.term == "2" }) {
		own = append(own, codes[2])
		slices.SortStableFunc(own, func(a, b block) int {
			if len(a.term) != len(b.term) {
				return len(a.term) - len(b.term)
			}
			return strings.Compare(a.term, b.term)
		})
	}
	p.add("EXIT STATUS", own...)
	also, _, _ := aboutNode()
	var others []string
	for _, name := range also[c.Name()] {
		others = append(others, "addagent-"+name+"(1)")
	}
	p.add("SEE ALSO", block{text: strings.Join(append(others, "addagent(1), addagent.yaml(5)"), ", ")},
		block{text: "The options of every command, the files and the environment are in addagent(1)."})
	return p
}

// synopsis is the usage with every flag of the command's own.
func synopsis(c *cobra.Command) string {
	words := []string{c.CommandPath()}
	_, args, _ := strings.Cut(c.Use, " ")
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if strings.Contains(args, name) {
			return // the usage says how
		}
		if f.Shorthand != "" {
			name = "-" + f.Shorthand
		}
		if value, _ := pflag.UnquoteUsage(f); value != "" {
			name += " " + value
		}
		if f.Name != "help" {
			words = append(words, "["+name+"]")
		}
	})
	if args != "" {
		words = append(words, args)
	}
	return strings.Join(words, " ")
}

func options(flags *pflag.FlagSet) (blocks []block) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if value != "" {
			term += " " + value
		}
		if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) {
			usage += " (default " + f.DefValue + ")"
		}
		blocks = append(blocks, block{term: term, text: usage})
	})
	return blocks
}

// placeholders are the words in capitals by which a usage and its flags name values.
func placeholders(use string, flags *pflag.FlagSet) []string {
	_, text, _ := strings.Cut(use, " ")
	flags.VisitAll(func(f *pflag.Flag) {
		value, _ := pflag.UnquoteUsage(f)
		text += " " + value
	})
	all := regexp.MustCompile(`\b[A-Z]+\b`).FindAllString(text+" COMMAND", -1)
	slices.Sort(all)
	return slices.Compact(all)
}

var codeWord = regexp.MustCompile(`(?:^|, )(\d+) `)

// prose takes a command's long text apart: paragraphs, lines that are indented as
// they are, and the paragraph that lists the exit codes.
func prose(long string) (text, codes []block) {
	for para := range strings.SplitSeq(strings.TrimSpace(long), "\n\n") {
		list, ok := strings.CutPrefix(strings.Join(strings.Fields(para), " "), "Exit codes: ")
		switch {
		case ok:
			at := codeWord.FindAllStringSubmatchIndex(list, -1)
			for i, m := range at {
				end := len(list)
				if i+1 < len(at) {
					end = at[i+1][0]
				}
				codes = append(codes, block{term: list[m[2]:m[3]], text: strings.TrimSuffix(list[m[1]:end], ".")})
			}
		case strings.HasPrefix(para, "  "):
			text = append(text, block{code: dedent(para)})
		case para != "":
			text = append(text, block{text: para})
		}
	}
	return text, codes
}

func dedent(s string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		lines = append(lines, strings.TrimPrefix(line, "  "))
	}
	return strings.Join(lines, "\n")
}

// exitCodes reads the codes and their comments where they are defined, in main.go.
func exitCodes(t *testing.T) (codes []block) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "exit") && v.Comment != nil {
			codes = append(codes, block{term: v.Values[0].(*ast.BasicLit).Value, text: strings.TrimSpace(v.Comment.Text())})
		}
		return true
	})
	if len(codes) < 7 || codes[2].term != "2" {
		t.Fatalf("the exit codes of main.go: %v", codes)
	}
	return codes
}

func configPage(t *testing.T) *page {
	t.Helper()
	about, example, files := aboutConfig()
	dir := t.TempDir()
	path := filepath.Join(dir, "addagent.yaml")
	for name, text := range map[string]string{"addagent.yaml": strings.ReplaceAll(example, "/etc/addagent", dir), "git-token": "x", "git-key": "x", "known_hosts": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := config.Load(path, config.Options{Root: true}); err != nil {
		t.Errorf("the example of the manual page is wrong: %v", err)
	}
	p := &page{name: "addagent.yaml", number: 5, short: "the config file of addagent"}
	p.add("SYNOPSIS", block{text: "/etc/addagent/addagent.yaml"}, block{text: "/etc/addagent/addagent.d/*.yaml"})
	p.add("DESCRIPTION", about...)
	var keys []block
	for _, k := range config.Keys() {
		text := k.Doc + " Takes " + k.Kind + "."
		if !slices.Contains([]string{"", "[]", "{}"}, k.Default) {
			text += " Default: " + k.Default + "."
		}
		keys = append(keys, block{term: k.Key, text: text})
	}
	p.add("KEYS", keys...)
	p.add("EXAMPLE", block{code: example})
	p.add("FILES", files...)
	p.add("SEE ALSO", block{text: "addagent(1), addagent-check(1), gitcredentials(7), crontab(5)"})
	return p
}
