package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAccountOfTheFold: systemd/addctl-fold.service has no root, but may read what root alone may read. Root is needed
// to become such an account.
func TestAccountOfTheFold(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("not root: nothing was tried")
		return
	}
	m := newMachine(t)
	m.write(m.etc+"/chat-url", "generic://hooks.example.org/x\n")
	m.write(m.etc+"/git-token", "t\n")
	m.write(m.etc+"/addagent.yaml", "home: "+m.home+"\nstate_dir: "+m.path("state")+"\nrun_dir: "+m.path("run")+"\n"+
		"presence: { url: \"https://git.example.org/p.git\", auth: { token_file: "+m.etc+"/git-token } }\nchat: [ { url_file: "+m.etc+"/chat-url } ]\n")
	for _, name := range []string{"chat-url", "git-token", "addagent.yaml"} {
		if err := os.Chmod(filepath.Join(m.etc, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for caps, want := range map[uintptr]string{0: "permission denied", unix.CAP_DAC_READ_SEARCH: ""} {
		cmd := exec.Command(filepath.Join(programs, "addagent"), "check", "--config", m.etc+"/addagent.yaml")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if caps != 0 {
			cmd.SysProcAttr.AmbientCaps = []uintptr{caps}
		}
		if err := os.Chmod(programs, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.CombinedOutput()
		if (err == nil) != (want == "") || !strings.Contains(string(out), want) {
			t.Errorf("capability %d: %v\n%s", caps, err, out)
		}
	}
}
