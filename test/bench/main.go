// Bench measures addagent against the git program, side by side in one run: real repositories behind a real git
// http-backend on loopback, medians and ratios, CPU and memory of the client and bytes at the server's socket.
// docs/performance.md says how to read what it prints.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	addagent string
	quick    bool
	runs     int
	only     *regexp.Regexp
	md       string
	dir      string
	profile  string
}

func run(args []string, out, progress io.Writer) error {
	if len(args) > 0 {
		if part, ok := parts[args[0]]; ok {
			return part(args[1:], out)
		}
	}
	o := options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&o.addagent, "addagent", "bin/addagent", "`PATH` of the built program, for the beats and the size")
	flags.BoolVar(&o.quick, "quick", false, "leave out the 60,000 files, the 50 MB file and most runs")
	flags.IntVar(&o.runs, "n", 0, "`RUNS` of each quick thing (default 9, with -quick 5); slow ones have fewer")
	flags.StringVar(&o.md, "md", "", "write the tables to this `FILE` as well: between its marks, when it has them")
	flags.StringVar(&o.dir, "dir", ".bench", "`DIR` for repositories (kept) and clones (removed)")
	flags.StringVar(&o.profile, "profile", "", "write pprof profiles of our processes to this `DIR`; the figures are worse for it")
	only := flags.String("only", "", "only cases whose name matches this `REGEXP`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if o.runs <= 0 {
		o.runs = 9
		if o.quick {
			o.runs = 5
		}
	}
	for _, p := range []*string{&o.addagent, &o.dir, &o.profile} {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	if _, err := os.Stat(o.addagent); err != nil {
		return fmt.Errorf("-addagent: %w: run make build", err)
	}
	return measureAll(o, out, progress)
}

// measureAll runs the cases and prints what came of them, also when some failed.
func measureAll(o options, out, progress io.Writer) error {
	start := time.Now()
	b, err := newBench(o, progress)
	if err != nil {
		return err
	}
	err = b.playAll()
	text := b.report(time.Since(start))
	if _, werr := io.WriteString(out, text); werr != nil {
		return werr
	}
	if o.md != "" {
		if werr := writeTables(o.md, text); werr != nil {
			return werr
		}
	}
	return err
}

// The marks of docs/performance.md: what stands between them is replaced.
const (
	tablesBegin = "<!-- tables: made by `make bench MD=docs/performance.md` -->\n"
	tablesEnd   = "<!-- end of tables -->\n"
)

func writeTables(path, text string) error {
	if old, err := os.ReadFile(path); err == nil {
		before, rest, ok1 := strings.Cut(string(old), tablesBegin)
		_, after, ok2 := strings.Cut(rest, tablesEnd)
		if ok1 && ok2 {
			text = before + tablesBegin + text + tablesEnd + after
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
