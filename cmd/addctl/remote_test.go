package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
)

// addctl runs the program with nothing of our environment but the PATH.
func addctl(t *testing.T, env []string, args ...string) (out, words string, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript.Main makes this binary addctl where it is called so.
	link := filepath.Join(t.TempDir(), "addctl")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	c := exec.Command(link, args...)
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_SYSTEM=/dev/null", "no_proxy=127.0.0.1"}, env...)
	c.Stdout, c.Stderr = &stdout, &stderr
	_ = c.Run() // the code tells
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

// TestWhoAsks: over https with a token or with git's own credentials, over ssh with a key; who is refused is told
// what to do, and no secret is shown or written.
func TestWhoAsks(t *testing.T) {
	const secret = "s3cret-t0ken"
	repo, server := gittest.Remote(t, gittest.ServerOptions{User: "x-access-token", Password: secret})
	now := time.Now()
	if err := fleettest.Report(repo.Dir, fleettest.One("i-1", node.Idle, "a", "", now).Record, now); err != nil {
		t.Fatal(err)
	}
	sshd := gittest.StartSSHD(t)
	home := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	url := server.URL + "/r.git"
	stored := strings.Replace(server.URL, "://", "://x-access-token:"+secret+"@", 1) + "\n"
	git := file("gitconfig", "[credential]\n\thelper = store --file "+file("stored", stored)+"\n")
	env := []string{"HOME=" + home, "GIT_CONFIG_GLOBAL=" + git}
	for name, args := range map[string][]string{
		"token":           {"--presence", url, "--token-file", file("token", secret+"\n")},
		"git credentials": {"--presence", url, "--git-credentials"},
		"ssh key":         {"--presence", sshd.URL(repo.Dir), "--ssh-key-file", sshd.KeyFile, "--known-hosts-file", sshd.KnownHosts},
	} {
		out, words, code := addctl(t, env, append([]string{"nodes"}, args...)...)
		if code != cli.ExitDone || !strings.Contains(out, "i-1 ") || words != "" {
			t.Errorf("%s: exit %d\n%s%s", name, code, out, words)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no token":     {[]string{"--presence", url}, "(authenticate with --token-file FILE or --git-credentials)"},
		"another":      {[]string{"--presence", url, "--token-file", file("wrong", "an0ther-t0ken\n")}, "401"},
		"unknown host": {[]string{"--presence", sshd.URL(repo.Dir), "--ssh-key-file", sshd.KeyFile, "--known-hosts-file", file("nobody", "")}, "cannot be read"},
		"both":         {[]string{"--presence", url, "--token-file", file("token", secret+"\n"), "--git-credentials"}, "give only one"},
	} {
		_, words, code := addctl(t, append(env, "XDG_CACHE_HOME="+t.TempDir()), append([]string{"nodes"}, c.args...)...)
		if code == cli.ExitDone || !strings.Contains(words, c.want) || strings.Contains(words, "t0ken") {
			t.Errorf("%s: exit %d: %s", name, code, words)
		}
	}
	cache := filepath.Join(home, ".cache")
	if st, err := os.Stat(filepath.Join(cache, "addagent")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the cache: %v, %v", st.Mode(), err)
	}
	if out, _ := exec.Command("grep", "-r", secret, cache).CombinedOutput(); len(out) > 0 {
		t.Errorf("a secret is in the cache: %s", out)
	}
}
