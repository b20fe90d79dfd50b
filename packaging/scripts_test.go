package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWithoutDocs: many a small machine leaves /usr/share/doc out when a package is installed, so no script needs it.
func TestWithoutDocs(t *testing.T) {
	scripts, err := filepath.Glob("scripts/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range append(scripts, "addagent-bootstrap") {
		data, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "/usr/share/doc") {
			t.Errorf("%s needs /usr/share/doc", script)
		}
	}
}

// TestHomeThatScriptsFind: what purge deletes is below it.
func TestHomeThatScriptsFind(t *testing.T) {
	for _, script := range []string{"scripts/postinstall", "scripts/preremove"} {
		data, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		line := regexp.MustCompile(`(?m)^home=.*$`).FindString(string(data))
		for _, want := range []string{"/srv/grid", "/srv/my grid"} {
			m := newMachine(t)
			m.write(m.etc+"/addagent.yaml", "home: "+want+"\n")
			if err := os.Remove(m.bin + "/addagent"); err != nil {
				t.Fatal(err)
			}
			m.write(m.bin+"/addagent", "#!/bin/sh\nexec "+programs+"/addagent \"$@\" --config "+m.etc+"/addagent.yaml\n")
			cmd := exec.Command("/bin/sh", "-c", line+"\nprintf %s \"$home\"")
			cmd.Env = m.env
			if got, err := cmd.Output(); err != nil || string(got) != want {
				t.Errorf("%s: home is %q, want %q; %v", script, got, want, err)
			}
		}
	}
}

// TestShellcheck reads every script that goes onto people's machines.
func TestShellcheck(t *testing.T) {
	scripts, err := filepath.Glob("scripts/*")
	if err != nil || len(scripts) != 3 {
		t.Fatalf("scripts of the package: %q %v", scripts, err)
	}
	for _, pattern := range []string{"*/*.sh", "*/*/*.sh"} {
		more, err := filepath.Glob("../examples/database/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, more...)
	}
	scripts = append(scripts, "addagent-bootstrap", "build.sh", "release.sh", "install.sh")
	if out, err := exec.Command("shellcheck", scripts...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}
