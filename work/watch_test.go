package work

import (
	"fmt"
	"github.com/addagent/addagent/work/sets"
	"path"
	"strings"
	"testing"
)

func TestCleanWatch(t *testing.T) {
	for in, want := range map[string]string{
		"": ".", ".": ".", "/": ".", "./": ".", "app": "app", "app/": "app", "./app//x/": "app/x", "a b": "a b", "..a": "..a", "a..b/...": "a..b/...", "ü": "ü",
		"a/./b": "a/b", "a:b": "a:b",
	} {
		got, err := cleanWatch(in)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"..", "../x", "a/..", "a/../b", "./..", "/app", "//", "/..", "a\nb", "a\x00", "\xff", "a\tb"} {
		if got, err := cleanWatch(bad); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestKeysAreUnambiguous(t *testing.T) {
	seen := map[string]Watch{keyScript: {Path: "the script"}, keyYAML: {Path: "the yaml"}}
	for _, w := range []Watch{{Path: "."}, {Path: "app"}, {Path: "work.sh"}, {Path: "work.yaml"}, {Path: "app2:war"}, {Repo: "app2", Path: "war"}, {Repo: "app2", Path: "."},
		{Repo: "app2", Path: "a:b"}, {Path: "app2:."}, {Repo: "a", Path: "2:b"}, {Path: "nodes of part app1"}, {Repo: "nodes", Path: "of part app1"}, {Nodes: sets.Nodes{Part: "app1"}},
		{Nodes: sets.Nodes{Stacktype: "app1"}}, {Nodes: sets.Nodes{Part: "app1", Stacktype: "b"}}, {Nodes: sets.Nodes{Part: "app1, stacktype b"}}, {Nodes: sets.Nodes{Part: "\"app1\""}}} {
		key := w.key("ops")
		if other, ok := seen[key]; ok {
			t.Errorf("%+v and %+v are both %q", w, other, key)
		}
		seen[key] = w
	}
	if got := (Watch{Repo: "ops", Path: "app"}).key("ops"); got != "./app" {
		t.Error(got)
	}
	if got := strings.Join((Item{Watch: []Watch{{Repo: "app2", Path: "war"}, {Path: "app"}, {Nodes: sets.Nodes{Part: "app1", Deployment: "a: b"}}}}).Watching(), " "); got != `app2:war app nodes of part app1, deployment "a: b"` {
		t.Error(got)
	}
}

func FuzzOverride(f *testing.F) {
	f.Add("app/\nlib\n")
	f.Add("")
	f.Add("../x\r\n/abs\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		watch, problem := parseOverride(text)
		if problem != "" {
			if strings.ContainsAny(problem, "\n\x00") {
				t.Errorf("problem on two lines: %q", problem)
			}
			return
		}
		if len(watch) == 0 {
			t.Error("nothing is watched and nothing said")
		}
		for _, w := range watch {
			if path.IsAbs(w.Path) || w.Path == ".." || strings.HasPrefix(w.Path, "../") || path.Clean(w.Path) != w.Path {
				t.Errorf("watch %q", w.Path)
			}
		}
	})
}

// Sixty thousand lines are read in milliseconds, where each was compared with all before it.
func BenchmarkLongOverride(b *testing.B) {
	var text strings.Builder
	for i := range 15_000 {
		fmt.Fprintf(&text, "%04x\n", i)
	}
	for b.Loop() {
		if watch, problem := parseOverride(text.String()); len(watch) != 15_000 || problem != "" {
			b.Fatal(len(watch), problem)
		}
	}
}
