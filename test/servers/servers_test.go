package servers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestServers tries each kind of server with the real programs.
func TestServers(t *testing.T) {
	for _, k := range kinds() {
		if !k.long {
			t.Run(plain(k.name), func(t *testing.T) { k.try(t) })
		}
	}
}

// TestMoreServers is for those that are large, or seldom installed.
func TestMoreServers(t *testing.T) {
	testkit.Long(t)
	for _, k := range kinds() {
		if k.long {
			t.Run(plain(k.name), func(t *testing.T) { k.try(t) })
		}
	}
}

// TestServersPage: docs/servers.md says what the tests above hold.
func TestServersPage(t *testing.T) {
	var page strings.Builder
	page.WriteString("| server | over | protocol | clone, move | presence | tested since | remarks |\n|---|---|---|---|---|---|---|\n")
	for _, k := range kinds() {
		works := map[bool]string{true: "yes", false: "no"}
		fmt.Fprintf(&page, "| %s | %s | %s | %s | %s | %s | %s |\n", k.name, k.over, k.protocol, works[k.says == ""], works[k.says+k.alone == ""], k.since, k.note)
	}
	testkit.Section(t, filepath.Join("..", "..", "docs", "servers.md"), "servers", page.String())
}

// plain is a name that a folder and a config may have.
func plain(name string) string {
	return strings.Trim(regexp.MustCompile(`[^A-Za-z0-9.]+`).ReplaceAllString(name, "-"), "-")
}

// node is one node with its config, and the two repositories that it uses.
type node struct {
	t      *testing.T
	config string
	home   string
}

// run runs one of the programs, and returns its exit code and all that it printed.
func (n *node) run(program string, args ...string) (int, string) {
	n.t.Helper()
	cmd := exec.Command(filepath.Join(bin, program), append([]string{"--config", n.config}, args...)...)
	cmd.Env = gittest.Env()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		n.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// beat does one beat, which must succeed, and returns what the script has last seen.
func (n *node) beat() string {
	n.t.Helper()
	if code, out := n.run("addagent", "beat"); code != 0 {
		n.t.Fatalf("beat: exit %d\n%s", code, out)
	}
	b, err := os.ReadFile(filepath.Join(n.home, "seen"))
	testkit.Must(n.t, err)
	return strings.TrimSpace(string(b))
}

var version = regexp.MustCompile(`\bv[0-2]\b`)

// live is check --live: the text and the hint of each check, and git's protocol that ops is asked in.
func (n *node) live() (code int, checks map[string]string, protocol string) {
	n.t.Helper()
	code, out := n.run("addagent", "check", "--live", "--json")
	var found []struct{ Check, Status, Text, Fix string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		n.t.Fatalf("%v\n%s", err, out)
	}
	checks = map[string]string{}
	for _, f := range found {
		checks[f.Check] = f.Status + " " + f.Text + " " + f.Fix
	}
	return code, checks, version.FindString(checks["repo ops"])
}

func (k kind) try(t *testing.T) {
	root := t.TempDir()
	at := k.start(t, root)
	if at.root != "" {
		root = at.root
	}
	if at.auth == "" {
		at.auth = "{}"
	}
	ops := gittest.New(t, filepath.Join(root, "ops.git"))
	presence := gittest.New(t, filepath.Join(root, "presence.git"))
	script := gittest.WithMode("nodework/work.sh", "#!/bin/sh\ncat text > \"$ADD_HOME/seen\"\n", "100755")
	ops.Commit("main", script, gittest.File("text", "one\n"), gittest.File("large", strings.Repeat("some text\n", 5000)))
	if at.made != nil {
		at.made()
	}
	dir := t.TempDir()
	n := &node{t: t, config: filepath.Join(dir, "addagent.yaml"), home: filepath.Join(dir, "home")}
	url := func(name string) string { return strings.Replace(at.url, "NAME", name, 1) }
	gittest.WriteFile(t, n.config, fmt.Sprintf(`home: %s
run_dir: %s/run
state_dir: %s/state
repos: [ { name: ops, url: "%s", branch: main, auth: %s } ]
presence: { url: "%s", auth: %s }
ec2: { tags: off }
`, n.home, dir, dir, url("ops"), at.auth, url("presence"), at.auth))
	testkit.Must(t, os.MkdirAll(filepath.Join(n.home, "nodeinfo"), 0o755))
	gittest.WriteFile(t, filepath.Join(n.home, "nodeinfo", "instance-id.txt"), "n1\n")

	if k.says != "" {
		code, checks, _ := n.live()
		if text := checks["repo ops"]; code != 1 || !strings.Contains(text, k.says) {
			t.Errorf("check --live: exit %d, %q, want %q", code, text, k.says)
		}
		return
	}
	code, checks, _ := n.live()
	if k.alone != "" {
		if text := checks["presence push"]; code != 1 || !strings.Contains(text, k.alone) {
			t.Errorf("check --live: exit %d, %q, want %q", code, text, k.alone)
		}
		if refs := presence.Git("for-each-ref"); refs != "" {
			t.Errorf("check --live left %q", refs)
		}
	} else if !strings.HasPrefix(checks["presence push"], "ok ") || !strings.Contains(checks["presence ref"], "does not exist yet") {
		t.Errorf("check --live before the first beat: exit %d, %q", code, checks)
	}
	if got := n.beat(); got != "one" {
		t.Errorf("after the clone the script saw %q", got)
	}
	for _, text := range []string{"two", "three"} {
		ops.Commit("main", gittest.File("text", text+"\n"))
		if got := n.beat(); got != text {
			t.Errorf("after a move the script saw %q, want %q", got, text)
		}
	}
	// The branch goes back to an older commit, by way of another.
	first := ops.Git("rev-list", "--max-parents=0", "main")
	ops.Git("update-ref", "refs/heads/main", first)
	if got := n.beat(); got != "one" {
		t.Errorf("after a rewind the script saw %q", got)
	}
	gittest.Fsck(t, filepath.Join(n.home, "gitrepo", "ops"))
	_, checks, protocol := n.live()
	if protocol != k.protocol {
		t.Errorf("check --live: protocol %q, want %q: %s", protocol, k.protocol, checks["repo ops"])
	}
	if k.alone != "" {
		return
	}
	if refs := presence.Git("for-each-ref", "--format=%(refname)"); refs != "refs/heads/presence/n1" {
		t.Errorf("presence has %q", refs)
	}
	if code, out := n.run("addctl", "nodes", "--json"); code != 0 || !strings.Contains(out, `"n1"`) || !strings.Contains(out, "idle") {
		t.Errorf("addctl nodes: exit %d\n%s", code, out)
	}
	if code, out := n.run("addctl", "presence:fold"); code != 0 {
		t.Errorf("addctl presence:fold: exit %d\n%s", code, out)
	}
	if code, out := n.run("addctl", "nodes"); code != 0 || !strings.Contains(out, "n1") {
		t.Errorf("addctl nodes of the fold: exit %d\n%s", code, out)
	}
	code, checks, _ = n.live()
	for _, check := range []string{"repo ops", "presence", "presence ref", "presence push", "presence fold"} {
		old := check == "repo ops" && strings.Contains(checks[check], "each look lists all refs")
		if !strings.HasPrefix(checks[check], "ok ") && !old {
			t.Errorf("check --live: %s: %s", check, checks[check])
		}
	}
	if code != 0 {
		t.Errorf("check --live: exit %d", code)
	}
}

// versionOne has git asked for version 1 of its protocol.
func versionOne(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Git-Protocol", "version=1")
		next.ServeHTTP(w, r)
	})
}

// asSHA256 puts a repository whose objects are named by SHA-256 in the place of another.
func asSHA256(t *testing.T, dir string) {
	t.Helper()
	testkit.Must(t, os.RemoveAll(dir))
	gittest.Git(t, filepath.Dir(dir), "init", "-q", "--bare", "--object-format=sha256", "-b", "main", dir)
	tree := gittest.Git(t, dir, "hash-object", "-t", "tree", "-w", "/dev/null")
	gittest.Git(t, dir, "update-ref", "refs/heads/main", gittest.Git(t, dir, "commit-tree", "-m", "x", tree))
}
