//go:build boot && linux

package boot

import (
	"os"
	"path/filepath"
	"strings"
)

// rpm is the life of a node whose package is the .rpm. The machine is a Debian: rpm knows none of what is installed
// there (so --nodeps), but its scripts are run by rpm itself, and by the real systemd.
func (l *lab) rpm(net string) {
	l.t.Helper()
	m := l.newMachine("r", net, "")
	rpm := func(args ...string) []string {
		return append([]string{"rpm", "--dbpath=/var/lib/rpm", "--nodeps"}, args...)
	}
	host(l.t, "cp", l.first.rpm, filepath.Join(m.path("root"), "root/first.rpm"))
	host(l.t, "cp", l.second.rpm, filepath.Join(m.path("root"), "root/second.rpm"))
	said := host(l.t, append([]string{"chroot", m.path("root")}, rpm("-i", "/root/first.rpm")...)...)
	if !strings.Contains(said, "addagent is installed and not started: this machine has no identity yet") {
		l.t.Fatalf("rpm -i: %s", said)
	}
	m.powerOn()
	if active := m.show("ActiveState"); active != "inactive" {
		l.t.Fatalf("a machine without an identity runs an agent: %s", active)
	}
	m.write("/root/more.yaml", settings)
	m.run("addagent-bootstrap", "--nodepart=app1", "--initgitrepo=ops", "--repo=ops=git://10.77.1.1/ops.git", "--config-from=file:/root/more.yaml", "--wait=initdone", "--deadline=60")

	version := l.push(slow(m))
	m.begun(version)
	const mine = "# what a person wrote\nhome: /root\n"
	m.write("/etc/addagent/addagent.yaml", mine)
	kept := func(after string) {
		l.t.Helper()
		if m.read("/etc/addagent/addagent.yaml") != strings.TrimSpace(mine) {
			l.t.Errorf("rpm: %s has changed the config", after)
		}
	}
	locks, pid := m.locks(), m.show("MainPID")
	m.run(rpm("-U", "/root/second.rpm")...)
	if now := m.show("MainPID"); now == pid || m.show("ActiveState") != "active" || m.locks() != locks {
		l.t.Fatalf("after rpm -U the agent is process %s (before: %s), %s", now, pid, m.show("ActiveState"))
	}
	m.done(version, 1)
	m.speaks("1.1")
	kept("rpm -U")
	m.run(rpm("-U", "--oldpackage", "/root/first.rpm")...)
	m.speaks("1.0")
	m.run("addagent", "beat")
	kept("a downgrade")
	l.say("r: the .rpm, by rpm: nothing started; upgraded during work, which ran once; downgraded")

	inits := m.read("/root/init.log")
	m.run(rpm("-e", "addagent")...)
	if m.show("ActiveState") == "active" || m.read("/var/lib/addagent/instance.json") == "" {
		l.t.Fatal("rpm -e: the agent runs, or data is gone")
	}
	if _, err := os.Stat(filepath.Join(m.path("root"), "usr/lib/systemd/system/addagent.service.d")); err == nil {
		l.t.Error("rpm -e: what its script made is left")
	}
	kept("rpm -e")
	m.run(rpm("-i", "/root/second.rpm")...)
	m.until("the agent to go on", func() bool { return m.show("ActiveState") == "active" && m.state() == "idle" })
	m.speaks("1.1")
	m.run("addagent", "beat")
	kept("rpm -i")
	if m.count("begin", version) != 1 || m.read("/root/init.log") != inits {
		l.t.Fatal("rpm: something was done again")
	}
	l.say("r: rpm -e: data stays, a changed config too; installed again: it goes on")
}
