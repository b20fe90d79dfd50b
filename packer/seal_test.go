// Package packer_test bakes: the seal on a tree of folders, and the templates as text.
package packer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// agent is a build of addagent, which seal asks.
var agent string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "seal")
	if err == nil {
		agent = filepath.Join(dir, "addagent")
		build := exec.Command("go", "build", "-o", agent, "../cmd/addagent")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const privateKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----\n"

// lived is a machine on which an agent has lived and people have worked: path -> content.
func lived() map[string]string {
	return map[string]string{
		"etc/addagent/addagent.yaml":                                  "repos:\n  - name: ops\n    url: ssh://git@git.example.org/ops.git\n#  url: https://user:password@example.org/\n",
		"etc/addagent/addagent.d/10-more.yaml":                        "presence: { url: git@git.example.org:presence.git }\n",
		"etc/addagent/known_hosts":                                    "git.example.org ssh-ed25519 AAAA\n",
		"etc/addagent/ca.pem":                                         "-----BEGIN CERTIFICATE-----\n",
		"etc/addagent/git-key":                                        privateKey,
		"etc/addagent/git-token":                                      "ghp_0123456789\n",
		"etc/addagent/hipchat-url":                                    "hipchat://TOKEN@example.org/room\n",
		"etc/addagent/client.key":                                     privateKey,
		"etc/default/addagent":                                        "GOMEMLIMIT=64MiB\nADD_SECRET_TOKEN=ghp_1\nexport ADD_SECRET_OTHER=x\n",
		"root/nodeinfo/instance-id.txt":                               "i-0123\n",
		"root/nodeinfo/instance-id.txt.copied":                        "i-0122\n",
		"root/nodeinfo/state.txt":                                     "idle\n",
		"root/nodeinfo/statetss.txt":                                  "20260101-000000\n",
		"root/nodeinfo/statelog.txt":                                  "setup:20260101-000000;\n",
		"root/nodeinfo/nodepart.txt":                                  "app1\n",
		"root/nodeinfo/secret_key.txt":                                "wJalrXUtnFEMI\n",
		"root/nodeinfo/presence.json":                                 "{}\n",
		"root/nodeinfo/beat.json":                                     "{}\n",
		"root/log/addagent.log":                                       "i-0123 idle\n",
		"root/log/work/ops_common/latest.log":                         "done\n",
		"root/gitrepo/ops/README.md":                                  "ours\n",
		"root/gitrepo/ops/.git/config":                                "[remote \"origin\"]\n\turl = ssh://git@git.example.org/ops.git\n",
		"root/gitrepo/ops/.temp/add/common/work.sh_VERSION":           "1a2b3c\n",
		"root/.ssh/id_ed25519":                                        privateKey,
		"root/.ssh/authorized_keys":                                   "ssh-ed25519 AAAA packer\n",
		"root/.ssh/known_hosts":                                       "github.com ssh-ed25519 AAAA\n",
		"root/.aws/credentials":                                       "[default]\n",
		"root/.bash_history":                                          "export TOKEN=x\n",
		"root/.viminfo":                                               "/TOKEN\n",
		"root/.docker/config.json":                                    "{\"auths\": {}}\n",
		"root/.bashrc":                                                "PS1=$\n",
		"home/admin/.ssh/authorized_keys":                             "ssh-ed25519 AAAA packer\n",
		"home/admin/.git-credentials":                                 "https://u:p@h\n",
		"var/lib/addagent/instance.json":                              "{}\n",
		"var/lib/addagent/init.json":                                  "{}\n",
		"var/lib/cloud/instances/i-0123/user-data.txt":                "#!/bin/sh\n",
		"var/lib/systemd/random-seed":                                 "x",
		"var/log/journal/0123/system.journal":                         "x",
		"var/log/auth.log":                                            "Accepted publickey for admin from 192.0.2.7\n",
		"var/log/auth.log.1":                                          "Accepted publickey for admin from 192.0.2.7\n",
		"var/log/amazon/ssm/agent.log":                                "i-0123\n",
		"var/log/postgresql/postgresql-15-main.log":                   "10.0.0.7 admin\n",
		"etc/cron.d/addagent":                                         "* * * * * root addagent beat --spread\n",
		"etc/systemd/system/multi-user.target.wants/addagent.service": "a link",
		"etc/machine-id":                                              "0123456789abcdef0123456789abcdef\n",
		"etc/ssh/ssh_host_ed25519_key":                                privateKey,
		"etc/ssh/ssh_host_ed25519_key.pub":                            "ssh-ed25519 AAAA\n",
		"etc/ssh/sshd_config":                                         "UsePAM yes\n",
		"usr/sbin/sshd":                                               "a program",
	}
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for p, content := range files {
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// machine is a tree with addagent installed.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := tree(t, files)
	bin := filepath.Join(root, "usr/bin")
	err := os.MkdirAll(bin, 0o755)
	if err == nil {
		err = os.Link(agent, filepath.Join(bin, "addagent"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// files are those of a tree without the program.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "addagent" && filepath.Base(filepath.Dir(p)) == "bin" {
			return err
		}
		data, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		all[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// seal runs the script; words are what it said.
func seal(t *testing.T, args ...string) (code int, words string) {
	t.Helper()
	// Read here, so that go test runs again when the script has changed.
	script, err := os.ReadFile("seal")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"-c", string(script), "seal"}, args...)...)
	if os.Getuid() != 0 { // chroot needs it
		cmd = exec.Command("unshare", append([]string{"-r"}, cmd.Args...)...)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestSeal(t *testing.T) {
	before := lived()
	root := machine(t, before)
	if os.Getuid() == 0 { // as the package makes it: root opens a file of another account there only without O_CREAT
		folder := filepath.Join(root, "var/log/postgresql")
		testkit.Must(t, os.Chmod(folder, 0o775|os.ModeSticky))
		testkit.Must(t, os.Chown(filepath.Join(folder, "postgresql-15-main.log"), 1, -1))
	}
	if code, words := seal(t, root); code != 0 {
		t.Fatalf("exit code %d: %s", code, words)
	}
	want := map[string]string{}
	for _, p := range []string{"etc/addagent/addagent.yaml", "etc/addagent/addagent.d/10-more.yaml", "etc/addagent/known_hosts", "etc/addagent/ca.pem",
		"root/nodeinfo/nodepart.txt", "root/gitrepo/ops/README.md", "root/gitrepo/ops/.git/config", "root/gitrepo/ops/.temp/add/common/work.sh_VERSION",
		"root/.ssh/known_hosts", "root/.bashrc", "etc/ssh/sshd_config", "usr/sbin/sshd"} {
		want[p] = before[p]
	}
	want["etc/default/addagent"] = "GOMEMLIMIT=64MiB\n"
	want["root/nodeinfo/state.txt"] = "presetup\n"
	want["etc/machine-id"], want["var/log/auth.log"], want["var/log/amazon/ssm/agent.log"] = "", "", ""
	want["var/log/postgresql/postgresql-15-main.log"] = ""
	got := files(t, root)
	if unit := got["etc/systemd/system/ssh.service.d/host-keys.conf"]; !strings.Contains(unit, "ExecStartPre=/usr/bin/ssh-keygen -A\n") {
		t.Errorf("no unit makes host keys: %q", unit)
	}
	delete(got, "etc/systemd/system/ssh.service.d/host-keys.conf")
	for p, content := range got {
		if w, ok := want[p]; !ok || w != content {
			t.Errorf("left: %s %q", p, content)
		}
	}
	for p := range want {
		if _, ok := got[p]; !ok {
			t.Errorf("gone: %s", p)
		}
	}
	if code, words := seal(t, root); code != 0 {
		t.Errorf("a second time: exit code %d: %s", code, words)
	}
}

func TestSealOfABox(t *testing.T) {
	root := machine(t, lived())
	if code, words := seal(t, "--keep-login", root); code != 0 {
		t.Fatalf("exit code %d: %s", code, words)
	}
	got := files(t, root)
	for _, p := range []string{"root/.ssh/authorized_keys", "home/admin/.ssh/authorized_keys"} {
		if got[p] == "" {
			t.Errorf("%s is gone", p)
		}
	}
	if got["root/.ssh/id_ed25519"] != "" {
		t.Error("a key is left")
	}
}

func TestSealElsewhere(t *testing.T) {
	for name, config := range map[string]string{"by its option": "", "by its config": "home: /srv/add\nstate_dir: /srv/memory\n"} {
		t.Run(name, func(t *testing.T) {
			all := map[string]string{"srv/add/nodeinfo/instance-id.txt": "i-1\n", "srv/add/log/addagent.log": "x\n"}
			args := []string{"--home", "/srv/add"}
			if config != "" {
				all["etc/addagent/addagent.yaml"], all["srv/memory/instance.json"], args = config, "{}\n", nil
			}
			root := machine(t, all)
			if code, words := seal(t, append(args, root)...); code != 0 {
				t.Fatalf("exit code %d: %s", code, words)
			}
			got := files(t, root)
			delete(got, "etc/addagent/addagent.yaml")
			if len(got) != 1 || got["srv/add/nodeinfo/state.txt"] != "presetup\n" {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestSealKnowsTheFilesOfTheConfig, wherever they are. One that is missing, as after the first seal, is no mistake.
func TestSealKnowsTheFilesOfTheConfig(t *testing.T) {
	config := `repos:
  - { name: ops, url: "https://git.example.org/ops.git", auth: { token_file: /srv/secrets/ops } }
  - { name: app, url: "https://git.example.org/app.git", auth: { username: bot, password_file: /srv/secrets/app } }
presence: { url: "git@git.example.org:presence.git", auth: { ssh_key_file: [/srv/secrets/one, /srv/secrets/two] } }
network: { client_cert_file: /srv/secrets/cert.pem, client_key_file: /srv/secrets/cert.key }
chat: [ { url_file: /srv/secrets/room } ]
`
	all := map[string]string{"etc/addagent/addagent.yaml": config}
	for _, name := range []string{"ops", "app", "one", "two", "cert.key", "room", "other"} {
		all["srv/secrets/"+name] = "sesame\n"
	}
	root := machine(t, all)
	for range 2 {
		if code, words := seal(t, root); code != 0 {
			t.Fatalf("exit code %d: %s", code, words)
		}
	}
	got := files(t, root)
	for p := range got {
		if p != "etc/addagent/addagent.yaml" && p != "root/nodeinfo/state.txt" && p != "srv/secrets/other" {
			t.Errorf("%s is left", p)
		}
	}
	if len(got) != 3 {
		t.Errorf("left: %v", got)
	}
}

// TestSealAsksFirst: a machine whose addagent cannot be asked stays as it is.
func TestSealAsksFirst(t *testing.T) {
	for name, root := range map[string]string{
		"no program": tree(t, lived()),
		"a config that cannot be read": machine(t, map[string]string{
			"etc/addagent/addagent.yaml": "repos: [ { url: https://git.example.org/ops.git, auth: { token_file: sesame } } ]\n", "root/log/addagent.log": "x\n"}),
	} {
		t.Run(name, func(t *testing.T) {
			before := files(t, root)
			if code, words := seal(t, root); code != 1 || !strings.Contains(words, "does not say which parts of the config are secret") || strings.Contains(words, "sesame") {
				t.Errorf("exit code %d: %s", code, words)
			}
			if got := files(t, root); !maps.Equal(got, before) {
				t.Errorf("something was removed: %v", got)
			}
		})
	}
}

// TestSealRefuses: what it may not delete, and may not leave, is named and is no image.
func TestSealRefuses(t *testing.T) {
	for name, c := range map[string]struct{ path, content string }{
		"a key among known hosts":   {"etc/addagent/known_hosts_old", privateKey},
		"a key in a person's home":  {"home/admin/deploy.pem", privateKey},
		"a key that was handed in":  {"tmp/git-key", privateKey},
		"a room with its token":     {"etc/addagent/addagent.d/chat.yaml", "chat:\n  - url: \"hipchat://sesame@example.org/room\"\n"},
		"gotify":                    {"etc/addagent/addagent.d/chat.yaml", "chat:\n  - url: gotify://gotify.example.org/AbCsesame123456\n"},
		"googlechat":                {"etc/addagent/addagent.d/chat.yaml", "chat:\n  - url: \"googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=sesame\"\n"},
		"a webhook":                 {"etc/addagent/addagent.d/chat.yaml", "chat:\n  - url: generic://hooks.example.org/T0/B0/sesame\n"},
		"a password for scripts":    {"etc/addagent/addagent.d/work.yaml", "work:\n  env: { DB_PASSWORD: sesame }\n"},
		"an address for scripts":    {"etc/addagent/addagent.d/work.yaml", "work:\n  env: { DB: \"pg://u:sesame@db/x\" }\n"},
		"a proxy of the config":     {"etc/addagent/addagent.d/net.yaml", "network:\n  proxy: http://u:sesame@proxy.example.org:3128\n"},
		"a variable of the agent":   {"etc/default/addagent", "# ours\nVAULT_TOKEN=sesame\n"},
		"a proxy with its password": {"etc/default/addagent", "https_proxy=http://user:sesame@proxy:3128\n"},
		"a clone with its token":    {"root/gitrepo/app/.git/config", "\turl = https://sesame@git.example.org/app.git\n"},
	} {
		t.Run(name, func(t *testing.T) {
			all := lived()
			all[c.path] = c.content
			root := machine(t, all)
			code, words := seal(t, root)
			if code != 1 || !strings.Contains(words, filepath.Join(root, c.path)) {
				t.Errorf("exit code %d: %s", code, words)
			}
			if strings.Contains(words, "sesame") || strings.Contains(words, "PRIVATE") {
				t.Errorf("it shows the secret: %s", words)
			}
		})
	}
}

func TestSealMustBeTold(t *testing.T) {
	for _, args := range [][]string{{}, {""}, {"/does/not/exist"}, {"--hom", "/"}, {"--home"}, {t.TempDir(), t.TempDir()}} {
		if code, words := seal(t, args...); code != 2 || slices.Contains(strings.Fields(words), "sealed") {
			t.Errorf("%q: exit code %d: %s", args, code, words)
		}
	}
}
