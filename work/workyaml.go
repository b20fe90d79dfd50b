package work

import (
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

// parseWorkYAML reads work.yaml strictly. file is how it is called in the problems; own is the name of the repository
// that it stands in. With problems the rest means nothing.
func parseWorkYAML(file, own string, data []byte) (w workYAML, problems []string) {
	problems = readYAML(file, data, []string{"watch", "run", "timeout"}, func(y *yamlFile, f strictyaml.Field) {
		switch f.Key.Text {
		case "watch":
			w.watch = []Watch{}
			for _, n := range y.list(f, "[ app/, { repo: app2, path: war/ } ]") {
				w.watch = append(w.watch, y.watch(n, own))
			}
			w.watch = unique(w.watch)
		case "run":
			s, ok := y.text(f)
			if ok && s != "changed" && s != "always" {
				y.wrong(f.Key, "run: is %s, must be changed or always", human.Quote(s))
			}
			w.always = s == "always"
		case "timeout":
			w.timeout = y.duration(f)
		}
	})
	return w, problems
}

func (y *yamlFile) duration(f strictyaml.Field) time.Duration {
	const example = "as in 90s, 10m or 1h30m"
	if f.Value.Kind == strictyaml.Integer {
		y.wrong(f.Key, "timeout: %s has no unit, %s", f.Value.Text, example)
		return 0
	}
	s, ok := y.text(f)
	d, err := time.ParseDuration(s)
	switch {
	case !ok:
	case err != nil:
		y.wrong(f.Key, "timeout: %s is not a time, %s", human.Quote(s), example)
	case d < time.Second:
		y.wrong(f.Key, "timeout: %s is too short: the minimum is 1s", human.Quote(s))
	}
	return d
}

// watch reads one element of watch: a path, or a mapping.
func (y *yamlFile) watch(n strictyaml.Node, own string) (w Watch) {
	if n.Is(strictyaml.Text, strictyaml.Block) {
		return y.path(n, Watch{Path: n.Text})
	}
	if n.Kind != strictyaml.Map || len(n.Fields) == 0 {
		y.wrong(n, "watch: must be a path, { repo: NAME, path: PATH } or { nodes: { part: NAME } }, not %s", kind(n))
		return w
	}
	fields := y.fields(n, []string{"repo", "path", "service", "nodes"})
	for _, f := range fields {
		switch f.Key.Text {
		case "service":
			y.wrong(f.Key, "service: this kind of watch is not supported in this version")
		case "nodes":
			if w.Nodes = y.nodes(f); len(fields) > 1 {
				y.wrong(f.Key, "nodes: cannot be combined with other keys")
			}
		case "path":
			w.Path, _ = y.text(f)
		case "repo":
			s, ok := y.text(f)
			if ok && !plain.MatchString(s) {
				y.wrong(f.Key, "repo: %s is not the name of a folder in gitrepo/", human.Quote(s))
			}
			if s != own {
				w.Repo = s
			}
		}
	}
	if w.Nodes != (Nodes{}) {
		return w
	}
	return y.path(n, w)
}

func (y *yamlFile) path(n strictyaml.Node, w Watch) Watch {
	p, err := cleanWatch(w.Path)
	if err != nil {
		y.wrong(n, "watch: %v", err)
	}
	w.Path = p
	return w
}
