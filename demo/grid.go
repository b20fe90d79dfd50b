package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/node"
	"github.com/addagent/addagent/presence/fleet"
	"github.com/addagent/addagent/work"
)

// demoGrid is a grid of three nodes with presence and chat, below one folder.
type demoGrid struct {
	demo
	screen demoScreen
	me     string // this program
	addctl string
	room   *demoRoom
	nodes  []*demoNode
	fold   demoProcess // what a control node runs
}

// demoNode is one of the machines: its home, its locks, an agent of its own.
type demoNode struct {
	id, part, home string
	agent          demoProcess
}

// gridPatient bounds one step. The longest is the time from late to missing: twice what the killed node promised.
const gridPatient = 5 * time.Minute

func newDemoGrid(d demo) *demoGrid {
	g := &demoGrid{demo: d}
	g.screen.out = d.out
	p := *d.process
	p.out = &g.screen
	g.process = &p
	return g
}

func (g *demoGrid) run(ctx context.Context) error {
	err := g.play(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &exit{Code: exitInterrupted}
	}
	return failed(err)
}

// play sets the stage, tells the story and ends all that it started.
func (g *demoGrid) play(ctx context.Context) error {
	var err error
	if g.me, err = os.Executable(); err != nil {
		return err
	}
	g.addctl = filepath.Join(filepath.Dir(g.me), "addctl")
	if _, err := os.Stat(g.addctl); err != nil {
		return fmt.Errorf("the grid is shown with addctl, and %s is not there: make build makes both programs side by side", g.addctl)
	}
	if err := g.begin(); err != nil {
		return err
	}
	if err := g.lay(ctx); err != nil {
		return err
	}
	stopServer, err := g.serve()
	if err != nil {
		return err
	}
	defer stopServer()
	if g.room, err = openDemoRoom(&g.screen, isTerminal(g.screen.out)); err != nil {
		return err
	}
	defer g.room.close()
	defer g.stop()
	if err := g.configs(); err != nil {
		return err
	}
	began := time.Now()
	if err := g.tell(ctx); err != nil {
		if ctx.Err() == nil {
			g.tails()
		}
		return err
	}
	took := time.Since(began).Round(time.Second)
	if !g.keep {
		g.say("the agents end")
		g.stop()
		g.say("that was it, in %s. Everything is in %s; --keep (make demo-grid KEEP=1) leaves it running to look around in", took, g.show(g.dir))
		return nil
	}
	g.say("that was it, in %s. It goes on running; in another terminal:", took)
	fmt.Fprintf(g.out, `   %[1]s nodes --watch --presence %[2]s
   %[1]s log -f --presence %[2]s
   %[1]s node %[3]s --presence %[2]s
   %[4]s why --config %[5]s/%[3]s/addagent.yaml
   (cd %[5]s/people/ops && date > app/version.txt && git commit -qam "my push" && git push)
   the room #ops is here; ^C ends all of it
`, g.show(g.addctl), g.presence(), g.nodes[2].id, g.show(g.me), g.show(g.dir))
	<-ctx.Done()
	return nil
}

func (g *demoGrid) presence() string { return g.server + "/presence.git" }

// The scripts of the grid. They last a moment, so that one sees the node work.
const (
	gridInit = "echo \"this machine becomes $ADD_NODE_ID, part $ADD_NODEPART of $ADD_DEPLOYMENT\"\n"
	gridWork = "#!/bin/bash\nset -eu\necho \"$ADD_NODEPART gets version $(cat app/version.txt)\"\nsleep 1\n"
	gridBad  = "#!/bin/bash\necho 'migrate: there is no table customers'; exit 3\n"
)

// lay makes the repositories and the machines, each as an image leaves it: who it is, and presetup.
func (g *demoGrid) lay(ctx context.Context) error {
	texts := map[string]string{
		demoMark:                             "made by addagent demo, which removes this folder\n",
		"people/ops/nodeinit/common/init.sh": gridInit,
	}
	for _, n := range [][2]string{{"i-app1", "app1"}, {"i-app2", "app1"}, {"i-db1", "db1"}} {
		id, part := n[0], n[1]
		g.nodes = append(g.nodes, &demoNode{id: id, part: part, home: g.path(id)})
		info := id + "/nodeinfo/"
		for field, value := range map[string]string{"instance-id": id, "nodepart": part, "deployment": "fed1", "initgitrepo": "ops", "state": string(node.Presetup)} {
			texts[info+field+".txt"] = value + "\n"
		}
	}
	if err := g.write(texts); err != nil {
		return err
	}
	return g.repositories(ctx, "ops.git", "presence.git")
}

// configs writes those of the agents. The address of a room is a secret, and lies in a file of its own.
func (g *demoGrid) configs() error {
	if err := os.WriteFile(g.path("room-url"), []byte(g.room.URL+"\n"), 0o600); err != nil {
		return err
	}
	for _, n := range g.nodes {
		text := fmt.Sprintf(`# made by addagent demo --grid
home: %[1]q
run_dir: %[2]q
state_dir: %[3]q
beat: { schedule: "@every 1s", spread: 0s }
repos:
  - { name: ops, url: %[4]q }
work: { retry_first: 1s }
presence: { url: %[5]q, refresh: 10s }
chat:
  - { url_file: %[6]q, only: all }
`, n.home, filepath.Join(n.home, "run"), filepath.Join(n.home, "lib"), g.url, g.presence(), g.path("room-url"))
		if err := os.WriteFile(n.config(), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (n *demoNode) config() string { return filepath.Join(n.home, "addagent.yaml") }

// start starts the agent of a node; the screen shows what it logs, but for its quiet beats.
func (g *demoGrid) start(n *demoNode) error {
	return n.agent.start("the agent of "+n.id, exec.Command(g.me, "run", "--config", n.config()), &lineWriter{each: func(line []byte) error {
		l := parseLogLine(string(line))
		if quietBeat.MatchString(l.Text) {
			return nil
		}
		text := strings.ReplaceAll(l.Text, g.dir, g.show(g.dir))
		if text, _, _ = strings.Cut(text, "  -> "); l.Level != "info" {
			text = strings.ToUpper(l.Level) + " " + text
		}
		fmt.Fprintf(g.out, "   %-7s %s %s\n", n.id, l.Time.UTC().Format("15:04:05Z"), text)
		return nil
	}})
}

var quietBeat = regexp.MustCompile(` \| [0-9].* \| next `)

// startFold lets a control node fold every second. What it says of that is in a file.
func (g *demoGrid) startFold() error {
	log, err := os.Create(g.foldLog())
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	cmd := g.outside(exec.Command(g.addctl, "presence:fold", "--every", "1s", "--presence", g.presence()))
	cmd.Stdout = log
	return g.fold.start("the control node", cmd, log)
}

func (g *demoGrid) foldLog() string { return g.path("fold.log") }

// stop ends the agents, and waits for the work that they leave to its shims.
func (g *demoGrid) stop() {
	for _, n := range g.nodes {
		n.agent.end(syscall.SIGTERM)
	}
	g.fold.end(syscall.SIGTERM)
	// The demo may be ending because its context has.
	_ = g.until(context.Background(), "all work has ended", func() bool {
		return !slices.ContainsFunc(g.nodes, func(n *demoNode) bool {
			_, held, err := work.ReadHolder(filepath.Join(n.home, "run", "work.lock"))
			return err == nil && held
		})
	})
}

// until waits until something is so; what says it in words.
func (g *demoGrid) until(ctx context.Context, what string, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, gridPatient)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		if is() {
			return nil
		}
		if err := g.fell(); err != nil {
			return fmt.Errorf("%w; this did not come true: %s", err, what)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("this did not come true within %s: %s", gridPatient, what)
		case <-look.C:
		}
	}
}

// fell says that something has ended which nobody has ended.
func (g *demoGrid) fell() error {
	for _, n := range g.nodes {
		if err := n.agent.fell(); err != nil {
			return err
		}
	}
	return g.fold.fell()
}

// outside keeps what addctl remembers in the demo's folder.
func (g *demoGrid) outside(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+g.path("people", "cache"))
	return cmd
}

// ctl runs addctl on the presence repository.
func (g *demoGrid) ctl(ctx context.Context, args ...string) (string, error) {
	cmd := g.outside(exec.CommandContext(ctx, g.addctl, append(args, "--presence", g.presence())...))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("addctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}

// ask prints what addctl says, as a person would ask it.
func (g *demoGrid) ask(ctx context.Context, args ...string) error {
	out, err := g.ctl(ctx, args...)
	if err != nil {
		return err
	}
	fmt.Fprintf(g.out, "   $ %s %s --presence %s\n%s", g.show(g.addctl), strings.Join(args, " "), g.presence(), indented(out))
	return nil
}

func indented(text string) string {
	return "   " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n   ") + "\n"
}

// present is what the grid knows of a node; "" = it is not known, or the grid could not be asked.
type present struct {
	ID    string     `json:"instance-id"`
	State node.State `json:"state"`
	Age   fleet.Age  `json:"age"`
	By    time.Time  `json:"beat_next_by"`
}

// seen asks the grid for a node.
func (g *demoGrid) seen(ctx context.Context, n *demoNode) present {
	out, err := g.ctl(ctx, "nodes", "--json")
	var all []present
	if err != nil || json.Unmarshal([]byte(out), &all) != nil {
		return present{}
	}
	i := slices.IndexFunc(all, func(p present) bool { return p.ID == n.id })
	if i < 0 {
		return present{}
	}
	return all[i]
}

// worked says that a node has what was pushed last, and nothing left to do.
func (g *demoGrid) worked(n *demoNode) bool {
	b, err := readBeat(n.home)
	return err == nil && b != nil && b.State == node.Idle && b.InHand == nil && len(b.Items) == 1 &&
		b.Items[0].Version == g.last && (b.Items[0].Verdict == work.Same || b.Items[0].Verdict == work.Unaffected)
}

// tails shows the end of each log, for a story that went wrong.
func (g *demoGrid) tails() {
	logs := []string{g.foldLog()}
	for _, n := range g.nodes {
		logs = append(logs, logPath(n.home))
	}
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			data = []byte(err.Error())
		}
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		g.say("%s ends with", g.show(path))
		fmt.Fprint(g.out, indented(strings.Join(lines[max(len(lines)-8, 0):], "\n")))
	}
}
