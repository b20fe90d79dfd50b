package doctor_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/account"
	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/testkit"
)

// chain is the repository of examples/database, with agents that are the real program.
type chain struct {
	*crash
	bin   string
	block string // addresses that stand-ins listen on
}

func newChain(t *testing.T) *chain {
	aws := cloudtest.Strict(t, &moto)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	c := &chain{crash: &crash{T: t, aws: aws, ward: ward{Dir: t.TempDir(), Endpoint: aws.URL}}, bin: t.TempDir(),
		block: fmt.Sprintf("127.%d.%d.", 1+os.Getpid()%250, 1+os.Getpid()/250%250)}
	c.Template, c.Subnet, c.IP = aws.Template()
	c.Expect = []event.Expected{{Name: "db2", IP: c.IP, Services: []string{"db"}, Launch: event.Launch{Template: c.Template, Subnet: c.Subnet}}}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", c.bin+"/", "github.com/addagent/addagent/cmd/addagent", "github.com/addagent/addagent/demo/stand-in")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.sh("git init -q --bare requests.git; git init -q --bare presence.git; git init -q -b main ops; : >pushes; : >kill")
	example, err := filepath.Abs("../../examples/database")
	testkit.Must(t, err)
	c.sh("cp -r " + example + "/. ops")
	// EC2 gives addresses that this machine does not have.
	c.sh("cd ops; sed -i s/ip.txt/listen.txt/ nodeservice/*/*.sh; git add -A; git -c user.name=n -c user.email=n@example.org commit -q -m x")
	for name, when := range map[string]string{"pre-receive": "before", "post-receive": "after"} {
		testkit.Must(t, os.WriteFile(c.path("requests.git/hooks/"+name), fmt.Appendf(nil, hook, c.Dir, when), 0o755))
	}
	return c
}

// node starts an agent.
func (c *chain) node(id, part, ip, listen string) {
	c.Helper()
	home := c.path(part)
	testkit.Must(c, os.MkdirAll(filepath.Join(home, "nodeinfo"), 0o755))
	for field, value := range map[string]string{"instance-id": id, "nodepart": part, "deployment": "fed1", "ip": ip, "listen": c.block + listen} {
		testkit.Must(c, os.WriteFile(filepath.Join(home, "nodeinfo", field+".txt"), []byte(value+"\n"), 0o644))
	}
	config := filepath.Join(home, "addagent.yaml")
	testkit.Must(c, os.WriteFile(config, fmt.Appendf(nil, `home: %[1]s
run_dir: %[1]s/run
state_dir: %[1]s/lib
beat: { schedule: "@every 1s", spread: 0s }
repos: [ { name: ops, url: %[2]s/ops } ]
presence: { url: %[2]s/presence.git, refresh: 24h, pushes_per_minute: 6000 }
requests: { url: %[2]s/requests.git, allow: [ work, install, start ] }
ec2: { tags: "off" }
`, home, c.Dir), 0o644))
	log, err := os.Create(filepath.Join(home, "said"))
	testkit.Must(c, err)
	defer log.Close() // the process has its own
	run := exec.Command(filepath.Join(c.bin, "addagent"), "run", "--config", config)
	run.Stdout, run.Stderr = log, log
	testkit.Must(c, run.Start())
	c.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = run.Wait()
		pids, _ := filepath.Glob(filepath.Join(home, "*.pid"))
		for _, file := range pids {
			data, _ := os.ReadFile(file)
			if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if c.Failed() {
			c.Logf("%s:\n%s", part, c.said(part))
		}
	})
}

func (c *chain) said(part string) string {
	data, err := os.ReadFile(filepath.Join(c.path(part), "said"))
	testkit.Must(c, err)
	return string(data)
}

// instances are the ids at EC2 with the address of the new database.
func (c *chain) instances() (ids []string) {
	a, err := account.New(c.Context(), account.Options{Metadata: &cloud.Metadata{}, Region: cloudtest.Region, Endpoint: c.Endpoint, Agent: "addctl/test"})
	testkit.Must(c, err)
	list, err := a.Instances(c.Context())
	testkit.Must(c, err)
	for _, i := range list {
		if i.IP == c.IP {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// TestChain: the eight actions of examples/database start a database on a new instance, with three agents, while
// doctors are killed at their first and second pushes, before these land and after. Each step takes effect once.
func TestChain(t *testing.T) {
	testkit.Long(t)
	c := newChain(t)
	c.node("i-db1", "db1", "10.0.0.11", "11")
	c.node("i-proxy1", "proxy1", "10.0.0.21", "21")
	testkit.Eventually(t, "the proxy knows the master", func() bool {
		c.round()
		data, _ := os.ReadFile(filepath.Join(c.path("proxy1"), "proxy.conf")) // none yet
		return strings.Contains(string(data), "master=10.0.0.11:3306")
	})
	data, err := os.ReadFile(c.path("ops/chain.yaml"))
	testkit.Must(t, err)
	list, wrong := event.ParseActions("chain.yaml", []byte(strings.NewReplacer("10.0.0.12", c.IP, " }\n", ", deadline: 100h }\n").Replace(string(data))))
	if len(wrong) > 0 || len(list) != 8 {
		t.Fatalf("%d actions, %q", len(list), wrong)
	}
	store := c.store()
	defer store.Close()
	_, err = store.Change(t.Context(), c.now(), func(q event.Queue) (event.Queue, []event.Line, error) {
		next, _, err := q.Add(list, c.now())
		return next, nil, err
	})
	testkit.Must(t, err)

	deaths, launched := 0, false
	kills := []string{"before 1", "after 1", "", "before 2", "after 2", ""}
	phases := map[string]event.Phase{}
	over := func() bool {
		return !slices.ContainsFunc(list, func(a event.Action) bool { return phases[a.ID] != event.Succeeded && phases[a.ID] != event.Failed })
	}
	began := time.Now()
	for n := 0; !over() && time.Since(began) < 10*time.Minute; n++ {
		testkit.Must(t, os.WriteFile(c.path("pushes"), nil, 0o644))
		testkit.Must(t, os.WriteFile(c.path("kill"), []byte(kills[n%len(kills)]), 0o644))
		if c.round() != "" {
			deaths++
			c.Ahead += 8 * time.Minute // its claim is over
		}
		if ids := c.instances(); !launched && len(ids) > 0 {
			launched = true
			c.node(ids[0], "db2", c.IP, "12")
		}
		q, err := store.Read(t.Context())
		testkit.Must(t, err)
		for _, e := range q.Actions {
			phases[e.ID] = e.Phase
			if e.Over() && e.Phase != event.Succeeded {
				t.Fatalf("%s: %s %s", e.ID, e.Phase, e.Result)
			}
		}
	}
	for _, a := range list {
		c.want(a.ID, string(phases[a.ID]), string(event.Succeeded))
	}
	c.want("instances at EC2", fmt.Sprint(len(c.instances())), "1")
	if deaths < 8 {
		t.Errorf("only %d doctors were killed", deaths)
	}
	// What nodes obeyed: six requests for the new node, one for the proxy, each once.
	obeyed := map[string]int{}
	for _, part := range []string{"db1", "db2", "proxy1"} {
		for _, m := range regexp.MustCompile(`requested by request (\S+)`).FindAllStringSubmatch(c.said(part), -1) {
			obeyed[part+" "+m[1]]++
		}
	}
	t.Logf("%d doctors were killed; obeyed: %v", deaths, obeyed)
	for what, times := range obeyed {
		c.want(what, fmt.Sprint(times), "1")
	}
	c.want("requests that were obeyed", fmt.Sprint(len(obeyed)), "7")
	conf, err := os.ReadFile(filepath.Join(c.path("proxy1"), "proxy.conf"))
	testkit.Must(t, err)
	c.want("what the proxy was told", string(conf), "master=10.0.0.11:3306\nslave="+c.IP+":3306\n")
}
