// Package metrics shows the result of a beat to Prometheus: a file for node_exporter, and a page for a scraper on this
// machine.
//
// families in metrics.go lists them all. The format is text exposition format 0.0.4,
// https://prometheus.io/docs/instrumenting/exposition_formats/. It is written here rather than by client_golang, which
// adds 2.9 MB to the binary for a page of forty lines, and keeps values between beats: a page made anew from each beat
// never shows a repository or an item that is gone.
package metrics

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
)

// Sample is a beat, and what its record does not say. A zero time means never, or not now.
type Sample struct {
	journal.Beat
	Info      node.Info       // who this node is
	GoVersion string          // what addagent was built with: runtime.Version()
	Reached   map[string]bool // by repository: the last look that asked it had an answer
	Runs      map[string]Run  // by REPO:ITEM
	Resident  int64           // bytes of memory of the agent, see Usage; 0 = not known
	CPU       time.Duration   // processor time of the agent since its start, see Usage
}

// Run is what is remembered of the runs of a work script.
type Run struct {
	Success  time.Time     // end of the last success
	Failures int           // in a row, of what is there now
	Took     time.Duration // the last run, whatever its end; 0 = not known
}

// family is one metric: its name, what it means, and its values in a sample.
type family struct {
	name, kind string
	labels     []string
	help       string
	values     func(s Sample) []value
}

// value is one line; the labels are in the order of the family's.
type value struct {
	labels []string
	number float64
}

// classes are those of all troubles. Each always has its line: a series that comes and goes has gaps where an alert
// rule needs a zero.
func classes() []string {
	return []string{"cloud", "config", "items", "kill", "look", "metrics", "nodeinfo", "presence", "service", "start", "systemd", "tell", "work"}
}

// families lists all metrics, in the order of the page. docs/metrics.md is made from it.
//
// Those of the process carry our prefix: node_exporter has its own process_resident_memory_bytes, and a textfile with a
// second one spoils both.
func families() []family {
	return []family{
		{"addagent_build_info", "gauge", []string{"version", "goversion"}, "Always 1; which addagent this is.",
			func(s Sample) []value { return info(s.Agent, s.GoVersion) }},
		{"addagent_node_info", "gauge", []string{"node", "part", "stacktype", "deployment"}, "Always 1; who this node is.",
			func(s Sample) []value { return info(s.Node, s.Info.Nodepart, s.Info.Stacktype, s.Info.Deployment) }},
		{"addagent_state", "gauge", []string{"state"}, "1 for the state the node is in, 0 for all others.", states},
		{"addagent_state_since_timestamp_seconds", "gauge", nil, "When the state began, Unix time.",
			func(s Sample) []value { return one(stamp(s.Since)) }},
		{"addagent_disabled", "gauge", nil, "1 while a person or a hold stops this node.",
			func(s Sample) []value { return one(flag(s.disabled())) }},
		{"addagent_beats_total", "counter", nil, "Beats since the start of the agent.",
			func(s Sample) []value { return one(float64(s.Seq)) }},
		{"addagent_beats_dropped_total", "counter", nil, "Ticks since the start of the agent that came while a beat was still going on.",
			func(s Sample) []value { return one(float64(s.Dropped)) }},
		{"addagent_last_beat_timestamp_seconds", "gauge", nil, "When the last beat began, Unix time.",
			func(s Sample) []value { return one(stamp(s.Start)) }},
		{"addagent_next_beat_timestamp_seconds", "gauge", nil, "When the next beat is to begin, Unix time.",
			func(s Sample) []value { return one(stamp(s.Next)) }},
		{"addagent_beat_duration_seconds", "gauge", nil, "How long the last beat took.",
			func(s Sample) []value { return one(s.Ms / 1000) }},
		{"addagent_last_look_timestamp_seconds", "gauge", nil, "The last look that reached a repository, Unix time; 0 = none since the start of the agent.",
			func(s Sample) []value { return one(stamp(s.LastLook)) }},
		{"addagent_working", "gauge", nil, "1 while a work script runs.",
			func(s Sample) []value { return one(flag(s.InHand != nil)) }},
		{"addagent_working_since_timestamp_seconds", "gauge", nil, "When the work in hand began, Unix time; 0 = none runs.",
			func(s Sample) []value { return one(stamp(s.working())) }},
		{"addagent_troubles", "gauge", []string{"class"}, "Troubles that last, by class; addagent status shows what they are.", troubles},
		{"addagent_repo_info", "gauge", []string{"repo", "branch", "version"}, "Always 1; the commit that the tree of a repository shows.",
			perRepo(func(_ Sample, l journal.Look) value { return value{[]string{l.Repo, l.Branch, l.Version}, 1} })},
		{"addagent_repo_look_success", "gauge", []string{"repo"}, "1 when the last look that asked the repository had an answer.",
			perRepo(func(s Sample, l journal.Look) value { return value{[]string{l.Repo}, flag(s.Reached[l.Repo])} })},
		{"addagent_item_last_success_timestamp_seconds", "gauge", itemLabels(), "End of the item's last success, Unix time; 0 = none.",
			perItem(func(_ journal.Judged, r Run) float64 { return stamp(r.Success) })},
		{"addagent_item_last_duration_seconds", "gauge", itemLabels(), "How long the item's last run took, whatever its end; 0 = not known.",
			perItem(func(_ journal.Judged, r Run) float64 { return r.Took.Seconds() })},
		{"addagent_item_consecutive_failures", "gauge", itemLabels(), "Failures of the item in a row.",
			perItem(func(_ journal.Judged, r Run) float64 { return float64(r.Failures) })},
		{"addagent_item_wedged", "gauge", itemLabels(), "1 while the item is wedged.",
			perItem(func(j journal.Judged, _ Run) float64 { return flag(j.Standing == "wedged") })},
		{"addagent_item_due", "gauge", itemLabels(), "1 while the item is to be worked.",
			perItem(func(j journal.Judged, _ Run) float64 { return flag(j.Due) })},
		{"addagent_service_up", "gauge", []string{"service", "role"}, "1 while the service of this node is available to others (code 000000).",
			perService(func(of journal.Service) bool { return of.Code == "000000" })},
		{"addagent_service_draining", "gauge", []string{"service", "role"}, "1 while the service is drained or taken away.",
			perService(func(of journal.Service) bool { return of.Drained != "" || of.Step != "" })},
		{"addagent_resident_memory_bytes", "gauge", nil, "Resident memory of the agent; 0 = not known.",
			func(s Sample) []value { return one(float64(s.Resident)) }},
		{"addagent_cpu_seconds_total", "counter", nil, "Processor time of the agent since its start, without the work scripts.",
			func(s Sample) []value { return one(s.CPU.Seconds()) }},
	}
}

// Render is the whole page for a sample. The same sample gives the same bytes.
func Render(s Sample) []byte {
	var b bytes.Buffer
	for _, f := range families() {
		values := f.values(s)
		if len(values) == 0 {
			continue
		}
		b.WriteString("# HELP " + f.name + " " + f.help + "\n# TYPE " + f.name + " " + f.kind + "\n")
		for _, v := range values {
			b.WriteString(f.name)
			for i, l := range f.labels {
				b.WriteString(string("{,"[min(i, 1)]) + l + `="` + escape(v.labels[i]) + `"`)
			}
			if len(f.labels) > 0 {
				b.WriteByte('}')
			}
			// Not %g: people cannot read a time as 1.7e+09.
			b.WriteString(" " + strconv.FormatFloat(v.number, 'f', -1, 64) + "\n")
		}
	}
	return b.Bytes()
}

// escape makes any text the value of a label.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(text, "\uFFFD"))
}

func one(number float64) []value { return []value{{nil, number}} }

func info(labels ...string) []value { return []value{{labels, 1}} }

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func states(s Sample) []value {
	var all []value
	for _, row := range node.States() {
		all = append(all, value{[]string{string(row.State)}, flag(row.State == s.State)})
	}
	return all
}

// disabled tells whether a person or a hold stops the node or a repository, whatever the state says.
func (s Sample) disabled() bool {
	return s.State == node.Disabled || slices.ContainsFunc(s.Looks, func(l journal.Look) bool { return l.Resting != "" })
}

func (s Sample) working() (since time.Time) {
	if s.InHand != nil {
		since = s.InHand.Started
	}
	return since
}

// troubles counts those of each class, which is the first word of a trouble's key.
func troubles(s Sample) []value {
	counts := map[string]float64{}
	for _, class := range classes() {
		counts[class] = 0
	}
	for _, t := range s.Troubles {
		class, _, _ := strings.Cut(t.Key, " ")
		counts[class]++
	}
	var all []value
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, value{[]string{class}, counts[class]})
	}
	return all
}

func perRepo(of func(Sample, journal.Look) value) func(Sample) []value {
	return func(s Sample) (all []value) {
		for _, l := range s.Looks {
			all = append(all, of(s, l))
		}
		return all
	}
}

func perService(of func(journal.Service) bool) func(Sample) []value {
	return func(s Sample) (all []value) {
		for _, offered := range s.Services {
			all = append(all, value{[]string{offered.Name, offered.Role}, flag(of(offered))})
		}
		return all
	}
}

func itemLabels() []string { return []string{"repo", "item"} }

func perItem(of func(journal.Judged, Run) float64) func(Sample) []value {
	return func(s Sample) (all []value) {
		for _, j := range s.Items {
			all = append(all, value{[]string{j.Repo, j.Item}, of(j, s.Runs[j.Repo+":"+j.Item])})
		}
		return all
	}
}
