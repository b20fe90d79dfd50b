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

	"github.com/addagent/addagent/internal/testkit"
)

// SSHD is a real OpenSSH server with a configuration, host key and authorized keys of its own.
type SSHD struct {
	Addr       string // 127.0.0.1:port
	User       string // who the key is for
	KeyFile    string // private key that it lets in
	KnownHosts string // a known_hosts file that knows it
	HostKey    string // the fingerprint of its host key, SHA256:...

	tb   testing.TB
	dir  string
	cmd  *exec.Cmd
	logs *os.File
}

// SSHDOptions change how an SSH server behaves; the zero value lets git's protocol v2 through.
type SSHDOptions struct {
	NoV2    bool     // does not take GIT_PROTOCOL, as an unconfigured OpenSSH does not
	AllKeys bool     // has an RSA key, rsa.pub, and a certificate by the key ca.pub, too
	More    []string // lines of its configuration, which precede the usual ones
}

// URL returns the ssh:// address of a folder on the server.
func (s *SSHD) URL(dir string) string { return s.URLAt(s.Addr, dir) }

// URLAt is URL for another address that leads to the server.
func (s *SSHD) URLAt(addr, dir string) string { return "ssh://" + s.User + "@" + addr + dir }

// StartSSHD starts an OpenSSH server that ends with the test.
func StartSSHD(tb testing.TB) *SSHD { return StartSSHDWith(tb, SSHDOptions{}) }

// StartSSHDWith is StartSSHD with options.
func StartSSHDWith(tb testing.TB, o SSHDOptions) *SSHD {
	tb.Helper()
	if _, err := os.Stat(sshdProgram); err != nil {
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
	s := &SSHD{User: me.Username, Addr: Port(tb, "127.0.0.1"), KnownHosts: filepath.Join(dir, "known_hosts"), tb: tb, dir: dir}
	s.KeyFile = s.NewKey("client")
	s.Allow(s.KeyFile)
	lines := append(o.More,
		"ListenAddress "+s.Addr, "HostKey "+filepath.Join(dir, "host"), "AuthorizedKeysFile "+filepath.Join(dir, "authorized"),
		"PidFile none", "UsePAM no", "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no",
		"KbdInteractiveAuthentication no", "LogLevel ERROR",
		"MaxStartups 200", // else it drops some of many that come at once
	)
	if !o.NoV2 {
		lines = append(lines, "AcceptEnv GIT_PROTOCOL")
	}
	if o.AllKeys {
		lines = append(lines, "HostKey "+filepath.Join(dir, "rsa"), "HostCertificate "+filepath.Join(dir, "host-cert.pub"))
	}
	write(tb, filepath.Join(dir, "config"), strings.Join(lines, "\n")+"\n")
	s.NewHostKey()
	s.Knows(s.Addr)
	if o.AllKeys {
		run(tb, "ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "test", "-f", filepath.Join(dir, "rsa"))
		run(tb, "ssh-keygen", "-q", "-s", s.NewKey("ca"), "-I", "host", "-h", "-n", "127.0.0.1", filepath.Join(dir, "host.pub"))
	}
	if s.logs, err = os.Create(filepath.Join(dir, "log")); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		s.Stop()
		_ = s.logs.Close()
	})
	s.Start()
	return s
}

const sshdProgram = "/usr/sbin/sshd"

// Start starts the server where it was.
func (s *SSHD) Start() {
	s.tb.Helper()
	s.cmd = exec.Command(sshdProgram, "-D", "-e", "-f", filepath.Join(s.dir, "config"))
	s.cmd.Env, s.cmd.Stderr = Env(), s.logs
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	awaitBanner(s.tb, s.Addr, s.logs.Name())
}

// Stop ends the server. Connections that stand live on in processes of their own.
func (s *SSHD) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// NewKey makes a key without a passphrase, beside it its .pub, and returns its file.
func (s *SSHD) NewKey(name string) string {
	s.tb.Helper()
	file := filepath.Join(s.dir, name)
	for _, old := range []string{file, file + ".pub"} {
		_ = os.Remove(old)
	}
	run(s.tb, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", file)
	return file
}

// Allow lets in these keys and no others.
func (s *SSHD) Allow(keys ...string) {
	s.tb.Helper()
	text := ""
	for _, key := range keys {
		text += read(s.tb, key+".pub")
	}
	write(s.tb, filepath.Join(s.dir, "authorized"), text)
}

// AllowOnly lets a key in, to run this command whatever it asks for: $SSH_ORIGINAL_COMMAND has that.
func (s *SSHD) AllowOnly(key, command string) {
	s.tb.Helper()
	write(s.tb, filepath.Join(s.dir, "authorized"), `command="`+strings.ReplaceAll(command, `"`, `\"`)+`" `+read(s.tb, key+".pub"))
}

// NewHostKey gives the server another host key, from its next start on.
func (s *SSHD) NewHostKey() {
	s.tb.Helper()
	host := s.NewKey("host")
	s.HostKey = strings.Fields(run(s.tb, "ssh-keygen", "-l", "-E", "sha256", "-f", host+".pub"))[1]
}

// Public is a key's type and itself, as known_hosts has it: of "host", "rsa", "ca", or one that NewKey made.
func (s *SSHD) Public(name string) string {
	return strings.Join(strings.Fields(read(s.tb, filepath.Join(s.dir, name+".pub")))[:2], " ")
}

// Knows writes a known_hosts file that knows the server at these addresses, with the host key that it has now.
func (s *SSHD) Knows(addrs ...string) {
	s.tb.Helper()
	text := ""
	for _, addr := range addrs {
		host, port, _ := net.SplitHostPort(addr)
		text += fmt.Sprintf("[%s]:%s %s\n", host, port, s.Public("host"))
	}
	write(s.tb, s.KnownHosts, text)
}

// awaitBanner waits until an SSH server greets.
func awaitBanner(tb testing.TB, addr, log string) {
	tb.Helper()
	if !testkit.Within(testkit.Patience, 20*time.Millisecond, func() bool {
		c, err := net.DialTimeout("tcp", addr, 20*time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.HasPrefix(line, "SSH-2.0")
	}) {
		tb.Fatalf("no ssh server at %s: %s", addr, read(tb, log))
	}
}

// Daemon serves the repositories below root over git:// and returns the address of that folder.
func Daemon(tb testing.TB, root string) string {
	tb.Helper()
	addr := Port(tb, "127.0.0.1")
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("/usr/lib/git-core/git-daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1", "--port="+port, "--base-path="+root, root)
	cmd.Env = Env()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	awaitDial(tb, "tcp", addr, os.DevNull)
	return "git://" + addr
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
