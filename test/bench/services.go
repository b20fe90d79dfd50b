package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

const (
	offered      = 3  // services of a node
	serviceNames = 30 // of a fleet
)

// serving is a node's record with services. The first nodes have left.
func serving(left *int) func(i int, state node.State, minute int) presence.Record {
	return func(i int, state node.State, minute int) presence.Record {
		r := nodeRecord(i, state, minute)
		if i < *left {
			r.State = node.Leaving
		}
		for k := range offered {
			name := fmt.Sprintf("service-%d", (offered*i+k)%serviceNames)
			r.Services = append(r.Services, presence.Service{Name: name, Code: "000000", State: "running", IP: r.Addresses[0], Port: 3000 + k, Mode: "tcp", Role: "na", Time: crowdNoon()})
		}
		return r
	}
}

// readIndex reads the index of services again and again, for each line, which is a minute.
func readIndex(args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("readindex URL DIR")
	}
	r, err := fold.NewReader(fleetAt(args))
	if err != nil {
		return err
	}
	return errors.Join(serve(out, func(line string) (answer, error) { return endpointsAt(r, line) }), r.Close())
}

func endpointsAt(r *fold.Reader, line string) (answer, error) {
	now, err := minuteOf(line)
	if err != nil {
		return answer{}, err
	}
	all, err := r.Endpoints(context.Background(), now)
	a := answer{From: "index"}
	for _, list := range all {
		for _, e := range list {
			if e.Available() {
				a.Nodes++
			}
		}
	}
	return a, err
}

// manyRead is many readers of the index, all at once, for each line.
func manyRead(args []string, out io.Writer) error {
	if len(args) != 3 {
		return errors.New("manyread URL DIR N")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	readers := make([]*fold.Reader, n)
	for i := range readers {
		if readers[i], err = fold.NewReader(fleetAt([]string{args[0], filepath.Join(args[1], strconv.Itoa(i))})); err != nil {
			return err
		}
	}
	return serve(out, func(line string) (a answer, err error) {
		err = each(n, func(i int) error {
			one, err := endpointsAt(readers[i], line)
			if i == 0 {
				a = one
			}
			return err
		})
		return a, err
	})
}

// services measures what services cost: the nodes that read where they are, the control node that writes the index,
// and a node that offers and uses some.
func (b *bench) services(s *stage, n int) {
	target := func(limit float64) float64 {
		if n != 1000 {
			return noTarget
		}
		return limit
	}
	left := 0
	f := b.fleetOf(s, "services", n, serving(&left))
	plain := b.fleetRepo(s, "services-without", n)
	folder := b.helper(s, "foldfleet", f.ours.URL+"/r.git", b.path("run", "services-folder"))
	other := b.helper(s, "foldfleet", plain.ours.URL+"/r.git", b.path("run", "services-folder-without"))
	folder.do("%d", f.minute)
	other.do("%d", plain.minute)

	name := thousands(n) + " nodes, " + thousands(offered*n) + " endpoints: "
	h := b.helper(s, "readindex", f.ours.URL+"/r.git", b.path("run", "services-reader"))
	read := func(what string, endpoints int, limits ...float64) {
		before := trafficOf(f.ours)
		a := h.do("%d", f.minute)
		if a.Nodes != endpoints {
			s.Fatalf("%s: %d endpoints, not %d", what, a.Nodes, endpoints)
		}
		t := trafficOf(f.ours).since(before)
		b.lines = append(b.lines, line{name + what, "addagent", 1, sample{a.cost, t}})
		limits = append(limits, noTarget, noTarget, noTarget)
		b.check(check{what: name + what + ": bytes both ways", unit: "KB", limit: target(limits[0]), ours: kb(t.Up + t.Down)})
		b.check(check{what: name + what + ": CPU", unit: "ms", limit: target(limits[1]), ours: ms(a.CPU)})
		b.check(check{what: name + what + ": requests", limit: target(limits[2]), ours: float64(t.Requests)})
	}
	read("the index read for the first time", offered*n, 60)
	read("nothing new", offered*n, 0.8, 0.7, 1)
	f.say(10)
	folder.do("%d", f.minute)
	read("only the fold moved", offered*n, 0.8, 0.7, 1)
	left = 1
	f.say(10)
	folder.do("%d", f.minute)
	read("one node is gone", offered*(n-1), 2.5)
	left = n / 10
	f.say(n)
	folder.do("%d", f.minute)
	read("a tenth is gone", offered*(n-left), 5)
	h.end()

	many := b.helper(s, "manyread", f.ours.URL+"/r.git", b.path("run", "services-many"), strconv.Itoa(n))
	many.do("%d", f.minute)
	left++
	f.say(n)
	folder.do("%d", f.minute)
	before, cpu := trafficOf(f.ours), childrenCPU()
	many.do("%d", f.minute)
	t := trafficOf(f.ours).since(before)
	b.check(check{what: name + thousands(n) + " readers of one change: CPU of git on the server", unit: "ms", limit: noTarget, ours: ms(childrenCPU() - cpu)})
	b.check(check{what: name + thousands(n) + " readers of one change: bytes both ways a reader", unit: "KB", limit: noTarget, ours: kb(t.Up+t.Down) / float64(n)})
	many.end()

	var with, without []float64
	for range b.few(5) {
		for _, one := range []struct {
			fleet  *fleetRepo
			folder *helper
			all    *[]float64
		}{{f, folder, &with}, {plain, other, &without}} {
			one.fleet.say(10)
			*one.all = append(*one.all, ms(one.folder.do("%d", one.fleet.minute).CPU))
		}
	}
	b.check(check{what: thousands(n) + " refs folded, 10 changed, with services: CPU", unit: "ms", ratio: 1.3, ours: median(with), peer: median(without), peerName: "without"})
	b.servingPushes(s)
	b.servingBeats(s, f, target)
	b.doctorRounds(s, n)
}

// servingBeats measures the quiet beats of daemons that offer three services and watch one of a fleet.
func (b *bench) servingBeats(s *stage, f *fleetRepo, target func(float64) float64) {
	root := b.path("run", "serving")
	ops := gittest.New(s, filepath.Join(root, "repos", "ops.git"))
	gittest.New(s, filepath.Join(root, "repos", "requests.git"))
	room := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	s.Cleanup(room.Close)
	files := []gittest.Change{gittest.File("nodework/common/work.sh", "true\n"), gittest.File("nodework/common/work.yaml", "watch:\n  - { service: service-1, deployment: fed1 }\n"),
		gittest.File("nodework/common/services.yaml", "[ mine-0, mine-1, mine-2 ]\n")}
	for k := range offered {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		s.must(err)
		s.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		}()
		files = append(files, gittest.File(fmt.Sprintf("nodeservice/mine-%d/service.yaml", k), fmt.Sprintf("port: %d\n", l.Addr().(*net.TCPAddr).Port)))
	}
	ops.Commit("main", files...)
	told := serveCounted(s, filepath.Join(root, "repos"), gittest.ServerOptions{})
	there := fmt.Sprintf("presence: { url: %q }\nchat:\n  - { url: \"generic://%s/room?disabletls=yes\" }\n", f.ours.URL+"/r.git", strings.TrimPrefix(room.URL, "http://"))
	for _, one := range []struct {
		id, what, more string
		cpu            float64
	}{{"i-serves", "presence, a room, three TCP checks, one watched service", "", 2.5},
		{"i-obeys", "the same that obeys requests", fmt.Sprintf("requests: { url: %q }\n", told.URL+"/requests.git"), 3}} {
		d := b.servingDaemon(s, root, one.id, ops.Dir, there+one.more)
		d.rest(s)
		if !eventually(func() bool {
			record, err := gittest.TryGit(f.repo.Dir, nil, "show", gitstore.RefName(gitstore.RefPrefix, one.id)+":"+gitstore.PathOf(one.id))
			return err == nil && strings.Count(record, `"code": "000000"`) == offered && strings.Contains(record, `"state": "idle"`)
		}) {
			said, _ := os.ReadFile(d.log)
			s.Fatalf("%s offers nothing: %s", one.id, said)
		}
		seq := d.rest(s)
		const beats = 20
		var all []float64
		asked := trafficOf(told)
		for range b.few(5) {
			was, err := cpuOf(d.cmd.Process.Pid)
			s.must(err)
			for range beats {
				seq = d.beat(s, seq, beat.quiet).Seq
			}
			cpu, err := cpuOf(d.cmd.Process.Pid)
			s.must(err)
			all = append(all, ms(cpu-was)/beats)
		}
		name := "quiet beat, " + thousands(f.nodes) + " nodes in the grid, " + one.what
		b.check(check{what: name + ": CPU", unit: "ms", limit: target(one.cpu), ours: median(all)})
		b.check(check{what: name + ": resident", unit: "MB", limit: target(20), ours: mb(d.standing(s).rss)})
		if one.more != "" {
			b.check(check{what: name + ": requests at that repository a beat", limit: 1, ours: float64(trafficOf(told).since(asked).Requests) / float64(len(all)*beats)})
		}
	}
}

// servingPushes measures the pushes of nodes with services.
func (b *bench) servingPushes(s *stage) {
	const n = 10
	root := b.path("run", "serving-pushes")
	repo := gittest.New(s, filepath.Join(root, "repos", "r.git"))
	gate := newGate()
	srv := serveCounted(s, filepath.Join(root, "repos"), gittest.ServerOptions{Wrap: gate.wrap})
	h := b.helper(s, "tell", "2m", srv.URL+"/r.git", filepath.Join(root, "nodes"), strconv.Itoa(n), "services")
	var t telling
	for minute, state := range []node.State{node.Setup, node.Wedged} {
		t = b.telling(h, srv, gate, state, minute)
		told(s, repo, func(i int) string { return gitstore.RefName(gitstore.RefPrefix, nodeName(i)) }, n, state)
	}
	h.end()
	b.check(check{what: "a push of a record with three services: bytes both ways", unit: "KB", limit: 2, ours: kb(t.Up+t.Down) / n})
}

// servingDaemon starts a daemon of the part app1 in the deployment of the fleet.
func (b *bench) servingDaemon(s *stage, root, id, ops, more string) *daemon {
	home := filepath.Join(root, id)
	s.must(os.MkdirAll(filepath.Join(home, "nodeinfo"), 0o755))
	s.must(os.WriteFile(filepath.Join(home, "nodeinfo", "deployment.txt"), []byte("fed1\n"), 0o600))
	return b.daemonOf(s, home, id, "ops", ops, "@every 24h", more)
}

// doctorRounds measures the rounds of a doctor that folds the fleet: quiet ones, and those that take a hundred due
// actions.
func (b *bench) doctorRounds(s *stage, n int) {
	root := b.path("run", "doctor")
	// Nodes that are missing are not asked.
	f := b.fleetOf(s, "doctor", n, func(i int, state node.State, minute int) presence.Record {
		r := nodeRecord(i, state, minute)
		r.BeatSeen, r.Obeys = time.Now().UTC().Truncate(time.Second), []string{"work"}
		r.BeatNextBy = r.BeatSeen.Add(12 * time.Minute)
		return r
	})
	gittest.New(s, filepath.Join(root, "repos", "requests.git"))
	srv := serveCounted(s, filepath.Join(root, "repos"), gittest.ServerOptions{})
	addctl := filepath.Join(filepath.Dir(b.addagent), "addctl")
	args := []string{"--presence", f.ours.URL + "/r.git", "--requests", srv.URL + "/requests.git"}
	env := append(b.env(), "XDG_CACHE_HOME="+filepath.Join(root, "cache"))
	log, err := os.Create(filepath.Join(root, "said"))
	s.must(err)
	cmd := exec.Command(addctl, append([]string{"doctor", "--every", "1s"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	s.must(cmd.Start())
	s.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
	})
	// Each round asks the requests repository once, when nothing is due.
	cpuAfter := func(rounds int64) time.Duration {
		before := trafficOf(srv).Requests
		was, err := cpuOf(cmd.Process.Pid)
		s.must(err)
		if !eventually(func() bool { return trafficOf(srv).Requests >= before+rounds }) {
			said, _ := os.ReadFile(log.Name())
			s.Fatalf("the doctor makes no rounds: %s", said)
		}
		cpu, err := cpuOf(cmd.Process.Pid)
		s.must(err)
		return cpu - was
	}
	cpuAfter(3)
	var quiet []float64
	for range b.few(9) {
		quiet = append(quiet, ms(cpuAfter(1)))
	}
	slices.Sort(quiet)
	b.check(check{what: thousands(f.nodes) + " nodes: a quiet round of the doctor: CPU", unit: "ms", limit: noTarget, ours: median(quiet)})

	var list strings.Builder
	const due = 100
	for i := range min(due, f.nodes) {
		fmt.Fprintf(&list, "- { id: a%d, do_level: nodes, do_action: work, do_group: %s }\n", i, nodeName(f.nodes-1-i))
	}
	add := exec.Command(addctl, "action:add", "-", "--requests", srv.URL+"/requests.git")
	add.Env, add.Stdin = env, strings.NewReader(list.String())
	out, err := add.CombinedOutput()
	if err != nil {
		s.Fatalf("action:add: %v: %s", err, out)
	}
	was, err := cpuOf(cmd.Process.Pid)
	s.must(err)
	commits := func() string {
		return gittest.Git(s, filepath.Join(root, "repos", "requests.git"), "rev-list", "--count", "doctor")
	}
	had := commits()
	if !eventually(func() bool {
		refs := gittest.Git(s, filepath.Join(root, "repos", "requests.git"), "for-each-ref", "--format=%(refname)", "refs/heads/request/")
		return len(strings.Fields(refs)) == min(due, f.nodes)
	}) {
		said, _ := os.ReadFile(log.Name())
		s.Fatalf("the doctor does not ask: %s", said)
	}
	cpu, err := cpuOf(cmd.Process.Pid)
	s.must(err)
	b.check(check{what: fmt.Sprintf("%s nodes: %d actions due: CPU until the nodes are asked", thousands(f.nodes), min(due, f.nodes)), unit: "ms", limit: noTarget, ours: ms(cpu - was)})
	x, _ := strconv.Atoi(strings.TrimSpace(had))
	y, _ := strconv.Atoi(strings.TrimSpace(commits()))
	b.check(check{what: fmt.Sprintf("%s nodes: %d actions due: pushes of the queue", thousands(f.nodes), min(due, f.nodes)), limit: 2, ours: float64(y - x)})
}
