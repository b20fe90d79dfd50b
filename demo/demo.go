package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/work"
)

// demo is a grid of one node and one git server, below one folder.
type demo struct {
	*process
	dir    string
	keep   bool
	server string // its address
	url    string // of the people's repository there
	last   string // commit of the last push
}

const (
	demoMark    = ".addagent-demo" // says that the folder is ours to remove
	demoPatient = 3 * time.Minute  // for one step; each takes a beat or two, and longer on a busy machine
)

func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "\n== "+format+"\n", args...) }

// begin makes sure of what the demo needs, and of an empty folder.
func (d *demo) begin() error {
	if _, err := exec.LookPath("git"); err != nil {
		return errors.New("the demo needs the git program: it plays the people who push, and the server")
	}
	var err error
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	return d.clear()
}

func (d *demo) run(ctx context.Context) error {
	if err := d.begin(); err != nil {
		return failed(err)
	}
	if err := d.makeGrid(ctx); err != nil {
		return failed(err)
	}
	stopServer, err := d.serve()
	if err != nil {
		return failed(err)
	}
	defer stopServer()
	stopAgent, err := d.startAgent(ctx)
	if err != nil {
		return failed(err)
	}
	defer stopAgent()
	if err := d.story(ctx); err != nil {
		if ctx.Err() != nil {
			return &exit{Code: exitInterrupted}
		}
		return failed(err)
	}
	if !d.keep {
		d.say("that was it. Everything is in %s; --keep (make demo KEEP=1) leaves it running for your own pushes", d.show(d.dir))
		return nil
	}
	me, err := os.Executable()
	if err != nil {
		me = "addagent"
	}
	d.say("still running; the agent beats every 2 s. In another terminal:")
	fmt.Fprintf(d.out, `   tail -F %[1]s/node/log/addagent.log
   (cd %[1]s/people/ops && date > app/version.txt && git commit -qam "my push" && git push)
   %[2]s --config %[1]s/node/addagent.yaml why
   %[2]s --config %[1]s/node/addagent.yaml status
   ^C here ends it
`, d.show(d.dir), d.show(me))
	<-ctx.Done()
	return nil
}

// show shortens a path for the screen: relative to here when it is below here.
func (d *demo) show(path string) string {
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(rel, "..") {
			return rel
		}
	}
	return path
}

// clear removes an earlier demo, and nothing else.
func (d *demo) clear() error {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, os.ErrNotExist) || (err == nil && len(entries) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	locks, err := filepath.Glob(d.path("*", "run", "beat.lock"))
	if err != nil {
		return err
	}
	for _, lock := range locks {
		if h, held, err := work.ReadHolder(lock); err == nil && held {
			return fmt.Errorf("a demo runs in %s (agent process %d): end it with ^C where it was started, or name another folder with --dir", d.show(d.dir), h.PID)
		}
	}
	if _, err := os.Stat(d.path(demoMark)); err != nil {
		return fmt.Errorf("%s is not empty and no earlier demo: name another folder with --dir", d.dir)
	}
	// A demo that was ended in the middle of a push may have left a git of its server behind, which writes for a moment more.
	ctx, cancel := context.WithTimeout(context.Background(), demoLeaves)
	defer cancel()
	for err = os.RemoveAll(d.dir); errors.Is(err, syscall.ENOTEMPTY) && ctx.Err() == nil; err = os.RemoveAll(d.dir) {
	}
	return err
}

// demoLeaves is how long what a demo started gets to end, when it is over.
const demoLeaves = 10 * time.Second

// makeGrid lays out the server's bare repository, the people's clone and the node.
func (d *demo) makeGrid(ctx context.Context) error {
	err := d.write(map[string]string{
		demoMark:                                  "made by addagent demo, which removes this folder\n",
		"node/nodeinfo/nodepart.txt":              "app1\n",
		"node/nodeinfo/stacktype.txt":             "lad1\n",
		"node/nodeinfo/deployment.txt":            "fed1\n",
		"node/nodeinfo/instance-id.txt":           "i-demo1\n",
		"people/ops/README.md":                    "# Operations of the demo grid\n",
		"people/ops/app/version.txt":              "1\n",
		"people/ops/nodework/part/app1/work.yaml": "watch: [ app/ ]\ntimeout: 1m\n",
		"people/ops/nodework/part/app1/work.sh":   demoScript,
	})
	if err != nil {
		return err
	}
	return d.repositories(ctx, "ops.git")
}

// write makes files below the folder.
func (d *demo) write(texts map[string]string) error {
	for path, text := range texts {
		if err := os.MkdirAll(filepath.Dir(d.path(path)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(d.path(path), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// repositories makes the server's bare ones, and the people's clone.
func (d *demo) repositories(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := d.git(ctx, "", "init", "-q", "--bare", "-b", "main", d.path("server", name)); err != nil {
			return err
		}
		if err := d.git(ctx, d.path("server", name), "config", "http.receivepack", "true"); err != nil {
			return err
		}
	}
	return d.git(ctx, d.path("people", "ops"), "init", "-q", "-b", "main")
}

// demoScript is what a repository would deploy with: it says what it was told.
const demoScript = `#!/bin/bash
set -eu
echo "deploying version $(cat app/version.txt) on $ADD_NODE_ID ($ADD_NODEPART), verdict $ADD_VERDICT"
echo "from ${ADD_PREVIOUS_VERSION:-nothing} to $ADD_VERSION"
sleep 3 # longer than a beat: the agent goes on ticking meanwhile
echo deployed
`

// serve serves the bare repositories with git's own server program, on loopback.
func (d *demo) serve() (stop func(), err error) {
	where, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("git --exec-path: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(where)), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + d.path("server"), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=people"},
		Stderr: io.Discard,
	}}
	go server.Serve(listener) //nolint:errcheck // ends with Shutdown
	d.server = "http://" + listener.Addr().String()
	d.url = d.server + "/ops.git"
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), demoLeaves)
		defer cancel()
		_ = server.Shutdown(ctx) // a push that is being taken is taken whole
		_ = server.Close()
	}, nil
}

// startAgent starts this very program as the agent of the demo's node.
func (d *demo) startAgent(ctx context.Context) (stop func(), err error) {
	config := fmt.Sprintf(`# made by addagent demo
home: %[1]s
run_dir: %[1]s/run
state_dir: %[1]s/lib
beat: { schedule: "@every 2s", spread: 0s }
repos:
  - { name: ops, url: "%[2]s" }
work: { retry_first: 4s }
`, d.path("node"), d.url)
	if err := os.WriteFile(d.path("node", "addagent.yaml"), []byte(config), 0o644); err != nil {
		return nil, err
	}
	me, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d.say("first push: a script for part app1 that watches app/")
	if err := d.git(ctx, d.path("people", "ops"), "remote", "add", "origin", d.url); err != nil {
		return nil, err
	}
	if err := d.push(ctx, "the application and its work script"); err != nil {
		return nil, err
	}
	d.say("the agent starts: node i-demo1, part app1, a beat every 2 s (its log, as tail -F shows it)")
	cmd := exec.Command(me, "run", "--config", d.path("node", "addagent.yaml"))
	cmd.Stderr, cmd.Stdout = d.out, d.out
	// Its own group: ^C is for the demo, which then ends the agent in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		cmd.Wait()                          //nolint:errcheck // its exit is shown by its log
	}, nil
}

// story is the demo itself.
func (d *demo) story(ctx context.Context) error {
	if err := d.until(ctx, d.done); err != nil {
		return err
	}
	d.say("nothing new: the verdict is `same`")
	if err := d.until(ctx, d.verdict("same")); err != nil {
		return err
	}
	steps := []struct {
		say, path, text, message string
		until                    func(*agent.Beat) bool
	}{
		{"a push that touches nothing this node watches: `unaffected`", "README.md", "# Operations, explained\n", "explain", d.verdict("unaffected")},
		{"a push below app/: `changed`, and the work runs", "app/version.txt", "2\n", "version 2", d.done},
		{"a broken push: the script fails, and the node says so; it would try again after 4 s", "nodework/part/app1/work.sh", "#!/bin/bash\necho no such database; exit 3\n", "a new script", func(b *agent.Beat) bool { return b.State == "failing" }},
		{"the repair is a push as well: tried at once, and the node is well again", "nodework/part/app1/work.sh", demoScript, "mend the script", d.done},
	}
	for _, s := range steps {
		d.say("%s", s.say)
		if err := os.WriteFile(d.path("people", "ops", s.path), []byte(s.text), 0o755); err != nil {
			return err
		}
		if err := d.push(ctx, s.message); err != nil {
			return err
		}
		if err := d.until(ctx, s.until); err != nil {
			return err
		}
	}
	if err := d.until(ctx, d.verdict("same")); err != nil {
		return err
	}
	d.say("the state files, one bare value each")
	for _, name := range []string{"instance-id", "state", "statelog"} {
		data, err := os.ReadFile(d.path("node", "nodeinfo", name+".txt"))
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "   nodeinfo/%-16s %s", name+".txt", data)
	}
	data, err := os.ReadFile(d.path("node", "gitrepo", "ops", ".temp", "add", "part.app1", "work.sh_VERSION"))
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   work.sh_VERSION           %s", data)
	d.say("the script's own output: log/work/ops_part.app1/latest.log")
	if data, err = os.ReadFile(d.path("node", "log", "work", "ops_part.app1", "latest.log")); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   %s\n", strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", "\n   "))
	d.say("addagent why")
	return d.process.why(&global{config: d.path("node", "addagent.yaml")}, &config.Config{Home: d.path("node"), StateDir: d.path("node", "lib")}, "", time.Now())
}

// done is a beat after which the last push has been worked.
func (d *demo) done(b *agent.Beat) bool {
	data, err := os.ReadFile(d.path("node", "gitrepo", "ops", ".temp", "add", "part.app1", "work.sh_VERSION"))
	return err == nil && strings.TrimSpace(string(data)) == d.last && b.State == "idle" && b.InHand == nil
}

func (d *demo) verdict(v string) func(*agent.Beat) bool {
	return func(b *agent.Beat) bool {
		quiet := b.InHand == nil && len(b.Started)+len(b.Ended) == 0
		return quiet && len(b.Items) == 1 && string(b.Items[0].Verdict) == v && b.Items[0].Version == d.last
	}
}

// until waits for a beat that is as it should be.
func (d *demo) until(ctx context.Context, is func(*agent.Beat) bool) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatient)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the agent did not get there within %s; its log is %s", demoPatient, logPath(d.path("node")))
		case <-look.C:
			if b, err := readBeat(d.path("node")); err == nil && b != nil && is(b) {
				return nil
			}
		}
	}
}

// push commits all of the people's clone and pushes it.
func (d *demo) push(ctx context.Context, message string) error {
	ops := d.path("people", "ops")
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}, {"push", "-q", "-u", "origin", "main"}} {
		if err := d.git(ctx, ops, args...); err != nil {
			return err
		}
	}
	head, err := d.gitSays(ctx, ops, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	d.last = strings.TrimSpace(head)
	fmt.Fprintf(d.out, "   pushed %s %q\n", agent.Short(d.last), message)
	return nil
}

// git runs the git program as one of the demo's people, whatever this machine's
// own git config says.
func (d *demo) git(ctx context.Context, dir string, args ...string) error {
	_, err := d.gitSays(ctx, dir, args...)
	return err
}

func (d *demo) gitSays(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1")
	var said, wrong bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &wrong
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()+wrong.String()))
	}
	return said.String(), nil
}
