package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/cli/clitest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be addctl.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"addctl": main})
}

// TestTranscripts runs testdata/script: each file is what a person types and sees.
func TestTranscripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
				"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org",
				"HOME=" + e.WorkDir, "XDG_CACHE_HOME=", "XDG_STATE_HOME=" + e.WorkDir + "/state", "no_proxy=127.0.0.1"} {
				name, value, _ := strings.Cut(v, "=")
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"tell": tell, "waitfor": clitest.WaitFor, "hipchat": hipchat,
		},
	})
}

// tell REPO.git ID STATE [KEY=VALUE...] says in a presence repository, with git's own commands, what a node would:
// part, deployment, stacktype, version, reason, hostname, address, answer, obeys (what may be asked of it), db (the
// code of that service), uses (a service); ago is how long ago, such as 90m.
func tell(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: tell REPO.git ID STATE [KEY=VALUE...]")
	}
	repo, id := ts.MkAbs(args[0]), args[1]
	value := map[string]string{"part": "app1", "deployment": "fed1", "stacktype": "lad1", "version": strings.Repeat("1a2b3c4d", 5), "hostname": id + ".example.org", "address": "10.0.0.7", "ago": "0s"}
	for _, a := range args[3:] {
		k, v, _ := strings.Cut(a, "=")
		value[k] = v
	}
	ago, err := time.ParseDuration(value["ago"])
	ts.Check(err)
	at := time.Now().Add(-ago)
	r := presence.Record{
		InstanceID: id, State: node.State(args[2]), Nodepart: value["part"], Deployment: value["deployment"], Stacktype: value["stacktype"],
		Reason: value["reason"], Hostname: value["hostname"], Addresses: []string{value["address"]}, Agent: "addagent/1.2.3",
		BeatSeen: at, BeatNextBy: at.Add(12 * time.Minute), StateLog: "setup:20260301-080000;initdone:20260301-080022;", StateTss: "20260301-080022",
		Repos: []presence.Repo{{Branch: "main", Name: "ops", Version: value["version"]}},
	}
	if id := value["answer"]; id != "" {
		r.Answers = []presence.Answer{{ID: id, Code: presence.AnswerDone, State: "done", Time: at}}
	}
	if actions := value["obeys"]; actions != "" {
		r.Obeys = strings.Split(actions, ",")
	}
	if code := value["db"]; code != "" {
		r.Services = []presence.Service{{Name: "db", Code: code, IP: value["address"], Port: 3306, Mode: "mariadb", Role: "na", Time: at}}
	}
	if name := value["uses"]; name != "" {
		r.Uses = []presence.Use{{Item: "ops:part.app1", Service: name}}
	}
	ts.Check(fleettest.Report(repo, r, at))
}

// hipchat NAME begins a HipChat server: NAME-url holds the address of a room whose token is right, NAME-wrong of one
// whose token is not, and each message that the server took is a line of NAME-heard.
func hipchat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hipchat NAME")
	}
	var mu sync.Mutex
	heard := ts.MkAbs(args[0] + "-heard")
	ts.Check(os.WriteFile(heard, nil, 0o644))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct {
			Message, Color string
			Notify         bool
		}
		if r.Header.Get("Authorization") != "Bearer t0psecret" || json.Unmarshal(body, &m) != nil {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(heard, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			fmt.Fprintf(f, "%s %v %s\n", m.Color, m.Notify, m.Message)
			err = f.Close()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	ts.Defer(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	for name, token := range map[string]string{"url": "t0psecret", "wrong": "an0ther"} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+"-"+name), []byte("hipchat://"+token+"@"+host+"/ops?scheme=http\n"), 0o600))
	}
}

func testProcess(out, words io.Writer, args ...string) *program {
	return &program{Process: &cli.Process{Args: args, In: &bytes.Buffer{}, Out: out, Err: words, Env: func(string) string { return "" },
		Getuid: func() int { return 1000 }}}
}

// manual is what no command says of itself, beside the commands.
func manual() clitest.Manual {
	return clitest.Manual{
		Root:     testProcess(io.Discard, io.Discard).root(),
		Synopsis: "addctl [--config FILE | --presence URL] [--json] COMMAND ...",
		Codes:    []string{"0", "1", "2", "3", "130"},
		Also: map[string][]string{
			"nodes": {"node", "log", "presence:fold"}, "node": {"nodes", "log"}, "log": {"nodes", "node", "presence:fold"},
			"presence:list": {"nodes", "presence:reap"}, "presence:fold": {"nodes", "log", "chat:say"}, "presence:reap": {"nodes", "presence:list"},
			"chat:say":   {"presence:fold"},
			"group:list": {"group:show", "group:check"}, "group:show": {"group:list", "group:check"}, "group:check": {"group:list", "group:show"},
			"role:create": {"role:update", "group:show"}, "role:update": {"role:create", "group:show"}, "autoscale:create": {"role:create", "group:show"},
			"packer:create": {"group:show", "role:create"}, "instance:deploy": {"nodes", "group:show"},
		},
		SeeAlso: []string{"addagent(1)", "git(1)"},
		Files: []clitest.Block{
			{Term: "/etc/addagent/addagent.yaml, addagent.d/*.yaml", Text: "the agent's config, of which addctl takes presence, network and chat: addagent.yaml(5)"},
			{Term: "~/.cache/addagent/nodes-*/, fold-*/", Text: "what was read of a presence repository; each may be deleted at any time"},
			{Term: "/var/lib/addagent/addctl/", Text: "who presence:fold is among several that tell the rooms, and what it could not tell them yet; for who is not root below XDG_STATE_HOME"},
		},
		Environment: []clitest.Block{
			{Term: "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION", Text: "of doctor: the credentials for EC2, in place of the role of this instance, and the region"},
			{Term: "AWS_EC2_METADATA_SERVICE_ENDPOINT", Text: "of doctor: the address of the metadata service of the cloud"},
			{Term: "XDG_CACHE_HOME", Text: "where what was read is remembered, in place of ~/.cache"},
			{Term: "XDG_STATE_HOME", Text: "where presence:fold has its state when it does not run as root"},
			{Term: "HOME, USER", Text: "where .cache and .ssh are, and who asks"},
			{Term: "https_proxy, http_proxy, no_proxy", Text: "the proxy of https and http, in either spelling, when the config names none"},
			{Term: "SSH_AUTH_SOCK", Text: "an agent that holds keys for ssh, asked when neither config nor flag names one"},
			{Term: "ADD_SECRET_*", Text: "a secret that the config names as env:ADD_SECRET_NAME"},
			{Term: "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, JOURNAL_STREAM", Text: "set by systemd for presence:fold --every: it tells that it is ready, and leaves times to the journal"},
			{Term: "NO_COLOR", Text: "no colours; there are none on a pipe either"},
			{Term: "TERM", Text: "dumb: no colours, and no live view"},
		},
		Markdown: "addctl.md",
	}
}

// TestDocs keeps the manual pages and docs/addctl.md the same as the commands. UPDATE=1 writes them.
func TestDocs(t *testing.T) { manual().Test(t) }

// TestDocsNameTheEnvironment finds the variables that the code asks for and the manual page does not name.
func TestDocsNameTheEnvironment(t *testing.T) {
	manual().TestEnvironment(t, ".", "../../fleet/control", "../../internal/cli", "../../internal/cloud/account", "../../internal/git/remote", "../../internal/git/transport", "../../systemd")
}

func TestEveryCommandHasATranscript(t *testing.T) { manual().TestTranscripts(t) }

// TestQuotedCommands: what the pages tell a reader to type exists.
func TestQuotedCommands(t *testing.T) { manual().TestQuoted(t, "../../docs") }

// TestAtCommit: which nodes have worked a commit, and what a wedged node has finished.
func TestAtCommit(t *testing.T) {
	repo, now := filepath.Join(t.TempDir(), "presence.git"), time.Now()
	old, tip := strings.Repeat("6942aad0", 5), strings.Repeat("f1857fe0", 5)
	report := func(id string, s node.State, r presence.Repo) {
		t.Helper()
		n := fleettest.One(id, s, "", "", now)
		r.Name, r.Branch = "ops", "main"
		n.Repos = []presence.Repo{r}
		if id == "i-3" {
			n.Troubles = []string{"config: addagent.yaml:3:1: unknown key"}
		}
		if err := fleettest.Report(repo, n.Record, now); err != nil {
			t.Fatal(err)
		}
	}
	both := map[string]string{"root": "x", "app": "y"}
	run := func(want int, args string, words ...string) {
		t.Helper()
		var out bytes.Buffer
		p := testProcess(&out, io.Discard, append(strings.Fields(args), "--presence", repo)...)
		if code := p.run(t.Context()); code != want {
			t.Errorf("%s: exit %d, not %d: %s", args, code, want, out.String())
		}
		for _, w := range words {
			if !regexp.MustCompile(w).MatchString(out.String()) {
				t.Errorf("%s: no %q in\n%s", args, w, out.String())
			}
		}
	}
	report("i-1", node.Idle, presence.Repo{Version: tip, Done: both, Worked: map[string]string{"root": tip, "app": old}})
	report("i-3", node.Idle, presence.Repo{Version: old, Done: both, Worked: map[string]string{"root": old, "app": old}})
	run(cli.ExitDue, "nodes --at f1857fe --exit-code", `i-3 +fed1/app1 +idle +ops@6942aad +no`, `i-1 +fed1/app1 +idle +ops@f1857fe +yes`, `1 of 2 nodes have worked f1857fe`)
	run(cli.ExitDone, "nodes --at f1857fe")
	report("i-2", node.Wedged, presence.Repo{Version: tip, Done: both, Worked: map[string]string{"root": tip, "app": old}, Due: []string{"app"}, Failed: map[string]string{"app": tip}})
	run(cli.ExitWedged, "nodes --at f1857fe --exit-code", `i-2 +fed1/app1 +wedged +ops@f1857fe +failed`)
	run(cli.ExitDone, "nodes --at f1857fe --json", `"id": "i-2",[^}]*"worked": false,\s+"failed": \[\s+"app"`, `"id": "i-1",[^}]*"worked": true`)
	run(cli.ExitDue, "nodes --at 0000000 --exit-code")
	run(cli.ExitMisuse, "nodes --at main")
	run(cli.ExitDone, "nodes", `i-2 .* ops@6942aad -> f1857fe`, `i-1 .* ops@f1857fe`, `i-3 .* needs a person: config: addagent.yaml:3:1: unknown key`)
	run(cli.ExitDone, "node i-2", `repo +ops@6942aad -> f1857fe main, finished: root; not finished: app failed at f1857fe, last success 6942aad`)
	run(cli.ExitDone, "node i-3", `trouble +config: addagent.yaml:3:1: unknown key`)
	run(cli.ExitDone, "log i-2", ` wedged at 6942aad -> f1857fe`)
	run(cli.ExitDone, "log --state wedged", `i-2`)
	run(cli.ExitMisuse, "log --state wegded")
	run(cli.ExitDone, "presence:fold")
	run(cli.ExitDone, "nodes --json", `"since": "20`)
}
