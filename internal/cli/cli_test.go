package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/cli"
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
		"no such shell":    {nil, "completion ksh", cli.ExitMisuse, "prog: invalid argument \"ksh\" for \"prog completion\": it takes bash, zsh or fish\n"},
		"no number":        {nil, "do -n x", cli.ExitMisuse, "prog: invalid argument \"x\" for \"-n, --lines\" flag: not a number\n"},
		"reader went away": {cli.Failed(fmt.Errorf("write: %w", &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE})), "do", cli.ExitFailed, ""},
		"an error of none": {errors.New("odd"), "do", cli.ExitMisuse, "prog: odd\n"},
	} {
		root := &cobra.Command{Use: "prog", SilenceUsage: true, SilenceErrors: true}
		do := &cobra.Command{Use: "do", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return c.err }}
		do.Flags().IntP("lines", "n", 0, "")
		root.AddCommand(do, cli.CompletionCommand("prog", "things."))
		root.SetHelpCommand(cli.HelpCommand())
		var out, words bytes.Buffer
		p := &cli.Process{Args: strings.Fields(c.args), In: &bytes.Buffer{}, Out: &out, Err: &words}
		if code := p.Run(t.Context(), root); code != c.code || words.String() != c.words || out.Len() > 0 {
			t.Errorf("%s: exit %d, %q, %q", name, code, words.String(), out.String())
		}
	}
}
