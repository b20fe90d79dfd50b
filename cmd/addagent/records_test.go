package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence/peers"
	"github.com/addagent/addagent/work"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	fieldsFile   = "testdata/fields.txt"
	beatsSchema  = docsDir + "/beats.schema.json"
	resultSchema = docsDir + "/result.schema.json"

	servicesSchema = docsDir + "/services.schema.json"
)

// TestSchemas keeps the published schemas and docs/records.md the same as the Go
// types, and their fields forever: UPDATE=1 writes what is new, and never drops a
// name from the golden list.
func TestSchemas(t *testing.T) {
	beats, result, services := newSchema(t), newSchema(t), newSchema(t)
	beats.made["Beat"], result.made["Result"] = reflect.TypeFor[journal.Beat](), reflect.TypeFor[work.Result]()
	testkit.Golden(t, beatsSchema, beats.document(beats.made["Beat"], "a line of log/beats.jsonl, and nodeinfo/beat.json"))
	testkit.Golden(t, resultSchema, result.document(result.made["Result"], "work.sh_RESULT.json: the memory of one item"))

	testkit.Golden(t, servicesSchema, services.list(reflect.TypeFor[peers.Set](), "nodeinfo/services.json, and the file that ADD_SERVICES_FILE names"))

	testkit.Section(t, docsDir+"/records.md", "tables", "\n## A beat\n"+beats.tables()+"\n## A script's memory\n"+result.tables()+"\n## The services that are watched\n"+services.tables()+"\n")

	data, err := os.ReadFile(fieldsFile)
	if err != nil && os.Getenv("UPDATE") == "" {
		t.Fatal(err)
	}
	golden := strings.Fields(string(data))
	var now []string
	for _, f := range slices.Concat(beats.fields, result.fields, services.fields) {
		now = append(now, f.owner+"."+f.name)
	}
	for _, name := range golden {
		if !slices.Contains(now, name) {
			t.Errorf("%s is gone, and people's scripts read it: fields are added, never renamed or removed", name)
		}
	}
	all := append(golden, now...)
	slices.Sort(all)
	testkit.Golden(t, fieldsFile, strings.Join(slices.Compact(all), "\n")+"\n")
}

// TestRealRecordsFitTheirSchema beats through success, failure, "not now", a hold, a
// dead server and a damaged work.yaml, and holds every record against the published
// schema; a key that it does not describe is a mistake as well.
func TestRealRecordsFitTheirSchema(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = filepath.Join(dir, "ops")
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=Ann",
			"GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write("node/nodeinfo/instance-id.txt", "i-1\n")
	wedgeAfter := func(n int) {
		t.Helper()
		write("addagent.yaml", fmt.Sprintf("home: %[1]s/node\nrun_dir: %[1]s/run\nstate_dir: %[1]s/lib\nwork: { wedge_after: %[2]d }\nrepos:\n  - { name: ops, url: %[1]s/ops }\n  - { name: gone, url: %[1]s/gone }\n", dir, n))
	}
	wedgeAfter(2)
	beats := 0
	beat := func() {
		t.Helper()
		p := &process{&cli.Process{Args: []string{"beat", "--config", filepath.Join(dir, "addagent.yaml")}, In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{},
			Env: func(string) string { return "" }, Getuid: func() int { return 1000 }}}
		p.Run(t.Context())
		beats++
	}
	push := func(path, text string) {
		t.Helper()
		write("ops/"+path, text)
		git("add", "-A")
		git("commit", "-q", "-m", path)
		beat()
	}
	write("ops/nodework/work.yaml", "run: always\n")
	write("ops/nodework/work.sh", "echo hello\n")
	git("init", "-q", "-b", "main")
	push("nodework/common/work.sh", "exit 0\n")
	push("nodework/common/work.yaml", "watch: [ app/ ]\n")
	push("app/version", "1\n")
	push("README.md", "words\n")
	push("nodework/common/work.sh", "echo no such database; exit 3\n")
	beat()
	wedgeAfter(1)
	push("nodework/common/work.sh", "echo no such host; exit 4\n")
	beat()
	push("nodework/common/work.sh", "exit 75\n")
	push("nodework/common/work.yaml", "wach: [ app/ ]\n")
	push("nodework/hold.yaml", "reason: migration\n")

	check := strictly(t, beatsSchema)
	data, err := os.ReadFile(filepath.Join(dir, "node", "log", "beats.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(data)) {
		check("beats.jsonl", []byte(line))
		for _, word := range []string{`"first"`, `"same"`, `"unaffected"`, `"changed"`, `"failing"`, `"wedged"`, `"waiting"`, `"disabled"`, `"in_hand"`, `"ended"`, `"troubles"`, `"held"`, `"not_before"`} {
			seen[word] += strings.Count(line, word)
		}
	}
	for word, n := range seen {
		if n == 0 {
			t.Errorf("no record has %s: the test does not try what it should", word)
		}
	}
	if n := strings.Count(string(data), "\n"); n < beats {
		t.Errorf("%d records of %d beats", n, beats)
	}
	newest, err := os.ReadFile(journal.BeatPath(filepath.Join(dir, "node")))
	if err != nil {
		t.Fatal(err)
	}
	check("beat.json", newest)
	results, err := filepath.Glob(filepath.Join(dir, "node", "gitrepo", "ops", ".temp", "add", "*", "work.sh_RESULT.json"))
	if err != nil || len(results) != 2 {
		t.Fatalf("results: %v, %v", results, err)
	}
	checkResult := strictly(t, resultSchema)
	for _, path := range results {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		checkResult(path, data)
	}
	full, err := os.ReadFile("../../work/testdata/result_full.json")
	if err != nil {
		t.Fatal(err)
	}
	checkResult("result_full.json", full)
}

// strictly compiles a published schema as it is, and once more so that it allows no
// key that it does not describe.
func strictly(t *testing.T, path string) func(name string, data []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*jsonschema.Schema
	for _, text := range []string{string(data), strings.ReplaceAll(string(data), `"type": "object",`+"\n", `"type": "object", "unevaluatedProperties": false,`+"\n")} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource("schema.json", doc); err != nil {
			t.Fatal(err)
		}
		s, err := c.Compile("schema.json")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return func(name string, data []byte) {
		t.Helper()
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		for _, s := range all {
			if err := s.Validate(value); err != nil {
				var line bytes.Buffer
				_ = json.Indent(&line, data, "", "  ")
				t.Errorf("%s: %v\n%s", name, err, &line)
			}
		}
	}
}
