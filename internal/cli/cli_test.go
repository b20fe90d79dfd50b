package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/spf13/cobra"
)

// TestRun: what a command returns becomes the exit code, and one line that begins
// with the program's name.
func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		args  string
		code  int
		words string
	}{
		"done":             {nil, "do", cli.ExitDone, ""},
		"failed":           {cli.Failed(errors.New("no disk")), "do", cli.ExitFailed, "prog: no disk\n"},
		"misuse, wrapped":  {fmt.Errorf("do: %w", cli.Misuse(errors.New("bad"))), "do", cli.ExitMisuse, "prog: bad\n"},
		"a code alone":     {&cli.Exit{Code: cli.ExitWedged}, "do", cli.ExitWedged, ""},
		"unknown command":  {nil, "dance", cli.ExitMisuse, "prog: unknown command \"dance\" for \"prog\"\n"},
		"unknown flag":     {nil, "do --fast", cli.ExitMisuse, "prog: unknown flag: --fast\n"},
		"help of nothing":  {nil, "help dance", cli.ExitMisuse, "prog: there is no command \"dance\": prog help lists them\n"},
		"no such shell":    {nil, "completion ksh", cli.ExitMisuse, "prog: completion ksh: it takes bash, zsh or fish\n"},
		"no number":        {nil, "do -n x", cli.ExitMisuse, "prog: --lines x: give it a whole number\n"},
		"no duration":      {nil, "do --every 5", cli.ExitMisuse, "prog: --every 5: give it a duration such as 90s or 1h30m\n"},
		"too many":         {nil, "do this that", cli.ExitMisuse, "prog: wrong arguments: the usage is prog do [flags]\n"},
		"too few":          {nil, "completion", cli.ExitMisuse, "prog: wrong arguments: the usage is prog completion SHELL [flags]\n"},
		"an empty flag":    {nil, "do --file=", cli.ExitMisuse, "prog: --file is empty: give it a value, or leave it out\n"},
		"an empty list":    {nil, "do --part=", cli.ExitMisuse, "prog: --part is empty: give it a value, or leave it out\n"},
		"an empty entry":   {nil, "do --part=a,,b", cli.ExitMisuse, "prog: --part is empty: give it a value, or leave it out\n"},
		"a full list":      {nil, "do --part=a,b --file=x", cli.ExitDone, ""},
		"an error of none": {errors.New("odd"), "do", cli.ExitFailed, "prog: odd\n"},
	} {
		root := &cobra.Command{Use: "prog", SilenceUsage: true, SilenceErrors: true}
		do := &cobra.Command{Use: "do", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return c.err }}
		do.Flags().IntP("lines", "n", 0, "")
		do.Flags().Duration("every", 0, "")
		do.Flags().String("file", "", "")
		do.Flags().StringSlice("part", nil, "")
		root.AddCommand(do, cli.CompletionCommand("prog", "things."))
		root.SetHelpCommand(cli.HelpCommand())
		var out, words bytes.Buffer
		p := &cli.Process{Args: strings.Fields(c.args), In: &bytes.Buffer{}, Out: &out, Err: &words}
		if code := p.Run(t.Context(), root); code != c.code || words.String() != c.words || out.Len() > 0 {
			t.Errorf("%s: exit %d, %q, %q", name, code, words.String(), out.String())
		}
	}
}

// TestOutputIsLost: standard output cannot be written, and the command does not look, or returns the error.
func TestOutputIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		wrong error
		looks bool
		code  int
		words string
	}{
		"a full disk":              {syscall.ENOSPC, false, cli.ExitFailed, "prog: write: no space left on device\n"},
		"a full disk, looked":      {syscall.ENOSPC, true, cli.ExitFailed, "prog: print: no space left on device\n"},
		"reader went away":         {syscall.EPIPE, false, cli.ExitDone, ""},
		"reader went away, looked": {syscall.EPIPE, true, cli.ExitFailed, ""},
	} {
		out := failing{c.wrong}
		root := &cobra.Command{Use: "prog", SilenceUsage: true, SilenceErrors: true, RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), "data"); err != nil && c.looks {
				return cli.Failed(fmt.Errorf("print: %w", err))
			}
			return nil
		}}
		var words bytes.Buffer
		p := &cli.Process{In: &bytes.Buffer{}, Out: out, Err: &words}
		if code := p.Run(t.Context(), root); code != c.code || words.String() != c.words {
			t.Errorf("%s: exit %d, %q", name, code, words.String())
		}
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

// TestPrintJSONIsSafe: eight-bit control characters, which JSON lets pass, do not reach a terminal.
func TestPrintJSONIsSafe(t *testing.T) {
	const evil = "x\u009b31m\u007fé\x1b"
	for _, print := range []func(io.Writer, any) error{cli.PrintJSON, cli.PrintJSONLine} {
		var out bytes.Buffer
		testkit.Must(t, print(&out, evil))
		var back string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != evil || strings.ContainsFunc(strings.TrimSpace(out.String()), unicode.IsControl) {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}
