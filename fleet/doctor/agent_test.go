package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence/fold"
)

// realNode is a node whose agent is the real program, with repositories behind a real server. Doctors are at a time of
// their own: claims of those that died end without waiting.
type realNode struct {
	*grid
	out  string // a line for each script that ran
	kill func() // the agent is killed with -9, and begins again
}

func newRealNode(t *testing.T) *realNode {
	root, dir := t.TempDir(), t.TempDir()
	agent := filepath.Join(dir, "addagent")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", agent, "github.com/addagent/addagent/cmd/addagent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ops := gittest.New(t, filepath.Join(root, "ops.git"))
	gittest.New(t, filepath.Join(root, "presence.git"))
	gittest.New(t, filepath.Join(root, "requests.git"))
	for _, name := range []string{"presence", "requests"} {
		gittest.Git(t, filepath.Join(root, name+".git"), "config", "http.receivepack", "true")
	}
	says := func(action string) gittest.Change {
		return gittest.File("nodeservice/db/"+action+".sh", "echo "+action+" >>$ADD_HOME/out.txt\n")
	}
	ops.Commit("main", gittest.File("nodework/work.sh", "true\n"), gittest.File("nodework/services.yaml", "[ db ]\n"), gittest.File("nodeservice/db/service.yaml", "mode: mariadb\n"),
		says("work"), says("delete"), says("start"), says("stop"), says("restart"))
	s := gittest.Serve(t, root, gittest.ServerOptions{})
	home := filepath.Join(dir, "home")
	testkit.Must(t, os.MkdirAll(filepath.Join(home, "nodeinfo"), 0o755))
	gittest.WriteFile(t, filepath.Join(home, "nodeinfo", "instance-id.txt"), "i-1\n")
	gittest.WriteFile(t, filepath.Join(dir, "addagent.yaml"), fmt.Sprintf(`home: %[1]s
run_dir: %[2]s/run
state_dir: %[2]s/state
beat: { schedule: "@every 1s", spread: 0s }
repos: [ { name: ops, url: "%[3]s/ops.git", branch: main } ]
presence: { url: "%[3]s/presence.git", refresh: 24h, pushes_per_minute: 6000 }
requests: { url: "%[3]s/requests.git", allow: [ work, start, stop, restart ] }
ec2: { tags: "off" }
`, home, dir, s.URL))
	var run *exec.Cmd
	log := &strings.Builder{}
	start := func() {
		run = exec.Command(agent, "run", "--config", filepath.Join(dir, "addagent.yaml"))
		run.Env, run.Stdout, run.Stderr = gittest.Env(), log, log
		testkit.Must(t, run.Start())
	}
	stop := func() {
		_ = run.Process.Kill()
		_ = run.Wait()
	}
	start()
	t.Cleanup(func() {
		if stop(); t.Failed() {
			t.Log(log)
		}
	})
	g := &grid{T: t, presence: s.URL + "/presence.git", requests: s.URL + "/requests.git", now: time.Now()}
	var err error
	g.folds, err = fold.NewAggregator(fold.AggregatorOptions{Options: fold.Options{Source: remote.Source{URL: g.presence}}})
	testkit.Must(t, err)
	t.Cleanup(func() { g.folds.Close() })
	return &realNode{g, filepath.Join(home, "out.txt"), func() { stop(); start() }}
}

// ran is how often a script ran.
func (r *realNode) ran(action string) int {
	data, _ := os.ReadFile(r.out)
	n := 0
	for _, line := range strings.Fields(string(data)) {
		if line == action {
			n++
		}
	}
	return n
}

// until does rounds of a doctor until an action has ended, and returns its end.
func (r *realNode) until(d *Doctor, id string) (e event.Entry) {
	r.Helper()
	testkit.Eventually(r, id+" ends", func() bool {
		r.now = r.now.Add(time.Second)
		r.fold()
		r.round(d)
		q, err := d.Store.Read(r.Context())
		testkit.Must(r, err)
		e, _ = q.Find(id)
		return e.Over()
	})
	return e
}

// TestServicesOfARealAgent: a script that is asked for runs once, wherever the doctor and the agent die; a stop is
// followed by a start; what the node does not allow, and what no node offers, is said.
func TestServicesOfARealAgent(t *testing.T) {
	testkit.Long(t)
	r := newRealNode(t)
	d := r.doctor("d2", nil)
	testkit.Eventually(t, "the service is announced", func() bool {
		if _, err := r.folds.Once(t.Context(), r.now); err != nil {
			return false // it has not reported yet
		}
		s, err := d.Status(t.Context(), r.now)
		return err == nil && len(s.Services) == 1 && s.Services[0].Code == "000000"
	})
	for dies := range 6 {
		id := fmt.Sprint("restart-", dies)
		r.add(event.Action{ID: id, DoLevel: "services", DoAction: "restart", DoGroup: "db", Deadline: "10h"})
		first := r.doctor("d1", func(o *Options) { o.Store.repo = &mortal{o.Store.repo, dies} })
		for range 3 {
			r.fold()
			if first.Round(t.Context(), r.now) != nil {
				break
			}
		}
		r.kill()
		r.now = r.now.Add(8 * time.Minute) // its claim is over
		if e := r.until(d, id); e.Phase != event.Succeeded || r.ran("restart") != dies+1 {
			t.Errorf("%s: %s %q, %d runs", id, e.Phase, e.Result, r.ran("restart"))
		}
	}
	r.add(event.Action{ID: "stop", DoLevel: "services", DoAction: "stop", DoGroup: "all", DoType: "db"},
		event.Action{ID: "start", DoLevel: "services", DoAction: "start", DoGroup: "i-1", After: "stop"},
		event.Action{ID: "drain", DoLevel: "services", DoAction: "drain", DoGroup: "db", Attempts: 1},
		event.Action{ID: "web", DoLevel: "services", DoAction: "restart", DoGroup: "web", Attempts: 1})
	for id, want := range map[string]string{"start": "succeeded 1 service did it", "drain": `failed i-1 db: ER0004 refused: "drain" is not in requests.allow`, "web": `failed no present node offers "web"`} {
		e := r.until(d, id)
		r.want(id, string(e.Phase)+" "+e.Result, want)
	}
	data, err := os.ReadFile(r.out)
	testkit.Must(t, err)
	r.want("in their order", string(data), "work\n"+strings.Repeat("restart\n", 6)+"stop\nstart\n")
	testkit.Eventually(t, "no request is left", func() bool {
		r.fold()
		r.round(d)
		return gittest.Git(t, t.TempDir(), "ls-remote", r.requests, "refs/heads/request/*") == ""
	})
}
