// Bench measures addagent against the git program, side by side in one run.
//
// Real repositories behind a real git http-backend on loopback, medians and ratios, CPU and memory of the client and
// bytes at the server's socket. docs/performance.md says how to read what it prints; cases.go lists the cases.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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
	flags.BoolVar(&o.quick, "quick", false, "leave out the 60,000 files, the 50 MB file, the 1,000 nodes and most runs")
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
	b, err := newBench(o, progress)
	if err != nil {
		return err
	}
	err = b.playAll()
	for _, t := range slices.Backward(b.groups) {
		if !t.measured() {
			continue
		}
		text := t.report(o.quick)
		if _, werr := io.WriteString(out, text+"\n"); werr != nil {
			return werr
		}
		if o.md != "" {
			if werr := writeTables(o.md, t.group, text); werr != nil {
				return werr
			}
		}
	}
	return err
}

// writeTables puts the tables of a group between its marks and leaves all else of the page as it is. What has no such
// marks gets the tables at its end.
func writeTables(path string, g group, text string) error {
	page, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	before, rest, ok1 := strings.Cut(string(page), g.begin)
	_, after, ok2 := strings.Cut(rest, g.end)
	if !ok1 || !ok2 {
		before, after = string(page), ""
	}
	return os.WriteFile(path, []byte(before+g.begin+text+g.end+after), 0o644)
}
