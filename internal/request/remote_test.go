package request_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// asked is a node that obeys requests, and the repository in which they are made.
type asked struct {
	*testing.T
	cfg    *config.Config
	store  *remote.Repository
	remote *request.Remote
	tip    string
	now    time.Time
}

func newAsked(t *testing.T) *asked {
	repo := filepath.Join(t.TempDir(), "requests.git")
	testkit.Must(t, exec.Command("git", "init", "-q", "--bare", repo).Run())
	a := &asked{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	a.cfg = config.Default(config.Options{Root: true})
	a.cfg.StateDir, a.cfg.Requests.URL = t.TempDir(), repo
	var err error
	a.store, err = remote.New(remote.Source{URL: repo})
	testkit.Must(t, err)
	t.Cleanup(func() { a.store.Close() })
	a.restart()
	return a
}

// restart is a new process of the agent.
func (a *asked) restart() {
	if a.remote != nil {
		a.remote.Close()
	}
	var err error
	a.remote, err = request.NewRemote(a.cfg, "test", "i-1", true, func() {})
	testkit.Must(a, err)
	a.Cleanup(a.remote.Close)
}

func (a *asked) write(list ...gitstore.Request) {
	a.Helper()
	u, err := gitstore.RequestsUpdate("i-1", a.tip, list, "doctor", a.now)
	testkit.Must(a, err)
	testkit.Must(a, a.store.Push(a.Context(), u))
	a.tip = u.New
}

// asks are those that wait for the agent.
func (a *asked) asks() string {
	var all []string
	for _, ask := range request.Read(a.cfg.StateDir) {
		all = append(all, fmt.Sprint(ask.ID, " ", ask.What, " ", ask.Target))
	}
	return strings.Join(all, "; ")
}

// serve is what the agent does with an ask.
func (a *asked) serve(id, wrong string, did ...string) {
	a.remote.Answered(journal.Asked{Ask: journal.Ask{ID: "request-" + id}, Did: did, Error: wrong}, a.now)
	testkit.Must(a, os.Remove(request.Path(a.cfg.StateDir, "request-"+id)))
}

// answers are those in a record of the node.
func (a *asked) answers(repos ...presence.Repo) string {
	r := presence.Record{BeatSeen: a.now, Repos: repos}
	a.remote.Fill(&r)
	var all []string
	for _, one := range r.Answers {
		all = append(all, one.ID+" "+one.Code+" "+one.State)
	}
	return strings.Join(all, "; ")
}

func (a *asked) beat() {
	a.Helper()
	testkit.Must(a, a.remote.Tick(a.now))
}

func (a *asked) want(what, got, want string) {
	a.Helper()
	if got != want {
		a.Errorf("%s: %q, not %q", what, got, want)
	}
}

func TestRequestIsObeyedOnce(t *testing.T) {
	a := newAsked(t)
	one := gitstore.Request{ID: "a1", Action: "work", Target: "ops", Until: a.now.Add(time.Hour)}
	a.beat()
	a.want("without a request", a.asks(), "")
	a.write(one)
	a.beat()
	a.want("asks", a.asks(), "request-a1 again ops")
	a.want("answers", a.answers(), "a1 ER0019 accepted")

	// The agent dies after it remembered the request: the ask is there again. It dies after it served: it is not.
	testkit.Must(t, os.Remove(request.Path(a.cfg.StateDir, "request-a1")))
	a.restart()
	a.want("asks after a crash", a.asks(), "request-a1 again ops")
	a.serve("a1", "", "ops:common", "ops:part.app1")
	a.restart()
	a.beat()
	a.want("asks once served", a.asks(), "")
	a.want("at work", a.answers(presence.Repo{Name: "ops", Due: []string{"common"}}), "a1 ER0019 working")
	a.want("done", a.answers(presence.Repo{Name: "ops"}), "a1 000000 done")
	a.want("an answer stays", a.answers(presence.Repo{Name: "ops", Due: []string{"common"}}), "a1 000000 done")

	// It stands for as long as the request does, and the id is never obeyed again.
	a.write()
	a.beat()
	a.want("answers to nothing", a.answers(), "")
	a.write(one)
	a.beat()
	a.want("asks when it is repeated", a.asks(), "")
	a.want("answers when it is repeated", a.answers(), "a1 000000 done")
}

func TestRequestsThatAreRefused(t *testing.T) {
	a := newAsked(t)
	a.write(gitstore.Request{ID: "late", Action: "work", Until: a.now.Add(-time.Second)},
		gitstore.Request{ID: "far", Action: "work", Until: a.now.AddDate(0, 1, 0)},
		gitstore.Request{ID: "other", Action: "restart", Target: "db", Until: a.now.Add(time.Hour)})
	a.beat()
	a.want("asks", a.asks(), "")
	a.want("answers", a.answers(), `far ER0004 refused: its end is more than a week away; late ER0004 refused: it has expired; other ER0004 refused: "restart" is not in requests.allow`)

	a.write(gitstore.Request{ID: "fails", Action: "work", Until: a.now.Add(time.Hour)}, gitstore.Request{ID: "wrong", Action: "work", Target: "x:y", Until: a.now.Add(time.Hour)})
	a.beat()
	a.serve("fails", "", "ops:common")
	a.serve("wrong", "unknown item x:y")
	a.want("answers", a.answers(presence.Repo{Name: "ops", Failed: map[string]string{"common": "1"}}), "fails ER0018 failed: ops:common; wrong ER0018 unknown item x:y")
}

// TestRequestsOfAnybody: whatever the ref holds, the agent says so, goes on, and does nothing.
func TestRequestsOfAnybody(t *testing.T) {
	a := newAsked(t)
	var many []gitstore.Request
	for n := range 30 {
		many = append(many, gitstore.Request{ID: fmt.Sprint("many-", n), Action: "work", Until: a.now.Add(time.Hour)})
	}
	for name, list := range map[string][]gitstore.Request{
		"an id with a path": {{ID: "../x", Action: "work", Until: a.now.Add(time.Hour)}},
		"no id":             {{Action: "work", Until: a.now.Add(time.Hour)}},
		"too many":          many,
	} {
		data, err := presence.EncodeDocument("noderequests", list)
		testkit.Must(t, err)
		branch, err := gitstore.ReadBranch(t.Context(), a.store, gitstore.RequestRef("i-1"), gitstore.Branch{})
		testkit.Must(t, err)
		branch, err = branch.Push(t.Context(), a.store, map[string][]byte{"requests.json": data}, "x", "x", a.now)
		testkit.Must(t, err)
		a.tip = branch.Tip
		if err := a.remote.Tick(a.now); err == nil {
			t.Errorf("%s: no trouble", name)
		}
		a.want(name, a.asks()+a.answers(), "")
	}
	a.write(gitstore.Request{ID: "ok", Action: "work", Target: "\x1b[2Jops", Until: a.now.Add(time.Hour)})
	a.beat()
	if asks := a.asks(); strings.Contains(asks, "\x1b") || asks == "" {
		t.Errorf("asks %q", asks)
	}
}

// TestRefusedRequestsAreForgotten: whatever their end, they are remembered while they are asked for.
func TestRefusedRequestsAreForgotten(t *testing.T) {
	a := newAsked(t)
	for n := range 3 {
		a.write(gitstore.Request{ID: fmt.Sprint("far-", n), Action: "work", Until: a.now.AddDate(7000, 0, 0)})
		a.beat()
	}
	data, err := os.ReadFile(filepath.Join(a.cfg.StateDir, "requests.json"))
	testkit.Must(t, err)
	if n := strings.Count(string(data), `"stands"`); n != 1 || !strings.Contains(string(data), "far-2") {
		t.Errorf("%d are remembered: %s", n, data)
	}
}

// TestAskThatCannotBePut: it is tried again at each beat, and what is in the way is said until then.
func TestAskThatCannotBePut(t *testing.T) {
	a := newAsked(t)
	testkit.Must(t, os.WriteFile(request.Dir(a.cfg.StateDir), nil, 0o600)) // in the place of the folder
	a.write(gitstore.Request{ID: "a1", Action: "work", Until: a.now.Add(time.Hour)})
	for range 2 {
		if err := a.remote.Tick(a.now); err == nil {
			t.Error("no trouble")
		}
	}
	testkit.Must(t, os.Remove(request.Dir(a.cfg.StateDir)))
	a.beat()
	a.want("asks", a.asks(), "request-a1 again ")
}
