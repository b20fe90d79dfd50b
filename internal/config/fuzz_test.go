package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever stands in the files, Load answers with all keys and with problems that name one of them, and what it calls
// good can be kept and is the same when it comes back.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"mistakes.yaml", "good.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte(""))
		f.Add([]byte(""), data)
	}
	f.Add(Example(), []byte("repos: [{url: /a}]\n"))
	f.Add([]byte("a: [1,\n"), []byte("\xff"))
	f.Add([]byte("x: &a {b: 1}\ny: *a\nz: !!str 5\n<<: *a\n"), []byte("\tx"))
	f.Add([]byte("repos:\n  - {url: /a}\n  -\n"), []byte("repos: [{url: [/b, /c]}]\n"))
	f.Add([]byte("network: {proxy: \"http://a:b@c\", no_proxy: [a]}\nwork: {env: {A: b}}\n"), []byte("network: {no_proxy: [b]}\nwork: {env: {A: c}}\n"))
	f.Add([]byte("presence: {url: /p, ref_prefix: refs/p, read: 1m}\nchat: [{url: \"slack://t\", from: fleet}]\n"), []byte("chat: [{url: \"a://b\"}]\nec2: {tags: off}\n"))
	f.Add([]byte("wedged: {kill: command, command: [/bin/sh, -c]}\nmetrics: {textfile: /a.prom, listen: \"[::1]:1\"}\n"), []byte("wedged: {command: [x]}\n"))
	f.Fuzz(func(t *testing.T, main, more []byte) {
		path := tree(t, map[string]string{"addagent.yaml": string(main), "addagent.d/1.yaml": string(more)})
		files := []string{path, filepath.Join(filepath.Dir(path), "addagent.d/1.yaml")}
		c, err := Load(path, asRoot())
		if c == nil {
			t.Fatal("no config")
		}
		if len(c.Lines()) < len(Default(asRoot()).Lines()) {
			t.Error("keys are missing")
		}
		var problems Problems
		if err != nil && (!errors.As(err, &problems) || len(problems) == 0) {
			t.Errorf("error %v", err)
		}
		for _, p := range append(problems, c.Notes...) {
			if p.File != files[0] && p.File != files[1] || p.Text == "" || strings.Contains(p.Text, "\n") {
				t.Errorf("problem %#v", p)
			}
		}
		dir := t.TempDir()
		if err != nil {
			if _, err := c.Keep(dir); err == nil {
				t.Error("kept, though it is bad")
			}
			return
		}
		names := map[string]bool{}
		for _, r := range c.Repos {
			if len(r.URLs) == 0 || checkURL(r.URLs[0]) != "" || checkRepoName(r.Name) != "" || names[r.Name] {
				t.Errorf("repository %+v", r)
			}
			names[r.Name] = true
		}
		if p := c.Presence; p.URL != "" && checkURL(p.URL) != "" || checkRefPrefix(p.RefPrefix) != "" || p.Refresh < 5*time.Second ||
			p.PushesPerMinute < 1 || p.PushesPerMinute > 6000 {
			t.Errorf("presence %+v", p)
		}
		for i, r := range c.Chat {
			if (r.URL == "") == (r.URLFile == "") {
				t.Errorf("room %d has %d and %d bytes", i, len(r.URL), len(r.URLFile))
			}
		}
		for _, l := range c.Lines() {
			if strings.HasPrefix(l.Key, "chat[") && strings.HasSuffix(l.Key, "].url") && l.Value != `""` && !strings.HasSuffix(l.Value, `://********"`) {
				t.Errorf("%s is shown", l.Key)
			}
		}
		keep(t, c, dir)
		back, _, err := LoadKept(dir, path, asRoot())
		if err != nil {
			t.Fatalf("what was good is not: %v", err)
		}
		for i, l := range back.Lines() {
			if was := c.Lines()[i]; l.Key != was.Key || l.Value != was.Value {
				t.Errorf("%+v was %+v", l, was)
			}
		}
	})
}
