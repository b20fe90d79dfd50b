package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// manager is the other end: a real datagram socket.
func manager(t *testing.T, name string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestNotify(t *testing.T) {
	// A socket's path has at most 107 bytes, which the folder of a test with a long name may exceed.
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for kind, name := range map[string]string{
		"path":     filepath.Join(dir, "notify"),
		"abstract": fmt.Sprintf("@addagent-test-%d", os.Getpid()),
	} {
		t.Run(kind, func(t *testing.T) {
			receive := manager(t, name)
			n, err := New(env(map[string]string{"NOTIFY_SOCKET": name}), 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				say  func() error
				want string
			}{
				{n.Ready, "READY=1"},
				{n.Alive, "WATCHDOG=1"},
				{func() error { return n.Status("idle; next beat 10:01:07\nREADY=0") }, "STATUS=idle; next beat 10:01:07 READY=0"},
				{n.Stopping, "STOPPING=1"},
			} {
				if err := c.say(); err != nil {
					t.Fatal(err)
				}
				if got := receive(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestInertWithoutManager(t *testing.T) {
	n, err := New(env(nil), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, say := range []func() error{n.Ready, n.Alive, n.Stopping, func() error { return n.Status("x") }} {
		if err := say(); err != nil {
			t.Error(err)
		}
	}
	if n.AliveEach() != 0 {
		t.Error("a watchdog without a manager")
	}
}

func TestManagerGone(t *testing.T) {
	n, err := New(env(map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "gone")}), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("error %v", err)
	}
}

func TestManagerHangs(t *testing.T) {
	name := fmt.Sprintf("@addagent-test-full-%d", os.Getpid())
	manager(t, name) // listens and never reads
	n, err := New(env(map[string]string{"NOTIFY_SOCKET": name}), 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 {
		if err = n.Alive(); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("a full socket was never noticed")
	}
}

func TestAliveEach(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		bad       bool
	}{
		{"30000000", "", 30 * time.Second, false},
		{"30000000", "42", 30 * time.Second, false},
		{"30000000", "43", 0, false},
		{"", "42", 0, false},
		{"0", "", 0, true},
		{"-5", "", 0, true},
		{"30s", "42", 0, true},
		{"9223372036854775807", "", 0, true},
		{"30000000", "junk", 0, false},
	} {
		n, err := New(env(map[string]string{"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}), 42)
		if (err != nil) != c.bad || n == nil {
			t.Errorf("%q %q: error %v", c.usec, c.pid, err)
			continue
		}
		if got := n.AliveEach(); got != c.want/2 {
			t.Errorf("%q %q: %v", c.usec, c.pid, got)
		}
	}
	// No manager would notice.
	n, err := New(env(map[string]string{"WATCHDOG_USEC": "30000000"}), 42)
	if n.AliveEach() != 0 || err != nil {
		t.Errorf("without a socket: %v, %v", n.AliveEach(), err)
	}
	if n, err := New(env(map[string]string{"NOTIFY_SOCKET": "vsock:2:1"}), 42); err == nil || n.Ready() != nil {
		t.Errorf("an unknown kind of socket: %v", err)
	}
}
