package work

import (
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/service"
)

// TestServicesOfTrees: which services a node offers, and that what cannot be read withdraws none.
func TestServicesOfTrees(t *testing.T) {
	const sh = "true\n"
	offering := func() *surveyGrid {
		return newSurveyGrid(t,
			gittest.File("nodework/part/app1/services.yaml", "[ web, db ]\n"),
			gittest.File("nodework/common/services.yaml", "- cron\n"),
			gittest.File("nodeservice/db/service.yaml", "port: 3306\n"), gittest.File("nodeservice/db/work.sh", sh), gittest.File("nodeservice/db/delete.sh", sh),
			gittest.File("nodeservice/web/service.yaml", "requires: [ db ]\n"), gittest.File("nodeservice/web/work.sh", sh), gittest.File("nodeservice/web/delete.sh", sh),
			gittest.File("nodeservice/web/work.yaml", "timeout: 5m\n"),
			gittest.File("nodeservice/cron/service.yaml", ""), gittest.File("nodeservice/other/service.yaml", ""), gittest.File("nodeservice/README", ""))
	}
	g := offering()
	wishes := func(f Inventory) string {
		var all []string
		for _, name := range []string{"cron", "db", "other", "web"} {
			all = append(all, name+" "+[]string{"?", "yes", "no"}[f.Offers[name].Wish])
		}
		return strings.Join(all, ", ")
	}
	f := g.judge()
	if got := wishes(f); got != "cron yes, db yes, other no, web yes" || !f.OffersKnown || len(f.Problems) > 0 {
		t.Fatalf("%s: %v %v", got, f.OffersKnown, f.Problems)
	}
	var items []string
	for _, j := range f.Judgements {
		items = append(items, j.Item.Name)
	}
	if got := strings.Join(items, " "); got != "common service.db service.web" {
		t.Errorf("items: %s", got)
	}
	if db := f.Judgements[1].Item; db.Service != "db" || db.Port != 3306 || db.Script != "nodeservice/db/work.sh" || db.Watch[0].Path != "nodeservice/db" || strings.Join(f.Offers["db"].ListedIn, " ") != "ops" {
		t.Errorf("%+v", db)
	}

	for name, c := range map[string]struct {
		change  []gittest.Change
		broken  string
		wishes  string
		problem string
	}{
		"a list has a mistake": {[]gittest.Change{gittest.File("nodework/common/services.yaml", "[ cron, Web ]\n")}, "", "cron yes, db yes, other ?, web yes",
			`nodework/common/services.yaml:1:9: "Web" is not the name of a service`},
		"a description has a mistake": {[]gittest.Change{gittest.File("nodeservice/db/service.yaml", "prot: 1\n")}, "", "cron yes, db ?, other no, web yes",
			`nodeservice/db/service.yaml:1:1: unknown key "prot", did you mean port?`},
		"nothing describes it":   {[]gittest.Change{gittest.File("nodework/common/services.yaml", "[ cron, x ]\n")}, "", "cron yes, db yes, other no, web yes", "nodework/common/services.yaml:1:9: no repository describes x in nodeservice/x/"},
		"delete.sh is missing":   {[]gittest.Change{gittest.Remove("nodeservice/db/delete.sh")}, "", "cron yes, db ?, other no, web yes", "nodeservice/db: delete.sh is missing: it undoes work.sh"},
		"no check.sh":            {[]gittest.Change{gittest.File("nodeservice/db/service.yaml", "check: { exec: check.sh }\n")}, "", "cron yes, db ?, other no, web yes", `nodeservice/db/service.yaml:1:16: exec: there is no script "check.sh" beside service.yaml`},
		"a tree cannot be read":  {nil, "app", "cron yes, db yes, other ?, web yes", "read the tree of app: disk error"},
		"all lists are emptied":  {[]gittest.Change{gittest.File("nodework/common/services.yaml", "[]\n"), gittest.File("nodework/part/app1/services.yaml", "[]\n")}, "", "cron no, db no, other no, web no", ""},
		"its own tree is unread": {nil, "ops", "cron ?, db ?, other ?, web ?", "read the tree of ops: disk error"},
	} {
		t.Run(name, func(t *testing.T) {
			g := offering()
			g.push(t, "ops", append(c.change, gittest.File("n", name))...)
			g.broken = c.broken
			f := g.judge()
			if got := wishes(f); got != c.wishes {
				t.Errorf("%s, want %s", got, c.wishes)
			}
			if said := strings.Join(f.Problems, "\n"); c.problem == "" && said != "" || !strings.Contains(said, c.problem) {
				t.Errorf("said %s, want %s", said, c.problem)
			}
		})
	}
	g.at = append(g.at, At{Repo: "new"})
	if f := g.judge(); f.OffersKnown || f.Offers["other"].Wish != service.Unknown {
		t.Error("a clone that is not made yet may have lists")
	}
	if f := g.Judge(nil, Place{}, noon); f.OffersKnown {
		t.Error("no clones, and all is known")
	}
}

// TestTwoDescriptions: the first in the order of the config counts, the other is a trouble.
func TestTwoDescriptions(t *testing.T) {
	g := newSurveyGrid(t, gittest.File("nodeservice/db/service.yaml", "port: 1\n"), gittest.File("nodework/common/services.yaml", "[ db ]\n"))
	g.push(t, "app", gittest.File("nodeservice/db/service.yaml", "port: 2\n"))
	first, second := g.at[0].Repo, g.at[1].Repo
	f := g.judge()
	if f.Offers["db"].Repo != first || f.Offers["db"].Wish != service.Wanted {
		t.Errorf("%+v", f.Offers["db"])
	}
	if want := "nodeservice/db of " + second + ": ignored: " + first + " describes the service db, too, and comes first"; len(f.Problems) != 1 || f.Problems[0] != want {
		t.Errorf("%q, want %q", f.Problems, want)
	}
}
