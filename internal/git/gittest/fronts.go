package gittest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

// NginxOptions say what nginx does; the zero value serves repositories over plain HTTP.
type NginxOptions struct {
	User, Password string // ask for these
	Pair           Pair   // speak TLS with this certificate
	ClientCA       string // and want one of this authority
	Requests       int    // a connection is closed after so many; 0 = 1000
	Forward        bool   // be a proxy for plain HTTP instead
}

// Nginx is a real nginx; in front of git http-backend, which fcgiwrap runs.
type Nginx struct {
	URL string // of the folder of repositories, or of the proxy
	tb  testing.TB
	log string
}

// StartNginx starts an nginx in front of the bare repositories below root. It ends with the test.
func StartNginx(tb testing.TB, root string, o NginxOptions) *Nginx {
	tb.Helper()
	dir := tb.TempDir()
	addr := Port(tb, "127.0.0.1")
	n := &Nginx{URL: "http://" + addr, tb: tb, log: filepath.Join(dir, "access.log")}
	var server []string
	say := func(format string, args ...any) { server = append(server, fmt.Sprintf(format, args...)+";") }
	if o.Pair.Cert == "" {
		say("listen %s", addr)
	} else {
		n.URL = "https://" + addr
		say("listen %s ssl", addr)
		say("ssl_certificate %s", o.Pair.Cert)
		say("ssl_certificate_key %s", o.Pair.Key)
	}
	if o.ClientCA != "" {
		say("ssl_client_certificate %s", o.ClientCA)
		say("ssl_verify_client on")
	}
	if o.User != "" {
		write(tb, filepath.Join(dir, "passwords"), o.User+":{PLAIN}"+o.Password+"\n")
		say("auth_basic git")
		say("auth_basic_user_file %s/passwords", dir)
	}
	if o.Requests > 0 {
		say("keepalive_requests %d", o.Requests)
	}
	var location string
	if o.Forward {
		location = "proxy_pass http://$http_host$request_uri; proxy_http_version 1.1; proxy_set_header Host $http_host;"
	} else {
		socket := filepath.Join(dir, "fcgi")
		started(tb, filepath.Join(dir, "fcgiwrap.log"), "fcgiwrap", "/usr/sbin/fcgiwrap", "-s", "unix:"+socket)
		awaitDial(tb, "unix", socket, filepath.Join(dir, "fcgiwrap.log"))
		location = "fastcgi_pass unix:" + socket + ";"
		for key, value := range map[string]string{
			"SCRIPT_FILENAME": httpBackend, "GIT_PROJECT_ROOT": root, "GIT_HTTP_EXPORT_ALL": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
			"GIT_CONFIG_NOSYSTEM": "1", "PATH_INFO": "$uri", "QUERY_STRING": "$query_string", "REQUEST_METHOD": "$request_method",
			"CONTENT_TYPE": "$content_type", "CONTENT_LENGTH": "$content_length", "REMOTE_USER": "$remote_user",
		} {
			location += fmt.Sprintf(" fastcgi_param %s %s;", key, value)
		}
	}
	text := "daemon off; master_process off; pid " + dir + "/pid; error_log " + dir + "/error.log;\n"
	if os.Getuid() == 0 {
		text = "user root;\n" + text // other users cannot read the folders of tests
	}
	text += "events { worker_connections 64; }\nhttp {\nlog_format one '$connection $status $request';\naccess_log " + n.log + " one;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	text += "server {\n" + strings.Join(server, "\n") + "\nlocation / { " + location + " }\n}\n}\n"
	write(tb, filepath.Join(dir, "nginx.conf"), text)
	started(tb, filepath.Join(dir, "nginx.log"), "nginx-light", "/usr/sbin/nginx", "-p", dir, "-e", dir+"/error.log", "-c", dir+"/nginx.conf")
	awaitDial(tb, "tcp", addr, filepath.Join(dir, "error.log"))
	return n
}

// Served returns how many requests were answered, and over how many connections.
func (n *Nginx) Served() (requests, conns int) {
	n.tb.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(read(n.tb, n.log)) {
		requests++
		conn, _, _ := strings.Cut(line, " ")
		seen[conn] = true
	}
	return requests, len(seen)
}

// Tinyproxy is a real HTTP proxy that connects clients to where they want (CONNECT).
type Tinyproxy struct {
	Addr string
	tb   testing.TB
	log  string
}

// StartTinyproxy starts a proxy that asks for a user and password, if any. It ends with the test.
func StartTinyproxy(tb testing.TB, user, password string) *Tinyproxy {
	tb.Helper()
	dir := tb.TempDir()
	t := &Tinyproxy{Addr: Port(tb, "127.0.0.1"), tb: tb, log: filepath.Join(dir, "log")}
	_, port, _ := net.SplitHostPort(t.Addr)
	text := "Port " + port + "\nListen 127.0.0.1\nTimeout 600\nMaxClients 20\nLogLevel Connect\nLogFile \"" + t.log + "\"\nPidFile \"" + dir + "/pid\"\n"
	if user != "" {
		text += "BasicAuth " + user + " " + password + "\n"
	}
	write(tb, filepath.Join(dir, "conf"), text)
	started(tb, filepath.Join(dir, "out"), "tinyproxy-bin", "/usr/bin/tinyproxy", "-d", "-c", filepath.Join(dir, "conf"))
	awaitDial(tb, "tcp", t.Addr, filepath.Join(dir, "out"))
	return t
}

// Connects returns how often it was asked to connect a client.
func (t *Tinyproxy) Connects() int {
	t.tb.Helper()
	return strings.Count(read(t.tb, t.log), ": CONNECT ")
}

// StartSOCKS starts ssh -D, a real SOCKS5 proxy, and returns its address. It ends with the test.
func (s *SSHD) StartSOCKS() string {
	s.tb.Helper()
	addr := Port(s.tb, "127.0.0.1")
	host, port, _ := net.SplitHostPort(s.Addr)
	log := filepath.Join(s.dir, "socks.log")
	started(s.tb, log, "openssh-client", "/usr/bin/ssh", "-N", "-F", "none", "-i", s.KeyFile, "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile="+s.KnownHosts,
		"-o", "BatchMode=yes", "-D", addr, "-p", port, s.User+"@"+host)
	awaitDial(s.tb, "tcp", addr, log)
	return addr
}

// Start runs a server of a Debian package, and waits until it listens. It ends with the test.
func Start(tb testing.TB, pkg, addr string, argv ...string) {
	tb.Helper()
	log := filepath.Join(tb.TempDir(), "log")
	started(tb, log, pkg, argv...)
	awaitDial(tb, "tcp", addr, log)
}

// started runs a program in a process group of its own that ends with the test.
func started(tb testing.TB, log, pkg string, argv ...string) {
	tb.Helper()
	if _, err := os.Stat(argv[0]); err != nil {
		tb.Fatalf("%v: run make test-tools (%s)", err, pkg)
	}
	out, err := os.Create(log)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = Env(), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = out.Close()
	})
}

// awaitDial waits until something listens.
func awaitDial(tb testing.TB, network, addr, log string) {
	tb.Helper()
	if !testkit.Within(testkit.Patience, 20*time.Millisecond, func() bool {
		c, err := net.DialTimeout(network, addr, 20*time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}) {
		text, _ := os.ReadFile(log)
		tb.Fatalf("nothing listens at %s: %s", addr, text)
	}
}
