//go:build boot && linux

package boot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// TestPackages looks into the packages, and makes them twice: in another folder, under another umask and another
// clock's zone the same commit gives the same bytes.
func TestPackages(t *testing.T) {
	here, err := filepath.Abs("../..")
	testkit.Must(t, err)
	copied := filepath.Join(t.TempDir(), "elsewhere")
	testkit.Must(t, os.Mkdir(copied, 0o755))
	host(t, "sh", "-c", `cd "$1" && { git ls-files -z --cached --others --exclude-standard; printf '.git\0'; } | tar --null -T - -c | tar -x --no-same-owner -C "$2"`, "copy", here, copied)
	built := func(from, umask, zone string) string {
		out := filepath.Join(t.TempDir(), "dist")
		cmd := exec.Command("sh", "-c", "umask "+umask+" && exec sh packaging/build.sh")
		cmd.Dir, cmd.Env = from, append(os.Environ(), "VERSION=1.0", "OUT="+out, "TZ="+zone)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("packaging/build.sh: %v\n%s", err, said)
		}
		return out
	}
	one, two := built(here, "022", "UTC"), built(copied, "077", "Asia/Tokyo")
	all, err := os.ReadDir(one)
	testkit.Must(t, err)
	var names []string
	for _, f := range all {
		names = append(names, f.Name())
		if exec.Command("cmp", filepath.Join(one, f.Name()), filepath.Join(two, f.Name())).Run() != nil {
			t.Errorf("%s: not the same bytes a second time", f.Name())
		}
	}
	if want := []string{"addagent-1.0-1.aarch64.rpm", "addagent-1.0-1.x86_64.rpm", "addagent_1.0_amd64.deb", "addagent_1.0_arm64.deb"}; !slices.Equal(names, want) {
		t.Errorf("packages are %v", names)
	}

	deb, rpm := filepath.Join(one, "addagent_1.0_amd64.deb"), filepath.Join(one, "addagent-1.0-1.x86_64.rpm")
	var inDeb, inRpm []string
	for line := range strings.Lines(host(t, "dpkg-deb", "-c", deb)) { // rights owner size date time ./path
		f := strings.Fields(line)
		inDeb = append(inDeb, fmt.Sprintf("%s %s %s", f[0], f[1], strings.TrimPrefix(f[5], ".")))
	}
	for line := range strings.Lines(host(t, "rpm", "-qp", "--queryformat", `[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]`, rpm)) {
		inRpm = append(inRpm, strings.TrimSpace(line))
	}
	promised := []string{"/usr/bin/addagent", "/usr/bin/addctl", "/usr/sbin/addagent-bootstrap", "/usr/lib/systemd/system/addagent.service", "/usr/lib/systemd/system/addagent-beat.service",
		"/usr/lib/systemd/system/addagent.timer", "/usr/lib/systemd/system/addctl-fold.service", "/usr/lib/systemd/system/addctl-doctor.service", "/usr/lib/systemd/system/addctl-web.service", "/usr/share/doc/addagent/CHANGELOG.md",
		"/usr/share/doc/addagent/docs/README.md", "/usr/share/doc/addagent/docs/alerts.yaml", "/usr/share/doc/addagent/docs/grafana.json", "/usr/lib/tmpfiles.d/addagent.conf", "/usr/share/addagent/cron.d-addagent",
		"/usr/share/man/man1/addagent.1.gz", "/usr/share/man/man1/addctl.1.gz", "/usr/share/man/man5/addagent.yaml.5.gz", "/usr/share/man/man8/addagent-bootstrap.8.gz",
		"/usr/share/bash-completion/completions/addagent", "/usr/share/fish/vendor_completions.d/addctl.fish", "/usr/share/doc/addagent/addagent.spdx.json", "/usr/share/doc/addagent/examples/cloud-init.yaml"}
	for name, files := range map[string][]string{"deb": inDeb, "rpm": inRpm} {
		has := map[string]bool{}
		for _, file := range files {
			f := strings.Fields(file)
			has[f[2]] = true
			want := "-rw-r--r--"
			switch {
			case strings.HasPrefix(f[0], "d"):
				want = "drwxr-xr-x"
			case strings.Contains(f[2], "bin/"):
				want = "-rwxr-xr-x"
			case f[2] == "/etc/default/addagent": // may hold secrets
				want = "-rw-------"
			}
			if f[0] != want || f[1] != "root/root" {
				t.Errorf("%s: %s", name, file)
			}
		}
		// dpkg would ask about those of /etc; its script lays them there.
		configs := map[string][]string{"deb": {"/usr/share/addagent/addagent.yaml", "/usr/share/addagent/default"}, "rpm": {"/etc/addagent/addagent.yaml", "/etc/default/addagent"}}
		for _, p := range append(configs[name], promised...) {
			if !has[p] {
				t.Errorf("%s: no %s", name, p)
			}
		}
	}
	for question, want := range map[string]string{
		"dpkg-deb -f " + deb + " Depends":                                          "",
		"dpkg-deb --ctrl-tarfile " + deb + " | tar -t | grep -c conffiles || true": "0",
		"rpm -qp --requires " + rpm:                                                "bash",
		"rpm -qp --configfiles " + rpm:                                             "/etc/addagent/addagent.yaml\n/etc/default/addagent",
	} {
		if got := host(t, "sh", "-c", question); got != want {
			t.Errorf("%s: %q", question, got)
		}
	}
	root := t.TempDir()
	host(t, "dpkg-deb", "-x", strings.ReplaceAll(deb, "amd64", host(t, "go", "env", "GOARCH")), root)
	version := host(t, root+"/usr/bin/addagent", "version")
	for _, want := range []string{"addagent 1.0 ", host(t, "git", "rev-parse", "--short=12", "HEAD"), host(t, "go", "env", "GOVERSION")} {
		if !strings.Contains(version, want) {
			t.Errorf("version without %s: %s", want, version)
		}
	}
}
