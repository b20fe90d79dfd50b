package work

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

func TestFindInit(t *testing.T) {
	const sh = "true\n"
	node := Place{Nodepart: "app1", Stacktype: "lad1"}
	for name, test := range map[string]struct {
		files   map[string]string
		place   Place
		want    string // the steps, - before a missing one; "" = no init
		problem string
	}{
		"none":                      {map[string]string{"README": "x"}, node, "", ""},
		"all four":                  {map[string]string{"nodeinit/common/init.sh": sh, "nodeinit/part/app1/init.sh": sh, "nodeinit/stacktype/lad1/init.sh": sh, "nodeinit/stacktype/lad1/part/app1/init.sh": sh}, node, "nodeinit/common nodeinit/part/app1 nodeinit/stacktype/lad1 nodeinit/stacktype/lad1/part/app1", ""},
		"below it":                  {map[string]string{"it/nodeinit/part/app1/init.sh": "#!/bin/sh\n"}, node, "-it/nodeinit/common it/nodeinit/part/app1 -it/nodeinit/stacktype/lad1 -it/nodeinit/stacktype/lad1/part/app1", ""},
		"both":                      {map[string]string{"nodeinit/common/init.sh": sh, "it/nodeinit/part/app1/init.sh": sh}, node, "nodeinit/common -nodeinit/part/app1 -nodeinit/stacktype/lad1 -nodeinit/stacktype/lad1/part/app1", ""},
		"only a README in nodeinit": {map[string]string{"nodeinit/README": "x", "it/nodeinit/common/init.sh": sh}, Place{}, "it/nodeinit/common", ""},
		"no part, no stacktype":     {map[string]string{"nodeinit/common/init.sh": sh, "nodeinit/part/app1/init.sh": sh}, Place{}, "nodeinit/common", ""},
		"another node's":            {map[string]string{"nodeinit/part/db1/init.sh": sh, "nodeinit/init.sh": sh, "nodeinit/resource/x": sh}, node, "", ""},
		"a link":                    {map[string]string{"nodeinit/common/init.sh": "-> other.sh", "nodeinit/common/other.sh": sh}, Place{}, "nodeinit/common", "nodeinit/common/init.sh: is a symlink"},
		"a linked folder":           {map[string]string{"nodeinit/part/app1": "-> base", "nodeinit/part/base/init.sh": sh}, Place{Nodepart: "app1"}, "-nodeinit/common nodeinit/part/app1", "nodeinit/part/app1: is a symlink"},
		"nodeinit is a link":        {map[string]string{"nodeinit": "-> x", "x/common/init.sh": sh}, Place{}, "nodeinit/common", "nodeinit: is a symlink"},
		"nodeinit is a file":        {map[string]string{"nodeinit": "x"}, Place{}, "nodeinit/common", "nodeinit: is a file"},
		"it/nodeinit is a link":     {map[string]string{"it/nodeinit": "-> ../x", "x/common/init.sh": sh}, Place{}, "it/nodeinit/common", "it/nodeinit: is a symlink"},
		"it is a link":              {map[string]string{"it": "-> x", "x/nodeinit/common/init.sh": sh}, Place{}, "it/nodeinit/common", "it: is a symlink"},
		"it is a file":              {map[string]string{"it": "x"}, Place{}, "", ""},
		"a folder":                  {map[string]string{"nodeinit/common/init.sh/x": sh}, Place{}, "nodeinit/common", "nodeinit/common/init.sh: is a folder"},
		"a file for a folder":       {map[string]string{"nodeinit/common": sh}, Place{}, "nodeinit/common", "nodeinit/common: is a file"},
	} {
		t.Run(name, func(t *testing.T) {
			c := checkout(t, "ops", test.files)
			it, ok, err := FindInit(c, test.place)
			if err != nil {
				t.Fatal(err)
			}
			var steps []string
			for _, s := range it.Steps {
				step := strings.TrimSuffix(s.Script, "/init.sh")
				if s.Missing {
					step = "-" + step
				}
				steps = append(steps, step)
			}
			if got := strings.Join(steps, " "); got != test.want || ok != (test.want != "") || !strings.HasPrefix(it.Problem, test.problem) || (it.Problem == "") != (test.problem == "") {
				t.Errorf("%v %q, problem %q", ok, got, it.Problem)
			}
			if ok {
				ids, notices, err := Fingerprints(it, map[string]Checkout{"ops": c})
				want, _ := c.Tree.ID(it.Dir)
				if err != nil || len(notices) > 0 || len(ids) != 1+len(steps)-strings.Count(test.want, "-") || ids["./"+it.Dir] != want || it.Name != "init" || it.Level != Init {
					t.Errorf("%v %q %v of %+v", ids, notices, err, it)
				}
			}
		})
	}
	// A corrected part is another try, though nothing was pushed.
	c := checkout(t, "ops", map[string]string{"nodeinit/common/init.sh": sh, "nodeinit/part/app1/init.sh": sh})
	prints := map[string]bool{}
	for _, part := range []string{"app1", "ap1", ""} {
		it, _, _ := FindInit(c, Place{Nodepart: part})
		ids, _, err := Fingerprints(it, map[string]Checkout{"ops": c})
		testkit.Must(t, err)
		prints[Fingerprint(ids)] = true
	}
	if len(prints) != 2 { // without a script of its own a part makes no difference
		t.Errorf("%d fingerprints", len(prints))
	}
}

// TestSurveyInit: init stands first until it is done, a push is a new try, and what was done is done whatever comes
// later.
func TestSurveyInit(t *testing.T) {
	g := newSurveyGrid(t)
	place := Place{Nodepart: "app1", Init: "ops"}
	if f := g.Judge(g.at, place, noon); !f.InitDone || len(f.Judgements) != 1 {
		t.Errorf("without init scripts: %+v", f)
	}
	if f := g.judge(); f.InitDone {
		t.Error("done without an init")
	}
	g.push(t, "ops", gittest.File("nodeinit/common/init.sh", "false\n"), gittest.File("nodework/part/app1/work.sh", "true\n"))
	f := g.Judge(g.at, place, noon)
	if f.InitDone || len(f.Judgements) != 3 || len(f.Problems) > 0 {
		t.Fatalf("%+v", f)
	}
	j := f.Judgements[0]
	if j.Item.Name != "init" || j.Item.Level != Init || j.Verdict != First || len(j.Item.Steps) != 2 || !PlanRun(j, rules, noon).Due {
		t.Errorf("%+v", j)
	}
	// It fails; a pushed helper is a new fingerprint and tried at once.
	a := Begin(j, rules, "r1", "b", noon, 0)
	remembered(t, filepath.Join(g.StateDir, InitName), a.End(ReasonExit, 1, "exit 1", "", noon))
	if s := PlanRun(g.Judge(g.at, place, noon).Judgements[0], rules, noon); s.Due || !s.Failing || s.Attempt != 2 {
		t.Errorf("after a failure: %+v", s)
	}
	g.push(t, "ops", gittest.File("README", "no part of it\n"))
	if s := PlanRun(g.Judge(g.at, place, noon).Judgements[0], rules, noon); s.Due {
		t.Errorf("after another push: %+v", s)
	}
	g.push(t, "ops", gittest.File("nodeinit/common/helper", "x\n"))
	j = g.Judge(g.at, place, noon).Judgements[0]
	if s := PlanRun(j, rules, noon); !s.Due || s.Attempt != 1 {
		t.Errorf("after a push into it: %+v", s)
	}
	a = Begin(j, rules, "r2", "b", noon, 0)
	remembered(t, filepath.Join(g.StateDir, InitName), a.End("", 0, "", "", noon))
	g.push(t, "ops", gittest.File("nodeinit/common/init.sh", "true\n"))
	for range 2 {
		if f := g.Judge(g.at, place, noon); !f.InitDone || len(f.Judgements) != 2 || f.Judgements[0].Item.Name == "init" {
			t.Errorf("after it was done: %+v", f)
		}
	}
	// The disk of a wiped clone.
	testkit.Must(t, os.RemoveAll(filepath.Join(g.Root, "ops", ".temp")))
	if f := g.Judge(g.at, place, noon); !f.InitDone {
		t.Errorf("without the memory of the clone: %+v", f)
	}
	for name, test := range map[string]struct {
		place  Place
		broken string
	}{"not here": {Place{Init: "ops2"}, ""}, "cannot be read": {Place{Init: "ops", Stacktype: "x"}, "ops"}} {
		if g.broken = test.broken; g.Judge(g.at, test.place, noon).InitDone {
			t.Errorf("%s: done", name)
		}
	}
}

// TestSurveyReadsOnly: plan looks at the init, and a memory that is not what it should be stays where it is.
func TestSurveyReadsOnly(t *testing.T) {
	g := newSurveyGrid(t)
	g.push(t, "ops", gittest.File("it/nodeinit/common/init.sh", "true\n"))
	g.ReadOnly = true
	testkit.Must(t, os.MkdirAll(filepath.Join(g.StateDir, InitName), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(g.StateDir, InitName)+"/"+resultFile, []byte("{"), 0o644))
	f := g.Judge(g.at, Place{Init: "ops"}, noon)
	if len(f.Judgements) != 2 || f.Judgements[0].Item.Name != "init" || f.InitDone || len(f.Problems) != 1 {
		t.Errorf("%+v", f)
	}
	if entries, err := os.ReadDir(filepath.Join(g.StateDir, InitName)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}
