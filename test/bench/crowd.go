package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// telling is what it took until all nodes of a fleet were told: the wall time until the last one had landed, the rest
// of all nodes together.
type telling struct {
	what, who   string
	nodes, runs int
	tried       int64         // pushes that a node began
	refused     int64         // those that did not land
	server      time.Duration // CPU of git there
	sample                    // of the clients
}

// gate stands in front of git: it lets a number of git processes run at a time, as a web server does, and counts
// pushes.
type gate struct {
	processes chan struct{}
	mu        sync.Mutex
	asked     int64 // for what is needed before a push: git does that, ours does not
	sent      int64
	landed    int64
	last      time.Time // when one landed
}

// atOnce is how many git processes the server runs at a time.
const atOnce = 16

func newGate() *gate { return &gate{processes: make(chan struct{}, atOnce)} }

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.processes <- struct{}{}
		defer func() { <-g.processes }()
		asks := r.URL.Query().Get("service") == "git-receive-pack"
		if !asks && !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			next.ServeHTTP(w, r)
			return
		}
		heard := &heard{ResponseWriter: w}
		next.ServeHTTP(heard, r)
		g.mu.Lock()
		defer g.mu.Unlock()
		if asks {
			g.asked++
			return
		}
		g.sent++
		if bytes.Contains(heard.said.Bytes(), []byte("ok refs/")) {
			g.landed++
			g.last = time.Now()
		}
	})
}

// heard keeps what git answered to a push: a few lines.
type heard struct {
	http.ResponseWriter
	said bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	h.said.Write(p)
	return h.ResponseWriter.Write(p)
}

func (h *heard) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// counted is what was counted so far. A push of the git program that is too late is not sent: it only asked.
func (g *gate) counted() (tried, landed int64, last time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(g.asked, g.sent), g.landed, g.last
}

// helper is one of our parts, which does something for each line that it is sent and answers with what that cost.
type helper struct {
	s    *stage
	argv []string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said bytes.Buffer
}

// helper starts one and returns when it is ready. It ends with the stage.
func (b *bench) helper(s *stage, argv ...string) *helper {
	h := &helper{s: s, argv: argv, cmd: exec.Command(b.self, argv...)}
	h.cmd.Env, h.cmd.Stderr = b.env(), &h.said
	var err error
	h.in, err = h.cmd.StdinPipe()
	s.must(err)
	out, err := h.cmd.StdoutPipe()
	s.must(err)
	h.out = bufio.NewReader(out)
	s.must(h.cmd.Start())
	s.Cleanup(h.end)
	if _, err := h.out.ReadString('\n'); err != nil {
		h.fail(err)
	}
	return h
}

func (h *helper) fail(err error) {
	h.end()
	h.s.Fatalf("%s: %v: %.2000s", strings.Join(h.argv, " "), err, h.said.Bytes())
}

// end lets the process go, once.
func (h *helper) end() {
	if h.cmd.ProcessState == nil {
		_ = h.in.Close()
		_ = h.cmd.Wait()
	}
}

// do sends a line and returns the answer.
func (h *helper) do(format string, args ...any) answer {
	var a answer
	_, err := fmt.Fprintf(h.in, format+"\n", args...)
	if err == nil {
		var line []byte
		if line, err = h.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &a)
		}
	}
	if err != nil {
		h.fail(err)
	}
	return a
}

// crowdSide is one way to tell.
type crowdSide struct {
	name   string
	part   []string // that does it
	most   int      // nodes; more would take too long
	branch bool     // all on one branch; else each has a ref
}

// crowd lets all nodes of a fleet tell the server at once: first that they are there, then transitions.
func (b *bench) crowd(s *stage, n int) {
	sides := []crowdSide{
		{"addagent", []string{"tell", "2m"}, 1000, false}, // what the daemon gives a push
		{"git, a ref each", []string{"gitnodes", "refs"}, 100, false},
		{"git, one branch", []string{"gitnodes", "branch"}, 100, true},
	}
	if b.quick {
		sides[2].most = 10 // 100 of them quarrel for minutes
	}
	for i, side := range sides {
		if n > side.most {
			continue
		}
		root := b.path("run", fmt.Sprintf("crowd-%d-%d", n, i))
		repo := gittest.New(s, filepath.Join(root, "repos", "r.git"))
		for _, key := range []string{"gc.auto", "receive.autogc"} { // a plain server packs what lies loose, beside the pushes
			repo.Git("config", "--unset", key)
		}
		gate := newGate()
		srv := serveCounted(s, filepath.Join(root, "repos"), gittest.ServerOptions{Wrap: gate.wrap})
		ref := func(i int) string { return gitstore.RefName(gitstore.RefPrefix, nodeName(i)) }
		states := []node.State{node.Setup, node.Wedged, node.Idle, node.Wedged}
		if i > 0 || n > 100 || b.quick { // a round takes a while
			states = states[:2]
		}
		if side.branch { // the clones that everybody has from before are of what is there
			seed(s, repo, n)
			ref = func(int) string { return gitstore.FoldRef }
			states = states[1:]
		}
		h := b.helper(s, append(side.part, srv.URL+"/r.git", filepath.Join(root, "nodes"), strconv.Itoa(n))...)
		var transitions []telling
		for minute, state := range states {
			b.say("  %s: %d nodes tell %s", side.name, n, state)
			t := b.telling(h, srv, gate, state, minute)
			told(s, repo, ref, n, state)
			t.nodes, t.who, t.runs, t.what = n, side.name, 1, "a transition"
			if state == node.Setup {
				t.what = "first telling"
				b.crowds = append(b.crowds, t)
				continue
			}
			transitions = append(transitions, t)
		}
		h.end()
		t := medianTelling(transitions)
		b.crowds = append(b.crowds, t)
		if side.part[0] == "tell" {
			b.judgeCrowd(t)
		}
	}
}

// telling is one round of a fleet.
func (b *bench) telling(h *helper, srv counted, gate *gate, state node.State, minute int) telling {
	tried, landed, _ := gate.counted()
	before, cpu := trafficOf(srv), childrenCPU()
	start := time.Now()
	a := h.do("%s %d", state, minute)
	t := telling{sample: sample{a.cost, trafficOf(srv).since(before)}}
	t.server = childrenCPU() - cpu
	tried2, landed2, last := gate.counted()
	t.tried, t.refused, t.Wall = tried2-tried, tried2-tried-(landed2-landed), last.Sub(start)
	return t
}

// told ends the case unless all nodes say in the repository what they were to say.
func told(s *stage, repo *gittest.Repo, ref func(int) string, n int, state node.State) {
	var names strings.Builder
	for i := range n {
		fmt.Fprintf(&names, "%s:%s\n", ref(i), gitstore.PathOf(nodeName(i)))
	}
	records, err := gittest.TryGit(repo.Dir, []byte(names.String()), "cat-file", "--batch")
	s.must(err)
	if got := strings.Count(records, fmt.Sprintf("%q: %q", "state", state)); got != n {
		s.Fatalf("%d of %d nodes say in the repository that they are %s", got, n, state)
	}
}

// seed puts the records of all nodes on main, so that clones of it can be made.
func seed(s *stage, repo *gittest.Repo, n int) {
	var all []gittest.Change
	for i := range n {
		data, err := presence.Encode(nodeRecord(i, node.Presetup, 0))
		s.must(err)
		all = append(all, gittest.File(gitstore.PathOf(nodeName(i)), string(data)))
	}
	repo.Commit("main", all...)
}

func (b *bench) judgeCrowd(t telling) {
	what := thousands(t.nodes) + " nodes tell a transition at once"
	if _, how, ok := strings.Cut(t.who, ", "); ok {
		what += ", " + how
	}
	n := float64(t.nodes)
	limit := 40.0
	if t.nodes < 1000 {
		limit = noTarget
	}
	b.check(check{what: what + ": until all have landed", unit: "s", limit: limit, ours: t.Wall.Seconds()})
	b.check(check{what: what + ": pushes a node", limit: 1, ours: float64(t.tried) / n})
	b.check(check{what: what + ": refused", limit: 0, ours: float64(t.refused)})
	b.check(check{what: what + ": bytes both ways a node", unit: "KB", limit: 2, ours: kb(t.Up+t.Down) / n})
}

// medianTelling is that of each figure by itself.
func medianTelling(all []telling) telling {
	of := func(f func(telling) int64) int64 {
		var values []float64
		for _, t := range all {
			values = append(values, float64(f(t)))
		}
		return int64(median(values))
	}
	runs := samples{}
	for _, t := range all {
		runs.add("", t.sample)
	}
	m := all[0]
	m.runs, m.sample = len(all), runs.median("")
	m.tried, m.refused = of(func(t telling) int64 { return t.tried }), of(func(t telling) int64 { return t.refused })
	m.server = time.Duration(of(func(t telling) int64 { return int64(t.server) }))
	return m
}

// crowdTable shows tellings; "" when there are none.
func crowdTable(all []telling) string {
	if len(all) == 0 {
		return ""
	}
	var t strings.Builder
	t.WriteString("| nodes | all at once | who | runs | all landed after s | pushes a node | refused | client CPU ms a node | server CPU ms a node | KB up a node | KB down a node | requests a node |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range all {
		n := float64(c.nodes)
		fmt.Fprintf(&t, "| %s | %s | %s | %d | %s | %s | %d | %s | %s | %s | %s | %s |\n", thousands(c.nodes), c.what, c.who, c.runs, digits(c.Wall.Seconds()),
			digits(float64(c.tried)/n), c.refused, digits(ms(c.CPU)/n), digits(ms(c.server)/n), digits(kb(c.Up)/n), digits(kb(c.Down)/n), digits(float64(c.Requests)/n))
	}
	t.WriteString("\n")
	return t.String()
}

// childrenCPU is what the processes used that this one started and waited for: the git of its servers, while no client
// ends.
func childrenCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// nodeName is an instance-id as EC2 has them.
func nodeName(i int) string { return fmt.Sprintf("i-%017x", 0x1000000+i*7919) }

// nodeRecord is what a node with one repository and two items says.
func nodeRecord(i int, state node.State, minute int) presence.Record {
	id := nodeName(i)
	seen := crowdNoon().Add(time.Duration(minute) * time.Minute)
	const version, print = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", "9f86d081884c7d65"
	return presence.Record{
		Addresses: []string{fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)}, Agent: "addagent/1.2.3", BeatSeen: seen, BeatNextBy: seen.Add(12 * time.Minute),
		BootID: fmt.Sprintf("5f4cf0d6-6f0b-4a3a-8f3c-%012x", i), Deployment: "fed1", Hardware: "ec2:" + id, Hostname: id + ".example.org",
		InitGitRepo: "ops", InstanceID: id, Nodepart: "app1", Stacktype: "lad1", State: state,
		StateLog: "setup:20260301-080000;initdone:20260301-080022;", StateTss: "20260301-080022",
		Repos: []presence.Repo{{Branch: "main", Name: "ops", Version: version, Done: map[string]string{"common": print, "part.app1": print}}},
	}
}

// crowdNoon is the time of minute 0: a record's times must be the same in every run.
func crowdNoon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
