package work

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work/sets"
)

const app1Nodes = "nodes of part app1"

// What is not known is what the item last met: neither not knowing nor a restart of the agent makes work.
func TestWithNodes(t *testing.T) {
	it := Item{Name: "common", Watch: []Watch{{Path: "app"}, {Nodes: sets.Nodes{Part: "app1"}}}}
	paths := map[string]string{"./app": "a", keyScript: "s"}
	with := func(id string) map[string]string {
		ids := maps.Clone(paths)
		ids[app1Nodes] = id
		return ids
	}
	done := func(id string) *Done { return &Done{Version: sha1, Ids: with(id)} }
	ended := func(id string, reason Reason) *Attempt {
		return &Attempt{Version: sha1, Ids: with(id), Fingerprint: Fingerprint(with(id)), Attempt: 3, Failures: 3, Finished: noon, Reason: reason}
	}
	for _, test := range []struct {
		name    string
		id      string // what the nodes are now, "?" = not known
		version string
		m       Memory
		want    string // their id in the judgement
		verdict Verdict
		attempt int
	}{
		{"first, known", "n1", sha1, Memory{}, "n1", First, 1},
		{"first, not known", "?", sha1, Memory{}, "", First, 1},
		{"as at the last success", "n1", sha1, Memory{Version: sha1, Done: done("n1"), Last: ended("n1", "")}, "n1", Same, 1},
		{"differs from the last success", "n2", sha1, Memory{Version: sha1, Done: done("n1"), Last: ended("n1", "")}, "n2", Changed, 1},
		{"no node left", "", sha1, Memory{Version: sha1, Done: done("n1"), Last: ended("n1", "")}, "", Changed, 1},
		{"differs, and a push of something else", "n2", sha2, Memory{Version: sha1, Done: done("n1")}, "n2", Changed, 1},
		{"not known", "?", sha1, Memory{Version: sha1, Done: done("n1"), Last: ended("n1", "")}, "n1", Same, 1},
		{"not known, and a push of something else", "?", sha2, Memory{Version: sha1, Done: done("n1")}, "n1", Unaffected, 1},
		{"not known now nor then", "?", sha1, Memory{Version: sha1, Done: done("")}, "", Same, 1},
		{"known for the first time", "n1", sha1, Memory{Version: sha1, Done: done("")}, "n1", Changed, 1},
		{"not known, watched since this push", "?", sha1, Memory{Version: sha1, Done: &Done{sha1, paths}}, "", Changed, 1},
		{"failed with these nodes", "n2", sha1, Memory{Version: sha1, Done: done("n1"), Last: ended("n2", ReasonExit)}, "n2", Changed, 4},
		{"failed, not known since", "?", sha1, Memory{Version: sha1, Done: done("n1"), Last: ended("n2", ReasonExit)}, "n2", Changed, 4},
		{"failed, others now", "n3", sha1, Memory{Version: sha1, Done: done("n1"), Last: ended("n2", ReasonExit)}, "n3", Changed, 1},
		{"failed before it watched nodes", "?", sha1, Memory{Version: sha1, Done: done("n1"), Last: &Attempt{Ids: paths, Finished: noon, Reason: ReasonExit}}, "n1", Changed, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			ids, _, notice := withSets(it, paths, test.m, func(filter map[string]string) NodeSet {
				if !reflect.DeepEqual(filter, map[string]string{"part": "app1"}) {
					t.Errorf("asked for %v", filter)
				}
				return NodeSet{ID: strings.TrimSuffix(test.id, "?"), Known: test.id != "?"}
			}, nil)
			if notice != "" || !reflect.DeepEqual(ids, with(test.want)) {
				t.Errorf("got %v, %q", ids, notice)
			}
			j := Judge(it, test.version, ids, test.m)
			if s := PlanRun(j, rules, noon); j.Verdict != test.verdict || s.Attempt != test.attempt {
				t.Errorf("%s, attempt %d: %s", j.Verdict, s.Attempt, j.Why)
			}
		})
	}
	if _, ok := paths[app1Nodes]; ok {
		t.Error("what is kept between beats was written to")
	}
}

// The first run alone waits for what it never met: neither one that failed, nor one that a person wants again.
func TestFirstAwaitsNodes(t *testing.T) {
	const why = "waiting until presence is read"
	met := map[string]string{"./app": "a", app1Nodes: "n1"}
	failed := &Attempt{Version: sha1, Ids: met, Attempt: 1, Failures: 1, Finished: noon.Add(-time.Hour), Reason: ReasonExit}
	for _, test := range []struct {
		name   string
		always bool
		m      Memory
		set    NodeSet
		await  string
		due    bool
	}{
		{"first, to wait", false, Memory{}, NodeSet{Await: why}, why, false},
		{"first of one that runs always", true, Memory{}, NodeSet{Await: why}, why, false},
		{"first, not known and not to wait", false, Memory{}, NodeSet{}, "", true},
		{"first, known", false, Memory{}, NodeSet{ID: "n1", Known: true}, "", true},
		{"first, failed with nodes that it met", false, Memory{Last: failed}, NodeSet{Await: why}, "", true},
		{"again", false, Memory{Done: &Done{sha1, met}}, NodeSet{Await: why}, "", true},
		{"watched since this push", false, Memory{Version: sha1, Done: &Done{sha1, map[string]string{"./app": "a"}}}, NodeSet{Await: why}, "", true},
		{"done", false, Memory{Version: sha1, Done: &Done{sha1, met}}, NodeSet{Await: why}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			it := Item{Name: "common", Always: test.always, Watch: []Watch{{Path: "app"}, {Nodes: sets.Nodes{Part: "app1"}}}}
			ids, await, _ := withSets(it, map[string]string{"./app": "a"}, test.m, func(map[string]string) NodeSet { return test.set }, nil)
			j := Judge(it, sha1, ids, test.m)
			if j.Verdict == First {
				j.Await = await.Await
			}
			if s := PlanRun(j, rules, noon); j.Await != test.await || s.Due != test.due {
				t.Errorf("waits %q, due %v: %s", j.Await, s.Due, j.Why)
			}
		})
	}
}

// While the node's init is not done the set of nodes is not asked for: no item may run, and the wait before a first
// run begins when items may run.
func TestNodesAreNotAskedForDuringInit(t *testing.T) {
	g := newSurveyGrid(t, gittest.File("nodeinit/common/init.sh", "true\n"), gittest.File("nodework/part/app1/work.sh", "true\n"),
		gittest.File("nodework/part/app1/work.yaml", "watch: [ { nodes: { part: app1 } } ]\n"))
	asked := 0
	g.Nodes = func(map[string]string) NodeSet { asked++; return NodeSet{Await: "waits"} }
	place := Place{Nodepart: "app1", Init: "ops"}
	if f := g.Judge(g.at, place, noon); asked != 0 || f.InitDone || len(f.Judgements) != 3 || f.Judgements[2].Await != "" {
		t.Errorf("asked %d times: %+v", asked, f)
	}
	testkit.Must(t, os.MkdirAll(filepath.Join(g.StateDir, InitName), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(g.StateDir, InitName, versionFile), []byte(sha1+"\n"), 0o644))
	if f := g.Judge(g.at, place, noon); asked != 1 || !f.InitDone || len(f.Judgements) != 2 || f.Judgements[1].Await != "waits" {
		t.Errorf("asked %d times: %+v", asked, f)
	}
}

// TestSurveyAsksForNodes: the set of nodes is asked for at every beat, without another look at the trees, and counts as
// a watch outside of the repository.
func TestSurveyAsksForNodes(t *testing.T) {
	g := newSurveyGrid(t, gittest.File("nodework/part/app1/work.sh", "true\n"),
		gittest.File("nodework/part/app1/work.yaml", "watch: [ app/, { nodes: { part: app1, deployment: prod } } ]\n"))
	const key = app1Nodes + ", deployment prod"
	judge := func(want Verdict) Judgement {
		t.Helper()
		f := g.judge()
		j := f.Judgements[1]
		if j.Verdict != want || len(f.Problems) > 0 || len(f.Judgements) != 2 || f.Judgements[0].Ids[key] != "" {
			t.Errorf("%s, %q", j.Why, f.Problems)
		}
		return j
	}
	id, known := "", false
	g.Nodes = func(filter map[string]string) NodeSet {
		if !reflect.DeepEqual(filter, map[string]string{"part": "app1", "deployment": "prod"}) {
			t.Errorf("asked for %v", filter)
		}
		return NodeSet{ID: id, Known: known}
	}
	j := judge(First)
	if got := j.Item.Watching(); !reflect.DeepEqual(got, []string{"app", key}) {
		t.Errorf("watches %q", got)
	}
	succeed := func(j Judgement) {
		t.Helper()
		dir := MemoryDir(filepath.Join(g.Root, "ops"), j.Item.Name)
		a := Begin(j, rules, "r", "b", noon, 0)
		remembered(t, dir, a.End("", 0, "", "", noon))
	}
	succeed(j)
	judge(Same)
	id, known = "n1", true
	succeed(judge(Changed))
	judge(Same)
	known = false // the agent was restarted
	judge(Same)
	id, known = "n2", true
	if j := judge(Changed); !reflect.DeepEqual(j.Changed, []string{key}) {
		t.Errorf("changed %q", j.Changed)
	}
	if g.opened != 2 {
		t.Errorf("%d trees opened, want one a repository", g.opened)
	}
	g.Nodes = nil
	if f := g.judge(); f.Judgements[1].Verdict != Same || !reflect.DeepEqual(f.Problems, []string{"part.app1 watches nodes, but presence.read is 0"}) {
		t.Errorf("%s, %q", f.Judgements[1].Why, f.Problems)
	}
}
