package nodegroup

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/testkit"
)

// notesFile reads the example of the notes, as JSON or YAML.
func notesFile(t *testing.T, name string) *File {
	t.Helper()
	f, err := Load(filepath.Join("testdata", "notes", name))
	testkit.Must(t, err)
	return f
}

// TestNotes: the example of the notes, corrected where it is not JSON, and the same as YAML.
func TestNotes(t *testing.T) {
	f, y := notesFile(t, "nodes.json"), notesFile(t, "nodes.yaml")
	if len(f.Groups) != 2 || len(f.Notes) > 0 {
		t.Fatalf("%+v", f)
	}
	for i, g := range f.Groups {
		testkit.Golden(t, "testdata/notes/merged-"+g.Name+".json", string(g.JSON()))
		if got := string(y.Groups[i].JSON()); got != string(g.JSON()) {
			t.Errorf("YAML gives other bytes:\n%s", got)
		}
	}
	var lines strings.Builder
	for _, r := range f.Explain(f.Groups[0]) {
		fmt.Fprintf(&lines, "%s = %s: %s %d:%d\n", r.Key, r.Value, r.From, r.Line, r.Column)
	}
	testkit.Golden(t, "testdata/notes/explained.txt", lines.String())
}

// TestMistakes: each mistake has its place, its key and what to do. All of a file are reported at once.
func TestMistakes(t *testing.T) {
	const path = "testdata/mistakes.txt"
	data, err := os.ReadFile(path)
	testkit.Must(t, err)
	var got strings.Builder
	for _, section := range strings.Split("\n"+string(data), "\n== ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		input, _, _ := strings.Cut(text, "\n>>>")
		file := "nodes.json"
		if strings.HasPrefix(name, "yaml") {
			file = "nodes.yaml"
		}
		_, problems := parse(file, []byte(input))
		fmt.Fprintf(&got, "== %s\n%s\n>>>\n%s\n", name, input, problems)
	}
	testkit.Golden(t, path, got.String())
}

// TestBaseIsReportedOnce: what __base__ says wrong is one mistake, however many groups inherit it.
func TestBaseIsReportedOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"__base__": {"type": "qemu", "autoscale": {"node_min": 3, "node_max": 1}, "run_list": ["role[a]", "role[a]"]}`)
	for i := range 50 {
		fmt.Fprintf(&b, ",\n%q: {}", fmt.Sprintf("g%d", i))
	}
	f, problems := parse("nodes.json", []byte(b.String()+"}"))
	if len(problems) != 2 || len(f.Notes) != 2 {
		t.Errorf("%v\n%v", problems, f.Notes)
	}
}

// TestManyGroups: 2,000 groups are read, as JSON and as YAML, and have the same content.
func TestManyGroups(t *testing.T) {
	f, problems := parse("nodes.json", many(2000))
	y, others := parse("nodes.yaml", many(2000)) // JSON in one line for each group is YAML
	if len(problems)+len(others) > 0 || len(f.Groups) != 2000 || len(y.Groups) != 2000 {
		t.Fatalf("%v %v %d %d", problems, others, len(f.Groups), len(y.Groups))
	}
	for i := range f.Groups {
		if string(f.Groups[i].JSON()) != string(y.Groups[i].JSON()) {
			t.Fatalf("%s and %s", f.Groups[i].JSON(), y.Groups[i].JSON())
		}
	}
}

func many(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"__base__": {"region": "us-east-1", "run_list": ["recipe[base]"], "service_cookbook": "svc"}`)
	for i := range n {
		fmt.Fprintf(&b, ",\n\"web%d\": {\"description\": \"group %d\", \"run_list\": [\"recipe[svc::s%d]\", \"recipe[x]\"], \"autoscale\": {\"node_min\": 1, \"node_max\": %d}, "+
			"\"default_attributes\": {\"a\": {\"b\": 1.50}}, \"security_groups\": [\"web\"]}", i, i, i, i+1)
	}
	return []byte(b.String() + "}\n")
}

func BenchmarkLoad(b *testing.B) {
	data := many(2000)
	for _, name := range []string{"nodes.json", "nodes.yaml"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, problems := parse(name, data); len(problems) > 0 {
					b.Fatal(problems)
				}
			}
		})
	}
}

// TestValuesAsWritten: what hostile people write arrives as it is, from both forms.
func TestValuesAsWritten(t *testing.T) {
	const attributes = `{"quotes":"a\"b'c","template":"${x} {{user}} %{y} <%= z %>","shell":"$(rm -rf /); ` + "`x`" + ` && |","lines":"a\nb\tc","digits":[1.0,1e5,1E-3,12345678901234567890,-0,0.10],` +
		`"emoji":"😀\u00e9","html":"<a>&","empty":{},"none":[],"null":null,"":"x","a.b":true,"<<":"merge","&a":"*a","yes":"no","\u0007":"\u001b[31m"}`
	for _, name := range []string{"nodes.json", "nodes.yaml"} {
		f, problems := parse(name, []byte(`{"g": {"default_attributes": `+attributes+`}}`))
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		got := compact(f.Groups[0].Value("default_attributes"))
		var a, b any
		testkit.Must(t, json.Unmarshal([]byte(attributes), &a))
		testkit.Must(t, json.Unmarshal([]byte(got), &b))
		if !reflect.DeepEqual(a, b) || !strings.Contains(got, "[1.0,1e5,1E-3,12345678901234567890,-0,0.10]") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestFind: the file is found here and above, and two are one too many.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	testkit.Must(t, os.MkdirAll(deep, 0o755))
	if _, err := Find(deep); err == nil || !strings.Contains(err.Error(), "--nodes FILE") {
		t.Errorf("%v", err)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "nodes.yaml"), nil, 0o644))
	if path, err := Find(deep); err != nil || path != filepath.Join(dir, "nodes.yaml") {
		t.Errorf("%s, %v", path, err)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "a", "nodes.json"), nil, 0o644))
	if path, err := Find(deep); err != nil || path != filepath.Join(dir, "a", "nodes.json") {
		t.Errorf("%s, %v", path, err)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "a", "nodes.yaml"), nil, 0o644))
	if _, err := Find(deep); err == nil || !strings.Contains(err.Error(), "both nodes.json and nodes.yaml") {
		t.Errorf("%v", err)
	}
	for path, want := range map[string]string{dir: "is a folder", filepath.Join(dir, "none"): "no such file"} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || errors.As(err, new(config.Problems)) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzLoad: whatever is in the file, the loader ends, and what it takes has JSON that it takes again.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{string(many(2)), "{}", "{\"a\": {}, \"a\": {\"x-y\": [1, {}]}}", "a: &b {run_list: [*b]}\n<<: {}", "a:\n  run_list: ['recipe[x]', ~]\n", "[\"\\ud800\"]", "{'a': 1}", "{\"a\":{\"autoscale\":{\"node_min\":2}},}"} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, yaml bool) {
		name := "nodes.json"
		if yaml {
			name = "nodes.yaml"
		}
		file, problems := parse(name, data)
		for _, p := range problems {
			if p.Text == "" || p.Line < 0 || p.Line > 1+len(data) || strings.Contains(p.Error(), "\n") {
				t.Errorf("%+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		for _, g := range file.Groups {
			once := g.JSON()
			again, problems := parse("nodes.json", []byte(`{"`+g.Name+`": `+string(once)+`}`))
			if len(problems) > 0 || len(again.Groups) != 1 || string(again.Groups[0].JSON()) != string(once) {
				t.Errorf("%s: %v", once, problems)
			}
			file.Explain(g)
		}
	})
}
