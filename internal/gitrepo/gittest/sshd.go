package gittest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// SSHD is a real OpenSSH server with a configuration, host key and authorized key of its own.
type SSHD struct {
	Addr       string // 127.0.0.1:port
	User       string // who the key is for
	KeyFile    string // private key that it lets in
	KnownHosts string // a known_hosts file that knows it
	HostKey    string // the fingerprint of its host key, SHA256:...

}

// URL returns the ssh:// address of a folder on the server.
func (s *SSHD) URL(dir string) string { return "ssh://" + s.User + "@" + s.Addr + dir }

// StartSSHD starts an OpenSSH server that ends with the test.
func StartSSHD(tb testing.TB) *SSHD {
	tb.Helper()
	sshd := "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		tb.Fatalf("%v: run make test-tools (openssh-server)", err)
	}
	if _, err := os.Stat("/run/sshd"); err != nil {
		// sshd wants its privilege separation folder; only root needs it and only root can make it.
		_ = os.MkdirAll("/run/sshd", 0o755)
	}
	me, err := user.Current()
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	s := &SSHD{User: me.Username, KeyFile: filepath.Join(dir, "client"), KnownHosts: filepath.Join(dir, "known_hosts")}
	host := filepath.Join(dir, "host")
	for _, key := range []string{s.KeyFile, host} {
		run(tb, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", key)
	}
	s.Addr = freePort(tb)
	_, port, _ := net.SplitHostPort(s.Addr)
	config := filepath.Join(dir, "config")
	lines := []string{
		"ListenAddress " + s.Addr, "HostKey " + host, "AuthorizedKeysFile " + s.KeyFile + ".pub", "PidFile none",
		"UsePAM no", "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"AcceptEnv GIT_PROTOCOL", "LogLevel ERROR",
	}
	write(tb, config, strings.Join(lines, "\n")+"\n")
	public := strings.Fields(read(tb, host+".pub"))
	write(tb, s.KnownHosts, fmt.Sprintf("[127.0.0.1]:%s %s %s\n", port, public[0], public[1]))
	s.HostKey = strings.Fields(run(tb, "ssh-keygen", "-l", "-E", "sha256", "-f", host+".pub"))[1]

	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	cmd.Env = Env()
	stderr, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = stderr.Close()
	})
	awaitBanner(tb, s.Addr, stderr.Name())
	return s
}

// awaitBanner waits until an SSH server greets.
func awaitBanner(tb testing.TB, addr, log string) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		line, _ := bufio.NewReader(c).ReadString('\n')
		_ = c.Close()
		if strings.HasPrefix(line, "SSH-2.0") {
			return
		}
	}
	tb.Fatalf("no ssh server at %s: %s", addr, read(tb, log))
}

// Daemon serves the repositories below root over git:// and returns the address of that folder.
func Daemon(tb testing.TB, root string) string {
	tb.Helper()
	addr := freePort(tb)
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("/usr/lib/git-core/git-daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", "--port="+port, "--base-path="+root, root)
	cmd.Env = Env()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			_ = c.Close()
			return "git://" + addr
		}
	}
	tb.Fatal("git daemon does not answer")
	return ""
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s: %v: %s: run make test-tools (openssh-server)", name, err, out)
	}
	return string(out)
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
