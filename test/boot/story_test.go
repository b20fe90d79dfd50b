//go:build boot && linux

package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// slow is a job that goes on until the test lays down a file; on other machines it is quick, as all jobs are.
func slow(on *machine) string {
	return only(on) + `until [ -e /root/go ]; do sleep 0.2; done; rm /root/go`
}

func only(on *machine) string { return `[ "$HOSTNAME" = ` + on.name + ` ] || return 0; ` }

// settings are for a story of minutes: a beat every two seconds, short delays, a watchdog that bites soon.
const settings = `beat: { schedule: "@every 2s", spread: 0s, look_timeout: 5s }
work: { retry_first: 1s, retry_max: 3s, grace: 2s, wedge_after: 50 }
`
const watchdog = "[Service]\nWatchdogSec=15s\nTimeoutAbortSec=2s\n"

// TestStory is the life of two nodes, chapter by chapter.
func TestStory(t *testing.T) {
	l := newLab(t)
	a, b := l.newMachine("a", l.netA, ""), l.newMachine("b", l.netB, "")
	l.bake(a)
	l.bake(b)
	l.powerOn(a, "10.77.0.1")
	l.powerOn(b, "10.77.1.1")
	l.pushed(a, b)
	l.rebooted(a)
	l.killed(a)
	l.frozen(a)
	l.upgraded(a)
	l.upgradedByItsWork(a)
	l.full(a)
	l.driven(b)
	l.removed(b)
	l.copied(a)
	l.rpm(b.net)
}

// node is what the story asks of a machine that is a node.
func (m *machine) state() string { return m.read("/root/nodeinfo/state.txt") }

func (m *machine) count(what, version string) int {
	return strings.Count(m.read("/root/work.log"), what+" "+version)
}

func (m *machine) show(property string) string {
	out, _ := m.try("systemctl", "show", "-P", property, "addagent.service")
	return out
}

// begun waits until the work on a commit has begun.
func (m *machine) begun(version string) {
	m.t.Helper()
	m.until("work on "+version[:7], func() bool { return m.count("begin", version) > 0 })
}

// done lets a slow job end, and waits until the node has nothing to do; once tells how often the job must have begun.
func (m *machine) done(version string, begins int) {
	m.t.Helper()
	m.write("/root/go", "")
	m.idle(version)
	if got := m.count("begin", version); got != begins {
		m.t.Fatalf("%s: work on %s began %d times, want %d", m.name, version[:7], got, begins)
	}
}

func (m *machine) idle(version string) {
	m.t.Helper()
	m.until("the end of work on "+version[:7], func() bool {
		return m.count("end", version) > 0 && m.state() == "idle" && m.read("/root/gitrepo/ops/.temp/add/part.app1/work.sh_VERSION") == version
	})
	if got := m.count("end", version); got != 1 {
		m.t.Fatalf("%s: work on %s ended %d times", m.name, version[:7], got)
	}
}

// locks are the lock files, by inode.
func (m *machine) locks() string {
	return m.run("stat", "-c", "%n %i", "/run/addagent/beat.lock", "/run/addagent/work.lock")
}

// speaks waits until the last agent that began is of a version.
func (m *machine) speaks(version string) {
	m.t.Helper()
	m.until("an agent of version "+version, func() bool {
		begins := regexp.MustCompile(`addagent (\S+) started`).FindAllStringSubmatch(m.read("/root/log/addagent.log"), -1)
		return len(begins) > 0 && begins[len(begins)-1][1] == version
	})
}

func (l *lab) bake(m *machine) {
	l.t.Helper()
	if said := m.install(l.first.deb); !strings.Contains(said, "addagent is installed and not started: this machine has no identity yet") {
		l.t.Fatalf("dpkg -i: %s", said)
	}
	m.write("/root/more.yaml", settings)
	m.write("/etc/systemd/system/addagent.service.d/test.conf", watchdog)
	l.say("%s: package installed into the image; it started nothing, and says what to do", m.name)
}

func (l *lab) powerOn(m *machine, server string) {
	l.t.Helper()
	on := time.Now()
	m.powerOn()
	up := time.Since(on)
	if active := m.show("ActiveState"); active != "inactive" {
		l.t.Fatalf("a machine without an identity runs an agent: %s", active)
	}
	if said, err := m.try("systemd-analyze", "verify", "--man=no", "addagent.service", "addagent-beat.service", "addagent.timer"); err != nil || strings.Contains(said, "addagent") {
		l.t.Fatalf("systemd-analyze verify: %v\n%s", err, said)
	}
	args := []string{"addagent-bootstrap", "--nodepart=app1", "--stacktype=lad1", "--deployment=fed1", "--initgitrepo=ops",
		"--repo=ops=git://" + server + "/ops.git", "--presence=git://" + server + "/presence.git", "--config-from=file:/root/more.yaml"}
	began := time.Now()
	m.run(append(args, "--wait=setup", "--deadline=60")...)
	setup := time.Since(began)
	m.run(append(args, "--wait=initdone", "--deadline=60")...)
	initdone := time.Since(began)
	l.say("%s: power on -> %.1f s systemd is up -> bootstrap -> %.1f s setup -> %.1f s initdone", m.name, up.Seconds(), setup.Seconds(), initdone.Seconds())
	l.say("%s:   of the %.1f s to initdone %.1f s are ours: bootstrap, agent, first look and clone, init", m.name, (up + initdone).Seconds(), initdone.Seconds())
	if again := m.run(append(args, "--wait=initdone", "--deadline=60")...); strings.Contains(again, "wrote") {
		l.t.Fatalf("the bootstrap said again changed something:\n%s", again)
	}
	if log := m.read("/root/nodeinfo/statelog.txt"); !regexp.MustCompile(`^setup:\d{8}-\d{6};initdone:\d{8}-\d{6};$`).MatchString(log) {
		l.t.Fatalf("statelog %q", log)
	}
}

func (l *lab) pushed(all ...*machine) {
	l.t.Helper()
	version := l.push("true")
	for _, m := range all {
		m.idle(version)
	}
	a := all[0]
	a.until("both nodes to be told", func() bool {
		out, _ := a.try("addctl", "nodes", "--json")
		return strings.Count(out, `"state": "idle"`) == 2 && strings.Count(out, `"age": "present"`) == 2
	})
	l.say("push %s -> both nodes worked it once, and presence has both idle", version[:7])
}

func (l *lab) rebooted(m *machine) {
	l.t.Helper()
	log := m.read("/root/nodeinfo/statelog.txt")
	version := l.push(slow(m))
	m.begun(version)
	began := time.Now()
	m.reboot()
	l.say("%s: reboot during work on %s: up again after %.1f s", m.name, version[:7], time.Since(began).Seconds())
	m.until("the work to be repeated", func() bool { return m.count("begin", version) == 2 })
	m.done(version, 2)
	if now := m.read("/root/nodeinfo/statelog.txt"); now != log {
		l.t.Fatalf("the reboot changed statelog from %q to %q", log, now)
	}
	l.say("%s:   the cut work was repeated, and ended; statelog is as before", m.name)
}

func (l *lab) killed(m *machine) {
	l.t.Helper()
	version := l.push(slow(m))
	m.begun(version)
	locks, pid := m.locks(), m.show("MainPID")
	began := time.Now()
	m.run("kill", "-KILL", pid)
	m.until("another agent", func() bool {
		now := m.show("MainPID")
		return now != "0" && now != pid && m.show("ActiveState") == "active"
	})
	took := time.Since(began)
	if now := m.locks(); now != locks {
		l.t.Fatalf("locks were %q, are %q", locks, now)
	}
	m.done(version, 1)
	l.say("%s: agent kill -9 during work: back after %.1f s (restart delay 2 s), same lock files, work adopted", m.name, took.Seconds())
}

func (l *lab) frozen(m *machine) {
	l.t.Helper()
	version := l.push(slow(m))
	m.begun(version)
	pid := m.show("MainPID")
	began := time.Now()
	m.run("kill", "-STOP", pid)
	m.until("another agent", func() bool {
		now := m.show("MainPID")
		return now != "0" && now != pid && m.show("ActiveState") == "active"
	})
	took := time.Since(began)
	if said := m.run("journalctl", "--no-pager", "-u", "addagent"); !strings.Contains(said, "Watchdog timeout") {
		l.t.Fatalf("it was not the watchdog:\n%s", said)
	}
	m.done(version, 1)
	l.say("%s: agent frozen (SIGSTOP) during work: the watchdog (15 s) had it restarted after %.1f s, work survived", m.name, took.Seconds())
}

func (l *lab) upgraded(m *machine) {
	l.t.Helper()
	host(l.t, "cp", l.first.deb, filepath.Join(m.path("root"), "root/first.deb"))
	host(l.t, "cp", l.second.deb, filepath.Join(m.path("root"), "root/second.deb"))
	version := l.push(slow(m))
	m.begun(version)
	locks, pid := m.locks(), m.show("MainPID")
	m.run("dpkg", "-i", "/root/second.deb")
	if now := m.show("MainPID"); now == pid || m.show("ActiveState") != "active" || m.locks() != locks {
		l.t.Fatalf("after the upgrade the agent is process %s (before: %s), %s", now, pid, m.show("ActiveState"))
	}
	m.done(version, 1)
	m.speaks("1.1")
	l.say("%s: package upgraded during work: the new agent took the work over, it ran once", m.name)
	m.run("dpkg", "-i", "/root/first.deb")
	m.speaks("1.0")
	m.run("addagent", "beat")
	if m.count("begin", version) != 1 || m.state() != "idle" || strings.Count(m.read("/root/init.log"), "\n") != 0 {
		l.t.Fatal("the downgrade forgot something")
	}
	l.say("%s: package downgraded: nothing was done again", m.name)
}

func (l *lab) upgradedByItsWork(m *machine) {
	l.t.Helper()
	version := l.push(only(m) + "dpkg -i /root/second.deb; sleep 3")
	m.idle(version)
	if got := m.count("begin", version); got != 1 {
		l.t.Fatalf("work that upgrades began %d times", got)
	}
	if said := m.run("addagent", "version"); !strings.Contains(said, "addagent 1.1") {
		l.t.Fatalf("version: %s", said)
	}
	l.say("%s: package upgraded by its own work: it ran once, to its end", m.name)
}

func (l *lab) full(m *machine) {
	l.t.Helper()
	_, _ = m.try("dd", "if=/dev/zero", "of=/root/fill", "bs=1M")
	_, _ = m.try("dd", "if=/dev/zero", "of=/root/fill2", "bs=4k")
	version := l.push("true")
	// The journal, not the status: on a disk as full as this one nodeinfo/beat.json may not be written either.
	said := regexp.MustCompile(`(?m)failing: .*no space left on device`)
	reason := ""
	m.until("failing", func() bool {
		out, _ := m.try("journalctl", "--no-pager", "-o", "cat", "-u", "addagent")
		reason = said.FindString(out)
		return reason != ""
	})
	l.say("%s: disk filled: %s", m.name, reason)
	m.run("rm", "/root/fill", "/root/fill2")
	m.idle(version)
	l.say("%s:   freed: idle, and the work is done", m.name)
}

func (l *lab) driven(m *machine) {
	l.t.Helper()
	drivers := func() string {
		service, _ := m.try("systemctl", "is-enabled", "addagent.service")
		timer, _ := m.try("systemctl", "is-active", "addagent.timer")
		_, err := os.Stat(filepath.Join(m.path("root"), "etc/cron.d/addagent"))
		return fmt.Sprintf("%s %s %s %t", service, m.show("ActiveState"), timer, err == nil)
	}
	for _, c := range []struct{ start, want string }{
		{"timer", "disabled inactive active false"}, {"cron", "disabled inactive inactive true"}, {"service", "enabled active inactive false"},
	} {
		m.run("addagent-bootstrap", "--start="+c.start, "--wait=initdone", "--deadline=60")
		if got := drivers(); got != c.want {
			l.t.Fatalf("--start=%s: %s, want %s", c.start, got, c.want)
		}
		version := l.push("true")
		m.idleSoon(version, c.start)
	}
	l.say("%s: driven by the timer, by cron, and by the service again: each alone, each works a push", m.name)
}

// idleSoon is idle for a node that beats once a minute: it is told to beat now, as its driver does.
func (m *machine) idleSoon(version, start string) {
	m.t.Helper()
	if start == "timer" {
		m.run("systemctl", "start", "addagent-beat.service")
	}
	if start == "cron" {
		m.run("sh", "-c", regexp.MustCompile(`(?m)^\* \* \* \* \* root (.*)$`).FindStringSubmatch(m.read("/etc/cron.d/addagent"))[1])
	}
	m.idle(version)
}

func (l *lab) removed(m *machine) {
	l.t.Helper()
	version := l.push("true")
	m.idle(version)
	before := m.read("/root/init.log")
	m.run("dpkg", "-r", "addagent")
	if m.show("ActiveState") == "active" || m.read("/var/lib/addagent/instance.json") == "" || m.read("/etc/addagent/addagent.yaml") == "" {
		l.t.Fatal("removal: the agent runs, or data is gone")
	}
	m.run("dpkg", "-i", "/root/addagent.deb")
	m.until("the agent to go on", func() bool { return m.show("ActiveState") == "active" && m.state() == "idle" })
	m.run("addagent", "beat")
	if m.count("begin", version) != 1 || m.read("/root/init.log") != before {
		l.t.Fatal("after removal and installation something was done again")
	}
	m.run("dpkg", "-P", "addagent")
	for _, path := range []string{"/etc/addagent", "/etc/default/addagent", "/var/lib/addagent", "/run/addagent", "/root/nodeinfo", "/root/gitrepo/ops/.temp/add"} {
		if _, err := os.Lstat(filepath.Join(m.path("root"), path)); err == nil {
			l.t.Errorf("%s is there after purge", path)
		}
	}
	if m.read("/root/gitrepo/ops/job.sh") == "" {
		l.t.Error("purge deleted a clone")
	}
	l.say("%s: removed: data stays; installed again: it goes on; purged: nothing is left but the clones", m.name)
}

func (l *lab) copied(m *machine) {
	l.t.Helper()
	id := m.read("/root/nodeinfo/instance-id.txt")
	version := l.push("true")
	m.idle(version)
	m.powerOff()
	m.release()
	c := l.newMachine("c", l.netA, m.path("image"))
	if state := c.state(); state == "presetup" || state == "" {
		l.t.Fatalf("the image was to be of a node that lived, its state is %q", state)
	}
	c.powerOn()
	c.until("initdone", func() bool {
		return strings.Contains(c.read("/root/nodeinfo/statelog.txt"), "initdone:") && c.state() == "idle"
	})
	own := c.read("/root/nodeinfo/instance-id.txt")
	inits := strings.Split(c.read("/root/init.log"), "\n")
	if own == id || own == "" || len(inits) != 2 || inits[0] != "init of "+id || inits[1] != "init of "+own {
		l.t.Fatalf("the copy of %s is called %q; inits %q", id, own, inits)
	}
	if log := c.read("/root/log/addagent.log"); !strings.Contains(log, fmt.Sprintf("this image was copied from %s", id)) || !strings.Contains(log, "begins at presetup") {
		l.t.Fatal("the log does not tell of the copy")
	}
	l.say("c: image of %s (...%s) on new hardware: began at presetup as ...%s, with an init of its own", m.name, id[len(id)-8:], own[len(own)-8:])
}
