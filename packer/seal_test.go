// Package packer_test bakes: the seal on a tree of folders, and the templates as text.
package packer_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

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

func files(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
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
	root := tree(t, before)
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
	got := files(t, root)
	if unit := got["etc/systemd/system/ssh.service.d/host-keys.conf"]; !strings.Contains(unit, "ExecStartPre=/usr/bin/ssh-keygen -A\n") {
		t.Errorf("nobody makes host keys: %q", unit)
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
	root := tree(t, lived())
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
	root := tree(t, map[string]string{"srv/add/nodeinfo/instance-id.txt": "i-1\n", "srv/add/log/addagent.log": "x\n"})
	if code, words := seal(t, "--home", "/srv/add", root); code != 0 {
		t.Fatalf("exit code %d: %s", code, words)
	}
	got := files(t, root)
	if len(got) != 1 || got["srv/add/nodeinfo/state.txt"] != "presetup\n" {
		t.Errorf("%v", got)
	}
}

// TestSealRefuses: what it may not delete, and may not leave, is named and is no image.
func TestSealRefuses(t *testing.T) {
	for name, c := range map[string]struct{ path, content string }{
		"a key among known hosts":   {"etc/addagent/known_hosts_old", privateKey},
		"a key in somebody's home":  {"home/admin/deploy.pem", privateKey},
		"a key that was handed in":  {"tmp/git-key", privateKey},
		"a room with its token":     {"etc/addagent/addagent.d/chat.yaml", "chat:\n  - url: \"hipchat://sesame@example.org/room\"\n"},
		"a proxy with its password": {"etc/default/addagent", "https_proxy=http://user:sesame@proxy:3128\n"},
		"a clone with its token":    {"root/gitrepo/app/.git/config", "\turl = https://sesame@git.example.org/app.git\n"},
	} {
		t.Run(name, func(t *testing.T) {
			all := lived()
			all[c.path] = c.content
			root := tree(t, all)
			code, words := seal(t, root)
			if code != 1 || !strings.Contains(words, filepath.Join(root, c.path)+"\n") {
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
