package work

import (
	"fmt"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// workYAML is the file work.yaml beside a script. All keys are optional:
//
//	watch: [ app/, { repo: app2, path: war/ } ]   # paths; without path the whole repository; [] = only the script and this file
//	watch: [ { nodes: { part: app1 } } ]          # the set of nodes of a part, stacktype, deployment, whatever of these is named
//	run: changed                                  # or always: at every beat, whatever the verdict
//	timeout: 10m                                  # instead of the one of the config
type workYAML struct {
	watch   []Watch // nil = not said; empty = said to be nothing
	always  bool
	timeout time.Duration
}

// parseWorkYAML reads work.yaml strictly. file is how it is called in the problems, each of which begins with file,
// line and column; own is the name of the repository that it stands in. With problems the rest means nothing.
func parseWorkYAML(file, own string, data []byte) (y workYAML, problems []string) {
	fields, mistakes := parseFields(data, []string{"watch", "run", "timeout"})
	for _, f := range fields {
		switch f.key {
		case "watch":
			watch, wrong := parseWatches(f, own)
			y.watch, mistakes = watch, append(mistakes, wrong...)
		case "run":
			s, wrong := f.wantText()
			if wrong == nil && s != "changed" && s != "always" {
				wrong = &mistake{f.line, f.col, fmt.Sprintf("run: is %s, must be changed or always", human.Quote(s))}
			}
			if wrong != nil {
				mistakes = append(mistakes, *wrong)
			}
			y.always = s == "always"
		case "timeout":
			d, wrong := parseTimeout(f)
			if wrong != nil {
				mistakes = append(mistakes, *wrong)
			}
			y.timeout = d
		}
	}
	inOrder(mistakes)
	for _, m := range mistakes {
		problems = append(problems, m.in(file))
	}
	return y, problems
}

func parseTimeout(f field) (time.Duration, *mistake) {
	const example = "as in 90s, 10m or 1h30m"
	if f.value.Kind == strictyaml.Integer {
		return 0, &mistake{f.line, f.col, fmt.Sprintf("timeout: %s has no unit, %s", f.value.Text, example)}
	}
	s, wrong := f.wantText()
	if wrong != nil {
		return 0, wrong
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, &mistake{f.line, f.col, fmt.Sprintf("timeout: %s is not a time, %s", human.Quote(s), example)}
	case d < time.Second:
		return 0, &mistake{f.line, f.col, fmt.Sprintf("timeout: %s is too short: the minimum is 1s", human.Quote(s))}
	}
	return d, nil
}

func parseWatches(f field, own string) (watch []Watch, mistakes []mistake) {
	list, wrong := f.wantList("[ app/, { repo: app2, path: war/ } ]")
	if wrong != nil {
		return nil, []mistake{*wrong}
	}
	watch = []Watch{}
	for _, n := range list {
		w, wrong := parseWatch(n, own)
		if len(wrong) > 0 {
			mistakes = append(mistakes, wrong...)
			continue
		}
		watch = appendWatch(watch, w)
	}
	return watch, mistakes
}

const wantWatch = "watch: must be a path, { repo: NAME, path: PATH } or { nodes: { part: NAME } }, not "

// parseWatch reads one element of watch: a path, or a mapping.
func parseWatch(n strictyaml.Node, own string) (w Watch, mistakes []mistake) {
	if s, ok := text(n); ok {
		return finishWatch(n, Watch{Path: s})
	}
	if n.Kind != strictyaml.Map {
		return w, []mistake{misplaced(n, wantWatch+kind(n))}
	}
	fields, mistakes := mapping(n, []string{"repo", "path", "service", "nodes"})
	if len(fields) == 0 && len(mistakes) == 0 {
		return w, []mistake{misplaced(n, wantWatch+"nothing")}
	}
	for _, f := range fields {
		if f.key == "service" {
			mistakes = append(mistakes, mistake{f.line, f.col, "service: this kind of watch is not supported in this version"})
			continue
		}
		if f.key == "nodes" {
			nodes, wrong := parseNodes(f)
			if len(fields) > 1 {
				wrong = append(wrong, mistake{f.line, f.col, "nodes: cannot be combined with other keys"})
			}
			w.Nodes, mistakes = nodes, append(mistakes, wrong...)
			continue
		}
		s, wrong := f.wantText()
		if wrong == nil && f.key == "repo" && !plain.MatchString(s) {
			wrong = &mistake{f.line, f.col, fmt.Sprintf("repo: %s is not the name of a folder in gitrepo/", human.Quote(s))}
		}
		switch {
		case wrong != nil:
			mistakes = append(mistakes, *wrong)
		case f.key == "repo":
			w.Repo = s
		default:
			w.Path = s
		}
	}
	if len(mistakes) > 0 {
		return Watch{}, mistakes
	}
	if w.Nodes != (Nodes{}) {
		return w, nil
	}
	if w.Repo == own {
		w.Repo = ""
	}
	return finishWatch(n, w)
}

func finishWatch(n strictyaml.Node, w Watch) (Watch, []mistake) {
	p, err := cleanWatch(w.Path)
	if err != nil {
		return Watch{}, []mistake{misplaced(n, "watch: "+err.Error())}
	}
	w.Path = p
	return w, nil
}
