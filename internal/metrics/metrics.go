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
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/node"
)

// Sample is what one beat found. A zero time means never, or not now.
type Sample struct {
	Version   string // of addagent
	GoVersion string // what it was built with: runtime.Version()

	Node, Part, Stacktype, Deployment string // who this is

	State node.State // as settled at the end of the beat
	Since time.Time  // when the state began

	Beats    uint64        // since the start of the agent
	Dropped  uint64        // ticks since the start of the agent that came while a beat was still going on
	Beat     time.Time     // when the last beat began
	Took     time.Duration // how long it took
	Next     time.Time     // when the next one begins
	LastLook time.Time     // the last look that reached a repository
	Working  time.Time     // when the work in hand began; zero = none
	Disabled bool          // a person or a hold said so, whatever the state says

	Repos    []Repo
	Items    []Item
	Troubles map[string]int // class -> how many there are now; the class is the first word of the trouble's key

	Resident int64         // bytes of memory of the agent, see Usage; 0 = not known
	CPU      time.Duration // processor time of the agent since its start, see Usage
}

// Repo is a repository as the last beat saw it.
type Repo struct {
	Name, Branch, Version string
	Reached               bool // the last look that asked it had an answer
}

// Item is a work script as the last beat saw it.
type Item struct {
	Repo, Item string
	Success    time.Time     // end of the last success
	Failures   int           // in a row, of what is there now
	Wedged     bool          //
	Due        bool          // wanted: it runs in this beat, waits for its turn or its delay, or is held
	Took       time.Duration // the last run, whatever its end; 0 = not known
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
	return []string{"cloud", "config", "items", "kill", "look", "metrics", "nodeinfo", "presence", "start", "systemd", "tell", "work"}
}

// families lists all metrics, in the order of the page. docs/metrics.md is made from it.
//
// Those of the process carry our prefix: node_exporter has its own process_resident_memory_bytes, and a textfile with a
// second one spoils both.
func families() []family {
	return []family{
		{"addagent_build_info", "gauge", []string{"version", "goversion"}, "Always 1; which addagent this is.",
			func(s Sample) []value { return info(s.Version, s.GoVersion) }},
		{"addagent_node_info", "gauge", []string{"node", "part", "stacktype", "deployment"}, "Always 1; who this node is.",
			func(s Sample) []value { return info(s.Node, s.Part, s.Stacktype, s.Deployment) }},
		{"addagent_state", "gauge", []string{"state"}, "1 for the state the node is in, 0 for all others.", states},
		{"addagent_state_since_timestamp_seconds", "gauge", nil, "When the state began, Unix time.",
			func(s Sample) []value { return one(stamp(s.Since)) }},
		{"addagent_disabled", "gauge", nil, "1 while a person or a hold stops this node.",
			func(s Sample) []value { return one(flag(s.Disabled)) }},
		{"addagent_beats_total", "counter", nil, "Beats since the start of the agent.",
			func(s Sample) []value { return one(float64(s.Beats)) }},
		{"addagent_beats_dropped_total", "counter", nil, "Ticks since the start of the agent that came while a beat was still going on.",
			func(s Sample) []value { return one(float64(s.Dropped)) }},
		{"addagent_last_beat_timestamp_seconds", "gauge", nil, "When the last beat began, Unix time.",
			func(s Sample) []value { return one(stamp(s.Beat)) }},
		{"addagent_next_beat_timestamp_seconds", "gauge", nil, "When the next beat is to begin, Unix time.",
			func(s Sample) []value { return one(stamp(s.Next)) }},
		{"addagent_beat_duration_seconds", "gauge", nil, "How long the last beat took.",
			func(s Sample) []value { return one(s.Took.Seconds()) }},
		{"addagent_last_look_timestamp_seconds", "gauge", nil, "The last look that reached a repository, Unix time; 0 = none since the start of the agent.",
			func(s Sample) []value { return one(stamp(s.LastLook)) }},
		{"addagent_working", "gauge", nil, "1 while a work script runs.",
			func(s Sample) []value { return one(flag(!s.Working.IsZero())) }},
		{"addagent_working_since_timestamp_seconds", "gauge", nil, "When the work in hand began, Unix time; 0 = none runs.",
			func(s Sample) []value { return one(stamp(s.Working)) }},
		{"addagent_troubles", "gauge", []string{"class"}, "Troubles that last, by class; addagent status shows what they are.", troubles},
		{"addagent_repo_info", "gauge", []string{"repo", "branch", "version"}, "Always 1; the commit that the tree of a repository shows.",
			perRepo(func(r Repo) value { return value{[]string{r.Name, r.Branch, r.Version}, 1} })},
		{"addagent_repo_look_success", "gauge", []string{"repo"}, "1 when the last look that asked the repository had an answer.",
			perRepo(func(r Repo) value { return value{[]string{r.Name}, flag(r.Reached)} })},
		{"addagent_item_last_success_timestamp_seconds", "gauge", itemLabels(), "End of the item's last success, Unix time; 0 = none.",
			perItem(func(i Item) float64 { return stamp(i.Success) })},
		{"addagent_item_last_duration_seconds", "gauge", itemLabels(), "How long the item's last run took, whatever its end; 0 = not known.",
			perItem(func(i Item) float64 { return i.Took.Seconds() })},
		{"addagent_item_consecutive_failures", "gauge", itemLabels(), "Failures of the item in a row.",
			perItem(func(i Item) float64 { return float64(i.Failures) })},
		{"addagent_item_wedged", "gauge", itemLabels(), "1 while the item is wedged.",
			perItem(func(i Item) float64 { return flag(i.Wedged) })},
		{"addagent_item_due", "gauge", itemLabels(), "1 while the item is to be worked.",
			perItem(func(i Item) float64 { return flag(i.Due) })},
		{"addagent_resident_memory_bytes", "gauge", nil, "Resident memory of the agent; 0 = not known.",
			func(s Sample) []value { return one(float64(s.Resident)) }},
		{"addagent_cpu_seconds_total", "counter", nil, "Processor time of the agent since its start, without the work scripts.",
			func(s Sample) []value { return one(s.CPU.Seconds()) }},
	}
}

// Render is the whole page for a sample. The same sample gives the same bytes.
func Render(s Sample) []byte {
	// Sorted, and each name once: a scraper refuses the whole page for one duplicate line.
	s.Repos = unique(s.Repos, func(a, b Repo) int { return cmp.Compare(a.Name, b.Name) })
	s.Items = unique(s.Items, func(a, b Item) int { return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Item, b.Item)) })
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

func unique[T any](all []T, order func(a, b T) int) []T {
	all = slices.SortedStableFunc(slices.Values(all), order)
	return slices.CompactFunc(all, func(a, b T) bool { return order(a, b) == 0 })
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

func troubles(s Sample) []value {
	names := classes()
	for class := range s.Troubles {
		names = append(names, class)
	}
	slices.Sort(names)
	var all []value
	for _, class := range slices.Compact(names) {
		all = append(all, value{[]string{class}, float64(s.Troubles[class])})
	}
	return all
}

func perRepo(of func(Repo) value) func(Sample) []value {
	return func(s Sample) (all []value) {
		for _, r := range s.Repos {
			all = append(all, of(r))
		}
		return all
	}
}

func itemLabels() []string { return []string{"repo", "item"} }

func perItem(of func(Item) float64) func(Sample) []value {
	return func(s Sample) (all []value) {
		for _, i := range s.Items {
			all = append(all, value{[]string{i.Repo, i.Item}, of(i)})
		}
		return all
	}
}
