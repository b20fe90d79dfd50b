package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sixGrid is the grid of examples/database: one master, two slaves, two proxies and a balancer, with a doctor.
type sixGrid struct {
	*grid
	example string // the folder
	block   string // "127.1.2.": the example's 10.0.0. on this machine
	client  *client
}

// sixNodes is the story of the services, a step a function.
func sixNodes(example string) func(*demo) string {
	return func(d *demo) (hints string) {
		s := &sixGrid{example: example, grid: &grid{demo: d}, block: fmt.Sprintf("127.%d.%d.", 1+os.Getpid()%250, 1+os.Getpid()/250%250)}
		for _, id := range []string{"db1", "db2", "db3", "proxy1", "proxy2", "balancer"} {
			s.nodes = append(s.nodes, &node{id: "i-" + id, part: id})
		}
		d.needs("haproxy", "apt-get install haproxy")
		d.needs("setsid", "apt-get install util-linux")
		s.laySix()
		s.appear()
		s.client = s.call("http://" + s.address("balancer"))
		defer s.client.stop()
		s.takeAway()
		s.masterDies()
		s.drainOne()
		s.lookBack()
		hints = fmt.Sprintf("   curl http://%[5]s/\n   %[1]s services --config %[2]s\n   %[1]s events -f --config %[2]s\n   %[3]s why service.db --config %[4]s/i-db1/addagent.yaml\n"+
			"   %[3]s drain --reason \"new disk\" --config %[4]s/i-proxy1/addagent.yaml\n",
			s.show(s.program("addctl")), s.control(), s.show(s.program("addagent")), s.show(s.dir), s.address("balancer"))
		return hints
	}
}

// needs says which package a program is in that is not here.
func (d *demo) needs(program, how string) {
	_, err := exec.LookPath(program)
	if err != nil { // a person's PATH may be without it, and that of scripts has it
		_, err = exec.LookPath("/usr/sbin/" + program)
	}
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("this demo needs the program %s, which is not here: %s", program, how)
	}
}

func (s *sixGrid) ip(part string) string {
	host := map[string]string{"db1": "11", "db2": "12", "db3": "13", "proxy1": "21", "proxy2": "22", "balancer": "31"}[part]
	return s.block + host
}

func (s *sixGrid) address(part string) string {
	port := map[string]string{"db": "3306", "pr": "4040", "ba": "8080"}[part[:2]]
	return s.ip(part) + ":" + port
}

func (s *sixGrid) requests() string { return s.server + "/requests.git" }

// control is the config of the control node.
func (s *sixGrid) control() string { return s.show(s.path("control", "addagent.yaml")) }

// addctl prints what addctl says, as a person would ask it.
func (s *sixGrid) addctl(args ...string) {
	args = append(args, "--config", s.control())
	s.print("   $ %s %s\n%s", s.show(s.program("addctl")), strings.Join(args, " "), indented(s.output("", s.program("addctl"), args...)))
}

// addagent prints what addagent says on a node.
func (s *sixGrid) addagent(part string, args ...string) {
	args = append(args, "--config", s.show(s.path("i-"+part, "addagent.yaml")))
	out := s.output("", s.program("addagent"), args...)
	s.print("   $ %s %s\n", s.show(s.program("addagent")), strings.Join(args, " "))
	if strings.TrimSpace(out) != "" {
		s.print("%s", indented(out))
	}
}

// The screen shows what agents log about services, and troubles.
var ofServices = regexp.MustCompile(`service|WARNING|CRITICAL`)

// startServing starts the agent of a node.
func (s *sixGrid) startServing(n *node) {
	n.agent = s.start("the agent of "+n.id, &lines{each: func(line string) {
		if ofServices.MatchString(line) && !quietBeat.MatchString(line) {
			line, _, _ = strings.Cut(today.ReplaceAllString(line, ""), "  -> ")
			fmt.Fprintf(s.out, "   %-10s %s\n", n.id, strings.ReplaceAll(line, s.dir, s.show(s.dir)))
		}
	}}, "addagent", "run", "--config", s.path(n.id, "addagent.yaml"))
}

// node is the node of a part.
func (s *sixGrid) node(part string) *node {
	for _, n := range s.nodes {
		if n.part == part {
			return n
		}
	}
	return nil
}

// laySix makes the repositories and the machines.
func (s *sixGrid) laySix() {
	if s.err != nil {
		return
	}
	s.bare("requests.git")
	s.say("six machines, a folder and a loopback address each, and the repository of examples/database (its drain of 5m is 5s here)")
	for _, n := range s.nodes {
		for field, value := range map[string]string{"instance-id": n.id, "nodepart": n.part, "deployment": "fed1", "initgitrepo": "ops", "ip": s.ip(n.part)} {
			s.write(n.id+"/nodeinfo/"+field+".txt", value+"\n")
		}
		s.write(n.id+"/addagent.yaml", fmt.Sprintf(`# made by make demo-services
home: %[1]q
run_dir: "%[1]s/run"
state_dir: "%[1]s/lib"
beat: { schedule: "@every 1s", spread: 0s }
repos:
  - { name: ops, url: %[2]q }
work: { retry_first: 1s }
presence: { url: %[3]q, refresh: 10s, pushes_per_minute: 600 }
requests: { url: %[4]q, allow: [ work, start ] }
`, s.path(n.id), s.server+"/ops.git", s.presence(), s.requests()))
		s.print("   %-10s %s\n", n.id, s.ip(n.part))
	}
	s.write("control/addagent.yaml", fmt.Sprintf("# made by make demo-services\nhome: %q\nrepos:\n  - { name: ops, url: %q }\npresence: { url: %q }\nrequests: { url: %q }\n",
		s.path("control"), s.server+"/ops.git", s.presence(), s.requests()))
	err := filepath.WalkDir(s.example, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.example, path)
		text := strings.NewReplacer("10.0.0.", s.block, "drain: 5m", "drain: 5s").Replace(string(data))
		s.write("people/ops/"+filepath.ToSlash(rel), text)
		return err
	})
	if s.err == nil {
		s.err = err
	}
	s.push("the services")
}

// appear starts a doctor and all agents.
func (s *sixGrid) appear() {
	s.say("a doctor: addctl doctor --every 1s --handlers ops")
	s.write("control/log/doctor.log", "")
	if s.err != nil {
		return
	}
	log, err := os.OpenFile(s.path("control/log/doctor.log"), os.O_WRONLY|os.O_APPEND, 0)
	if s.err = err; err != nil {
		return
	}
	s.home = s.path("control")
	s.start("the doctor", log, "addctl", "doctor", "--every", "1s", "--handlers", "ops", "--config", s.control())
	log.Close() // the process has its own
	s.say("the agents start. A proxy waits for a database, the balancer for a proxy; each sets itself up when there is one")
	for _, n := range s.nodes {
		s.startServing(n)
	}
	s.until("all services are available", func() bool { return s.available("db 3/3", "proxy 2/2", "balancer 1/1") })
	s.waitServers("proxy1", "proxy2")
	s.waitConf("proxy1", "master", "db1")
	s.say("who offers what and who uses it")
	s.addctl("services")
	s.say("the balancer's work.sh has written its config by addagent services proxy --format haproxy")
	s.showServers()
}

// servers are the lines of the balancer's config.
func (s *sixGrid) servers() (list []string) {
	data, _ := os.ReadFile(s.path("i-balancer", "haproxy.cfg")) // none yet
	return regexp.MustCompile(`(?m)^server .*$`).FindAllString(string(data), -1)
}

func (s *sixGrid) showServers() {
	for _, line := range s.servers() {
		s.print("   %s: %s\n", s.show(s.path("i-balancer", "haproxy.cfg")), line)
	}
}

// waitServers waits until the balancer's config has these proxies.
func (s *sixGrid) waitServers(parts ...string) {
	s.until("the balancer's config has "+strings.Join(parts, " and "), func() bool {
		list := s.servers()
		for i, p := range parts {
			if i >= len(list) || !strings.Contains(list[i], " "+s.address(p)+" ") {
				return false
			}
		}
		return len(list) == len(parts)
	})
}

// waitConf waits until a proxy knows these databases of a role, and no others.
func (s *sixGrid) waitConf(proxy, role string, parts ...string) {
	var list []string
	for _, p := range parts {
		list = append(list, s.address(p))
	}
	want := role + "=" + strings.Join(list, ",")
	s.until("proxy.conf of i-"+proxy+" says "+want, func() bool {
		data, _ := os.ReadFile(s.path("i-"+proxy, "proxy.conf")) // none yet
		return regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(want) + `$`).Match(data)
	})
	s.print("   i-%-8s proxy.conf: %s\n", proxy, want)
}

// available tells whether addctl services shows services with so many of so many endpoints.
func (s *sixGrid) available(rows ...string) bool {
	out, err := s.command(s.ctx, s.program("addctl"), "services", "--presence", s.presence()).Output()
	if err != nil {
		return false
	}
	for _, row := range rows {
		name, count, _ := strings.Cut(row, " ")
		have, all, _ := strings.Cut(count, "/")
		if !regexp.MustCompile(`(?m)^` + name + `\s.*\b` + have + `(/| of )` + all + `\b`).Match(out) {
			return false
		}
	}
	return true
}

// takeAway lets no list name one of the slaves any more, while the client goes on.
func (s *sixGrid) takeAway() {
	s.say("a client asks the balancer without pause. A push takes db of i-db3 away")
	s.client.some(s.demo)
	lost := s.client.lost.Load()
	s.write("people/ops/nodework/part/db3/services.yaml", "[ ]\n")
	s.push("no database on db3")
	s.until("db of i-db3 is announced as draining", func() bool {
		said := s.why("db3")
		return strings.Contains(said, "draining") && !strings.Contains(said, "not yet")
	})
	s.say("meanwhile")
	s.addagent("db3", "why", "service.db")
	s.waitConf("proxy1", "slave", "db2")
	s.waitConf("proxy2", "slave", "db2")
	s.until("the server of i-db3 has ended", func() bool { return !s.answers("db3") })
	s.client.some(s.demo)
	s.none(lost)
	s.until("the node has forgotten it", func() bool { return s.available("db 2/2") })
	s.print("   the server of i-db3 has ended; the client got %d answers so far, and lost none\n", s.client.got.Load())
}

// none fails when the client has lost requests since.
func (s *sixGrid) none(before int64) {
	if lost := s.client.lost.Load() - before; lost > 0 && s.err == nil {
		s.err = fmt.Errorf("the client lost %d requests; the last: %s", lost, s.client.last.Load())
	}
}

// why is what the agent says of the service of a node.
func (s *sixGrid) why(part string) string {
	name := map[string]string{"db": "db", "pr": "proxy", "ba": "balancer"}[part[:2]]
	// It may not offer it any more, which is an error.
	out, _ := s.command(s.ctx, s.program("addagent"), "why", "service."+name, "--config", s.path("i-"+part, "addagent.yaml")).CombinedOutput()
	return string(out)
}

// masterDies kills the master. When the proxies have been told, an action has it started again: what waits for a state
// looks at the present one, too.
func (s *sixGrid) masterDies() {
	pid := s.pid("i-db1", "db.pid")
	if s.err != nil {
		return
	}
	s.say("kill -9 of the master (process %d)", pid)
	if s.err = syscall.Kill(pid, syscall.SIGKILL); s.err != nil {
		return
	}
	s.waitConf("proxy1", "master")
	s.waitConf("proxy2", "master")
	s.say("the proxies have been told. An action for a dead master: the doctor asks i-db1 for a start, and the proxies are told again")
	s.addctl("action:add", s.show(s.path("people", "ops", "restart-master.yaml")))
	s.waitConf("proxy1", "master", "db1")
	s.waitConf("proxy2", "master", "db1")
	s.until("the action has succeeded", func() bool {
		out, err := s.command(s.ctx, s.program("addctl"), "action:list", "--requests", s.requests()).Output()
		return err == nil && regexp.MustCompile(`master-back.*succeeded|succeeded.*master-back`).Match(out)
	})
	s.addctl("action:list")
	s.until("the handler was told that the master is back", func() bool {
		data, _ := os.ReadFile(s.path("control", "events.txt")) // none yet
		return regexp.MustCompile(`(?s)db on i-db1: running -> .*db on i-db1: \S+ -> running`).Match(data)
	})
	s.say("what the doctor's handler nodeevent/services/tell.sh wrote down")
	for line := range strings.Lines(s.read("control", "events.txt")) {
		if strings.HasPrefix(line, "db on i-db1") {
			s.print("   %s", line)
		}
	}
}

// drainOne takes a proxy out of use by hand, and puts it back.
func (s *sixGrid) drainOne() {
	n := s.node("proxy2")
	lost := s.client.lost.Load()
	s.say("%s gets a new disk: it is drained, and the balancer's config follows", n.id)
	s.addagent(n.part, "drain", "--reason", "disk", "--wait")
	s.waitServers("proxy1")
	s.showServers()
	s.addctl("services")
	s.say("and comes back")
	s.addagent(n.part, "undrain")
	s.waitServers("proxy1", "proxy2")
	s.showServers()
	s.client.some(s.demo)
	s.none(lost)
	s.print("   the client got %d answers so far, and lost none\n", s.client.got.Load())
}

// lookBack shows the events of all that.
func (s *sixGrid) lookBack() {
	s.say("all events of services")
	s.addctl("events", "--type", "services")
}

func (s *sixGrid) answers(part string) bool {
	conn, err := dial(s.address(part), time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func (d *demo) pid(path ...string) int {
	text := strings.TrimSpace(d.read(path...))
	n, err := strconv.Atoi(text)
	if d.err == nil && err != nil {
		d.err = err
	}
	return n
}

// endServers ends the servers that services have left, which are in sessions of their own.
func (d *demo) endServers() {
	files, _ := filepath.Glob(d.path("*", "*.pid")) // the pattern is good
	for _, file := range files {
		data, _ := os.ReadFile(file) // it may have ended
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil || pid <= 1 {
			continue
		}
		// Only what still names the file: the number may be another process's by now.
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), file) {
			_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended
		}
	}
}
