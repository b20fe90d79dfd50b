// Package clitest makes a program's manual pages from its commands, and tests that each command has a transcript.
package clitest

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
	"unicode"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const docsDir = "../../docs" // as a program's own tests see it

// Manual is what a program's manual is made of: its commands, and what none of
// them says of itself.
type Manual struct {
	Root        *cobra.Command
	Synopsis    string              // of the program
	Codes       []string            // the exit codes that its commands have, in order; 0, 1 and 2 at least
	Also        map[string][]string // which commands belong together
	SeeAlso     []string            // pages of other programs
	Files       []Block
	Environment []Block
	Pages       []*Page // besides those of the commands
	Markdown    string  // the name of the same text below docs/
}

// Test keeps docs/man/ and the Markdown of a program the same as its commands.
// UPDATE=1 writes them. It is to be called by TestDocs of the program's package.
func (m Manual) Test(t *testing.T) {
	t.Helper()
	program := m.Root.Name()
	madeBy := fmt.Sprintf("Made from the code by `UPDATE=1 go test -run TestDocs ./cmd/%s`: change it there.", program)
	codes := exitCodes(t, m.Codes)
	pages := []*Page{m.rootPage(codes)}
	for _, c := range shown(m.Root) {
		pages = append(pages, m.commandPage(c, codes))
	}
	commands := "# Commands\n\n<!-- " + madeBy + " -->\n\n" + pages[0].markdown(2)
	for i, c := range shown(m.Root) {
		commands += fmt.Sprintf("## %s\n\n%s.\n\n%s", c.CommandPath(), mdLine(c.Short), pages[i+1].markdown(3))
	}
	want := map[string]string{m.Markdown: strings.TrimSpace(commands) + "\n"}
	for _, p := range append(pages, m.Pages...) {
		want[fmt.Sprintf("man/%s.%d", p.Name, p.Number)] = p.roff(program, madeBy)
	}

	old, err := filepath.Glob(docsDir + "/man/" + program + `[.\-]*`)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range old {
		if _, ok := want["man/"+filepath.Base(path)]; ok {
			continue
		}
		if os.Getenv("UPDATE") == "" {
			t.Errorf("%s is the page of no command any more: UPDATE=1 go test -run TestDocs ./cmd/%s", path, program)
		} else if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		testkit.Golden(t, filepath.Join(docsDir, name), want[name])
	}
}

// TestTranscripts fails for a command of the program that has no transcript below
// testdata/script/, a colon of its name written as a dash.
func (m Manual) TestTranscripts(t *testing.T) {
	t.Helper()
	for _, c := range m.Root.Commands() {
		if c.Hidden {
			continue
		}
		if c.Short == "" || !unicode.IsUpper(rune(c.Short[0])) || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the summary %q is not one sentence with a capital and without a full stop", c.Name(), c.Short)
		}
		if _, err := os.Stat(filepath.Join("testdata", "script", fileName(c)+".txtar")); err != nil {
			t.Errorf("no transcript for %s: %v", c.Name(), err)
		}
	}
}

// fileName is a command's name where a colon would not do: in names of files that
// every system must be able to check out.
func fileName(c *cobra.Command) string { return strings.ReplaceAll(c.Name(), ":", "-") }

// shown are the commands that people see.
func shown(root *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(root.Commands()), func(c *cobra.Command) bool { return c.Hidden || c.Name() == "help" })
}

func (m Manual) rootPage(codes []Block) *Page {
	root, program := m.Root, m.Root.Name()
	p := &Page{Name: program, Number: 1, Short: root.Short}
	p.words = placeholders(root.Use, root.PersistentFlags())
	p.Add("SYNOPSIS", Block{Text: m.Synopsis})
	description, _ := prose(root.Long)
	p.Add("DESCRIPTION", description...)
	var commands []Block
	also := []string{"addagent.yaml(5)"}
	for _, c := range shown(root) {
		commands = append(commands, Block{Term: c.CommandPath(), Text: c.Short})
		also = append(also, program+"-"+fileName(c)+"(1)")
	}
	p.Add("COMMANDS", commands...)
	p.Add("OPTIONS OF EVERY COMMAND", append(options(root.PersistentFlags()), Block{Term: "-h, --help", Text: "print what the command does and takes"})...)
	p.Add("EXIT STATUS", codes...)
	p.Add("FILES", m.Files...)
	p.Add("ENVIRONMENT", m.Environment...)
	p.Add("SEE ALSO", Block{Text: strings.Join(append(also, m.SeeAlso...), ", ")})
	return p
}

func (m Manual) commandPage(c *cobra.Command, codes []Block) *Page {
	program := m.Root.Name()
	p := &Page{Name: program + "-" + fileName(c), Number: 1, Short: c.Short}
	p.words = placeholders(c.Use, c.LocalFlags())
	p.Add("SYNOPSIS", Block{Text: synopsis(c)})
	description, own := prose(c.Long)
	if len(description) == 0 {
		description = []Block{{Text: c.Short + "."}}
	}
	p.Add("DESCRIPTION", description...)
	p.Add("OPTIONS", options(c.LocalNonPersistentFlags())...)
	if c.Example != "" {
		p.Add("EXAMPLES", Block{Code: dedent(c.Example)})
	}
	if own == nil {
		own = []Block{codes[0], codes[1]}
	}
	if !slices.ContainsFunc(own, func(b Block) bool { return b.Term == "2" }) {
		own = append(own, codes[2])
		slices.SortStableFunc(own, func(a, b Block) int {
			if len(a.Term) != len(b.Term) {
				return len(a.Term) - len(b.Term)
			}
			return strings.Compare(a.Term, b.Term)
		})
	}
	p.Add("EXIT STATUS", own...)
	var others []string
	for _, name := range m.Also[c.Name()] {
		others = append(others, program+"-"+strings.ReplaceAll(name, ":", "-")+"(1)")
	}
	p.Add("SEE ALSO", Block{Text: strings.Join(append(others, program+"(1), addagent.yaml(5)"), ", ")},
		Block{Text: fmt.Sprintf("The options of every command, the files and the environment are in %s(1).", program)})
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

func options(flags *pflag.FlagSet) (blocks []Block) {
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
		blocks = append(blocks, Block{Term: term, Text: usage})
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
func prose(long string) (text, codes []Block) {
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
				codes = append(codes, Block{Term: list[m[2]:m[3]], Text: strings.TrimSuffix(list[m[1]:end], ".")})
			}
		case strings.HasPrefix(para, "  "):
			text = append(text, Block{Code: dedent(para)})
		case para != "":
			text = append(text, Block{Text: para})
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

// exitCodes reads the codes that a program has, and their comments, where they are
// defined.
func exitCodes(t *testing.T, wanted []string) (codes []Block) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../internal/cli/exit.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Exit") && v.Comment != nil {
			if code := v.Values[0].(*ast.BasicLit).Value; slices.Contains(wanted, code) {
				codes = append(codes, Block{Term: code, Text: strings.TrimSpace(v.Comment.Text())})
			}
		}
		return true
	})
	if len(codes) != len(wanted) || codes[2].Term != "2" {
		t.Fatalf("the exit codes of internal/cli/exit.go: %v, wanted are %v", codes, wanted)
	}
	return codes
}
