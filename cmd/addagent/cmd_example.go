package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/spf13/cobra"
)

// exampleTree is the repository that `addagent example` writes.
//
//go:embed example
var exampleTree embed.FS

func (p *process) exampleCommand(g *cli.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "example DIR",
		Short: "Write a small, complete example: a config, and a repository with work for nodes",
		Long: `Writes DIR/addagent.yaml, the config of a node that keeps all its files below DIR/node,
with every other key explained, and DIR/ops, the content of a repository: work for every node and for the nodes of one part, what each item watches,
a hold for the whole fleet, init scripts, and a README.md that explains them. Then it
prints the steps to make a git repository of it and run a node on it, as lines to type.
It needs no root.

It creates DIR if it does not exist, and refuses one that is not empty.

Exit codes: 0 written, 1 DIR is not empty or cannot be written.`,
		Example: `  addagent example ./grid
  addagent example ./grid --json     # the files and the steps, for programs`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			written, err := writeExample(dir)
			if err != nil {
				return fmt.Errorf("write the example: %w", err)
			}
			steps := exampleSteps(dir, programName())
			if g.JSON {
				var lines []string
				for _, s := range steps {
					lines = append(lines, s.lines...)
				}
				return cli.PrintJSON(p.Out, struct {
					Dir   string   `json:"dir"`
					Files []string `json:"files"` // below dir
					Steps []string `json:"steps"` // what to type next
				}{dir, written, lines})
			}
			fmt.Fprintf(p.Out, "wrote %s and the repository %s; its README.md explains them\n", filepath.Join(dir, "addagent.yaml"), filepath.Join(dir, "ops"))
			for _, s := range steps {
				fmt.Fprintf(p.Out, "\n%s\n", s.words)
				for _, line := range s.lines {
					fmt.Fprintln(p.Out, "  "+line)
				}
			}
			return nil
		},
	}
}

// writeExample writes the example below dir and names its files.
func writeExample(dir string) (written []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty: name a new folder", dir)
	}
	put := func(path string, data []byte) error {
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(path, "/work.sh") {
			mode = 0o755
		}
		written = append(written, path)
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		return os.WriteFile(full, data, mode)
	}
	node := fmt.Sprintf("# The node of this example. All other keys are explained below.\nhome: %q\nrun_dir: %q\nstate_dir: %q\nrepos:\n  - { name: ops, url: %q }\n\n",
		filepath.Join(dir, "node"), filepath.Join(dir, "node", ".addagent", "run"), filepath.Join(dir, "node", ".addagent", "lib"), serverURL(dir))
	if err := put("addagent.yaml", append([]byte(node), config.Example()...)); err != nil {
		return nil, err
	}
	err = fs.WalkDir(exampleTree, "example", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := exampleTree.ReadFile(path)
		if err != nil {
			return err
		}
		return put(strings.TrimPrefix(path, "example/"), data)
	})
	return written, err
}

// exampleStep is one thing to do next, in words and as lines for a shell.
type exampleStep struct {
	words string
	lines []string
}

// exampleSteps is how the example becomes a node that works.
func exampleSteps(dir, program string) []exampleStep {
	ops, server, node := shellWord(filepath.Join(dir, "ops")), shellWord(filepath.Join(dir, "ops.git")), filepath.Join(dir, "node")
	config := " --config " + shellWord(filepath.Join(dir, "addagent.yaml"))
	const commit = "git -c user.name=Ann -c user.email=ann@example.org commit -q " // a fresh machine has no identity
	return []exampleStep{
		{"Make a git repository of it and push it to a server (here a folder; any git server works):", []string{
			"git init -q --bare -b main " + server,
			"cd " + ops,
			"git init -q -b main",
			"git add -A",
			commit + `-m "the example"`,
			"git remote add origin " + server,
			"git push -q -u origin main",
		}},
		{"Run a node of part app1, initialised from ops, with all its files below " + node + " (stop it with ^C):", []string{
			"mkdir -p " + shellWord(filepath.Join(node, "nodeinfo")),
			"echo app1 >" + shellWord(filepath.Join(node, "nodeinfo", "nodepart.txt")),
			"echo ops >" + shellWord(filepath.Join(node, "nodeinfo", "initgitrepo.txt")),
			program + " run" + config,
		}},
		{"In another terminal, see what it did and why:", []string{
			program + " status" + config,
			program + " why" + config,
			program + " log" + config,
			program + " log" + config + " ops:part.app1",
		}},
		{"Push a change that part.app1 watches; the node sees it within a minute (addagent beat makes it look now):", []string{
			"cd " + ops,
			"echo 2 >app/version.txt",
			commit + `-a -m "version 2"`,
			"git push -q",
			program + " beat" + config,
			program + " why" + config + " ops:part.app1",
			"cat " + shellWord(filepath.Join(node, "example", "app1.txt")),
		}},
	}
}

// serverURL is the address of the repository that the steps make.
func serverURL(dir string) string {
	path := filepath.Join(dir, "ops.git")
	if strings.ContainsFunc(path, unicode.IsSpace) { // which no address holds
		return (&url.URL{Scheme: "file", Path: path}).String()
	}
	return path
}

// programName is how this program was called in a shell: by its name, or else by a path.
func programName() string {
	me, err := os.Executable()
	if err != nil || !strings.Contains(os.Args[0], "/") {
		return "addagent"
	}
	return shellWord(me)
}

// shellWord quotes a word for a shell where that is needed.
func shellWord(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9/._+:@%,-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
