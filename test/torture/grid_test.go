//go:build linux

package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
)

// patience is how long a condition may take that takes a second or two on an idle machine.
const patience = 4 * time.Minute

// grid is one node and what is around it: repositories behind a real server, a home, a config, and the agent as a
// process.
type grid struct {
	t     *testing.T
	dir   string // everything is below it
	home  string
	repos map[string]*gittest.Repo
	agent *process // the last one started; nil = none yet
	evil  bool     // objects that git would complain about were sent to it

	program string   // the addagent that it runs
	env     []string // more of its environment
	base    string   // its config, before what configure adds
}

// plan is what a test wants its grid to be like; the zero value is one repository "ops", beats every second.
type plan struct {
	repos []string                      // their names
	home  string                        // "" = below the test's folder
	beat  string                        // more keys of beat:, with a comma before each
	work  string                        // keys of work: instead of the usual
	via   func(name, url string) string // what to tell the node as the address of a repository
	wrap  gittest.ServerOptions
}

// quickly is how tests usually work: everything is tried again within a second, nothing becomes wedged.
const quickly = "timeout: 30s, grace: 1s, retry_first: 1s, retry_max: 1s, wedge_after: 1000"

func newGrid(t *testing.T, p plan) *grid {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g := &grid{t: t, dir: dir, home: p.home, repos: map[string]*gittest.Repo{}, program: binary}
	if g.home == "" {
		g.home = filepath.Join(dir, "home")
	}
	if len(p.repos) == 0 {
		p.repos = []string{"ops"}
	}
	if p.work == "" {
		p.work = quickly
	}
	server := gittest.Serve(t, filepath.Join(dir, "remote"), p.wrap)
	var repos strings.Builder
	for _, name := range p.repos {
		g.repos[name] = gittest.New(t, filepath.Join(dir, "remote", name+".git"))
		url := server.URL + "/" + name + ".git"
		if p.via != nil {
			url = p.via(name, url)
		}
		fmt.Fprintf(&repos, "  - { name: %s, url: %q }\n", name, url)
	}
	write(t, g.in("nodeinfo", "instance-id.txt"), promptID()+"\n")
	write(t, g.in("nodeinfo", "nodepart.txt"), "app1\n")
	write(t, filepath.Join(dir, "t", "journal"), "")
	g.base = fmt.Sprintf("home: %q\nrun_dir: %q\nstate_dir: %q\nbeat: { schedule: \"@every 1s\", spread: 0s%s }\nwork: { %s, env: { T_DIR: %q } }\nrepos:\n%s",
		g.home, filepath.Join(dir, "run"), filepath.Join(dir, "lib"), p.beat, p.work, filepath.Join(dir, "t"), &repos)
	g.configure("")
	t.Cleanup(g.end)
	return g
}

// promptID is a name whose node begins to beat at once: the splay of the first beat is a hash of the name.
func promptID() string {
	for n := 0; ; n++ {
		id := "i-" + strconv.Itoa(n)
		if schedule.Offset(id, 2*time.Second, 2*time.Second) < 20*time.Millisecond {
			return id
		}
	}
}

// in is a path below the home.
func (g *grid) in(path ...string) string {
	return filepath.Join(append([]string{g.home}, path...)...)
}

func (g *grid) config() string                  { return filepath.Join(g.dir, "addagent.yaml") }
func (g *grid) workLock() string                { return filepath.Join(g.dir, "run", "work.lock") }
func (g *grid) beatLock() string                { return filepath.Join(g.dir, "run", "beat.lock") }
func (g *grid) stderr() string                  { return filepath.Join(g.dir, "agent.err") }
func (g *grid) clone(repo string) string        { return g.in("gitrepo", repo) }
func (g *grid) note(name string) string         { return filepath.Join(g.dir, "t", name) }
func (g *grid) log() string                     { return read(g.in("log", "addagent.log")) }
func (g *grid) state() string                   { return strings.TrimSpace(read(g.in("nodeinfo", "state.txt"))) }
func (g *grid) tip(repo string) string          { return g.repos[repo].Tip("main") }
func (g *grid) memory(repo, item string) string { return work.MemoryDir(g.clone(repo), item) }

// push puts a commit on main, as people do.
func (g *grid) push(repo string, changes ...gittest.Change) string {
	g.t.Helper()
	return g.repos[repo].Commit("main", changes...)
}

// command is addagent with this node's config, and nothing of the test's environment but what it cannot do without.
func (g *grid) command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.program, append([]string{"--config", g.config()}, args...)...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "NO_PROXY=*"}
	cmd.Env = append(cmd.Env, g.env...)
	return cmd
}

// start starts the agent, and does not wait for anything.
func (g *grid) start() *process {
	g.t.Helper()
	g.surprise()
	out, err := os.OpenFile(g.stderr(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		g.t.Fatal(err)
	}
	defer out.Close()
	cmd := g.command("run")
	cmd.Stdout, cmd.Stderr = out, out
	g.agent = launch(g.t, cmd)
	return g.agent
}

// stop tells the agent to end, and waits for that.
func (g *grid) stop() {
	g.t.Helper()
	g.surprise()
	g.agent.signal(syscall.SIGTERM)
	g.until("the agent to end", func() bool { return !g.agent.alive() })
	if code := g.agent.code(); code != 0 {
		g.t.Errorf("the agent ended with %d after TERM", code)
	}
}

// surprise fails the test when the agent ended without being told to.
func (g *grid) surprise() {
	g.t.Helper()
	if g.agent != nil && !g.agent.asked && !g.agent.alive() {
		g.t.Fatalf("the agent ended by itself with %d:\n%s", g.agent.code(), tail(read(g.stderr()), 30))
	}
}

// run runs one command to its end.
func (g *grid) run(args ...string) (code int, stdout, stderr string) {
	g.t.Helper()
	cmd := g.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	p := launch(g.t, cmd)
	g.until("addagent "+strings.Join(args, " ")+" to end", func() bool { return !p.alive() })
	noCrash(g.t, errs.String())
	return p.code(), out.String(), errs.String()
}

// until waits for a condition.
func (g *grid) until(what string, ok func() bool) {
	g.t.Helper()
	if !testkit.Within(patience, 20*time.Millisecond, ok) {
		g.t.Fatalf("waited %v in vain for %s", patience, what)
	}
}

// beat is the last beat, the zero one when there is none that can be read.
func (g *grid) beat() journal.Beat {
	var b journal.Beat
	if json.Unmarshal([]byte(read(g.in("nodeinfo", "beat.json"))), &b) != nil {
		return journal.Beat{}
	}
	return b
}

// asked tells whether a beat asked any repository.
func asked(b journal.Beat) bool {
	return slices.ContainsFunc(b.Looks, func(l journal.Look) bool { return !l.Old })
}

// records are the decision records of all beats.
func (g *grid) records() []journal.Beat {
	var all []journal.Beat
	for line := range strings.Lines(read(g.in("log", "beats.jsonl"))) {
		var b journal.Beat
		if json.Unmarshal([]byte(line), &b) == nil {
			all = append(all, b)
		}
	}
	return all
}

// beats waits for n whole beats from now on.
func (g *grid) beats(n uint64) {
	g.t.Helper()
	first := g.beat()
	g.until(fmt.Sprintf("%d beats", n), func() bool {
		b := g.beat()
		return b.PID == first.PID && b.Seq > first.Seq+n || b.PID != first.PID && b.Seq > n
	})
}

// worked is the version of the last success of an item.
func (g *grid) worked(repo, item string) string {
	return strings.TrimSpace(read(filepath.Join(g.memory(repo, item), "work.sh_VERSION")))
}

// last is the last attempt at an item, the zero one when there is none.
func (g *grid) last(repo, item string) work.Attempt {
	var r work.Result
	if text := read(filepath.Join(g.memory(repo, item), "work.sh_RESULT.json")); json.Unmarshal([]byte(text), &r) != nil || r.Last == nil {
		return work.Attempt{}
	}
	return *r.Last
}

// settled tells whether every item named was worked at its repository's tip, and the node says that it is idle.
func (g *grid) settled(repo string, items ...string) bool {
	tip := g.tip(repo)
	for _, i := range items {
		if g.worked(repo, i) != tip {
			return false
		}
	}
	b := g.beat()
	there := slices.ContainsFunc(b.Looks, func(l journal.Look) bool { return l.Repo == repo && l.Version == tip })
	return b.State == "idle" && there && b.InHand == nil && g.state() == "idle"
}

// settle waits until the node has worked what is pushed, and is idle.
func (g *grid) settle(repo string, items ...string) {
	g.t.Helper()
	g.until(repo+" to be worked at its tip, and idle", func() bool { g.surprise(); return g.settled(repo, items...) })
}

// journal is what scripts wrote down, a line each, split into words.
func (g *grid) journal() [][]string {
	var all [][]string
	for line := range strings.Lines(read(g.note("journal"))) {
		all = append(all, strings.Fields(line))
	}
	return all
}

// count counts the lines of the journal that begin with these words.
func (g *grid) count(words ...string) int {
	n := 0
	for _, line := range g.journal() {
		if len(line) >= len(words) && slices.Equal(line[:len(words)], words) {
			n++
		}
	}
	return n
}

// end leaves nothing running, and shows what there is to see when the test failed.
func (g *grid) end() {
	if g.agent != nil {
		g.agent.kill()
	}
	// A script may be starting more while its first processes die.
	if !testkit.Within(patience, 20*time.Millisecond, func() bool {
		left := g.processes()
		for _, r := range left {
			r.kill()
		}
		return len(left) == 0
	}) {
		g.t.Errorf("cannot be ended: %v", g.processes())
	}
	noCrash(g.t, read(g.stderr()))
	if !g.t.Failed() {
		return
	}
	g.t.Logf("addagent.log:\n%s", tail(g.log(), 30))
	g.t.Logf("standard error:\n%s", tail(read(g.stderr()), 5))
	g.t.Logf("journal:\n%s", tail(read(g.note("journal")), 20))
	g.t.Logf("beat.json: %.2000s", read(g.in("nodeinfo", "beat.json")))
}

// noCrash fails the test when a Go program printed that it crashed.
func noCrash(t *testing.T, text string) {
	t.Helper()
	for _, sign := range []string{"panic:", "fatal error:", "DATA RACE", "goroutine 1 ["} {
		if at := strings.Index(text, sign); at >= 0 {
			t.Errorf("addagent crashed:\n%s", text[at:min(len(text), at+4000)])
			return
		}
	}
}

// read is the content of a file, "" when it cannot be read.
func read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tail is the last lines of a text, long ones cut.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		all[i] = fmt.Sprintf("%.300s", line)
	}
	return strings.Join(all, "\n")
}

// script is an executable file of a repository, for bash when it does not say for whom.
func script(path, content string) gittest.Change {
	if !strings.HasPrefix(content, "#!") {
		content = "#!/bin/bash\n" + content
	}
	return gittest.Change{Path: path, Content: content, Mode: "100755"}
}

// dice is the source of this test's randomness, and rounds how many rounds it makes.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ADD_TORTURE_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("ADD_TORTURE_SEED: %v", err)
		}
	}
	t.Logf("ADD_TORTURE_SEED=%d repeats the dice of this test", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func rounds(t *testing.T, usual int) int {
	t.Helper()
	if text := os.Getenv("ADD_TORTURE_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("ADD_TORTURE_ROUNDS: %v", err)
		}
		return n
	}
	return testkit.Rounds(max(2, usual/5), usual)
}
