//go:build boot && linux

package boot

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

// machine is one that boots: an image with what it has written, over the Debian that all share.
type machine struct {
	t      *testing.T
	name   string
	dir    string
	net    string // network namespace
	nspawn *exec.Cmd
	leader int // its process 1, as we see it
}

// diskSize is small, so that it can be filled in a moment.
const diskSize = "400M"

// newMachine makes a machine that is off. A disk that is given is copied.
func (l *lab) newMachine(name, net, disk string) *machine {
	l.t.Helper()
	m := &machine{t: l.t, name: name, dir: filepath.Join(l.dir, name), net: net}
	testkit.Must(l.t, os.MkdirAll(m.path("disk"), 0o755))
	testkit.Must(l.t, os.MkdirAll(m.path("root"), 0o755))
	if disk == "" {
		host(l.t, "truncate", "-s", diskSize, m.path("image"))
		host(l.t, "mkfs.ext4", "-q", "-m", "0", m.path("image"))
	} else {
		host(l.t, "cp", "--sparse=always", disk, m.path("image"))
	}
	host(l.t, "mount", "-o", "loop", m.path("image"), m.path("disk"))
	for _, d := range []string{"disk/up", "disk/work"} {
		testkit.Must(l.t, os.MkdirAll(m.path(d), 0o755))
	}
	host(l.t, "mount", "-t", "overlay", "overlay", "-o", fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", l.debian, m.path("disk/up"), m.path("disk/work")), m.path("root"))
	l.t.Cleanup(m.scrap)
	// What a hypervisor gives a machine: hardware of its own, which here shows in the machine-id.
	m.write("/etc/machine-id", strings.Repeat(fmt.Sprintf("%08x", os.Getpid()), 3)+fmt.Sprintf("%08x", name)[:8]+"\n")
	m.write("/etc/hostname", name+"\n")
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// write puts a file onto the machine, also while it is off.
func (m *machine) write(path, content string) {
	m.t.Helper()
	full := filepath.Join(m.path("root"), path)
	testkit.Must(m.t, os.MkdirAll(filepath.Dir(full), 0o755))
	testkit.Must(m.t, os.WriteFile(full, []byte(content), 0o644))
}

// read is a file of the machine, "" while it is not there.
func (m *machine) read(path string) string {
	data, _ := os.ReadFile(filepath.Join(m.path("root"), path))
	return strings.TrimSpace(string(data))
}

// install puts a package in while the machine is off, as a baker of images does.
func (m *machine) install(deb string) string {
	m.t.Helper()
	host(m.t, "cp", deb, filepath.Join(m.path("root"), "root/addagent.deb"))
	return host(m.t, "chroot", m.path("root"), "dpkg", "-i", "/root/addagent.deb")
}

// cgroups gives each machine its own: without a systemd on this one, two would take the same.
const cgroups = `
for h in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
	[ -e $h/cgroup.procs ] || continue
	mkdir -p $h/$0 && echo $$ >$h/$0/cgroup.procs || exit 1
done
exec "$@"`

// powerOn starts the machine and returns when its systemd has started everything.
func (m *machine) powerOn() {
	m.t.Helper()
	log, err := os.OpenFile(m.path("console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	testkit.Must(m.t, err)
	defer log.Close()
	m.nspawn = exec.Command("bash", "-c", cgroups, m.cgroup(), "systemd-nspawn", "-M", m.name, "-D", m.path("root"), "--boot",
		"--register=no", "--keep-unit", "--link-journal=no", "--console=read-only", "--network-namespace-path=/run/netns/"+m.net)
	m.nspawn.Stdout, m.nspawn.Stderr = log, log
	testkit.Must(m.t, m.nspawn.Start())
	m.up()
}

func (m *machine) cgroup() string { return "addboot-" + strconv.Itoa(os.Getpid()) + "-" + m.name }

// up waits until systemd has started everything.
func (m *machine) up() {
	m.t.Helper()
	m.until("the machine to be up", func() bool {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", m.nspawn.Process.Pid))
		for _, child := range strings.Fields(string(children)) {
			pid, _ := strconv.Atoi(child)
			if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); !strings.HasSuffix(exe, "/systemd") {
				continue
			}
			m.leader = pid
			state, _ := m.try("systemctl", "is-system-running")
			return state == "running" || state == "degraded"
		}
		return false
	})
}

// reboot asks the machine to reboot, and returns when it is up again. nspawn ends with 133 then, for its caller to
// start it again.
func (m *machine) reboot() {
	m.t.Helper()
	m.run("systemctl", "reboot")
	if code := m.ended(); code != 133 {
		m.t.Fatalf("%s: nspawn ended with %d, which is no reboot", m.name, code)
	}
	m.powerOn()
}

// powerOff ends the machine in order.
func (m *machine) powerOff() {
	m.t.Helper()
	m.run("systemctl", "poweroff")
	if code := m.ended(); code != 0 {
		m.t.Fatalf("%s: nspawn ended with %d", m.name, code)
	}
}

// ended waits for the end of the machine.
func (m *machine) ended() int {
	m.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- m.nspawn.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		m.t.Fatalf("%s does not go off", m.name)
	}
	code := m.nspawn.ProcessState.ExitCode()
	m.nspawn, m.leader = nil, 0
	return code
}

// release takes the machine's disk apart, so that it can be copied.
func (m *machine) release() {
	for _, d := range []string{"root", "disk"} {
		if out, err := exec.Command("umount", m.path(d)).CombinedOutput(); err != nil {
			m.t.Logf("umount %s of %s: %s", d, m.name, out)
			_ = exec.Command("umount", "-l", m.path(d)).Run()
		}
	}
}

// scrap is the end of a machine, whatever state it is in.
func (m *machine) scrap() {
	if m.t.Failed() && m.nspawn != nil && m.leader != 0 {
		for _, show := range [][]string{{"addagent", "status"}, {"tail", "-n", "12", "/root/log/addagent.log"}, {"journalctl", "-n", "5", "--no-pager", "-u", "addagent"}, {"cat", "/root/work.log"}} {
			out, _ := m.try(show...)
			m.t.Logf("%s: %s\n%s", m.name, strings.Join(show, " "), out)
		}
	}
	if m.nspawn != nil {
		_ = m.nspawn.Process.Kill() // nspawn's own: the kernel ends all that lives under its process 1
		if m.leader != 0 {
			if p, err := os.FindProcess(m.leader); err == nil {
				_ = p.Kill()
			}
		}
		_ = m.nspawn.Wait()
	}
	if _, err := os.Stat(m.path("disk/up")); err == nil {
		m.release()
	}
	// Until the last process of a machine that was killed is gone.
	m.until("the end of its cgroups", func() bool {
		_ = exec.Command("find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path", "*/"+m.cgroup()+"*", "-exec", "rmdir", "{}", "+").Run()
		left, _ := exec.Command("find", "/sys/fs/cgroup", "-type", "d", "-name", m.cgroup()).Output()
		return len(left) == 0
	})
}

// try runs a command on the machine; the answer has no white space at its ends.
func (m *machine) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(m.leader), "-a", "--", "env", "-i", "HOME=/root", "LANG=C.UTF-8",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, args...)...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run is try for what must succeed.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%s: %s: %v\n%s", m.name, strings.Join(args, " "), err, out)
	}
	return out
}

// patience is for one step of a machine on a busy computer.
const patience = 60 * time.Second

// until waits for a condition.
func (m *machine) until(what string, cond func() bool) {
	m.t.Helper()
	if !testkit.Within(patience, 100*time.Millisecond, cond) {
		m.t.Fatalf("%s: waited in vain for %s", m.name, what)
	}
}

func host(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
