package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/doctor"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/fleet/handler"
	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/account"
	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/work/session"
)

const (
	shimArg   = "handler-shim"
	doctorArg = "doctor"
)

var moto cloudtest.Moto

// TestMain lets the test binary be a doctor, and the shim of a handler.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == shimArg {
		if handler.Supervise(context.Background(), os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == doctorArg {
		if err := oneRound(os.Getenv("WARD")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	moto.Stop()
	os.Exit(code)
}

// ward is what the doctors of a test share: repositories, EC2, a node, and the files of handlers.
type ward struct {
	Dir, Endpoint, Template, Subnet, IP string

	Me    string        // of one doctor
	Ahead time.Duration // its clock
	Lease time.Duration

	Expect []event.Expected // instead of db1
}

func (w ward) path(name string) string { return filepath.Join(w.Dir, name) }

func (w ward) now() time.Time { return time.Now().Add(w.Ahead) }

// oneRound is a process that does what `addctl doctor --once` does.
func oneRound(order string) error {
	var w ward
	if err := json.Unmarshal([]byte(order), &w); err != nil {
		return err
	}
	ctx := context.Background()
	folds, err := fold.NewAggregator(fold.AggregatorOptions{Options: fold.Options{Source: remote.Source{URL: w.path("presence.git")}}})
	if err != nil {
		return err
	}
	if _, err := folds.Once(ctx, w.now()); err != nil {
		return err
	}
	reader, err := fold.NewReader(fold.Options{Source: remote.Source{URL: w.path("presence.git")}})
	if err != nil {
		return err
	}
	store, err := doctor.Open(remote.Source{URL: w.path("requests.git")}, w.Me)
	if err != nil {
		return err
	}
	scripts, err := handler.Open(handler.Options{Source: remote.Source{URL: w.path("ops")}, Dir: w.path("cache-" + w.Me), Shim: shimArg,
		Env: []string{"HOME=" + w.Dir, "PATH=" + os.Getenv("PATH")}})
	if err != nil {
		return err
	}
	a, err := account.New(ctx, account.Options{Metadata: &cloud.Metadata{}, Region: cloudtest.Region, Endpoint: w.Endpoint, Agent: "addctl/test"})
	if err != nil {
		return err
	}
	expect := w.Expect
	if len(expect) == 0 {
		expect = []event.Expected{{Name: "db1", IP: w.IP, Launch: event.Launch{Template: w.Template, Subnet: w.Subnet}}}
	}
	return doctor.New(doctor.Options{Me: w.Me, Fleet: reader, Store: store, Cloud: a, Expect: expect, Handlers: scripts, Once: true, Lease: w.Lease,
		Say: func(text string) { fmt.Println(text) }}).Round(ctx, w.now())
}

// hook kills the doctor with the push whose number is in the file kill: before it lands, or after it.
const hook = `#!/bin/sh
cat >/dev/null
cd %[1]s
[ %[2]s = after ] || echo x >>pushes
[ "$(cat kill)" = "%[2]s $(wc -l <pushes)" ] || exit 0
kill -9 $(cat pid)
[ %[2]s = after ]
`

// nodeevent takes effect once for each event, whatever often it runs, and waits while it is told to.
const script = `echo $ADD_EVENT_ID >>$HOME/runs
[ ! -e $HOME/hold ] || { echo $$ >$HOME/held; sleep 1000; }
mkdir $HOME/effect-$ADD_EVENT_ID 2>/dev/null || exit 0
echo $ADD_EVENT_NAME $ADD_EVENT_STATE >>$HOME/effects
`

type crash struct {
	*testing.T
	ward
	aws    *cloudtest.AWS
	n      int // doctors so far
	obeyed []string
	state  node.State
}

func newCrash(t *testing.T) *crash {
	aws := cloudtest.Strict(t, &moto)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	c := &crash{T: t, aws: aws, state: node.Idle, ward: ward{Dir: t.TempDir(), Endpoint: aws.URL}}
	c.Template, c.Subnet, c.IP = aws.Template()
	c.sh("git init -q --bare requests.git; git init -q -b main ops; mkdir -p ops/nodeevent/nodes; : >pushes; : >kill")
	testkit.Must(t, os.WriteFile(c.path("ops/nodeevent/nodes/a.sh"), []byte(script), 0o644))
	c.sh("cd ops; git add -A; git -c user.name=n -c user.email=n@example.org commit -q -m x")
	for name, when := range map[string]string{"pre-receive": "before", "post-receive": "after"} {
		testkit.Must(t, os.WriteFile(c.path("requests.git/hooks/"+name), fmt.Appendf(nil, hook, c.Dir, when), 0o755))
	}
	c.beat()
	c.want("the first round", c.round(), "")
	c.state = node.Failing
	c.beat()
	list := []event.Action{{ID: "launch", DoLevel: "instances", DoAction: "launch", DoGroup: "db1", Deadline: "5h"},
		{ID: "stop", DoLevel: "instances", DoAction: "stop", DoGroup: c.IP, After: "launch", Deadline: "5h"},
		{ID: "work", DoLevel: "nodes", DoAction: "work", DoGroup: "i-1", After: "launch", Deadline: "5h"}}
	store := c.store()
	defer store.Close()
	_, err := store.Change(t.Context(), c.now(), func(q event.Queue) (event.Queue, []event.Line, error) {
		next, _, err := q.Add(list, c.now())
		return next, nil, err
	})
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(c.path("pushes"), nil, 0o644))
	return c
}

func (c *crash) sh(line string) {
	c.Helper()
	cmd := exec.Command("sh", "-ec", line)
	cmd.Dir = c.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		c.Fatalf("%s: %v: %s", line, err, out)
	}
}

func (c *crash) store() *doctor.Store {
	s, err := doctor.Open(remote.Source{URL: c.path("requests.git")}, "person")
	testkit.Must(c, err)
	return s
}

func (c *crash) want(what, got, want string) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %q, not %q", what, got, want)
	}
}

// begin starts another doctor for one round; end returns how that ended, "" = well.
func (c *crash) begin() (d *exec.Cmd, end func() string) {
	c.n++
	w := c.ward
	w.Me = fmt.Sprint("d", c.n)
	order, err := json.Marshal(w)
	testkit.Must(c, err)
	var said bytes.Buffer
	d = exec.Command(os.Args[0], doctorArg)
	d.Env, d.Stdout, d.Stderr = append(os.Environ(), "WARD="+string(order)), &said, &said
	d.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	testkit.Must(c, d.Start())
	testkit.Must(c, os.WriteFile(c.path("pid"), fmt.Append(nil, d.Process.Pid), 0o644))
	return d, func() string {
		err := d.Wait()
		c.Logf("%s: %v\n%s", w.Me, err, said.String())
		if err == nil {
			return ""
		}
		return err.Error()
	}
}

func (c *crash) round() string {
	_, end := c.begin()
	return end()
}

// beat is one of the node: it obeys what is asked, and reports.
func (c *crash) beat() {
	c.Helper()
	requests, err := remote.New(remote.Source{URL: c.path("requests.git")})
	testkit.Must(c, err)
	defer requests.Close()
	tip, err := gitstore.AskRequests(c.Context(), requests, "i-1")
	testkit.Must(c, err)
	one := fleettest.One("i-1", c.state, "a", "", c.now())
	if tip != "" {
		list, err := gitstore.ReadRequests(c.Context(), requests, tip)
		testkit.Must(c, err)
		for _, r := range list {
			if !slices.Contains(c.obeyed, r.ID) {
				c.obeyed = append(c.obeyed, r.ID)
			}
			one.Answers = append(one.Answers, presence.Answer{ID: r.ID, Code: presence.AnswerDone, State: "done"})
		}
	}
	testkit.Must(c, fleettest.Report(c.path("presence.git"), one.Record, c.now()))
}

// finish lets doctors go on whose clocks are ahead, so that claims of earlier ones have ended, and counts what took
// effect.
func (c *crash) finish() {
	c.Helper()
	c.Ahead += 10 * time.Minute
	store := c.store()
	defer store.Close()
	phases := ""
	for range 12 {
		c.beat()
		c.want("a later round", c.round(), "")
		q, err := store.Read(c.Context())
		testkit.Must(c, err)
		phases = ""
		for _, e := range q.Actions {
			phases += e.ID + " " + string(e.Phase) + ", "
		}
		phases += fmt.Sprint(len(q.Deliveries), " events")
		if !strings.Contains(phases, "ing,") && !strings.Contains(phases, "asked") && len(q.Deliveries) == 0 {
			break
		}
	}
	c.want("the chain", phases, "launch succeeded, stop succeeded, work succeeded, 0 events")
	a, err := account.New(c.Context(), account.Options{Metadata: &cloud.Metadata{}, Region: cloudtest.Region, Endpoint: c.Endpoint, Agent: "addctl/test"})
	testkit.Must(c, err)
	list, err := a.Instances(c.Context())
	testkit.Must(c, err)
	states := map[string]int{}
	for _, i := range list {
		if i.IP == c.IP {
			states[i.State]++
		}
	}
	c.want("at EC2", fmt.Sprint(states), "map[stopped:1]")
	c.want("at the node", fmt.Sprint(c.obeyed), "[work-1]")
	effects, _ := os.ReadFile(c.path("effects"))
	c.want("in the handlers' files", string(effects), "i-1 failing\n")
	out, err := exec.Command("git", "-C", c.path("requests.git"), "for-each-ref", "--format=%(refname:lstrip=2)").Output()
	testkit.Must(c, err)
	c.want("refs", strings.TrimSpace(string(out)), "doctor")
}

// TestKilledBetweenAnyTwoWrites: kill -9 at each push of a doctor, before it lands and after it.
func TestKilledBetweenAnyTwoWrites(t *testing.T) {
	testkit.Long(t)
	for push, last := 1, false; !last; push++ {
		for _, when := range []string{"before", "after"} {
			t.Run(fmt.Sprint(when, " ", push), func(t *testing.T) {
				c := newCrash(t)
				testkit.Must(t, os.WriteFile(c.path("kill"), fmt.Append(nil, when, " ", push), 0o644))
				for last = true; ; c.beat() {
					if how := c.round(); how != "" {
						c.want("its end", how, "signal: killed")
						last = false
						break
					}
					if c.n > 8 { // there are not so many pushes
						break
					}
				}
				testkit.Must(t, os.WriteFile(c.path("kill"), nil, 0o644))
				c.finish()
			})
		}
	}
}

// TestStoppedDoctorWakesUp: one is stopped while a handler runs and its launch is not written down. Its handler ends by
// itself, another doctor takes over, and the first one then wakes up.
func TestStoppedDoctorWakesUp(t *testing.T) {
	testkit.Long(t)
	c := newCrash(t)
	testkit.Must(t, os.WriteFile(c.path("hold"), nil, 0o644))
	c.Lease = 8 * time.Second
	first, end := c.begin()
	held := 0
	testkit.Eventually(t, "the handler", func() bool {
		data, _ := os.ReadFile(c.path("held"))
		_, err := fmt.Sscan(string(data), &held)
		return err == nil
	})
	testkit.Must(t, first.Process.Signal(syscall.SIGSTOP))
	testkit.Eventually(t, "the end of the handler, without its doctor", func() bool { left, err := session.Of(held); return err == nil && len(left) == 0 })
	testkit.Must(t, os.Remove(c.path("hold")))
	c.Lease = 0
	c.Ahead = 10 * time.Minute
	c.beat()
	c.want("another one", c.round(), "")
	testkit.Must(t, first.Process.Signal(syscall.SIGCONT))
	t.Log("the first one ended: ", end())
	c.finish()
	runs, _ := os.ReadFile(c.path("runs"))
	c.want("runs of the handler", fmt.Sprint(bytes.Count(runs, []byte("\n"))), "2")
}
