package work

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/work/sets"
)

func TestParseWorkYAML(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     workYAML
	}{
		{"empty", "", workYAML{}},
		{"comment", "# nothing yet\n", workYAML{}},
		{"document start", "---\n", workYAML{}},
		{"byte order mark and CRLF", "\xef\xbb\xbfrun: always\r\ntimeout: 5s\r\n", workYAML{always: true, timeout: 5 * time.Second}},
		{"all", "watch: [ app/, { repo: app2, path: war/ }, { path: lib }, {repo: app3} ]\nrun: changed\ntimeout: 1h30m\n",
			workYAML{watch: []Watch{{Path: "app"}, {Repo: "app2", Path: "war"}, {Path: "lib"}, {Repo: "app3", Path: "."}}, timeout: 90 * time.Minute}},
		{"block style", "watch:\n  - app\n  - repo: app2\n    path: war\n  - \"with: colon\"\n  - 'a b'\n",
			workYAML{watch: []Watch{{Path: "app"}, {Repo: "app2", Path: "war"}, {Path: "with: colon"}, {Path: "a b"}}}},
		{"whole", "watch: [ \"\", ., / ]\n", workYAML{watch: []Watch{{Path: "."}}}},
		{"own repository by name", "watch: [ {repo: ops, path: app}, app ]\n", workYAML{watch: []Watch{{Path: "app"}}}},
		{"nodes", "watch: [ { nodes: { part: app1 } }, app, { nodes: { deployment: prod, stacktype: lad1, part: app1 } }, {nodes: {part: app1}} ]\n",
			workYAML{watch: []Watch{{Nodes: sets.Nodes{Part: "app1"}}, {Path: "app"}, {Nodes: sets.Nodes{Part: "app1", Stacktype: "lad1", Deployment: "prod"}}}}},
		{"nodes in block style", "watch:\n- nodes:\n    stacktype: \"12\"\n", workYAML{watch: []Watch{{Nodes: sets.Nodes{Stacktype: "12"}}}}},
		{"services", "watch: [ { service: db }, { service: db, role: master, deployment: fed2, min: 2 } ]\n",
			workYAML{watch: []Watch{{Service: service.Watch{Service: "db"}}, {Service: service.Watch{Service: "db", Role: "master", Deployment: "fed2", Min: 2}}}}},
		{"nothing", "watch: []\n", workYAML{watch: []Watch{}}},
		{"quoted number", "watch: [\"2024\"]\n", workYAML{watch: []Watch{{Path: "2024"}}}},
		{"flow at the top", "{run: always}", workYAML{always: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, problems := parseWorkYAML("f", "ops", []byte(test.in))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseWorkYAMLProblems(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []string // each a part of the problem of that number
	}{
		{"wach: [x]\n", []string{`f:1:1: unknown key "wach", did you mean watch?`}},
		{"Watch: [x]\n", []string{`f:1:1: unknown key "Watch", did you mean watch?`}},
		{"xyzzy: 1\n", []string{`f:1:1: unknown key "xyzzy" (known: watch, run, timeout)`}},
		{"run: alway\n", []string{`f:1:1: run: is "alway", must be changed or always`}},
		{"run: true\n", []string{"f:1:1: run: must be text, not true"}},
		{"run:\n", []string{"f:1:1: run: must be text, not nothing"}},
		{"timeout: 600\n", []string{"f:1:1: timeout: 600 has no unit, as in 90s, 10m or 1h30m"}},
		{"timeout: 10 minutes\n", []string{`timeout: "10 minutes" is not a time`}},
		{"timeout: -5m\n", []string{"too short"}},
		{"timeout: 1ns\n", []string{"too short"}},
		{"timeout: [1m]\n", []string{"timeout: must be text, not a list"}},
		{"watch: app/\n", []string{"f:1:1: watch: must be a list, as in [ app/, { repo: app2, path: war/ } ], not text"}},
		{"watch: [ 12 ]\n", []string{"f:1:10: watch: must be a path, { repo: NAME, path: PATH }, { service: NAME } or { nodes: { part: NAME } }, not 12 (put it in quotes"}},
		{"watch: [ ~ ]\n", []string{"not nothing"}},
		{"watch: [ {} ]\n", []string{"not nothing"}},
		{"watch: [ [x] ]\n", []string{"not a list"}},
		{"watch:\n  - ../secret\n  - /etc\n", []string{`f:2:5: watch: "../secret" has ".."`, `f:3:5: watch: "/etc" is absolute`}},
		{"watch:\n- { repo: app2, pth: x }\n", []string{`f:2:17: unknown key "pth", did you mean path?`}},
		{"watch: [ { repo: ../x } ]\n", []string{`repo: "../x" is not the name of a folder in gitrepo/`}},
		{"watch: [ { repo: \"\" } ]\n", []string{"is not the name of a folder"}},
		{"watch: [ { service: API }, { service: db, role: boss }, { service: db, min: 0 } ]\n", []string{"f:1:21: service: \"API\" is not the name", "role: is \"boss\"", "min: must be a number"}},
		{"watch: [ { role: master }, { service: db, path: x } ]\n", []string{"watch: role, deployment and min go with service", "watch: role, deployment and min go with service"}},
		{"watch: [ { nodes: { prt: app1 } } ]\n", []string{`f:1:21: unknown key "prt", did you mean part?`}},
		{"watch: [ { nodes: { nodepart: app1 } } ]\n", []string{`f:1:21: unknown key "nodepart" (known: part, stacktype, deployment)`}},
		{"watch:\n- nodes:\n    part: app1\n    part: app2\n", []string{"f:4:5: "}},
		{"watch: [ { nodes: { part: 12, stacktype: [a] } } ]\n", []string{"f:1:21: part: must be text, not 12 (put it in quotes", "f:1:31: stacktype: must be text, not a list"}},
		{"watch: [ { nodes: { part: \"\" } }, { nodes: { deployment: a/b } } ]\n",
			[]string{`f:1:21: part: "" is not a valid part`, `f:1:46: deployment: "a/b" is not a valid deployment`}},
		{"watch: [ { nodes: {} } ]\n", []string{"f:1:12: nodes: must be keys and values, as in { part: app1 }, not nothing"}},
		{"watch: [ { nodes: } ]\n", []string{"not nothing"}},
		{"watch: [ { nodes: app1 } ]\n", []string{"f:1:12: nodes: must be keys and values, as in { part: app1 }, not text"}},
		{"watch: [ { nodes: { part: app1 }, path: app } ]\n", []string{"f:1:12: nodes: cannot be combined with other keys"}},
		{"watch: [app]\ntimeout: x\nrnu: y\n", []string{"f:2:1: timeout", `f:3:1: unknown key "rnu"`}},
		{"run: changed\nrun: always\n", []string{"f:2:1: "}},
		{"run: changed\n\"run\": always\n", []string{"f:2:1: "}},
		{"- run\n", []string{"f:1:1: must be keys and values (watch, run, timeout), not a list"}},
		{"always\n", []string{"f:1:1: must be keys and values"}},
		{"---\nrun: always\n---\nrun: changed\n", []string{"f:4:"}},
		{"run: &a always\n", []string{"not an anchor, alias or tag"}},
		{"<<: {run: always}\n", []string{"f:1:1: a key must be a plain word"}},
		{"watch: [app\n", []string{"f:1:8: "}},
		{"\trun: x\n", []string{"f:1:"}},
		{strings.Repeat("a: 1\n", 3000), []string{"f: more than 1000 keys"}},
		{strings.Repeat("a: 1\n", 12), append(slices.Repeat([]string{"unknown key"}, 10), "f: and 2 mistakes more")},
		{"run: \xff\n", []string{"f:1:1: holds bytes that are no UTF-8"}},
		{"run: \x00\n", []string{"f:1:6: a NUL character"}},
	} {
		_, problems := parseWorkYAML("f", "ops", []byte(test.in))
		if len(problems) != len(test.want) {
			t.Errorf("%q: %d problems, want %d: %q", test.in[:min(60, len(test.in))], len(problems), len(test.want), problems)
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(problems[i], want) {
				t.Errorf("%q:\n got %q\nwant %q", test.in[:min(60, len(test.in))], problems[i], want)
			}
		}
	}
}

func FuzzWorkYAML(f *testing.F) {
	f.Add([]byte("watch: [ app/, { repo: app2, path: war/ } ]\nrun: always\ntimeout: 10m\n"))
	f.Add([]byte("watch: [ { nodes: { part: 'a, stacktype b', deployment: prod } } ]\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Add([]byte("? [a]\n: - b\n"))
	f.Add([]byte("<<: {a: b}\n!!str a: b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		y, problems := parseWorkYAML("f", "ops", data)
		for _, p := range problems {
			if !strings.HasPrefix(p, "f:") || strings.ContainsAny(p, "\n\x00\x1b") {
				t.Errorf("problem %q", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		if y.timeout < 0 {
			t.Errorf("timeout %v", y.timeout)
		}
		for _, w := range y.watch {
			if w.Nodes != (sets.Nodes{}) {
				if key := w.key("ops"); w.Repo+w.Path != "" || !isOutside(key) || len(w.Nodes.Filter()) == 0 || human.Printable(key) != key {
					t.Errorf("watch %+v: %q", w, key)
				}
				continue
			}
			if again, err := cleanWatch(w.Path); err != nil || again != w.Path || w.Repo == "ops" {
				t.Errorf("watch %+v: %v", w, err)
			}
		}
	})
}
