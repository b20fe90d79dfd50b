package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/goccy/go-yaml"
)

// TestDocs keeps docs/metrics.md the same as the table of metrics. UPDATE=1 writes it there.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | kind | labels | what |\n|---|---|---|---|\n")
	for _, f := range families() {
		list := "-"
		if len(f.labels) > 0 {
			list = "`" + strings.Join(f.labels, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, list, f.help)
	}
	testkit.Section(t, "../../docs/metrics.md", "metrics", b.String())
}

// ofNodeExporter are the metrics of node_exporter itself that our rules use.
var ofNodeExporter = []string{"node_textfile_mtime_seconds", "node_textfile_scrape_error"}

// TestAlerts: the rules name metrics, labels and states that Render writes, and each says what to run next.
func TestAlerts(t *testing.T) {
	data, err := os.ReadFile("../../docs/alerts.yaml")
	testkit.Must(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	testkit.Must(t, yaml.UnmarshalWithOptions(data, &file, yaml.Strict()))
	known := knownLabels()
	metric := usedMetric()
	shown := regexp.MustCompile(`\$labels\.(\w+)`)
	seen := map[string]bool{}
	used := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			switch {
			case r.Alert == "" || seen[r.Alert]:
				t.Errorf("%q has no name of its own", r.Alert)
			case !slices.Contains([]string{"info", "warning", "critical"}, r.Labels["severity"]):
				t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
			case r.Annotations["summary"] == "" || !strings.Contains(r.Annotations["command"], "addagent") && !strings.Contains(r.Annotations["command"], "journalctl"):
				t.Errorf("%s does not say what it is, or what to run next: %v", r.Alert, r.Annotations)
			}
			seen[r.Alert] = true
			if _, err := time.ParseDuration(r.For); err != nil {
				t.Errorf("%s: for: %v", r.Alert, err)
			}
			var has []string
			for _, m := range metric.FindAllStringSubmatch(r.Expr, -1) {
				labels, ok := known[m[1]]
				if !ok {
					t.Errorf("%s uses %s, which does not exist", r.Alert, m[1])
				}
				if m[2] != "" && !slices.Contains(labels, m[2]) {
					t.Errorf("%s: %s has no label %s", r.Alert, m[1], m[2])
				}
				if _, ok := node.Row(node.State(m[3])); m[2] == "state" && !ok {
					t.Errorf("%s: no state %q", r.Alert, m[3])
				}
				has = append(has, labels...)
				used++
			}
			for _, m := range shown.FindAllStringSubmatch(fmt.Sprint(r.Annotations), -1) {
				if !slices.Contains(has, m[1]) {
					t.Errorf("%s shows the label %s, which its metrics do not have", r.Alert, m[1])
				}
			}
		}
	}
	if len(seen) < 8 || used < len(seen) {
		t.Errorf("%d rules with %d metrics: the reading of the file is broken", len(seen), used)
	}
}

// usedMetric finds a metric of ours or of node_exporter in a query, with its first label and the value of that.
func usedMetric() *regexp.Regexp {
	return regexp.MustCompile(`\b((?:addagent|node)_\w+)(?:\{(\w+)=~?"([^"]*)"\})?`)
}

// knownLabels are the labels of each metric that there is.
func knownLabels() map[string][]string {
	known := map[string][]string{}
	for _, f := range families() {
		known[f.name] = append(f.labels, "instance", "job")
	}
	for _, name := range ofNodeExporter {
		known[name] = []string{"instance", "job", "file"}
	}
	return known
}

// TestGrafanaBoard: its queries name metrics and labels that Render writes, and each panel has a place of its own.
func TestGrafanaBoard(t *testing.T) {
	data, err := os.ReadFile("../../docs/grafana.json")
	testkit.Must(t, err)
	var board struct {
		Title, UID string
		Templating struct {
			List []struct{ Name, Query string }
		}
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	testkit.Must(t, json.Unmarshal(data, &board))
	known := knownLabels()
	by := regexp.MustCompile(`\b(?:by|without) \(([^)]*)\)`)
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	taken, ids, used := map[[2]int]string{}, map[int]bool{}, map[string]bool{}
	check := func(where, query, shown string) {
		var has []string
		for _, m := range usedMetric().FindAllStringSubmatch(query, -1) {
			labels, ok := known[m[1]]
			if !ok || m[2] != "" && !slices.Contains(labels, m[2]) {
				t.Errorf("%s: %s", where, m[0])
			}
			has = append(has, labels...)
			used[m[1]] = true
		}
		if len(has) == 0 && strings.Contains(query, "_") {
			t.Errorf("%s uses no metric: %s", where, query)
		}
		var names []string
		for _, m := range by.FindAllStringSubmatch(query, -1) {
			names = append(names, strings.Split(strings.ReplaceAll(m[1], " ", ""), ",")...)
		}
		for _, m := range legend.FindAllStringSubmatch(shown, -1) {
			names = append(names, m[1])
		}
		for _, name := range names {
			if !slices.Contains(has, name) {
				t.Errorf("%s: no label %s in %s", where, name, query)
			}
		}
	}
	for _, v := range board.Templating.List {
		check("variable "+v.Name, v.Query, "")
	}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" {
					t.Fatalf("%s covers %s", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		for _, q := range p.Targets {
			check(p.Title, q.Expr, q.LegendFormat)
		}
	}
	if board.Title == "" || len(board.Panels) < 8 || len(used) < 8 {
		t.Errorf("%d panels with %d metrics: the reading of the file is broken", len(board.Panels), len(used))
	}
}
