package nodegroup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/service"
)

// TestNotesFiles: the files of the example of the notes, the same from YAML.
func TestNotesFiles(t *testing.T) {
	f, y := notesFile(t, "nodes.json"), notesFile(t, "nodes.yaml")
	for i, g := range f.Groups {
		wants, others := g.Files(true), y.Groups[i].Files(true)
		if !reflect.DeepEqual(wants, others) || len(wants) != 2 {
			t.Errorf("%+v\n%+v", wants, others)
		}
		for _, w := range wants {
			testkit.Golden(t, filepath.Join("testdata", "notes", w.Path), w.Data)
		}
	}
}

// TestServiceList: the services are the recipes of the one cookbook, once each, in their order; a node reads the list.
func TestServiceList(t *testing.T) {
	const head = "# Made by addctl role:create and role:update of the run list of group g.\n"
	for name, c := range map[string]struct{ group, want string }{
		"each form":     {`"service_cookbook": "svc", "run_list": ["recipe[svc::b]", "svc::a@1.0.0", "recipe[svc::b@2.0]", "recipe[other::c]", "role[svc]", "recipe[svc]"], "post_run_list": ["recipe[svc::123]", "recipe[svc::null]"]`, head + "- \"b\"\n- \"a\"\n- \"default\"\n- \"123\"\n- \"null\"\n"},
		"none":          {`"service_cookbook": "svc", "run_list": ["recipe[x]"]`, head + "[]\n"},
		"no cookbook":   {`"run_list": ["recipe[svc::b]"]`, ""},
		"removed again": {`"service_cookbook": null, "run_list": ["recipe[svc::b]"]`, ""},
	} {
		f, problems := parse("nodes.json", []byte(`{"__base__": {"files": {"services": "nodework/part/{group}/services.yaml"}}, "g": {`+c.group+`}}`))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		w, ok := f.Groups[0].ServiceList()
		if ok != (c.want != "") || ok && (string(w.Data) != c.want || w.Path != "nodework/part/g/services.yaml") {
			t.Errorf("%s: %v %s", name, ok, w.Data)
		}
		names, wrong := service.ParseList("services.yaml", w.Data)
		var want []string
		services, _ := f.Groups[0].Services()
		for _, s := range services {
			want = append(want, s.Text)
		}
		var read []string
		for _, l := range names {
			read = append(read, l.Name)
		}
		if len(wrong) > 0 || !slices.Equal(read, want) {
			t.Errorf("%s: a node reads %v, %v", name, names, wrong)
		}
	}
}

// TestHostileRole: what hostile people write is in the role as it is.
func TestHostileRole(t *testing.T) {
	text := "a\"b'c ${x} {{user}} $(rm) `x` <%= z %>\n\t\\ \u2028 <&> é😀 \u0001\u009b"
	said, _ := json.Marshal(text)
	f, problems := parse("nodes.json", []byte(fmt.Sprintf(`{"g": {"description": %s, "default_attributes": {%s: {%s: [%s]}}}}`, said, said, said, said)))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var role struct {
		Description string
		Attributes  map[string]map[string][]string `json:"default_attributes"`
	}
	testkit.Must(t, json.Unmarshal(f.Groups[0].Role().Data, &role))
	if role.Description != text || role.Attributes[text][text][0] != text {
		t.Errorf("%+v", role)
	}
}

// inFolder is a file of groups in a folder of its own, with two groups.
func inFolder(t *testing.T) (f *File, roles []Want) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "nodes.json")
	testkit.Must(t, os.WriteFile(path, []byte(`{"a": {"run_list": ["recipe[x]"]}, "b": {}}`), 0o644))
	f, err := Load(path)
	testkit.Must(t, err)
	return f, []Want{f.Groups[0].Role(), f.Groups[1].Role()}
}

func actions(steps []Step) (list []string) {
	for _, s := range steps {
		list = append(list, s.Action)
	}
	return list
}

// TestPlanAndWrite: what each mode does with a file that is not there, is as it should be, or differs.
func TestPlanAndWrite(t *testing.T) {
	f, roles := inFolder(t)
	expect := func(mode Mode, want ...string) []Step {
		t.Helper()
		steps, wrong := f.Plan(roles, mode)
		if len(wrong) > 0 || !slices.Equal(actions(steps), want) {
			t.Fatalf("%v %v, want %v", actions(steps), wrong, want)
		}
		return steps
	}
	expect(Update, Skipped, Skipped)
	steps := expect(Create, Made, Made)
	if _, err := os.Stat(filepath.Join(f.Dir, "roles")); err == nil || !strings.HasPrefix(steps[0].Diff, "--- /dev/null\n+++ "+f.Dir) {
		t.Errorf("a plan wrote, or has no diff: %s", steps[0].Diff)
	}
	done, err := Write(steps)
	if err != nil || len(done) != 2 {
		t.Fatal(done, err)
	}
	path := filepath.Join(f.Dir, roles[0].Path)
	if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, roles[0].Data) {
		t.Fatalf("%s, %v", data, err)
	}
	expect(Create, Kept, Kept)
	expect(Update, Kept, Kept)
	expect(Always, Kept, Kept)
	testkit.Must(t, os.Chmod(path, 0o600))
	testkit.Must(t, os.WriteFile(path, append([]byte("\ufeff"), roles[0].Data...), 0o600))
	expect(Create, Differs, Kept)
	steps = expect(Update, Changed, Kept)
	if !strings.Contains(steps[0].Diff, "\n-\ufeff{\n+{\n") || !strings.HasPrefix(steps[0].Diff, "--- ") {
		t.Errorf("%s", steps[0].Diff)
	}
	_, err = Write(steps)
	testkit.Must(t, err)
	expect(Always, Kept, Kept)
	if at, err := os.Stat(path); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", at.Mode(), err)
	}
}

// TestInTheWay: all that stands in the way is found before anything is written.
func TestInTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a link": {func(dir string) error {
			return os.Symlink("../nodes.json", filepath.Join(dir, "roles", "role-a.json"))
		}, "role-a.json: is a symlink"},
		"a link to nothing": {func(dir string) error { return os.Symlink("none", filepath.Join(dir, "roles", "role-a.json")) }, "role-a.json: is a symlink"},
		"a folder":          {func(dir string) error { return os.Mkdir(filepath.Join(dir, "roles", "role-a.json"), 0o755) }, "role-a.json: is a folder"},
		"read-only":         {func(dir string) error { return os.WriteFile(filepath.Join(dir, "roles", "role-a.json"), nil, 0o444) }, "role-a.json: is read-only"},
		"a file for a folder": {func(dir string) error {
			return replaceFolder(dir, func(p string) error { return os.WriteFile(p, nil, 0o644) })
		}, "roles is a file where a folder should be"},
		"a folder of a link": {func(dir string) error {
			return replaceFolder(dir, func(p string) error { return os.Symlink("none", p) })
		}, "roles is a symlink to what is not there"},
		"a folder to read":     {func(dir string) error { return os.Chmod(filepath.Join(dir, "roles"), 0o555) }, "roles cannot be written"},
		"a folder not to read": {func(dir string) error { return os.Chmod(filepath.Join(dir, "roles"), 0o000) }, "role-a.json: cannot be read: permission denied"},
	} {
		if os.Getuid() == 0 && strings.Contains(name, "to read") {
			continue // root may
		}
		f, roles := inFolder(t)
		testkit.Must(t, os.Mkdir(filepath.Join(f.Dir, "roles"), 0o755))
		testkit.Must(t, c.make(f.Dir))
		_, wrong := f.Plan(roles, Create)
		if len(wrong) == 0 || !strings.Contains(wrong[0].Error(), c.want) {
			t.Errorf("%s: %v", name, wrong)
		}
		_ = os.Chmod(filepath.Join(f.Dir, "roles"), 0o755)
	}
	f, roles := inFolder(t)
	testkit.Must(t, os.Symlink(t.TempDir(), filepath.Join(f.Dir, "roles")))
	steps, wrong := f.Plan(roles, Create)
	if len(wrong) > 0 {
		t.Error(wrong)
	}
	if _, err := Write(steps); err != nil {
		t.Error("a folder may be a link to another: ", err)
	}
	testkit.Must(t, os.Remove(filepath.Join(f.Dir, "roles")))
	steps, _ = f.Plan(roles, Create)
	testkit.Must(t, os.WriteFile(filepath.Join(f.Dir, "roles"), nil, 0o644)) // since the plan
	if done, err := Write(steps); err == nil || len(done) > 0 {
		t.Errorf("%v, %v", done, err)
	}
}

func replaceFolder(dir string, with func(string) error) error {
	path := filepath.Join(dir, "roles")
	if err := os.Remove(path); err != nil {
		return err
	}
	return with(path)
}
