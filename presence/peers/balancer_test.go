package peers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// balancers are the programs that judge our lines: how each is asked about a config, and where in one the lines stand.
var balancers = []struct {
	format, program string
	check           []string
	config          string // with the folder and the lines
}{
	{"haproxy", "/usr/sbin/haproxy", []string{"-c", "-f"}, `# %[1]s
defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend all
    bind 127.0.0.1:1
    default_backend db
backend db
%[2]s`},
	{"nginx", "/usr/sbin/nginx", []string{"-t", "-e", "stderr", "-c"}, `pid %[1]s/pid;
error_log stderr;
events {}
http {
access_log off;
client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
upstream db {
%[2]s}
server { listen 127.0.0.1:1; location / { proxy_pass http://db; } }
}
`},
}

// evil are texts that would add a line, end a block or begin a comment, were they printed as they are.
var evil = []string{"x\n    server evil 10.6.6.6:1", "x; } http { include /etc/passwd", "x check inter 1 #", "\"x", "'x", "x\\", "${HOME}", "x\x00y", "x\u2028y", "[::1", "../x", "", " "}

// hostile is what the worst nodes, and a hostile push to the index, make of the endpoints of db, with some good ones
// between.
func hostile(t *testing.T) (all []presence.Endpoint) {
	now := time.Now().UTC()
	var f presence.Fleet
	decoded := 0
	add := func(id, name, ip, mode, role string, port int) {
		data, err := presence.EncodeDocument("nodepresence", map[string]any{"instance-id": id, "state": "idle", "deployment": id, "ip": ip,
			"beat_seen": now, "beat_next_by": now.Add(time.Hour),
			"services": []map[string]any{{"name": name, "ip": ip, "port": port, "mode": mode, "role": role, "code": "000000"}}})
		testkit.Must(t, err)
		if r, err := presence.Decode(data); err == nil { // what is refused is in no fleet
			decoded++
			f.Nodes = append(f.Nodes, presence.Node{Record: r, Told: now})
		}
		if name != "db" {
			return // the index has a file for each service, and its name is asked for
		}
		line, err := json.Marshal(map[string]any{"node": id, "ip": ip, "port": port, "mode": mode, "role": role, "deployment": id, "code": "000000"})
		testkit.Must(t, err)
		list, err := presence.DecodeEndpoints([]byte("{\"filetype\": \"nodeservices\", \"value\": [" + string(line) + "]}"))
		if err == nil {
			all = append(all, list...)
		}
	}
	for i, good := range []string{"10.0.0.7", "2001:db8::8", "::ffff:10.0.0.9", "192.0.2.4", "127.0.0.1", "255.255.255.255"} {
		add(fmt.Sprintf("i-%d", i), "db", good, "mariadb", "slave", 3306)
	}
	add("a_"+strings.Repeat("Z.-_", 15), "db", "10.0.1.1", "mariadb", "master", 65535)
	add("server", "db", "10.0.1.2", "check", "na", 1)
	add("backend", "db", "10.0.1.3", "down", "na", 1)
	for i, text := range evil {
		id := fmt.Sprintf("evil-%d", i)
		add(text, "db", "10.0.2.1", "mariadb", "slave", 3306)
		add(id+"-name", text, "10.0.2.2", "mariadb", "slave", 3306)
		add(id+"-ip", "db", text, "mariadb", "slave", 3306)
		add(id+"-zone", "db", "fe80::1%"+text, "mariadb", "slave", 3306)
		add(id+"-words", "db", "10.0.2.3", text, text, 3306)
	}
	for i, port := range []int{-1, 0, 65536, 1 << 40} {
		add(fmt.Sprintf("port-%d", i), "db", "10.0.3.1", "mariadb", "slave", port)
	}
	if decoded < 3*len(evil) {
		t.Fatalf("only %d records can be read: this test tries nothing", decoded)
	}
	for i, metadata := range []string{"169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"} {
		add(fmt.Sprintf("meta-%d", i), "db", metadata, "mariadb", "slave", 80)
	}
	return append(all, presence.EndpointsOf(nil, f, now)["db"]...)
}

// TestBalancersTakeOurLines: haproxy and nginx accept what is printed for them, whatever other nodes say, and each good
// endpoint is in it once.
func TestBalancersTakeOurLines(t *testing.T) {
	all := hostile(t)
	sets := []Set{setOf(presence.ServiceFilter{Service: "db", Deployment: "all"}, all), setOf(presence.ServiceFilter{Service: "db", Role: "slave", Deployment: "all"}, all)}
	data, err := json.Marshal(sets)
	testkit.Must(t, err)
	dir := t.TempDir()
	path := filepath.Join(dir, "services.json")
	testkit.Must(t, os.WriteFile(path, data, 0o644))
	for _, b := range balancers {
		if _, err := os.Stat(b.program); err != nil {
			t.Fatalf("no %s here: run make test-tools", b.program)
		}
		var lines strings.Builder
		testkit.Must(t, Query{Service: "db", Format: b.format}.Print(&lines, path))
		accepts := func(lines string) (string, bool) {
			config := filepath.Join(dir, b.format+".conf")
			testkit.Must(t, os.WriteFile(config, fmt.Appendf(nil, b.config, dir, lines), 0o644))
			out, err := exec.Command(b.program, append(b.check, config)...).CombinedOutput()
			return string(out), err == nil
		}
		if out, ok := accepts(lines.String()); !ok {
			t.Errorf("%s refuses\n%s\n%s", b.format, lines.String(), out)
		}
		// It is a judge: a line that is wrong is refused.
		if _, ok := accepts(lines.String() + "servr x\n"); ok {
			t.Errorf("%s accepts anything", b.format)
		}
		// Nine good ones; of the evil ones, those whose address is good, whatever else they say.
		for _, want := range []string{"10.0.0.7:3306", "[2001:db8::8]:3306", "10.0.0.9:3306", "192.0.2.4:3306", "10.0.1.1:65535", "10.0.2.3:3306"} {
			if !strings.Contains(lines.String(), want) {
				t.Errorf("%s: %s is missing in\n%s", b.format, want, lines.String())
			}
		}
		if n := strings.Count(lines.String(), "\n"); n != 9+len(evil) {
			t.Errorf("%s has %d lines, not %d:\n%s", b.format, n, 9+len(evil), lines.String())
		}
		if strings.Contains(lines.String(), "10.6.6.6") || strings.Contains(lines.String(), "10.0.2.1") || strings.Contains(lines.String(), ":80") || strings.ContainsAny(lines.String(), "#{}\\\"'$") {
			t.Errorf("%s has words of a node:\n%s", b.format, lines.String())
		}
	}
}
