package work

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
)

// surveyGrid has two clones: ops, whose script watches app/ of the other, and app.
type surveyGrid struct {
	*Survey
	home   string
	repos  map[string]*clone.Repo
	bare   map[string]*gittest.Repo
	opened int
	broken string // a repository whose tree cannot be opened
	at     []At
}

func newSurveyGrid(t *testing.T, ops ...gittest.Change) *surveyGrid {
	t.Helper()
	home := t.TempDir()
	root := filepath.Join(home, "gitrepo")
	repos := map[string]*clone.Repo{}
	g := &surveyGrid{Survey: &Survey{Root: root, StateDir: filepath.Join(home, "lib")}, home: home, repos: repos, bare: map[string]*gittest.Repo{}}
	for name, changes := range map[string][]gittest.Change{
		"ops": append(ops, gittest.File("nodework/common/work.sh", "true\n"), gittest.File("nodework/common/work.yaml", "watch: [ { repo: app, path: app/ } ]\n")),
		"app": {gittest.File("app/x", "1\n")},
	} {
		bare := gittest.New(t, filepath.Join(t.TempDir(), name+".git"))
		bare.Commit("main", changes...)
		g.bare[name] = bare
		repo := clone.New(filepath.Join(root, name), remote.Source{URL: bare.Git("rev-parse", "--absolute-git-dir"), Branch: "main"}, clone.Limits{})
		sight, err := repo.Look(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		repos[name] = repo
		g.at = append(g.at, At{Repo: name, Version: sight.Version})
	}
	g.Open = func(repo, version string) (*objects.Tree, error) {
		g.opened++
		if repo == g.broken {
			return nil, errors.New("disk error")
		}
		return repos[repo].Tree(version)
	}
	return g
}

func (g *surveyGrid) judge() Inventory { return g.Judge(g.at, Place{Nodepart: "app1"}, noon) }

// push commits to a repository and moves its clone.
func (g *surveyGrid) push(t *testing.T, repo string, changes ...gittest.Change) {
	t.Helper()
	g.bare[repo].Commit("main", changes...)
	sight, err := g.repos[repo].Look(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range g.at {
		if g.at[i].Repo == repo {
			g.at[i].Version = sight.Version
		}
	}
}

// TestSurveyKeepsWhatItFound: a quiet beat opens no tree, an override written by a person is noticed all the same.
func TestSurveyKeepsWhatItFound(t *testing.T) {
	g := newSurveyGrid(t)
	for range 3 {
		if f := g.judge(); len(f.Judgements) != 1 || f.Judgements[0].Verdict != First || len(f.Problems) > 0 {
			t.Fatalf("%+v", f)
		}
	}
	if g.opened != 2 {
		t.Errorf("%d trees opened, want one a repository", g.opened)
	}
	dir := MemoryDir(filepath.Join(g.Root, "ops"), "common")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, overrideFile), []byte("etc\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	g.judge()
	if g.opened != 4 {
		t.Errorf("%d trees opened: an override is looked at once, and once only", g.opened)
	}
	g.judge()
	if g.opened != 4 {
		t.Errorf("%d trees opened in the beat after", g.opened)
	}
}

// TestSurveyDoesNotTakeATroubleForAChange: who watches a tree that cannot be read is not judged, and is again as soon
// as it can.
func TestSurveyDoesNotTakeATroubleForAChange(t *testing.T) {
	g := newSurveyGrid(t)
	g.broken = "app"
	if f := g.judge(); len(f.Judgements) != 0 || !strings.Contains(strings.Join(f.Problems, "\n"), "disk error") {
		t.Errorf("%+v", f)
	}
	g.broken = ""
	if f := g.judge(); len(f.Judgements) != 1 || len(f.Problems) != 0 {
		t.Errorf("after it healed: %+v", f)
	}
}

// TestSurveyHolds: a hold is found and ends at its time, without another look at the tree.
func TestSurveyHolds(t *testing.T) {
	g := newSurveyGrid(t, gittest.File("nodework/hold.yaml", "reason: migration\nby: ann\nuntil: "+noon.AddDate(0, 0, 1).Format("2006-01-02T15:04:05Z07:00")+"\n"))
	f := g.judge()
	if len(f.Holds) != 1 || !strings.HasPrefix(f.Holds[0].String(), "held by nodework/hold.yaml of ops: migration (ann), until ") {
		t.Fatalf("%+v", f.Holds)
	}
	opened := g.opened
	if f := g.Judge(g.at, Place{Nodepart: "app1"}, noon.AddDate(0, 0, 2)); len(f.Holds) != 0 || g.opened != opened {
		t.Errorf("after its end: %+v, %d more trees opened", f.Holds, g.opened-opened)
	}
}

// TestSurveyTellsThatAllWasJudged: not while a tree cannot be read, or a look failed.
func TestSurveyTellsThatAllWasJudged(t *testing.T) {
	g := newSurveyGrid(t)
	told := 0
	g.Judged = func() { told++ }
	if g.judge(); told != 1 {
		t.Errorf("told %d times", told)
	}
	g.broken = "app"
	g.key = "" // read again
	g.judge()
	g.broken = ""
	g.at[0].Version = ""
	if g.judge(); told != 1 {
		t.Errorf("told %d times", told)
	}
}
