package work

import (
	"reflect"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/remote"
)

// What the agent's own reader of trees shows is decided upon as what the git program shows.
func TestOwnTreesAndGitsAgree(t *testing.T) {
	theirs := checkout(t, "ops", map[string]string{
		"nodework/work.sh":                             "#!/bin/sh\n",
		"nodework/common/work.sh":                      "-> ../work.sh",
		"nodework/common/work.d/ntp/work.sh":           script,
		"nodework/common/work.d/b ad/work.sh":          script,
		"nodework/part/app1/work.sh":                   script,
		"nodework/part/app1/work.yaml":                 "watch: [ app/, lib/x, gone, { repo: ops, path: . } ]\nrun: always\n",
		"nodework/stacktype/lad1/work.sh":              script,
		"nodework/stacktype/lad1/work.yaml":            "wach: []\n",
		"nodework/stacktype/lad1/part/app1/work.sh/no": "x",
		"nodework/hold.yaml":                           "reason: x\n",
		"app/a":                                        "1",
		"lib/x":                                        "-> ../app",
	})
	r := clone.New(theirs.Dir, remote.Source{}, clone.Limits{})
	defer r.Close()
	tree, err := r.Tree(theirs.Version)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	ours := theirs
	ours.Tree = tree
	place := Place{Nodepart: "app1", Stacktype: "lad1"}
	want, wantNotices, err := Find(theirs, place)
	if err != nil {
		t.Fatal(err)
	}
	got, notices, err := Find(ours, place)
	if err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(notices, wantNotices) || len(got) != 5 {
		t.Errorf("%v\n got %+v %q\nwant %+v %q", err, got, notices, want, wantNotices)
	}
	for _, it := range want {
		want, _, err := Fingerprints(it, map[string]Checkout{"ops": theirs})
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := Fingerprints(it, map[string]Checkout{"ops": ours}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n got %v\nwant %v", it.Name, err, got, want)
		}
	}
	wantHolds, err := Holds(theirs, place, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := Holds(ours, place, time.Now()); err != nil || !reflect.DeepEqual(holds, wantHolds) || len(holds) != 1 {
		t.Errorf("%v\n got %+v\nwant %+v", err, holds, wantHolds)
	}
}
