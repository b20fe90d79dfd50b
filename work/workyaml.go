package work

import (
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work/sets"
)

// workYAML is the file work.yaml beside a script. All keys are optional:
//
//	watch: [ app/, { repo: app2, path: war/ } ]   # paths; without path the whole repository; [] = only the script and this file
//	watch: [ { nodes: { part: app1 } } ]          # the set of nodes of a part, stacktype, deployment, whatever of these is named
//	watch: [ { service: db, role: master } ]      # the set of endpoints of a service
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
	problems = strictyaml.ReadFile(file, data, []string{"watch", "run", "timeout"}, func(y *strictyaml.File, f strictyaml.Field) {
		switch f.Key.Text {
		case "watch":
			w.watch = []Watch{}
			for _, n := range y.List(f, "[ app/, { repo: app2, path: war/ } ]") {
				w.watch = append(w.watch, readWatch(y, n, own))
			}
			w.watch = unique(w.watch)
		case "run":
			w.always = y.OneOf(f, []string{"changed", "always"}) == "always"
		case "timeout":
			w.timeout = y.Duration(f)
		}
	})
	return w, problems
}

// readWatch reads one element of watch: a path, or a mapping.
func readWatch(y *strictyaml.File, n strictyaml.Node, own string) (w Watch) {
	if n.Is(strictyaml.Text, strictyaml.Block) {
		return readPath(y, n, Watch{Path: n.Text})
	}
	if n.Kind != strictyaml.Map || len(n.Fields) == 0 {
		y.Wrong(n, "watch: must be a path, { repo: NAME, path: PATH }, { service: NAME } or { nodes: { part: NAME } }, not %s", strictyaml.What(n))
		return w
	}
	fields := y.Fields(n, []string{"repo", "path", "service", "role", "deployment", "min", "nodes"})
	for _, f := range fields {
		switch f.Key.Text {
		case "service", "role", "deployment", "min":
			w.Service.Read(y, f)
		case "nodes":
			if w.Nodes = sets.ReadNodes(y, f); len(fields) > 1 {
				y.Wrong(f.Key, "nodes: cannot be combined with other keys")
			}
		case "path":
			w.Path, _ = y.Text(f)
		case "repo":
			s, ok := y.Text(f)
			if ok && !plain.MatchString(s) {
				y.Wrong(f.Key, "repo: %s is not the name of a folder in gitrepo/", human.Quote(s))
			}
			if s != own {
				w.Repo = s
			}
		}
	}
	if w.Service != (service.Watch{}) {
		if w.Service.Service == "" || w.Repo != "" || w.Path != "" {
			y.Wrong(n, "watch: role, deployment and min go with service, as in { service: db, role: master, min: 1 }, and with nothing else")
		}
		return w
	}
	if w.Nodes != (sets.Nodes{}) {
		return w
	}
	return readPath(y, n, w)
}

func readPath(y *strictyaml.File, n strictyaml.Node, w Watch) Watch {
	p, err := cleanWatch(w.Path)
	if err != nil {
		y.Wrong(n, "watch: %v", err)
	}
	w.Path = p
	return w
}
