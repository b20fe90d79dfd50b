package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// tree writes files by their names below a new folder and returns the path of addagent.yaml there.
func tree(t testing.TB, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "addagent.yaml")
}

// near takes the folder of the config out of a text.
func near(path, text string) string { return strings.ReplaceAll(text, filepath.Dir(path)+"/", "") }

// Three files, from which each kind of value comes together by its own rule.
func TestDropIns(t *testing.T) {
	path := tree(t, map[string]string{
		"addagent.yaml": "beat: { spread: 5s }\nrepos:\n  - url: /srv/ops\nnetwork:\n  no_proxy:\n    - a.example.org\n    - b.example.org\n" +
			"work: { env: { LANG: C, TZ: UTC }, wedge_after: 5 }\n",
		"addagent.d/20-site.yaml": "work:\n  wedge_after: 7\n  env: { LANG: C.UTF-8, EXTRA: x }\n",
		"addagent.d/10-app.yaml":  "# more\nrepos:\n  - { url: /srv/app, branch: main }\nnetwork: { no_proxy: [10.0.0.0/8] }\nwork: { wedge_after: 6 }\n",
		"addagent.d/README":       "not read",
		"addagent.d/sub/x.yaml":   "not: read",
	})
	c, err := Load(path, asRoot())
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]string{}
	for _, l := range c.Lines() {
		from[l.Key] = l.Value + " " + near(path, l.From)
	}
	for key, want := range map[string]string{
		"beat.spread":       "5s addagent.yaml:1",
		"beat.schedule":     `"* * * * *" default`,
		"repos[0].url":      "/srv/ops addagent.yaml:3",
		"repos[0].name":     "ops addagent.yaml:3",
		"repos[1].url":      "/srv/app addagent.d/10-app.yaml:3",
		"repos[1].branch":   "main addagent.d/10-app.yaml:3",
		"network.no_proxy":  "[a.example.org, b.example.org, 10.0.0.0/8] addagent.yaml:6, addagent.d/10-app.yaml:4",
		"work.wedge_after":  "7 addagent.d/20-site.yaml:2",
		"work.env.LANG":     "C.UTF-8 addagent.d/20-site.yaml:3",
		"work.env.TZ":       "UTC addagent.yaml:8",
		"work.env.EXTRA":    "x addagent.d/20-site.yaml:3",
		"work.env.NOWHERE":  "",
		"work.retry_first":  "1m default",
		"network.proxy":     `"" default`,
		"repos[1].rewind":   "follow default",
		"network.ca_file":   `"" default`,
		"repos[2].url":      "",
		"work.env.ADD_HOME": "",
	} {
		if from[key] != want {
			t.Errorf("%s is %s, not %s", key, from[key], want)
		}
	}
	var names []string
	for _, f := range c.Files() {
		names = append(names, near(path, f))
	}
	if want := []string{"addagent.yaml", "addagent.d/10-app.yaml", "addagent.d/20-site.yaml"}; !reflect.DeepEqual(names, want) {
		t.Errorf("files %q", names)
	}
	if len(c.Notes) != 0 {
		t.Errorf("notes %v", c.Notes)
	}
}

// What is wrong with several files is said of each, the main one first.
func TestDropInProblems(t *testing.T) {
	big := "#" + strings.Repeat("x", sizeLimit-1)
	many := map[string]string{"addagent.yaml": ""}
	for i := range countLimit + 1 {
		many[fmt.Sprintf("addagent.d/%03d.yaml", i)] = ""
	}
	for name, c := range map[string]struct {
		all    map[string]string
		before func(t *testing.T, dir string)
		want   string
	}{
		"each with its place": {
			all: map[string]string{"addagent.yaml": "home: x\n", "addagent.d/1.yaml": "\nhoem: /a\n", "addagent.d/2.yaml": "log: {\n"},
			want: "addagent.yaml:1:7: home: \"x\" is not an absolute path: begin it with /\n" +
				"addagent.d/1.yaml:2:1: hoem: unknown key: did you mean home?\n" +
				"addagent.d/2.yaml:1:6: could not find flow mapping end token '}'",
		},
		"a name twice": {
			all:  map[string]string{"addagent.yaml": "repos:\n  - url: /a/ops\n", "addagent.d/1.yaml": "repos: [{url: /b/ops}]\n"},
			want: "addagent.d/1.yaml:1:15: repos[1].name: ops is also the name of the repository at addagent.yaml:2: each needs its own folder",
		},
		"a bad value that a later file replaces": {
			all:  map[string]string{"addagent.yaml": "log: {keep: 0}\n", "addagent.d/1.yaml": "log: {keep: 3}\n"},
			want: "addagent.yaml:1:13: log.keep: 0 is too small: must be at least 1",
		},
		"values of two files that do not go together": {
			all:  map[string]string{"addagent.yaml": "work: {retry_first: 20m}\n", "addagent.d/1.yaml": "work: {retry_max: 5m}\n"},
			want: "addagent.d/1.yaml:1:19: work.retry_max: retry_max (5m) must not be shorter than retry_first (20m)",
		},
		"credentials of a repository there": {
			all:  map[string]string{"addagent.yaml": "", "addagent.d/1.yaml": "repos:\n  - url: https://h/a\n    auth: {token_file: /no/token}\n"},
			want: "addagent.d/1.yaml:3:24: repos[0].auth.token_file: /no/token does not exist: create it, or correct the path",
		},
		"a folder": {
			all:  map[string]string{"addagent.yaml": "", "addagent.d/1.yaml/x": ""},
			want: "addagent.d/1.yaml: cannot be read: is a folder, not a file",
		},
		"a link to nowhere": {
			all: map[string]string{"addagent.yaml": "", "addagent.d/2.yaml": ""},
			before: func(t *testing.T, dir string) {
				if err := os.Symlink("gone", filepath.Join(dir, "addagent.d/1.yaml")); err != nil {
					t.Fatal(err)
				}
			},
			want: "addagent.d/1.yaml: points to a file that does not exist: correct the link, or remove it",
		},
		"addagent.d is a file": {
			all:  map[string]string{"addagent.yaml": "", "addagent.d": ""},
			want: "addagent.d: cannot be read: not a directory",
		},
		"one too large": {
			all:  map[string]string{"addagent.yaml": "", "addagent.d/1.yaml": big + "x"},
			want: "addagent.d/1.yaml: is too large: a config file has at most 256 KB",
		},
		"together too large": {
			all: map[string]string{"addagent.yaml": big, "addagent.d/1.yaml": big, "addagent.d/2.yaml": big, "addagent.d/3.yaml": big,
				"addagent.d/4.yaml": "log: {keep: 3}\n"},
			want: "addagent.d/4.yaml: is too much: all files together may have at most 1 MB",
		},
		"too many": {
			all:  many,
			want: "addagent.d: holds 101 files: merge some, at most 100 are read",
		},
		"no main file": {
			all:  map[string]string{"addagent.d/1.yaml": "log: {keep: 0}\n"},
			want: "addagent.yaml: no such file: create it, or name another with --config\naddagent.d/1.yaml:1:13: log.keep: 0 is too small: must be at least 1",
		},
	} {
		path := tree(t, c.all)
		if c.before != nil {
			c.before(t, filepath.Dir(path))
		}
		_, err := Load(path, asRoot())
		if err == nil {
			t.Errorf("%s: no problem", name)
		} else if got := near(path, err.Error()); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func TestWhatIsNotReadIsNoted(t *testing.T) {
	path := tree(t, map[string]string{
		"addagent.yaml": "", "addagent.d/.10-x.yaml": "bad", "addagent.d/20-x.yml": "bad", "addagent.d/x.yaml~": "bad", "addagent.d/x.yaml.rpmsave": "bad",
	})
	c, err := Load(path, asRoot())
	if err != nil {
		t.Fatal(err)
	}
	const want = "addagent.d/.10-x.yaml: is not read: its name begins with a dot\naddagent.d/20-x.yml: is not read: only names that end in .yaml are"
	if got := near(path, c.Notes.Error()); got != want {
		t.Errorf("notes %s", got)
	}
}

// Without a main file the drop-ins alone are a config, where it may be absent.
func TestOnlyDropIns(t *testing.T) {
	path := tree(t, map[string]string{"addagent.d/1.yaml": "log: {keep: 3}\n"})
	o := asRoot()
	o.Optional = true
	c, err := Load(path, o)
	if err != nil || c.Log.Keep != 3 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A drop-in may be a link, as those who put configs there from elsewhere make them.
func TestDropInLink(t *testing.T) {
	path := tree(t, map[string]string{"addagent.yaml": "", "elsewhere/keep": "log: {keep: 3}\n", "addagent.d/x": ""})
	if err := os.Symlink("../elsewhere/keep", filepath.Join(filepath.Dir(path), "addagent.d/1.yaml")); err != nil {
		t.Fatal(err)
	}
	before := Stamp(path)
	if c, err := Load(path, asRoot()); err != nil || c.Log.Keep != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "elsewhere/keep"), []byte("log: {keep: 4}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if Stamp(path) == before {
		t.Error("the stamp does not see through a link")
	}
}

// Each step changes what Load would read, so each must change the stamp; what it does not read must not.
func TestStamp(t *testing.T) {
	path := tree(t, map[string]string{"other.yaml": ""})
	dir := filepath.Dir(path)
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) func() error {
		return func() error { return os.WriteFile(in(name), []byte(text), 0o600) }
	}
	last := Stamp(path)
	for _, step := range []struct {
		name    string
		do      func() error
		changes bool
	}{
		{"nothing", func() error { return nil }, false},
		{"the file comes", write("addagent.yaml", "log: {keep: 3}\n"), true},
		{"nothing again", func() error { return nil }, false},
		{"it is written", write("addagent.yaml", "log: {keep: 3}\n# more\n"), true},
		{"it is replaced by one of the same size and time", func() error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(in("new"), []byte("log: {keep: 4}\n# more\n"), 0o600); err != nil {
				return err
			}
			if err := os.Chtimes(in("new"), info.ModTime(), info.ModTime()); err != nil {
				return err
			}
			return os.Rename(in("new"), path)
		}, true},
		{"it can be read by others", func() error { return os.Chmod(path, 0o644) }, true},
		{"an empty folder", func() error { return os.Mkdir(in("addagent.d"), 0o755) }, false},
		{"a drop-in", write("addagent.d/1.yaml", ""), true},
		{"it is written, too", write("addagent.d/1.yaml", "#"), true},
		{"what is not read", write("addagent.d/README", ""), false},
		{"what is noted", write("addagent.d/x.yml", ""), true},
		{"it has another name", func() error { return os.Rename(in("addagent.d/1.yaml"), in("addagent.d/2.yaml")) }, true},
		{"it goes", func() error { return os.Remove(in("addagent.d/2.yaml")) }, true},
		{"something beside", write("other.yaml", "x"), false},
		{"all go", func() error { return os.RemoveAll(in("addagent.d")) }, true},
		{"a file in place of the folder", write("addagent.d", ""), true},
		{"the file goes", func() error { return os.Remove(path) }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		now := Stamp(path)
		if (now != last) != step.changes {
			t.Errorf("%s: changed is %v", step.name, now != last)
		}
		last = now
	}
}

func BenchmarkStamp(b *testing.B) {
	path := tree(b, map[string]string{"addagent.yaml": "", "addagent.d/1.yaml": "", "addagent.d/2.yaml": ""})
	b.ReportAllocs()
	for b.Loop() {
		Stamp(path)
	}
}
