package work

import (
	"fmt"
	"github.com/addagent/addagent/work/sets"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// every state that a memory can be in, against every state of the repository, with the verdict that the table of the
// specification gives.
func TestJudgeExhaustively(t *testing.T) {
	now := map[string]string{".": "tree2", "app2:war": "w1", keyScript: "s1", keyYAML: ""}
	with := func(changes ...string) map[string]string {
		ids := maps.Clone(now)
		for i := 0; i < len(changes); i += 2 {
			if ids[changes[i]] = changes[i+1]; changes[i+1] == "-" {
				delete(ids, changes[i])
			}
		}
		return ids
	}
	dones := map[string]map[string]string{ // ids of the last success; nil = not known
		"unknown":              nil,
		"the same":             now,
		"own path differs":     with(".", "tree1"),
		"script differs":       with(keyScript, "s0"),
		"other repo differs":   with("app2:war", "w0"),
		"other repo was none":  with("app2:war", ""),
		"watch is new":         with("app2:war", "-"),
		"watch was given up":   with("./lib", "x"),
		"other was given up":   with("app3:.", "x"),
		"own and other differ": with(".", "tree1", "app2:war", "w0"),
	}
	outside := []string{"unknown", "other repo differs", "other repo was none", "watch is new", "other was given up", "own and other differ"}
	ok := Attempt{Version: sha1, Fingerprint: "f", Finished: noon}
	lasts := map[string]*Attempt{"none": nil, "ok": &ok, "unfinished": {Fingerprint: "f"}}
	for _, reason := range []Reason{ReasonExit, ReasonSignal, ReasonDeadline, ReasonStart, ReasonWaiting, ReasonWedged, ReasonShutdown, ReasonInterrupted, "of a newer agent"} {
		lasts[string(reason)] = &Attempt{Fingerprint: "f", Finished: noon, Reason: reason}
	}
	cases := 0
	for _, version := range []string{"", sha1, sha2} { // of the last success; the repository is at sha2
		for name, done := range dones {
			for ended, last := range lasts {
				m := Memory{Version: version, Last: last}
				if done != nil {
					m.Done = &Done{Version: sha1, Ids: done}
				}
				good := ended == "none" || ended == "ok"
				want := Changed
				switch {
				case version == "":
					want = First
				case !good:
				case version == sha2 && !slices.Contains(outside, name):
					want = Same
				case version == sha1 && name == "the same":
					want = Unaffected
				}
				j := Judge(Item{Name: "root"}, sha2, now, m)
				if j.Verdict != want {
					t.Errorf("version %.7q, done %s, last %s: got %s, want %s", version, name, ended, j.Verdict, want)
				}
				if j.Why == "" || strings.Contains(j.Why, "\n") || !strings.Contains(j.Why, string(j.Verdict)) && !strings.Contains(j.Why, string(Changed)) {
					t.Errorf("why %q", j.Why)
				}
				if (done != nil && name != "the same") != (len(j.Changed) > 0) {
					t.Errorf("done %s: changed %q", name, j.Changed)
				}
				cases++
			}
		}
	}
	if cases != 3*10*12 {
		t.Errorf("%d cases", cases)
	}
}

func TestWhy(t *testing.T) {
	now := map[string]string{".": "a", "./app": "a", "app2:war": "a", "app3:.": "a", "nodes of part app1": "a", keyScript: "a", keyYAML: "a"}
	differing := func(keys ...string) *Done {
		ids := maps.Clone(now)
		for _, key := range keys {
			ids[key] = "b"
		}
		return &Done{Version: sha3, Ids: ids}
	}
	failed := func(r Reason, exit int) *Attempt { return &Attempt{Finished: noon, Reason: r, Exit: exit} }
	for _, test := range []struct {
		m    Memory
		want string
	}{
		{Memory{}, "first run"},
		{Memory{Version: sha2}, "the state of app2:war at the last success is unknown: changed"},
		{Memory{Version: sha2, Done: differing()}, "version 2222222 is unchanged since the last success: same"},
		{Memory{Version: sha1, Done: differing()}, "no watch differs from the last success (3333333): unaffected"},
		{Memory{Version: sha1}, "version 2222222 is not 1111111, and what that success watched is unknown: changed"},
		{Memory{Version: sha1, Done: differing(".")}, "the repository differs from the last success (3333333): changed"},
		{Memory{Version: sha1, Done: differing("./app")}, "app differs from the last success (3333333): changed"},
		{Memory{Version: sha1, Done: differing("./app", keyScript)}, "app and its work.sh differ from the last success (3333333): changed"},
		{Memory{Version: sha1, Done: differing(keyYAML, keyScript, "app3:.", "./app")}, "app and 3 more differ from the last success (3333333): changed"},
		{Memory{Version: sha1, Done: differing(keyYAML)}, "its work.yaml differs from the last success (3333333): changed"},
		{Memory{Version: sha2, Done: differing("app2:war")}, "app2:war differs from the last success (3333333): changed"},
		{Memory{Version: sha2, Done: differing("app3:.", ".")}, "repository app3 differs from the last success (3333333): changed"},
		{Memory{Version: sha2, Done: differing("nodes of part app1")}, "the set of nodes of part app1 differs from the last success (3333333): changed"},
		{Memory{Version: sha2, Done: differing("nodes of part app1", keyScript)}, "the set of nodes of part app1 differs from the last success (3333333): changed"},
		{Memory{Version: sha1, Last: failed(ReasonExit, 3)}, "the last attempt failed (exit 3): changed until a run succeeds"},
		{Memory{Version: sha1, Last: &Attempt{Finished: noon, Reason: ReasonExit, Exit: 3, Unwedged: noon}},
			"the last attempt failed (exit 3), and was unwedged by a person at 2026-03-01T12:00:00Z: changed until a run succeeds"},
		{Memory{Version: sha1, Last: failed(ReasonDeadline, -1)}, "the last attempt exceeded its deadline: changed until a run succeeds"},
		{Memory{Version: sha1, Last: failed(ReasonWaiting, 75)}, `the last attempt asked to wait (exit 75): changed until a run succeeds`},
		{Memory{Version: sha1, Last: failed(ReasonSignal, -1)}, "the last attempt failed (signal): changed until a run succeeds"},
		{Memory{Version: sha1, Last: failed(ReasonStart, -1)}, "the last attempt could not start: changed until a run succeeds"},
		{Memory{Version: sha1, Last: failed(ReasonWedged, 1)}, "the last attempt marked itself wedged: changed until a run succeeds"},
		{Memory{Version: sha1, Last: failed(ReasonShutdown, -1)}, "the last attempt was interrupted by a shutdown: changed until a run succeeds"},
		{Memory{Version: sha1, Last: failed(ReasonInterrupted, -1)}, "the last attempt was interrupted: changed until a run succeeds"},
		{Memory{Version: sha1, Last: &Attempt{}}, "the last attempt has no recorded end: changed until a run succeeds"},
	} {
		if got := Judge(Item{}, sha2, now, test.m).Why; got != test.want {
			t.Errorf("\n got %s\nwant %s", got, test.want)
		}
	}
	if got := Judge(Item{Problem: "f:1:1: x"}, sha2, nil, Memory{}).Why; got != "cannot run: f:1:1: x" {
		t.Error(got)
	}
}

func TestChangedNames(t *testing.T) {
	ids := map[string]string{".": "a", "./app:x": "a", "app2:war": "a", keyScript: "a", keyYAML: "a"}
	j := Judge(Item{}, sha2, ids, Memory{Version: sha1, Done: &Done{Version: sha1}})
	if want := []string{".", "app:x", "app2:war", "work.sh", "work.yaml"}; !reflect.DeepEqual(j.Changed, want) {
		t.Errorf("got %q, want %q", j.Changed, want)
	}
	// A colon in a path of the own repository does not make it another one.
	if j := Judge(Item{}, sha2, ids, Memory{Version: sha2, Done: &Done{sha1, map[string]string{"./app:x": "b", ".": "a", "app2:war": "a"}}}); j.Verdict != Same {
		t.Error(j.Why)
	}
}

func TestFingerprint(t *testing.T) {
	seen := map[string]string{}
	for _, ids := range []map[string]string{nil, {"a": ""}, {"a": "b"}, {"b": "a"}, {"a": "b", "c": "d"}, {"a": "b\nc=d"}, {"a=b": ""}, {"": "a"}, {"a": "=1:b"}} {
		fp := Fingerprint(ids)
		if len(fp) != 16 || strings.Trim(fp, "0123456789abcdef") != "" {
			t.Errorf("%q", fp)
		}
		if other, ok := seen[fp]; ok {
			t.Errorf("%v and %s have the same fingerprint", ids, other)
		}
		seen[fp] = fmt.Sprint(ids)
	}
	// Stored and compared between nodes of different versions: it must not change.
	if got := Fingerprint(map[string]string{".": sha1, keyScript: sha2 + "+x", keyYAML: ""}); got != "3835b1caf849c08e" {
		t.Errorf("got %s", got)
	}
}

// The life of an item, on real commits.
func TestVerdictsOnCommits(t *testing.T) {
	ops := checkout(t, "ops", map[string]string{"nodework/common/work.sh": script, "nodework/part/app1/work.sh": script,
		"nodework/part/app1/work.yaml": "watch: [ app/, { repo: app2, path: war }, { repo: nowhere } ]\n", "app/a": "1", "lib/b": "1"})
	app2 := checkout(t, "app2", map[string]string{"war": "1", "other": "1"})
	memory := map[string]Memory{}
	judge := func(t *testing.T, want string) []Judgement {
		t.Helper()
		items, _, err := Find(ops, Place{Nodepart: "app1"})
		if err != nil {
			t.Fatal(err)
		}
		var all []Judgement
		var got []string
		for _, it := range items {
			ids, notices, err := Fingerprints(it, map[string]Checkout{"ops": ops, "app2": app2})
			if err != nil {
				t.Fatal(err)
			}
			if it.Name == "part.app1" && (len(notices) != 1 || !strings.Contains(notices[0], "watches repository nowhere, which this node does not have")) {
				t.Errorf("notices %q", notices)
			}
			j := Judge(it, ops.Version, ids, memory[it.Name])
			all, got = append(all, j), append(got, string(j.Verdict))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q: %s / %s", got, want, all[0].Why, all[1].Why)
		}
		return all
	}
	succeed := func(all []Judgement) {
		for _, j := range all {
			if j.Verdict.Wanted() {
				a := Begin(j, Rules{}, "r", "b", noon, 0).End("", 0, "", "", noon)
				memory[j.Item.Name] = Memory{Version: j.Version, Done: &Done{j.Version, j.Ids}, Last: &a}
			}
		}
	}
	succeed(judge(t, "first first"))
	judge(t, "same same")
	first := ops
	ops = commit(t, ops, map[string]string{"lib/b": "2"})
	succeed(judge(t, "changed unaffected"))
	judge(t, "same unaffected")
	ops = commit(t, ops, map[string]string{"app/a": "2"})
	succeed(judge(t, "changed changed"))
	app2 = commit(t, app2, map[string]string{"other": "2"})
	judge(t, "same same")
	app2 = commit(t, app2, map[string]string{"war": "2"})
	succeed(judge(t, "same changed"))
	ops = commit(t, ops, map[string]string{"nodework/part/app1/work.sh": "#!/bin/sh\n"})
	succeed(judge(t, "changed changed"))
	ops = commit(t, ops, nil) // an empty commit has the same tree
	judge(t, "unaffected unaffected")
	ops = commit(t, ops, map[string]string{"nodework/part/app1/work.yaml": "watch: [ app/ ]\n"})
	if _, _, err := Find(ops, Place{Nodepart: "app1"}); err != nil {
		t.Fatal(err)
	}
	items, _, _ := Find(ops, Place{Nodepart: "app1"})
	ids, _, err := Fingerprints(items[1], map[string]Checkout{"ops": ops})
	if err != nil {
		t.Fatal(err)
	}
	if j := Judge(items[1], ops.Version, ids, memory["part.app1"]); j.Verdict != Changed || !reflect.DeepEqual(j.Changed, []string{"app2:war", "nowhere:.", "work.yaml"}) {
		t.Errorf("%s %q", j.Verdict, j.Changed)
	}
	ops = first // the branch is moved back
	judge(t, "changed changed")
}

// A watch that is not there makes its item deaf: it is said, with what may be meant.
func TestMissingWatches(t *testing.T) {
	ops := checkout(t, "ops", map[string]string{"nodework/work.sh": script, "odd[1]": "x", "app/conf/a b": "x", "lib": "-> app", "gr\u00f6\u00dfe": "x",
		"nodework/work.yaml": "watch: [ 'app/**', gone, 'odd[1]', ap, App/Conf, app/CONF, 'app/conf/a  b', '!app', lib/conf, lib, \"gro\u0308\u00dfe\", app/conf ]\n"})
	app2 := checkout(t, "app2", map[string]string{"war/x": "x"})
	items, _, err := Find(ops, Place{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Checkout{"ops": ops, "app2": app2}
	items[0].Watch = append(items[0].Watch, Watch{Repo: "app2", Path: "wra"}, Watch{Nodes: sets.Nodes{Part: "app1"}}, Watch{Repo: "nowhere", Path: "x"})
	ids, notices, err := Fingerprints(items[0], all)
	if err != nil || len(notices) != 1 || ids["./gone"] != "" || ids["./odd[1]"] == "" {
		t.Errorf("%v %q, %v", ids, notices, err)
	}
	want := []string{
		"app/**: not there: a watch is a path, not a pattern",
		"gone: not there",
		"ap: not there, did you mean app?",
		"App/Conf: not there",
		"app/CONF: not there, did you mean app/conf?",
		"app/conf/a  b: not there, did you mean app/conf/a b?",
		"!app: not there: a watch is a path, not a pattern",
		"lib/conf: not there (lib: is a symlink, which is not followed: it may lead outside the repository)",
		"gro\u0308\u00dfe: not there, did you mean gr\\u00f6\\u00dfe?",
		"app2:wra: not there, did you mean war?",
	}
	if got := missing(items[0], all, ids); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
