package packaging

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// key is what must never be seen.
const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0IG9mIHRoZSBub2Rl\n-----END OPENSSH PRIVATE KEY-----\n"

// programs is the folder of the addagent under test, set once by TestMain.
var programs string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "addagent-packaging-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "github.com/addagent/addagent/cmd/addagent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build addagent: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// machine is a folder that stands for a machine: /etc/addagent, a home, and programs.
type machine struct {
	t              *testing.T
	etc, home, bin string
	env            []string
	in             string
}

// awsProgram stands in for the AWS program: it notes how it was called, and fails as often as the file `fail` has
// lines.
const awsProgram = `#!/bin/sh
echo "$*" >>"$T/aws.log"
if [ -s "$T/fail" ]; then sed -i 1d "$T/fail"; echo half; echo 'An error occurred (AccessDenied)' >&2; exit 254; fi
cat "$T/secret"
`

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, etc: filepath.Join(dir, "etc"), home: filepath.Join(dir, "home"), bin: filepath.Join(dir, "bin")}
	if err := os.MkdirAll(m.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	// Only what is named here: this machine may have an aws program.
	for _, tool := range []string{"sh", "awk", "cat", "chmod", "cmp", "curl", "cut", "date", "grep", "mkdir", "mv", "rm", "sed", "sleep", "sort", "tr"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		m.link(path, tool)
	}
	m.link(filepath.Join(programs, "addagent"), "addagent")
	m.env = []string{"PATH=" + m.bin, "T=" + dir, "ADD_ETC=" + m.etc, "ADD_TRIES=2", "HOME=" + dir}
	return m
}

func (m *machine) link(path, name string) {
	m.t.Helper()
	if err := os.Symlink(path, filepath.Join(m.bin, name)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) path(name string) string { return filepath.Join(filepath.Dir(m.etc), name) }

func (m *machine) write(path, content string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(path string) string {
	m.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(data)
}

// bootstrap runs the script, and returns its exit code and all that it said. What it says never holds the key.
func (m *machine) bootstrap(args ...string) (int, string) {
	m.t.Helper()
	if m.home != "" {
		args = append([]string{"--home", m.home}, args...)
	}
	cmd := exec.Command("/bin/sh", append([]string{"addagent-bootstrap", "--start", "no"}, args...)...)
	var out bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = m.env, strings.NewReader(m.in), &out, &out
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		m.t.Fatal(err)
	}
	if strings.Contains(out.String(), "c2VjcmV0") {
		m.t.Errorf("the key is in the output:\n%s", out.String())
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestKeySources(t *testing.T) {
	for _, c := range []struct {
		source string
		call   string // of aws
	}{
		{"file:KEY", ""},
		{"stdin", ""},
		{"ssm:/addagent/key", "ssm get-parameter --name /addagent/key --with-decryption --query Parameter.Value --output text --region eu-west-1"},
		{"secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:k", "secretsmanager get-secret-value --secret-id arn:aws:secretsmanager:eu-west-1:1:secret:k --query SecretString --output text --region eu-west-1"},
		{"s3://bucket/a/key", "s3 cp s3://bucket/a/key - --quiet --region eu-west-1"},
	} {
		t.Run(c.source, func(t *testing.T) {
			m := newMachine(t)
			m.write(filepath.Join(m.bin, "aws"), awsProgram)
			m.write(m.path("secret"), strings.ReplaceAll(key, "\n", "\r\n")) // as a browser's form makes it
			m.in = strings.TrimSuffix(key, "\n")                             // as a console's field makes it
			m.write(m.path("fail"), "once\n")                                // a role that is not there yet
			code, out := m.bootstrap("--region", "eu-west-1", "--wait", "no", "--repo", "ops=git@git.example.org:ops.git", "--key-from", strings.Replace(c.source, "KEY", m.path("secret"), 1))
			if code != 0 {
				t.Fatalf("exit %d\n%s", code, out)
			}
			file := filepath.Join(m.etc, "git-key")
			if got := m.read(file); got != key {
				t.Errorf("the key file holds %q", got)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info.Mode(), err)
			}
			if c.call != "" {
				if got := m.read(m.path("aws.log")); got != c.call+"\n"+c.call+"\n" {
					t.Errorf("aws was called:\n%s", got)
				}
			}
			if got := m.read(filepath.Join(m.etc, "addagent.d/50-bootstrap.yaml")); !strings.Contains(got, "auth: { ssh_key_file: "+file+" }") {
				t.Errorf("config:\n%s", got)
			}
		})
	}
}

func TestKeyThatCannotBeHad(t *testing.T) {
	for _, c := range []struct{ name, source, secret, fail, says string }{
		{"denied", "ssm:k", key, "1\n2\n", "AccessDenied"},
		{"empty", "ssm:k", "", "", "holds nothing"},
		{"no key", "ssm:k", "<html>c2VjcmV0</html>", "", "does not begin with -----BEGIN"},
		{"no file", "file:/nonexistent", "", "", "could not be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			m.write(filepath.Join(m.bin, "aws"), awsProgram)
			m.write(m.path("secret"), c.secret)
			m.write(m.path("fail"), c.fail)
			code, out := m.bootstrap("--key-from", c.source, "--nodepart", "app1")
			if code != 1 || !strings.Contains(out, c.says) {
				t.Errorf("exit %d\n%s", code, out)
			}
			for _, left := range []string{filepath.Join(m.etc, "git-key"), filepath.Join(m.home, "nodeinfo/nodepart.txt")} {
				if _, err := os.Stat(left); err == nil {
					t.Errorf("%s was written", left)
				}
			}
		})
	}
}

func TestMisuse(t *testing.T) {
	for _, args := range [][]string{
		{"--nodepart"}, {"--nonsense", "x"}, {"--wait", "ready"}, {"--start", "now"}, {"--deadline", "5m"}, {"--repo", "ops"},
		{"--key-from", "hunter2"}, {"--key-from", "stdin", "--token-from", "stdin"},
		{"--repo", "ops=https://bot:hunter2@git.example.org/ops.git"}, {"--repo", "ops=https://hunter2@git.example.org/ops.git"},
		{"--repo", "https://bot:hunter2@git.example.org/ops.git"}, {"--repo", "https://bot:hunter2@git.example.org/ops.git?a=b"},
		{"--repo", "ops=HTTPS://hunter2@git.example.org/ops.git"}, {"--presence", "Http://hunter2@git.example.org/ops.git"},
		{"--repo", "ops=bot:hunter2@git.example.org:ops.git"},
		{"--repo", "a=https://one/a.git", "--repo", "b=https://two/b.git", "--token-from", "stdin"},
		{"--repo", "a=https://one/a.git", "--token-from", "stdin", "--token-host", "two"},
		{"--presence", "ssh://git:hunter2@git.example.org/ops.git"}, {"--requests", "https://hunter2@git.example.org/ops.git"}, {"--key-from", ""}, {"--key-from="}, {"--nodepart="},
		{"--nodepart", "a\nb"}, {"--nodepart", "../x"}, {"--stacktype", ".."}, {"--instance-id=a/b"}, {"--initgitrepo=."},
	} {
		m := newMachine(t)
		code, out := m.bootstrap(args...)
		if code != 2 || strings.Contains(out, "hunter2") {
			t.Errorf("%q: exit %d\n%s", args, code, out)
		}
		// An agent that runs here reads what is written.
		if _, err := os.Stat(m.etc); err == nil {
			t.Errorf("%q: something was written", args)
		}
	}
}

func TestOnlyRoot(t *testing.T) {
	m := newMachine(t)
	m.write(filepath.Join(m.bin, "id"), "#!/bin/sh\necho 1000\n")
	m.env = slices.DeleteFunc(m.env, func(e string) bool { return strings.HasPrefix(e, "ADD_ETC=") })
	if code, out := m.bootstrap("--nodepart=app1"); code != 1 || !strings.Contains(out, "only root") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// TestAgain calls it twice: the second time changes nothing, and a call with less takes nothing away.
func TestAgain(t *testing.T) {
	m := newMachine(t)
	m.write(m.path("k"), key)
	m.write(m.path("t"), "token-of-c2VjcmV0")
	m.write(m.path("c"), "hipchat://token-of-c2VjcmV0@chat.example/ops")
	args := []string{"--wait=no", "--nodepart=app1", "--stacktype", "lad1", "--deployment=fed1", "--initgitrepo=ops", "--instance-id=n1",
		"--repo", "ops=ssh://git@h/ops.git#it's", "--repo", "o2=HTTPS://h/o2.git", "--presence", "git@h:presence.git", "--requests=git@h:requests.git",
		"--key-from=file:" + m.path("k"), "--token-from=file:" + m.path("t"), "--known-hosts-from=file:" + m.path("k"), "--chat-url-from=file:" + m.path("c")}
	if code, out := m.bootstrap(args...); code != 0 || strings.Count(out, "wrote ") != 12 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	want := strings.NewReplacer("ETC", m.etc, "HOME", m.home).Replace(`# Written by addagent-bootstrap. Changes belong into another file of this folder.
# The token is for 'h'.
home: 'HOME'
repos:
  - { name: 'ops', url: 'ssh://git@h/ops.git', branch: 'it''s', auth: { ssh_key_file: ETC/git-key, known_hosts_file: ETC/known_hosts } }
  - { name: 'o2', url: 'HTTPS://h/o2.git', auth: { token_file: ETC/git-token } }
presence: { url: 'git@h:presence.git', auth: { ssh_key_file: ETC/git-key, known_hosts_file: ETC/known_hosts } }
requests: { url: 'git@h:requests.git', auth: { ssh_key_file: ETC/git-key, known_hosts_file: ETC/known_hosts } }
chat: [ { url_file: ETC/chat-url } ]
`)
	if got := m.read(filepath.Join(m.etc, "addagent.d/50-bootstrap.yaml")); got != want {
		t.Errorf("config:\n%s", got)
	}
	if got := m.read(filepath.Join(m.home, "nodeinfo/state.txt")); got != "presetup\n" {
		t.Errorf("state %q", got)
	}
	m.write(filepath.Join(m.home, "nodeinfo/state.txt"), "idle\n")
	if code, out := m.bootstrap(args...); code != 0 || strings.Contains(out, "wrote ") {
		t.Errorf("again: exit %d\n%s", code, out)
	}
	if got := m.read(filepath.Join(m.home, "nodeinfo/state.txt")); got != "idle\n" {
		t.Errorf("state of a node that lives became %q", got)
	}
	for _, less := range []struct {
		arg    string
		writes int
	}{
		{"--nodepart=app2", 1}, {"--chat-url-from=file:" + m.path("c"), 0}, {"--presence=git@h:presence.git", 0}, {"--requests=git@h:requests.git", 0}, {"--key-from=file:" + m.path("k"), 0},
	} {
		if code, out := m.bootstrap("--wait=no", less.arg); code != 0 || strings.Count(out, "wrote ") != less.writes {
			t.Errorf("%s: exit %d\n%s", less.arg, code, out)
		}
		if got := m.read(filepath.Join(m.etc, "addagent.d/50-bootstrap.yaml")); got != want {
			t.Errorf("config after %s:\n%s", less.arg, got)
		}
	}
	m.home = "" // not said again either
	if code, out := m.bootstrap("--wait=no", "--repo=ops=git://h/ops.git"); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	want = strings.Replace(want, "# The token is for 'h'.\n", "", 1) // which no repository has now
	want = want[:strings.Index(want, "  - {")] + "  - { name: 'ops', url: 'git://h/ops.git' }\n" + want[strings.Index(want, "presence:"):]
	if got := m.read(filepath.Join(m.etc, "addagent.d/50-bootstrap.yaml")); got != want {
		t.Errorf("config after another repo:\n%s", got)
	}
}

// TestKeyThatComesLater: a repository that was named before gets it.
func TestKeyThatComesLater(t *testing.T) {
	m := newMachine(t)
	m.write(m.path("k"), key)
	for _, arg := range []string{"--repo=ops=git@h:ops.git#main", "--key-from=file:" + m.path("k")} {
		if code, out := m.bootstrap("--wait=no", arg); code != 0 {
			t.Fatalf("%s: exit %d\n%s", arg, code, out)
		}
	}
	want := "{ name: 'ops', url: 'git@h:ops.git', branch: 'main', auth: { ssh_key_file: " + m.etc + "/git-key } }"
	if got := m.read(filepath.Join(m.etc, "addagent.d/50-bootstrap.yaml")); !strings.Contains(got, want) {
		t.Errorf("config:\n%s", got)
	}
}

// TestCloudInit holds the example against the script: each option of it is one.
func TestCloudInit(t *testing.T) {
	data, err := os.ReadFile("cloud-init.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Runcmd [][]string `yaml:"runcmd"`
	}
	if err := yaml.Unmarshal(data, &c); err != nil || len(c.Runcmd) != 1 || c.Runcmd[0][0] != "addagent-bootstrap" || !bytes.HasPrefix(data, []byte("#cloud-config\n")) {
		t.Fatalf("%v: %+v", err, c)
	}
	m := newMachine(t)
	m.write(filepath.Join(m.bin, "aws"), awsProgram)
	m.write(m.path("secret"), key)
	if code, out := m.bootstrap(append(c.Runcmd[0][1:], "--wait=no")...); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// TestTokenIsForOneServer: no other server is shown it, and none in clear text unless it was named.
func TestTokenIsForOneServer(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		with []string // the URLs that get it
	}{
		{"the only one", []string{"--repo=a=https://one/a.git", "--repo=b=https://ONE/b.git", "--repo=c=ssh://git@two/c.git"}, []string{"https://one/a.git", "https://ONE/b.git"}},
		{"beside a public one", []string{"--repo=a=https://one/a.git", "--repo=b=https://github.com/b.git", "--token-host=One"}, []string{"https://one/a.git"}},
		{"another port", []string{"--repo=a=https://one:8443/a.git", "--presence=https://one/p.git", "--token-host=one:8443"}, []string{"https://one:8443/a.git"}},
		{"clear text", []string{"--repo=a=http://one/a.git", "--repo=b=https://two/b.git"}, []string{"https://two/b.git"}},
		{"clear text alone", []string{"--repo=a=http://one/a.git"}, nil},
		{"clear text on purpose", []string{"--repo=a=http://one/a.git", "--token-host=one"}, []string{"http://one/a.git"}},
		{"presence", []string{"--presence=https://one/p.git"}, []string{"https://one/p.git"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			m.write(m.path("t"), "token-of-c2VjcmV0")
			if code, out := m.bootstrap(append(c.args, "--wait=no", "--token-from=file:"+m.path("t"))...); code != 0 {
				t.Fatalf("exit %d\n%s", code, out)
			}
			for _, args := range [][]string{nil, {"--wait=no", "--nodepart=app2"}, {"--wait=no", "--presence=git@h:p.git"}} {
				if args != nil { // a later call, with less
					if code, out := m.bootstrap(args...); code != 0 {
						t.Fatalf("%v: exit %d\n%s", args, code, out)
					}
				}
				if c.name == "presence" && len(args) == 2 && args[1] == "--presence=git@h:p.git" {
					continue
				}
				var with []string
				for line := range strings.Lines(m.read(filepath.Join(m.etc, "addagent.d/50-bootstrap.yaml"))) {
					if _, url, ok := strings.Cut(line, "url: '"); ok && strings.Contains(line, "token_file") {
						url, _, _ = strings.Cut(url, "'")
						with = append(with, url)
					}
				}
				if !slices.Equal(with, c.with) {
					t.Errorf("after %v the token is for %q, want %q", args, with, c.with)
				}
			}
		})
	}
}

// TestHomeOfTheConfig: identity is where the agent looks for it.
func TestHomeOfTheConfig(t *testing.T) {
	m := newMachine(t)
	home := m.home
	m.home = ""
	m.write(m.path("more"), "home: "+home+"\n")
	if code, out := m.bootstrap("--wait=no", "--nodepart=app1", "--config-from=file:"+m.path("more")); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if got := m.read(filepath.Join(home, "nodeinfo/nodepart.txt")); got != "app1\n" {
		t.Errorf("nodepart %q", got)
	}
	m.home = m.path("other")
	if code, out := m.bootstrap("--wait=no", "--nodepart=app2"); code != 2 || !strings.Contains(out, "the config says home: "+home) {
		t.Errorf("two homes: exit %d\n%s", code, out)
	}
}

// TestMistakeInAClone does not keep a node from starting: only a running agent gets the push that corrects it.
func TestMistakeInAClone(t *testing.T) {
	m := newMachine(t)
	clone := filepath.Join(m.home, "gitrepo/ops")
	m.write(filepath.Join(clone, "nodeservice/db/service.yaml"), "prot: 1\n")
	for _, args := range []string{"init -q -b main", "remote add origin file:///nowhere.git", "add .", "-c user.name=A -c user.email=a@x commit -q -m a"} {
		if out, err := exec.Command("git", append([]string{"-C", clone}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", args, err, out)
		}
	}
	if code, out := m.bootstrap("--wait=no"); code != 0 || !strings.Contains(out, "service.yaml:1:1: unknown key") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
