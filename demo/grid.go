package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// grid is three nodes with presence, a control node and a chat room.
type grid struct {
	*demo
	room  *chatRoom
	nodes []*node
	page  string // its address
}

// node is one of the machines: its home, its locks, an agent of its own.
type node struct {
	id, part string
	agent    *child
}

// The scripts of the grid. They last a moment, so that one sees the node work.
const (
	gridInit = "echo \"this machine becomes $ADD_NODE_ID, part $ADD_NODEPART of $ADD_DEPLOYMENT\"\n"
	gridWork = "#!/bin/bash\nset -eu\necho \"$ADD_NODEPART gets version $(cat app/version.txt)\"\nsleep 1\n"
	gridBad  = "#!/bin/bash\necho 'migrate: there is no table customers'; exit 3\n"
)

// threeNodes is the story of the grid, a step a function.
func threeNodes(d *demo) (hints string) {
	g := &grid{demo: d, nodes: []*node{{id: "i-app1", part: "app1"}, {id: "i-app2", part: "app1"}, {id: "i-db1", part: "db1"}}}
	if d.err == nil {
		g.room, d.err = openRoom(d.out, d.colours)
	}
	if d.err != nil {
		return ""
	}
	g.lay()
	g.comeUp()
	g.workAPush()
	g.wedge()
	g.unwedge()
	g.loseOne()
	g.comeBack()
	g.lookBack()
	return fmt.Sprintf(`   %[6]s in a browser
   %[1]s nodes --watch --presence %[2]s
   %[1]s log -f --presence %[2]s
   %[1]s node %[3]s --presence %[2]s
   %[4]s why --config %[5]s/%[3]s/addagent.yaml
   (cd %[5]s/people/ops && date > app/version.txt && git commit -qam "my push" && git push)
   the room #ops is here
`, g.show(g.program("addctl")), g.presence(), g.nodes[2].id, g.show(g.program("addagent")), g.show(g.dir), g.page)
}

func (g *grid) presence() string { return g.server + "/presence.git" }

// lay makes the machines, each as an image leaves it: who it is, and presetup. The address of a room is a secret and
// lies in a file of its own.
func (g *grid) lay() {
	g.err = os.WriteFile(g.path("room-url"), []byte(g.room.URL+"\n"), 0o600)
	for _, n := range g.nodes {
		for field, value := range map[string]string{"instance-id": n.id, "nodepart": n.part, "deployment": "fed1", "initgitrepo": "ops", "state": "presetup"} {
			g.write(n.id+"/nodeinfo/"+field+".txt", value+"\n")
		}
		g.write(n.id+"/addagent.yaml", fmt.Sprintf(`# made by make demo-grid
home: %[1]q
run_dir: "%[1]s/run"
state_dir: "%[1]s/lib"
beat: { schedule: "@every 1s", spread: 0s }
repos:
  - { name: ops, url: %[2]q }
work: { retry_first: 1s }
presence: { url: %[3]q, refresh: 10s }
chat:
  - { url_file: %[4]q, only: all }
`, g.path(n.id), g.server+"/ops.git", g.presence(), g.path("room-url")))
	}
}

// The screen shows what agents log, but for their quiet beats, and without the date.
var (
	quietBeat = regexp.MustCompile(` \| [0-9].* \| next `)
	today     = regexp.MustCompile(`^\d{4}-\d\d-\d\dT`)
)

// startAgent starts the agent of a node.
func (g *grid) startAgent(n *node) {
	n.agent = g.start("the agent of "+n.id, &lines{each: func(line string) {
		if !quietBeat.MatchString(line) {
			line, _, _ = strings.Cut(today.ReplaceAllString(line, ""), "  -> ")
			fmt.Fprintf(g.out, "   %-7s %s\n", n.id, strings.ReplaceAll(line, g.dir, g.show(g.dir)))
		}
	}}, "addagent", "run", "--config", g.path(n.id, "addagent.yaml"))
}

// ask prints what addctl says, as a person would ask it.
func (g *grid) ask(args ...string) {
	out := g.output("", g.program("addctl"), append(args, "--presence", g.presence())...)
	g.print("   $ %s %s --presence %s\n%s", g.show(g.program("addctl")), strings.Join(args, " "), g.presence(), indented(out))
}

// nodeLine is what the grid knows of a node; empty when it is not known, or the grid cannot be asked.
type nodeLine struct {
	ID    string    `json:"instance-id"`
	State string    `json:"state"`
	Age   string    `json:"age"`
	By    time.Time `json:"beat_next_by"`
}

func (g *grid) list(n *node) nodeLine {
	out, err := g.command(g.ctx, g.program("addctl"), "nodes", "--json", "--presence", g.presence()).Output()
	var all []nodeLine
	if err != nil || json.Unmarshal(out, &all) != nil {
		return nodeLine{}
	}
	if i := slices.IndexFunc(all, func(s nodeLine) bool { return s.ID == n.id }); i >= 0 {
		return all[i]
	}
	return nodeLine{}
}

// waitListed waits until addctl nodes shows a node in a state, or an age.
func (g *grid) waitListed(n *node, word string) {
	g.until(n.id+" is "+word+" in addctl nodes", func() bool { is := g.list(n); return is.State == word || is.Age == word })
}

// waitChat waits until the room was told something of a node.
func (g *grid) waitChat(n *node, words string) {
	g.until("the room was told of "+n.id+words, func() bool { return g.room.count(n.id, words) > 0 })
}

// comeUp starts the machines: the first alone, so that one sees what one does.
func (g *grid) comeUp() {
	g.say("three machines, as an image leaves them: who they are, and the state presetup")
	for _, n := range g.nodes {
		g.print("   %-7s part %-5s %s/nodeinfo/state.txt: %s", n.id, n.part, g.show(g.path(n.id)), g.read(n.id, "nodeinfo", "state.txt"))
	}
	g.write("people/ops/nodeinit/common/init.sh", gridInit)
	g.push("how a machine is initialised")
	g.say("a control node aggregates what nodes report in the presence repository (addctl presence:fold --every 1s)")
	g.write("control/log/fold.log", "")
	if log, err := os.OpenFile(g.path("control/log/fold.log"), os.O_WRONLY, 0); err == nil {
		g.start("the control node", log, "addctl", "presence:fold", "--every", "1s", "--presence", g.presence())
		log.Close() // the process has its own
	}
	g.servePage()
	g.say("%s starts, a beat every second: its log, and what a person in the room #ops reads", g.nodes[0].id)
	g.startAgent(g.nodes[0])
	g.ready(g.nodes[:1])
	g.say("and the others")
	g.startAgent(g.nodes[1])
	g.startAgent(g.nodes[2])
	g.ready(g.nodes[1:])
	g.ask("nodes")
}

// servePage starts the page, and waits for the address that it prints.
func (g *grid) servePage() {
	address := make(chan string, 1)
	g.start("the page", &lines{each: func(line string) {
		select {
		case address <- line:
		default:
		}
	}}, "addctl", "web", "--listen", "127.0.0.1:0", "--presence", g.presence())
	g.until("the page is served", func() bool {
		select {
		case g.page = <-address:
			return true
		default:
			return false
		}
	})
	g.say("the grid in a browser, while this demo runs (addctl web): %s", g.page)
}

// onPage tells what the page has of a node first: the one that needs attention most comes first.
func (g *grid) onPage() (first nodeLine) {
	var page struct {
		Nodes []nodeLine `json:"nodes"`
	}
	answer, err := http.Get(g.page + "grid.json") //nolint:noctx // it is on this machine
	if err != nil {
		return first
	}
	defer answer.Body.Close()
	if json.NewDecoder(answer.Body).Decode(&page) != nil || len(page.Nodes) == 0 {
		return first
	}
	return page.Nodes[0]
}

// ready waits until nodes are initialised and idle, and until everybody can know.
func (g *grid) ready(nodes []*node) {
	for _, n := range nodes {
		g.waitListed(n, "idle")
		g.waitChat(n, ": initdone: ")
	}
}

func (g *grid) workAPush() {
	g.say("a push: the application, and a work script for each part. All three work it")
	g.write("people/ops/app/version.txt", "1\n")
	for _, n := range g.nodes[1:] {
		g.write("people/ops/nodework/part/"+n.part+"/work.yaml", "watch: [ app/ ]\ntimeout: 1m\n")
		g.write("people/ops/nodework/part/"+n.part+"/work.sh", gridWork)
	}
	g.push("version 1")
	g.allWorked(g.nodes)
}

// worked waits until a node has what was pushed last, and nothing left to do.
func (g *grid) worked(n *node) {
	g.until(n.id+" has worked the last push", func() bool {
		b := g.beatOf(n.id)
		return b.State == "idle" && (g.judges(b, "same") || g.judges(b, "unaffected"))
	})
}

// allWorked waits until nodes have worked what was pushed last, and until that was said in the room.
func (g *grid) allWorked(nodes []*node) {
	for _, n := range nodes {
		g.worked(n)
		g.waitChat(n, ": idle: done at ops@"+g.last[:min(7, len(g.last))])
	}
}

// wedge lets the script of one part fail, three times.
func (g *grid) wedge() {
	n := g.nodes[2]
	g.say("a broken script for part %s: %s fails, tries again, and wedges at the third time", n.part, n.id)
	g.write("people/ops/nodework/part/db1/work.sh", gridBad)
	g.push("migrate the customers")
	g.waitListed(n, "wedged")
	g.waitChat(n, ": wedged: ")
	g.until(n.id+" comes first on the page", func() bool { is := g.onPage(); return is.ID == n.id && is.State == "wedged" })
	g.say("the node that needs attention comes first; the others had nothing to do")
	g.ask("nodes")
	g.print("   (VERSIONS may lag: trouble is reported at once, the rest in turn, six times a minute for the whole grid)\n")
}

func (g *grid) unwedge() {
	n := g.nodes[2]
	g.say("a new commit is tried at once, and %s is well again", n.id)
	g.write("people/ops/nodework/part/db1/work.sh", gridWork)
	g.push("migrate the customers, after the table is made")
	g.worked(n)
	g.waitChat(n, ": recovered after ")
}

// loseOne kills the agent that promised first, and waits until the grid misses it.
func (g *grid) loseOne() {
	n := g.nodes[0]
	g.waitListed(n, "idle")
	if g.err != nil {
		return
	}
	g.say("kill -9 of the agent of %s (process %d)", n.id, n.agent.cmd.Process.Pid)
	g.end(n.agent, syscall.SIGKILL)
	var by time.Time
	g.until(n.id+" has promised when it speaks again", func() bool { by = g.list(n).By; return !by.IsZero() })
	g.print("   it has promised its next report by %s, and gets as much time again because clocks differ\n", by.UTC().Format("15:04:05Z"))
	g.waitListed(n, "late")
	g.say("it is past its promise: late")
	g.ask("nodes")
	g.say("the others go on: a push meanwhile")
	g.write("people/ops/app/version.txt", "2\n")
	g.push("version 2")
	g.allWorked(g.nodes[1:])
	g.waitListed(n, "missing")
	g.until("the control node has written down that "+n.id+" is missing", func() bool {
		out, err := g.command(g.ctx, g.program("addctl"), "log", n.id, "--presence", g.presence()).Output()
		return err == nil && strings.Contains(string(out), " missing ")
	})
	g.say("it is past twice its promise: missing")
	g.ask("nodes")
}

func (g *grid) comeBack() {
	n := g.nodes[0]
	g.say("%s starts again, works what it missed, and is present", n.id)
	g.startAgent(n)
	g.allWorked(g.nodes)
	g.until(n.id+" is present and idle in addctl nodes", func() bool { is := g.list(n); return is.Age == "present" && is.State == "idle" })
	g.ask("nodes")
}

// lookBack shows where all of that is kept.
func (g *grid) lookBack() {
	g.say("what happened, from the presence repository")
	g.ask("log", g.nodes[0].id)
	g.ask("log", g.nodes[2].id)
	g.say("the same in git: each node has a ref, and commits its reports to it")
	g.askGit(8, "log", "--oneline", "presence/"+g.nodes[2].id)
	g.say("and the page that the control node writes")
	g.askGit(14, "show", "main:README.md")
	if times := g.room.count(g.nodes[2].id, ": wedged: "); g.err == nil && times != 1 {
		g.err = fmt.Errorf("the room was told %d times that %s is wedged, and not once", times, g.nodes[2].id)
	}
}

// askGit prints the first lines of what git says of the presence repository.
func (g *grid) askGit(most int, args ...string) {
	repo := g.path("server", "presence.git")
	all := slices.DeleteFunc(strings.Split(g.git(repo, args...), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	more := ""
	if len(all) > most {
		all, more = all[:most], "   ...\n"
	}
	g.print("   $ git -C %s %s\n%s%s", g.show(repo), strings.Join(args, " "), indented(strings.Join(all, "\n")), more)
}
