package main

import (
	"github.com/addagent/addagent/internal/cli"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/cli/clitest"
	"github.com/addagent/addagent/internal/config"
)

const docsDir = "../../docs"

// manual is what no command says of itself, beside the commands.
func manual() clitest.Manual {
	also, files, environment := aboutNode()
	return clitest.Manual{
		Root:     (&process{&cli.Process{Env: os.Getenv, Getuid: os.Getuid, Out: os.Stdout, Err: os.Stderr}}).root(),
		Synopsis: "addagent [--config FILE] [--home FOLDER] [--json] COMMAND ...",
		Codes:    []string{"0", "1", "2", "3", "4", "5", "10", "130"},
		Also:     also, SeeAlso: []string{"systemd.timer(5)", "git(1)"},
		Files: files, Environment: environment,
		Markdown: "commands.md",
	}
}

// TestDocs keeps the manual pages and docs/commands.md the same as the commands and
// the config keys. UPDATE=1 writes them.
func TestDocs(t *testing.T) {
	m := manual()
	m.Pages = []*clitest.Page{configPage(t)}
	m.Test(t)
}

func TestEveryCommandHasATranscript(t *testing.T) { manual().TestTranscripts(t) }

// TestQuotedCommands: what the pages tell a reader to type exists.
func TestQuotedCommands(t *testing.T) { manual().TestQuoted(t, docsDir) }

func configPage(t *testing.T) *clitest.Page {
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
	p := &clitest.Page{Name: "addagent.yaml", Number: 5, Short: "the config file of addagent"}
	p.Add("SYNOPSIS", clitest.Block{Text: "/etc/addagent/addagent.yaml"}, clitest.Block{Text: "/etc/addagent/addagent.d/*.yaml"})
	p.Add("DESCRIPTION", about...)
	var keys []clitest.Block
	for _, k := range config.Keys() {
		text := k.Doc + " Takes " + k.Kind + "."
		if !slices.Contains([]string{"", "[]", "{}"}, k.Default) {
			text += " Default: " + k.Default + "."
		}
		keys = append(keys, clitest.Block{Term: k.Key, Text: text})
	}
	p.Add("KEYS", keys...)
	p.Add("EXAMPLE", clitest.Block{Code: example})
	p.Add("FILES", files...)
	p.Add("SEE ALSO", clitest.Block{Text: "addagent(1), addagent-check(1), gitcredentials(7), crontab(5)"})
	return p
}
