//go:build boot && linux

package boot

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

// lab is what the machines stand in: the Debian that they share, a git server, a network, packages.
type lab struct {
	t                *testing.T
	dir              string
	debian           string   // root of the Debian, never written
	first, second    packages // two versions
	netA, netB, netG string   // namespaces; G is that of the git server
	began            time.Time
}

// debianPackages are in the machines beside the smallest Debian.
const debianPackages = "systemd,systemd-sysv,dbus,ca-certificates,curl,git,iproute2,procps,cron,rpm"

// packages are those of one version.
type packages struct{ deb, rpm string }

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), began: time.Now()}
	l.debian = l.bootstrapDebian()
	l.say("Debian: %s", l.debian)
	l.first, l.second = l.pack("1.0"), l.pack("1.1")
	l.say("packages: %s and %s", filepath.Base(l.first.deb), filepath.Base(l.second.deb))
	l.network()
	l.serve()
	return l
}

// say is a line of the log: what happened, and when.
func (l *lab) say(format string, args ...any) {
	fmt.Printf("%6.1f s  %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

// bootstrapDebian makes the root of a Debian, once for each list of packages: it stays for the next run.
func (l *lab) bootstrapDebian() string {
	l.t.Helper()
	cache := os.Getenv("ADD_BOOT_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		testkit.Must(l.t, err)
		cache = filepath.Join(user, "addagent-boot")
	}
	root := filepath.Join(cache, fmt.Sprintf("bookworm-%x", sha256.Sum256([]byte(debianPackages)))[:24])
	if _, err := os.Stat(root); err == nil {
		return root
	}
	testkit.Must(l.t, os.MkdirAll(cache, 0o755))
	half := fmt.Sprintf("%s.%d", root, os.Getpid())
	defer os.RemoveAll(half)
	l.say("making a Debian with %s (a minute or two, once)", debianPackages)
	host(l.t, "mmdebstrap", "--variant=minbase", "--include="+debianPackages, "bookworm", half)
	// Waiting forever for a network is not tested here, and time goes on with the host's clock.
	host(l.t, "chroot", half, "systemctl", "mask", "--quiet", "systemd-networkd-wait-online.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer")
	testkit.Must(l.t, os.Rename(half, root))
	return root
}

// pack builds the packages of one version, or takes those that were built before from the folder ADD_BOOT_PACKAGES.
func (l *lab) pack(version string) packages {
	l.t.Helper()
	out := os.Getenv("ADD_BOOT_PACKAGES")
	if out == "" {
		out = filepath.Join(l.dir, "pack-"+version)
		cmd := exec.Command("sh", "../../packaging/build.sh")
		cmd.Env = append(os.Environ(), "VERSION="+version, "ARCHES="+host(l.t, "go", "env", "GOARCH"), "OUT="+out)
		if said, err := cmd.CombinedOutput(); err != nil {
			l.t.Fatalf("packaging/build.sh: %v\n%s", err, said)
		}
	}
	find := func(pattern string) string {
		found, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil || len(found) != 1 {
			l.t.Fatalf("%s in %s: %q %v", pattern, out, found, err)
		}
		return found[0]
	}
	return packages{find("addagent_" + version + "_" + host(l.t, "go", "env", "GOARCH") + ".deb"), find("addagent-" + version + "-*." + host(l.t, "uname", "-m") + ".rpm")}
}

// network is three namespaces: the git server's, with a cable to each of the other two.
func (l *lab) network() {
	l.t.Helper()
	name := func(s string) string { return fmt.Sprintf("addboot%d%s", os.Getpid(), s) }
	for _, n := range []string{"g", "a", "b"} {
		host(l.t, "ip", "netns", "add", name(n))
		l.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name(n)).Run() })
		host(l.t, "ip", "-n", name(n), "link", "set", "lo", "up")
	}
	for i, n := range []string{"a", "b"} {
		host(l.t, "ip", "link", "add", "to-"+n, "netns", name("g"), "type", "veth", "peer", "name", "host0", "netns", name(n))
		for _, end := range []struct{ ns, link, address string }{{name("g"), "to-" + n, fmt.Sprintf("10.77.%d.1/24", i)}, {name(n), "host0", fmt.Sprintf("10.77.%d.2/24", i)}} {
			host(l.t, "ip", "-n", end.ns, "addr", "add", end.address, "dev", end.link)
			host(l.t, "ip", "-n", end.ns, "link", "set", end.link, "up")
		}
	}
	l.netA, l.netB, l.netG = name("a"), name("b"), name("g")
}

// serve makes the repositories, and serves them on the net.
func (l *lab) serve() {
	l.t.Helper()
	for _, r := range []string{"ops.git", "presence.git"} {
		host(l.t, "git", "init", "-q", "--bare", "-b", "main", filepath.Join(l.dir, "git", r))
	}
	host(l.t, "git", "init", "-q", "-b", "main", l.people(""))
	l.people("it/nodeinit/common/init.sh", "echo init of \"$INSTANCE_ID\" >>/root/init.log\n")
	l.people("nodework/part/app1/work.sh", `#!/bin/bash
set -e
echo "begin $ADD_VERSION" >>/root/work.log
. ./job.sh
echo "end $ADD_VERSION" >>/root/work.log
`)
	l.push("true")
	daemon := exec.Command("ip", "netns", "exec", l.netG, "git", "daemon", "--export-all", "--enable=receive-pack", "--base-path="+filepath.Join(l.dir, "git"))
	daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // git starts a program of its own for it
	testkit.Must(l.t, daemon.Start())
	l.t.Cleanup(func() { _ = syscall.Kill(-daemon.Process.Pid, syscall.SIGKILL); _ = daemon.Wait() })
}

// people is a path in the clone of the people; with content, that is written there.
func (l *lab) people(path string, content ...string) string {
	l.t.Helper()
	full := filepath.Join(l.dir, "people", path)
	for _, c := range content {
		testkit.Must(l.t, os.MkdirAll(filepath.Dir(full), 0o755))
		testkit.Must(l.t, os.WriteFile(full, []byte(c), 0o755))
	}
	return full
}

// push pushes a job, and returns the commit.
func (l *lab) push(job string) string {
	l.t.Helper()
	l.people("job.sh", fmt.Sprintf("# %d\n%s\n", time.Now().UnixNano(), job))
	git := func(args ...string) string {
		return host(l.t, append([]string{"git", "-C", l.people(""), "-c", "user.name=Ann", "-c", "user.email=ann@example.org"}, args...)...)
	}
	git("add", "-A")
	git("commit", "-q", "-m", "a job")
	git("push", "-q", filepath.Join(l.dir, "git/ops.git"), "HEAD:main")
	return git("rev-parse", "HEAD")
}
