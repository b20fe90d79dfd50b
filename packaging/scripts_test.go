package packaging

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestShellcheck reads every script that goes onto people's machines.
func TestShellcheck(t *testing.T) {
	scripts, err := filepath.Glob("scripts/*")
	if err != nil || len(scripts) != 3 {
		t.Fatalf("scripts of the package: %q %v", scripts, err)
	}
	scripts = append(scripts, "addagent-bootstrap", "build.sh")
	if out, err := exec.Command("shellcheck", scripts...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}
