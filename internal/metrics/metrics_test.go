package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func full() Sample {
	return Sample{
		Beat: journal.Beat{
			Agent: "0.2.0", Node: "i-1", State: node.Working, Since: noon.Add(-time.Minute), Seq: 1000000, Dropped: 2, Start: noon, Ms: 12.345, Next: noon.Add(time.Minute),
			LastLook: noon.Add(-90 * time.Second), InHand: &work.InHand{Started: noon.Add(-250 * time.Millisecond)},
			Services: []journal.Service{{Name: "db", Role: "master", Code: "000000"}, {Name: "web", Role: "na", Code: "ER0020", Drained: "new disk"}},
			Looks:    []journal.Look{{Repo: "app", Branch: "it's \"new\"\\", Resting: "broken"}, {Repo: "ops", Branch: "main", Version: "1111111111111111111111111111111111111111"}},
			Items:    []journal.Judged{{Repo: "ops", Item: "common"}, {Repo: "ops", Item: "part.app1+ntp", Standing: "wedged", Due: true}},
			Troubles: []journal.Trouble{{Key: "look ops"}, {Key: "look app"}, {Key: "new"}},
		},
		Info: node.Info{Nodepart: "app1", Stacktype: "lad1", Deployment: "prod"}, GoVersion: "go1.26",
		Reached:  map[string]bool{"ops": true},
		Runs:     map[string]Run{"ops:part.app1+ntp": {Failures: 3, Took: 90 * time.Second}, "ops:common": {Success: noon.Add(-time.Hour)}},
		Resident: 15 << 20, CPU: 1500 * time.Millisecond,
	}
}

func TestRender(t *testing.T) {
	for name, s := range map[string]Sample{"full": full(), "empty": {}} {
		got := Render(s)
		testkit.Golden(t, "testdata/"+name+".prom", got)
		if !bytes.Equal(got, Render(s)) {
			t.Errorf("%s: the same sample gave other bytes", name)
		}
	}
}

// parse reads a page with Prometheus' own parser.
func parse(t *testing.T, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("%v in\n%s", err, page)
	}
	return families
}

func labels(m *dto.Metric) map[string]string {
	all := map[string]string{}
	for _, l := range m.GetLabel() {
		all[l.GetName()] = l.GetValue()
	}
	return all
}

func number(m *dto.Metric) float64 { return m.GetGauge().GetValue() + m.GetCounter().GetValue() }

// TestRenderIsWhatPrometheusReads: every family with its kind, its labels and the value of the sample.
func TestRenderIsWhatPrometheusReads(t *testing.T) {
	got := parse(t, Render(full()))
	if len(got) != len(families()) {
		t.Errorf("%d families of %d", len(got), len(families()))
	}
	name := regexp.MustCompile(`^addagent_[a-z_]+$`)
	for _, f := range families() {
		g := got[f.name]
		if g == nil || strings.ToLower(g.GetType().String()) != f.kind || g.GetHelp() != f.help || !name.MatchString(f.name) || !strings.HasSuffix(f.help, ".") {
			t.Errorf("%s: %v", f.name, g)
			continue
		}
		if (f.kind == "counter") != strings.HasSuffix(f.name, "_total") {
			t.Errorf("%s is a %s", f.name, f.kind)
		}
		seen := map[string]bool{}
		for _, m := range g.GetMetric() {
			has := labels(m)
			if keys := slices.Sorted(maps.Keys(has)); !slices.Equal(keys, slices.Sorted(slices.Values(f.labels))) || seen[fmt.Sprint(has)] || m.TimestampMs != nil {
				t.Errorf("%s: %v", f.name, m)
			}
			seen[fmt.Sprint(has)] = true
		}
	}
	value := func(name string, with map[string]string) float64 {
		t.Helper()
		for _, m := range got[name].GetMetric() {
			if reflect.DeepEqual(labels(m), with) {
				return number(m)
			}
		}
		t.Errorf("no %s%v", name, with)
		return -1
	}
	ntp := map[string]string{"repo": "ops", "item": "part.app1+ntp"}
	for _, test := range []struct {
		name string
		with map[string]string
		want float64
	}{
		{"addagent_last_beat_timestamp_seconds", map[string]string{}, float64(noon.Unix())},
		{"addagent_beat_duration_seconds", map[string]string{}, 0.012345},
		{"addagent_working_since_timestamp_seconds", map[string]string{}, float64(noon.Unix()) - 0.25},
		{"addagent_beats_total", map[string]string{}, 1e6},
		{"addagent_state", map[string]string{"state": "working"}, 1},
		{"addagent_state", map[string]string{"state": "idle"}, 0},
		{"addagent_troubles", map[string]string{"class": "look"}, 2},
		{"addagent_troubles", map[string]string{"class": "tell"}, 0},
		{"addagent_troubles", map[string]string{"class": "new"}, 1},
		{"addagent_repo_info", map[string]string{"repo": "app", "branch": `it's "new"\`, "version": ""}, 1},
		{"addagent_repo_look_success", map[string]string{"repo": "app"}, 0},
		{"addagent_item_consecutive_failures", ntp, 3},
		{"addagent_item_wedged", ntp, 1},
		{"addagent_item_last_success_timestamp_seconds", ntp, 0},
		{"addagent_item_last_duration_seconds", ntp, 90},
		{"addagent_cpu_seconds_total", map[string]string{}, 1.5},
	} {
		if got := value(test.name, test.with); got != test.want {
			t.Errorf("%s%v is %v, want %v", test.name, test.with, got, test.want)
		}
	}
}

// TestStateIsOneHot in every state, and in none before the first.
func TestStateIsOneHot(t *testing.T) {
	for _, row := range append(node.States(), node.StateRow{}) {
		sum, is := 0.0, 0.0
		all := parse(t, Render(Sample{Beat: journal.Beat{State: row.State}}))["addagent_state"].GetMetric()
		for _, m := range all {
			sum += number(m)
			if labels(m)["state"] == string(row.State) {
				is = number(m)
			}
		}
		want := 1.0
		if row.State == "" {
			want = 0
		}
		if len(all) != len(node.States()) || sum != want || is != want {
			t.Errorf("%q: %d states, sum %v, its own %v", row.State, len(all), sum, is)
		}
	}
}

// The oracle is Prometheus' own parser: whatever a label holds comes back as it was, but for bytes that are no text.
func FuzzLabels(f *testing.F) {
	f.Add("ops", "part.app1")
	f.Add("a\\n\"}\n# TYPE x gauge\n", "\\\\\"\r\x00")
	f.Add("\xff\xfe", "ü€\u2028")
	f.Fuzz(func(t *testing.T, repo, item string) {
		page := Render(Sample{
			Beat: journal.Beat{Looks: []journal.Look{{Repo: repo, Branch: item}}, Items: []journal.Judged{{Repo: repo, Item: item}}, Services: []journal.Service{{Name: item}}, Troubles: []journal.Trouble{{Key: item}}},
			Runs: map[string]Run{repo + ":" + item: {Failures: 7}},
		})
		if page[len(page)-1] != '\n' {
			t.Fatal("no newline at the end")
		}
		got := parse(t, page)
		is := got["addagent_item_consecutive_failures"].GetMetric()
		want := map[string]string{"repo": strings.ToValidUTF8(repo, "\uFFFD"), "item": strings.ToValidUTF8(item, "\uFFFD")}
		if len(is) != 1 || number(is[0]) != 7 || !reflect.DeepEqual(labels(is[0]), want) {
			t.Errorf("got %v, want %v", is, want)
		}
		if len(got) != len(families()) {
			t.Errorf("%d families", len(got))
		}
	})
}

func TestUsage(t *testing.T) {
	resident, cpu := Usage()
	if _, err := os.Stat("/proc/self/statm"); err == nil && resident < 1<<20 {
		t.Errorf("%d bytes resident", resident)
	}
	if cpu <= 0 {
		t.Errorf("processor time %v", cpu)
	}
}
