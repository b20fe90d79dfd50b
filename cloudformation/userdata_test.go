package cloudformation_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/config"
)

// machine is a PATH with programs that only write down how they were called.
type machine struct {
	t   *testing.T
	dir string
}

func newMachine(t *testing.T, programs map[string]string) machine {
	t.Helper()
	m := machine{t, t.TempDir()}
	for name, body := range programs {
		script := "#!/bin/sh\nprintf '%s' '" + name + "' >>" + m.dir + "/calls\nfor a; do printf ' [%s]' \"$a\" >>" + m.dir + "/calls; done\necho >>" + m.dir + "/calls\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// bootstrap is the real one as far as its options go: it refuses those that it does not know, and then shows its help.
func bootstrap(t *testing.T) string {
	t.Helper()
	real, err := filepath.Abs("../packaging/addagent-bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(real); err != nil { // go test runs again when it has changed
		t.Fatal(err)
	}
	return "sh '" + real + "' \"$@\" --help >/dev/null"
}

// run gives the script to a shell whose only other programs are those of a minimal system, and answers its exit code
// and the calls it made.
func (m machine) run(script string) (int, []string) {
	m.t.Helper()
	units := filepath.Join(m.dir, "units")
	if err := os.MkdirAll(units, 0o755); err != nil {
		m.t.Fatal(err)
	}
	// The one place of the real machine that it writes to, and that the machine has been up for a minute and 40
	// seconds.
	script = strings.NewReplacer("/etc/systemd/system", units, "/proc/uptime", filepath.Join(m.dir, "uptime")).Replace(script)
	if err := os.WriteFile(filepath.Join(m.dir, "uptime"), []byte("100.25 190.00\n"), 0o644); err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh")
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = []string{"PATH=" + m.dir + ":/usr/bin:/bin", "TMPDIR=" + m.dir}
	out, err := cmd.CombinedOutput()
	code := 0
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			m.t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	m.t.Logf("%s", out)
	data, err := os.ReadFile(filepath.Join(m.dir, "calls"))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	// The names of its files are random.
	calls := regexp.MustCompile(`\[file:[^]]*\]`).ReplaceAllString(string(data), "[file:FILE]")
	return code, strings.Split(strings.TrimSpace(calls), "\n")
}

// file is what lies in the file that an option of the bootstrap named.
func (m machine) file(option string) string {
	m.t.Helper()
	calls, err := os.ReadFile(filepath.Join(m.dir, "calls"))
	if err != nil {
		m.t.Fatal(err)
	}
	named := regexp.MustCompile(regexp.QuoteMeta("["+option+"]") + ` \[file:([^]]*)\]`).FindSubmatch(calls)
	if named == nil {
		m.t.Fatalf("no %s with a file in %s", option, calls)
	}
	data, err := os.ReadFile(string(named[1]))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(data)
}

// config is what the agent makes of the config that the bootstrap was given, beside a presence repository.
func (m machine) config() *config.Config {
	m.t.Helper()
	path := filepath.Join(m.dir, "addagent.yaml")
	if err := os.WriteFile(path, []byte("presence: { url: git@git.example.org:presence.git }\n"+m.file("--config-from")), 0o600); err != nil {
		m.t.Fatal(err)
	}
	c, err := config.Load(path, config.Options{Root: true})
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

func (m machine) called(got []string, want ...string) {
	m.t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		m.t.Errorf("calls\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// first is the script of the first instance of a stack's group.
func (a account) first(out map[string]string) string {
	a.t.Helper()
	return a.script(a.members(out["Group"])[0])
}

func TestUserDataOfAnApplication(t *testing.T) {
	a := newAccount(t, "eu-west-1")
	script := a.first(a.create("script-app1", "application.yaml", map[string]string{"KeyParameter": "/add/git-key", "PresenceUrl": "",
		"InitGitUrl": "git@git.example.org:ops.git", "KnownHosts": "git.example.org ssh-ed25519 AAAAC3Nz"}))
	called := "addagent-bootstrap [--stacktype] [lad1] [--nodepart] [app1] [--deployment] [fed1] [--region] [eu-west-1] [--initgitrepo] [ops] " +
		"[--repo] [ops=git@git.example.org:ops.git] [--key-from] [ssm:/add/git-key] [--known-hosts-from] [file:FILE] [--config-from] [file:FILE] [--wait] [idle] [--deadline] [1070]"

	m := newMachine(t, map[string]string{"addagent-bootstrap": bootstrap(t), "cfn-signal": ""})
	code, got := m.run(script)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	if hosts := m.file("--known-hosts-from"); hosts != "git.example.org ssh-ed25519 AAAAC3Nz\n" {
		t.Errorf("known hosts are %q", hosts)
	}
	if c := m.config(); c.EC2.LifecycleHook != "addagent" || c.Wedged.Kill != "none" {
		t.Errorf("config %+v %+v", c.EC2, c.Wedged)
	}
	m.called(got, called, "cfn-signal [--exit-code] [0] [--region] [eu-west-1] [--stack] [script-app1] [--resource] [PrimaryServerGroup]")

	// A node that does not get to idle says so.
	m = newMachine(t, map[string]string{"addagent-bootstrap": "exit 1", "cfn-signal": ""})
	code, got = m.run(script)
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	m.called(got, called, "cfn-signal [--exit-code] [1] [--region] [eu-west-1] [--stack] [script-app1] [--resource] [PrimaryServerGroup]")

	// So does one that is told to go down before it got there.
	m = newMachine(t, map[string]string{"addagent-bootstrap": "kill $PPID", "cfn-signal": ""})
	code, got = m.run(script)
	if code != 143 {
		t.Errorf("exit code %d", code)
	}
	m.called(got, called, "cfn-signal [--exit-code] [143] [--region] [eu-west-1] [--stack] [script-app1] [--resource] [PrimaryServerGroup]")

	// Without cfn-signal, the AWS CLI does it.
	m = newMachine(t, map[string]string{"addagent-bootstrap": "exit 3", "aws": "", "curl": "case $* in *api/token*) echo TOKEN ;; *TOKEN*instance-id*) echo i-1 ;; esac"})
	code, got = m.run(script)
	if code != 3 || len(got) != 4 {
		t.Fatalf("exit code %d, calls %q", code, got)
	}
	m.called(got[3:], "aws [cloudformation] [signal-resource] [--region] [eu-west-1] [--stack-name] [script-app1] [--logical-resource-id] [PrimaryServerGroup] [--unique-id] [i-1] [--status] [FAILURE]")
}

func TestUserDataInstallsOnlyWhatWasMeant(t *testing.T) {
	a := newAccount(t, "eu-west-1")
	for _, c := range []struct {
		name, sum string
		code      int
		calls     []string
	}{
		{"right", fmt.Sprintf("%x", sha256.Sum256([]byte("a package\n"))), 0, []string{"curl", "dpkg", "addagent-bootstrap", "cfn-signal"}},
		{"wrong", strings.Repeat("0", 64), 1, []string{"curl", "cfn-signal"}},
	} {
		script := a.first(a.create(c.name, "application.yaml", map[string]string{"PackageUrl": "https://example.org/addagent_1_amd64.deb", "PackageSha256": c.sum}))
		m := newMachine(t, map[string]string{"addagent-bootstrap": bootstrap(t), "cfn-signal": "", "dpkg": "",
			"curl": "while [ $1 != -o ]; do shift; done; echo 'a package' >\"$2\""})
		code, got := m.run(script)
		if code != c.code {
			t.Errorf("%s: exit code %d", c.name, code)
		}
		for i := range got {
			got[i], _, _ = strings.Cut(got[i], " ")
		}
		m.called(got, c.calls...)
	}
}

func TestUserDataOfTheControlNode(t *testing.T) {
	a := newAccount(t, "eu-west-1")
	script := a.first(a.create("script-control", "control.yaml", map[string]string{"NodePart": "control", "KeyObject": "bucket/git-key",
		"Kill": "asg-unhealthy"}))
	m := newMachine(t, map[string]string{"addagent-bootstrap": bootstrap(t), "cfn-signal": "", "systemctl": ""})
	code, got := m.run(script)
	if code != 0 || len(got) != 3 {
		t.Fatalf("exit code %d, calls %q", code, got)
	}
	for _, word := range []string{"[--presence] [git@git.example.org:presence.git]", "[--token-from] [s3://bucket/git-key] [--token-host] [git.example.org]", "[--nodepart] [control]"} {
		if !strings.Contains(got[0], word) {
			t.Errorf("the bootstrap was not told %s: %s", word, got[0])
		}
	}
	if c := m.config(); c.EC2.LifecycleHook != "addagent" || c.Wedged.Kill != "asg-unhealthy" {
		t.Errorf("config %+v %+v", c.EC2, c.Wedged)
	}
	m.called(got[1:2], "systemctl [enable] [--now] [addctl-fold.service]")

	// With a requests repository it runs a doctor in its place.
	script = a.first(a.create("script-doctor", "control.yaml", map[string]string{"NodePart": "control", "KeyObject": "bucket/git-key",
		"RequestsUrl": "git@git.example.org:requests.git"}))
	m = newMachine(t, map[string]string{"addagent-bootstrap": bootstrap(t), "cfn-signal": "", "systemctl": ""})
	code, got = m.run(script)
	if code != 0 || len(got) != 3 || !strings.Contains(got[0], "[--requests] [git@git.example.org:requests.git]") {
		t.Fatalf("exit code %d, calls %q", code, got)
	}
	m.called(got[1:2], "systemctl [enable] [--now] [addctl-doctor.service]")
	for _, unit := range []string{"fold", "doctor"} {
		if _, err := os.Stat("../systemd/addctl-" + unit + ".service"); err != nil {
			t.Error(err)
		}
	}
}
