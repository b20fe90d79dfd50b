package work

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/strictyaml"
)

const script = "echo\n"

func names(items []Item) string {
	var all []string
	for _, it := range items {
		all = append(all, it.Name)
	}
	return strings.Join(all, " ")
}

func TestFindOrderAndLevels(t *testing.T) {
	all := map[string]string{}
	for _, base := range []string{"nodework", "nodework/common", "nodework/part/app1", "nodework/part/db1", "nodework/stacktype/lad1", "nodework/stacktype/lad1/part/app1",
		"nodework/stacktype/other/part/app1", "nodework/common/work.d/ntp", "nodework/common/work.d/cron.2", "nodework/work.d/a", "nodework/part/app1/work.d/z"} {
		all[base+"/work.sh"] = script
	}
	c := checkout(t, "ops", all)
	for _, test := range []struct {
		place Place
		want  string
	}{
		{Place{}, "root root+a common common+cron.2 common+ntp"},
		{Place{Nodepart: "app1"}, "root root+a common common+cron.2 common+ntp part.app1 part.app1+z"},
		{Place{Stacktype: "lad1"}, "root root+a common common+cron.2 common+ntp stacktype.lad1"},
		{Place{Nodepart: "app1", Stacktype: "lad1"}, "root root+a common common+cron.2 common+ntp part.app1 part.app1+z stacktype.lad1 stacktype.lad1.part.app1"},
		{Place{Nodepart: "app1", Stacktype: "other"}, "root root+a common common+cron.2 common+ntp part.app1 part.app1+z stacktype.other.part.app1"},
		{Place{Nodepart: "db1", Stacktype: "none"}, "root root+a common common+cron.2 common+ntp part.db1"},
		{Place{Nodepart: "APP1", Stacktype: "nothing here"}, "root root+a common common+cron.2 common+ntp"},
	} {
		items, notices, err := Find(c, test.place)
		if err != nil || len(notices) > 0 {
			t.Fatalf("%+v: %v %v", test.place, notices, err)
		}
		if got := names(items); got != test.want {
			t.Errorf("%+v:\n got %s\nwant %s", test.place, got, test.want)
		}
	}
	items, _, _ := Find(c, Place{Nodepart: "app1", Stacktype: "lad1"})
	last := items[len(items)-1]
	want := Item{Repo: "ops", Level: StacktypePart, Name: "stacktype.lad1.part.app1", Dir: "nodework/stacktype/lad1/part/app1",
		Script: "nodework/stacktype/lad1/part/app1/work.sh", Watch: []Watch{{Path: "."}}, WatchFrom: FromDefault}
	if !reflect.DeepEqual(last, want) {
		t.Errorf("got  %+v\nwant %+v", last, want)
	}
	if it := items[4]; it.Level != Common || it.Script != "nodework/common/work.d/ntp/work.sh" {
		t.Errorf("%+v", it)
	}
}

func TestFindWhere(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // scripts
		said  string // how the notice begins
	}{
		{"nothing", map[string]string{"README": "x"}, "", ""},
		{"bin", map[string]string{"bin/nodework/common/work.sh": script}, "bin/nodework/common/work.sh", ""},
		{"nodework wins", map[string]string{"bin/nodework/work.sh": script, "nodework/common/work.sh": script}, "nodework/common/work.sh", ""},
		{"a hold alone does not take bin away", map[string]string{"bin/nodework/work.sh": script, "nodework/hold.yaml": "reason: x\n"}, "bin/nodework/work.sh", ""},
		{"nodework is a file", map[string]string{"bin/nodework/work.sh": script, "nodework": "x"}, "bin/nodework/work.sh", "nodework: is a file"},
		{"nodework is a symlink", map[string]string{"bin/nodework/work.sh": script, "nodework": "-> bin/nodework"}, "bin/nodework/work.sh", "nodework: is a symlink"},
		{"bin is a file", map[string]string{"bin": "x"}, "", ""},
		{"bin is a symlink", map[string]string{"bin": "-> tools", "tools/nodework/work.sh": script}, "", "bin: is a symlink"},
		{"bin/nodework is a symlink", map[string]string{"bin/nodework": "-> ../tools", "tools/work.sh": script}, "", "bin/nodework: is a symlink"},
		{"a symlink that is not needed", map[string]string{"bin": "-> tools", "nodework/work.sh": script}, "nodework/work.sh", ""},
		{"no work.sh", map[string]string{"nodework/common/README": "x", "nodework/part/app1/other.sh": script}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			items, notices, err := Find(checkout(t, "ops", test.files), Place{Nodepart: "app1"})
			if said := strings.Join(notices, "; "); err != nil || !strings.HasPrefix(said, test.said) || (said == "") != (test.said == "") {
				t.Fatal(notices, err)
			}
			got := ""
			for _, it := range items {
				got += it.Script
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestFindSaysWhatIsInTheWay: folders that are linked hold no work, and that is said, once.
func TestFindSaysWhatIsInTheWay(t *testing.T) {
	const end = ": is a symlink, which is not followed: it may lead outside the repository"
	for _, test := range []struct {
		link, target string
		want         []string
	}{
		{"nodework/part", "-> ../x", []string{"nodework/part" + end}},
		{"nodework/part/app1", "-> ../../x/app1", []string{"nodework/part/app1" + end}},
		{"nodework/stacktype", "-> ../x", []string{"nodework/stacktype" + end}},
		{"nodework/stacktype/lad1/part", "a file", []string{"nodework/stacktype/lad1/part: is a file, not a folder"}},
		{"nodework/work.d", "-> ../x", []string{"nodework/work.d" + end}},
		{"nodework/common/work.d", "a file", []string{"nodework/common/work.d: is a file, not a folder"}},
		{"nodework/work.d/ntp", "-> ../../x", []string{"nodework/work.d/ntp: ignored: is a symlink"}},
		{"nodework/part/db1", "-> ../../x/app1", nil},
	} {
		c := checkout(t, "ops", map[string]string{"nodework/work.sh": script, "x/app1/work.sh": script, test.link: test.target})
		items, notices, err := Find(c, Place{Nodepart: "app1", Stacktype: "lad1"})
		if err != nil || len(items) != 1 || !slices.Equal(notices, test.want) {
			t.Errorf("%s: %q, %s, %v", test.link, notices, names(items), err)
		}
	}
}

func TestFindOddScripts(t *testing.T) {
	c := checkout(t, "ops", map[string]string{
		"nodework/work.sh":                   "#!/bin/sh\n",
		"nodework/common/work.sh":            "-> ../../etc/shadow",
		"nodework/part/app1/work.sh/x":       "a folder",
		"nodework/work.d/README":             "not an item",
		"nodework/work.d/.hidden/work.sh":    script,
		"nodework/work.d/with space/work.sh": script,

		"nodework/work.d/" + strings.Repeat("x", 101) + "/work.sh": script,
		"nodework/work.d/no-script/notes.txt":                      "x",
		"nodework/work.d/ok_1.x-/work.sh":                          script,
	})
	items, notices, err := Find(c, Place{Nodepart: "app1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(items); got != "root root+ok_1.x- common" {
		t.Fatal(got)
	}
	if !items[0].Executable || items[1].Executable || items[0].Problem != "" {
		t.Errorf("%+v %+v", items[0], items[1])
	}
	if !strings.Contains(items[2].Problem, "nodework/common/work.sh: is a symlink") {
		t.Errorf("%q", items[2].Problem)
	}
	said := strings.Join(notices, "\n")
	for _, want := range []string{"nodework/work.d/.hidden: ignored", "nodework/work.d/with space: ignored", strings.Repeat("x", 101) + ": ignored", "nodework/part/app1/work.sh: ignored: is a folder"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	if len(notices) != 4 {
		t.Error(said)
	}
}

func TestFindSettings(t *testing.T) {
	override := "app\n\n  lib/x y \r\napp/\n"
	for _, test := range []struct {
		name, yaml, override string
		want                 Item // Watch, WatchFrom, Always, Timeout
		problem              string
	}{
		{name: "default", want: Item{Watch: []Watch{{Path: "."}}, WatchFrom: FromDefault}},
		{name: "yaml", yaml: "watch: [ app/, { repo: app2, path: /} ]\nrun: always\ntimeout: 10m\n",
			want: Item{Watch: []Watch{{Path: "app"}, {Repo: "app2", Path: "."}}, WatchFrom: FromYAML, Always: true, Timeout: 10 * time.Minute}},
		{name: "yaml wins over override", yaml: "watch: [app]\n", override: override, want: Item{Watch: []Watch{{Path: "app"}}, WatchFrom: FromYAML}},
		{name: "yaml watches nothing", yaml: "watch: []\n", override: override, want: Item{Watch: []Watch{}, WatchFrom: FromYAML}},
		{name: "yaml is silent", yaml: "timeout: 1s\n", override: override,
			want: Item{Watch: []Watch{{Path: "app"}, {Path: "lib/x y"}}, WatchFrom: FromOverride, Timeout: time.Second}},
		{name: "override", override: override, want: Item{Watch: []Watch{{Path: "app"}, {Path: "lib/x y"}}, WatchFrom: FromOverride}},
		{name: "override of an editor", override: "\ufeffapp\r\nlib\r\n", want: Item{Watch: []Watch{{Path: "app"}, {Path: "lib"}}, WatchFrom: FromOverride}},
		{name: "override of nothing is all", override: "\n", want: Item{Watch: []Watch{{Path: "."}}, WatchFrom: FromOverride}},
		{name: "bad override", override: "app\n../x\n", problem: `work.sh_WATCH_PATH.txt:2: "../x" has ".."`},
		{name: "bad yaml", yaml: "watch: [app]\ntimeuot: 1m\n", problem: `nodework/work.yaml:2:1: unknown key "timeuot", did you mean timeout?`},
		{name: "symlink", yaml: "-> /etc/passwd", problem: "nodework/work.yaml: is not a regular file"},
		{name: "huge", yaml: "#" + strings.Repeat("x", strictyaml.FileMax), problem: "nodework/work.yaml: cannot be read: longer than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{"nodework/work.sh": script}
			if test.yaml != "" {
				files["nodework/work.yaml"] = test.yaml
			}
			c := checkout(t, "ops", files)
			if test.override != "" {
				write(t, filepath.Join(MemoryDir(c.Dir, "root"), overrideFile), test.override)
			}
			items, _, err := Find(c, Place{})
			if err != nil || len(items) != 1 {
				t.Fatal(items, err)
			}
			it := items[0]
			if test.problem != "" {
				if !strings.Contains(it.Problem, test.problem) {
					t.Errorf("got %q, want %q", it.Problem, test.problem)
				}
				return
			}
			got := Item{Watch: it.Watch, WatchFrom: it.WatchFrom, Always: it.Always, Timeout: it.Timeout, Problem: it.Problem}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// brokenTree fails at one path, as a clone does whose objects are lost.
type brokenTree struct {
	Tree
	at string
}

var errBroken = errors.New("object missing")

func (b brokenTree) ID(p string) (string, error) {
	if p == b.at {
		return "", errBroken
	}
	return b.Tree.ID(p)
}

func (b brokenTree) Read(p string, limit int64) ([]byte, error) {
	if p == b.at {
		return nil, errBroken
	}
	return b.Tree.Read(p, limit)
}

func (b brokenTree) List(p string) ([]objects.Entry, error) {
	if p == b.at || b.at == "" { // nothing is found below a root that cannot be read
		return nil, errBroken
	}
	return b.Tree.List(p)
}

func TestBrokenTreesAreErrorsAndNeverNothingToDo(t *testing.T) {
	c := checkout(t, "ops", map[string]string{"nodework/work.sh": script, "nodework/work.yaml": "watch: [app]\n", "nodework/hold.yaml": "reason: x\n",
		"nodework/work.d/a/work.sh": script, "app": "x"})
	whole := c.Tree
	for _, at := range []string{"", "nodework", "nodework/work.d", "nodework/work.d/a", "nodework/common"} {
		c.Tree = brokenTree{whole, at}
		if _, _, err := Find(c, Place{}); !errors.Is(err, errBroken) {
			t.Errorf("%q: %v", at, err)
		}
	}
	for _, at := range []string{"nodework", "bin/nodework"} {
		c.Tree = brokenTree{whole, at}
		if _, err := Holds(c, Place{}, time.Now()); !errors.Is(err, errBroken) {
			t.Errorf("hold %q: %v", at, err)
		}
	}
	c.Tree = brokenTree{whole, "nodework/hold.yaml"}
	if holds, err := Holds(c, Place{}, time.Now()); err != nil || len(holds) != 1 || !strings.Contains(holds[0].Reason, "cannot be read: object missing; holding") {
		t.Errorf("a hold that cannot be read: %+v, %v", holds, err)
	}
	c.Tree = brokenTree{whole, "nodework/work.yaml"}
	if items, _, err := Find(c, Place{}); err != nil || len(items) != 2 || items[0].Problem != "nodework/work.yaml: cannot be read: object missing" || items[1].Problem != "" {
		t.Errorf("a work.yaml that cannot be read: %+v, %v", items, err)
	}
	c.Tree = whole
	items, _, err := Find(c, Place{})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"app", "nodework/work.sh", "nodework/work.yaml"} {
		c.Tree = brokenTree{whole, at}
		if _, _, err := Fingerprints(items[0], map[string]Checkout{"ops": c}); !errors.Is(err, errBroken) {
			t.Errorf("id %q: %v", at, err)
		}
	}
	if _, _, err := Fingerprints(items[0], nil); err == nil {
		t.Error("an item without its repository was judged")
	}
	it := Item{Repo: "ops", Script: "nodework/work.sh", Dir: "nodework", Watch: []Watch{{Repo: "app2", Path: "war"}}}
	c.Tree = whole
	if ids, _, err := Fingerprints(it, map[string]Checkout{"ops": c, "app2": {Repo: "app2"}}); err == nil || !strings.Contains(err.Error(), "the tree of app2 cannot be read") {
		t.Errorf("a repository that cannot be read: %v, %v", ids, err)
	}
}

// A name that means one of ours and is not is said: a hold that holds nothing, a watch of nothing.
func TestMisspeltNames(t *testing.T) {
	place := Place{Nodepart: "app1", Init: "ops"}
	for name, want := range map[string]string{
		"nodework/hold.yml":                    "did you mean hold.yaml?",
		"bin/nodework/HOLD.yaml":               "did you mean hold.yaml?",
		"nodework/hold.yaml.txt":               "did you mean hold.yaml?",
		"nodework/common/hold.yaml":            "only hold.yaml in nodework/ or bin/nodework/ holds",
		"nodework/work.yml":                    "did you mean work.yaml?",
		"nodework/part/app1/WORK.yaml":         "did you mean work.yaml?",
		"nodework/part/app1/work.yaml.txt":     "did you mean work.yaml?",
		"nodework/part/app1/work.SH":           "did you mean work.sh?",
		"nodework/part/app1/Work.d/x/work.sh":  "did you mean work.d?",
		"nodework/Part/app1/work.sh":           "did you mean part?",
		"nodework/part/app1/work.d/x/work.yml": "did you mean work.yaml?",
		"nodework/services.yml":                "ignored: did you mean services.yaml?",
		"nodeinit/common/Init.sh":              "did you mean init.sh?",
		"it/nodeinit/part/app1/init.bash":      "did you mean init.sh?",
		"nodework/part/app1/work.sh.bak":       "",
		"nodework/part/app1/helper.yml":        "",
		"nodework/part/db1/work.yml":           "",
	} {
		_, notices, err := Find(checkout(t, "ops", map[string]string{name: "x", "nodework/work.sh": script}), place)
		if said := strings.Join(notices, "; "); err != nil || !strings.HasSuffix(said, want) || (said == "") != (want == "") {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
}
