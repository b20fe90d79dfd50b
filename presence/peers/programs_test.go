package peers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// TestProgramsAcceptTheirLines: haproxy and nginx accept what is written for them, with all that a node can be called
// and with all that it says of itself: only its id, its address and its port are in a line.
func TestProgramsAcceptTheirLines(t *testing.T) {
	ids := []string{"i-0123456789abcdef0", "default", "server", "backend", "check", "no", "0", "-", "_", "i--1", "I-1", "disabled", strings.Repeat("x", 63)}
	var all []presence.Endpoint
	for n, id := range ids {
		hostile := "x\nserver evil 192.0.2.66:1\n#\x1b[31m\"'$(id)`id`;}"
		all = append(all, presence.Endpoint{Node: id, IP: fmt.Sprint("192.0.2.", n+1), Port: 1 + n*5000, Mode: hostile, Role: "master"})
	}
	all = append(all, presence.Endpoint{Node: "v6", IP: "2001:db8::8", Port: 65535}, presence.Endpoint{Node: "nowhere", Port: 80}, presence.Endpoint{Node: "no-port", IP: "192.0.2.99"})
	data, err := json.Marshal([]Set{{Service: "db", Endpoints: all}})
	testkit.Must(t, err)
	path := filepath.Join(t.TempDir(), "services.json")
	testkit.Must(t, os.WriteFile(path, data, 0o600))
	for _, c := range []struct {
		format, config string
		check          []string
	}{
		{"haproxy", "defaults\n mode tcp\n timeout connect 1s\n timeout client 1s\n timeout server 1s\nfrontend clients\n bind 127.0.0.1:80\n default_backend db\nbackend db\n%s", []string{"haproxy", "-c", "-f"}},
		{"nginx", "daemon off; pid %[2]s/pid; error_log stderr;\nevents { }\nhttp { access_log off; upstream db {\n%[1]s} }", []string{"/usr/sbin/nginx", "-t", "-c"}},
	} {
		t.Run(c.format, func(t *testing.T) {
			var lines strings.Builder
			testkit.Must(t, Query{Service: "db", Format: c.format}.Print(&lines, path))
			if got := strings.Count(lines.String(), "\n"); got != len(ids)+1 || strings.Contains(lines.String(), "evil") {
				t.Fatalf("%d lines for %d endpoints:\n%s", got, len(ids)+1, lines.String())
			}
			dir := t.TempDir()
			config := c.config
			if c.format == "haproxy" {
				config = fmt.Sprintf(config, lines.String())
			} else {
				config = fmt.Sprintf(config, lines.String(), dir)
			}
			file := filepath.Join(dir, "config")
			testkit.Must(t, os.WriteFile(file, []byte(config), 0o600))
			if out, err := exec.Command(c.check[0], append(c.check[1:], file)...).CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s\n%s", c.check, err, out, config)
			}
		})
	}
}
