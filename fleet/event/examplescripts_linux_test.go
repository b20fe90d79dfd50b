package event

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestExampleKeepsItsConfig: when addagent cannot tell a set, the scripts of examples/database fail and leave the
// config with the servers that it has.
func TestExampleKeepsItsConfig(t *testing.T) {
	for service, file := range map[string]string{"proxy": "proxy.conf", "balancer": "haproxy.cfg"} {
		home, bin := t.TempDir(), t.TempDir()
		conf := filepath.Join(home, file)
		testkit.Must(t, errors.Join(os.Mkdir(filepath.Join(home, "nodeinfo"), 0o755), os.WriteFile(filepath.Join(home, "nodeinfo/ip.txt"), []byte("127.0.0.1\n"), 0o600),
			os.WriteFile(conf, []byte("as before"), 0o600), os.WriteFile(filepath.Join(bin, "addagent"), []byte("#!/bin/sh\nexit 1\n"), 0o755)))
		for _, other := range []string{"haproxy", "stand-in", "setsid"} {
			testkit.Must(t, os.WriteFile(filepath.Join(bin, other), []byte("#!/bin/sh\n"), 0o755))
		}
		script, err := filepath.Abs("../../examples/database/nodeservice/" + service + "/work.sh")
		testkit.Must(t, err)
		cmd := exec.CommandContext(t.Context(), "bash", script)
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "ADD_HOME=" + home, "ADD_SERVICE=" + service, "ADD_SERVICE_PORT=1", "ADD_NODE_ID=i-1"}
		out, failed := cmd.CombinedOutput()
		now, err := os.ReadFile(conf)
		testkit.Must(t, err)
		if failed == nil || string(now) != "as before" {
			t.Errorf("%s: %v, %s is %q: %s", service, failed, file, now, out)
		}
	}
}
