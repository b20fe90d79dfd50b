package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUnits holds the units against systemd itself. The programs that they start are elsewhere on this machine.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"addagent.service", "addagent-beat.service", "addagent.timer", "addctl-fold.service", "addctl-doctor.service", "addctl-web.service"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("=/usr/bin/addagent", "=/bin/true", "=/usr/bin/addctl", "=/bin/true").Replace(string(data))
		units = append(units, filepath.Join(dir, name))
		if err := os.WriteFile(units[len(units)-1], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestPromisedSettings: each is there for a case that no other test, and no machine that boots in one, comes into.
func TestPromisedSettings(t *testing.T) {
	for name, settings := range map[string][]string{
		"addagent.service": {"Type=notify", "NotifyAccess=main", "WatchdogSec=3min", "Restart=always", "RestartSec=2s", "RestartPreventExitStatus=2 4",
			"StartLimitIntervalSec=0", "KillMode=process", "OOMPolicy=continue", "EnvironmentFile=-/etc/default/addagent", "ExecStart=/usr/bin/addagent run"},
		"addagent-beat.service": {"Type=oneshot", "ExecStart=/usr/bin/addagent beat --spread", "SuccessExitStatus=1 3 4 5", "KillMode=process", "OOMPolicy=continue", "EnvironmentFile=-/etc/default/addagent"},
		"addagent.timer":        {"OnCalendar=*-*-* *:*:00", "AccuracySec=1s", "Unit=addagent-beat.service"},
		// Without root, an empty root folder around it, and no call that leads out of it.
		"addctl-fold.service": {"Type=notify", "ExecStart=/usr/bin/addctl presence:fold --every 1m", "RestartPreventExitStatus=2", "DynamicUser=yes",
			"CapabilityBoundingSet=CAP_DAC_READ_SEARCH", "RootDirectory=/run/addctl-fold", "TemporaryFileSystem=/:ro", "NoNewPrivileges=yes", "RestrictNamespaces=yes", "SystemCallFilter=~@privileged @resources"},
		"addctl-doctor.service": {"Type=notify", "ExecStart=/usr/bin/addctl doctor --every 1m", "RestartPreventExitStatus=2", "DynamicUser=yes", "Conflicts=addctl-fold.service", "KillMode=mixed",
			"CapabilityBoundingSet=CAP_DAC_READ_SEARCH", "RootDirectory=/run/addctl-doctor", "TemporaryFileSystem=/:ro", "NoNewPrivileges=yes", "RestrictNamespaces=yes", "SystemCallFilter=~@privileged @resources"},
		"addctl-web.service": {"Type=exec", "ExecStart=/usr/bin/addctl web", "RestartPreventExitStatus=2", "DynamicUser=yes",
			"CapabilityBoundingSet=CAP_DAC_READ_SEARCH", "RootDirectory=/run/addctl-web", "TemporaryFileSystem=/:ro", "NoNewPrivileges=yes", "RestrictNamespaces=yes", "SystemCallFilter=~@privileged @resources"},
		"growing-delay.conf": {"RestartSteps=6", "RestartMaxDelaySec=60s"},
		"addagent.tmpfiles":  {"d /run/addagent 0755 root root -"},
	} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		for _, s := range settings {
			if !slices.Contains(lines, s) {
				t.Errorf("%s: no %s", name, s)
			}
		}
	}
}

// TestNoLimitOnWork refuses settings that people's work, which lives in the cgroup of the agent, would feel, and the
// one that deletes the lock under it.
func TestNoLimitOnWork(t *testing.T) {
	for _, name := range []string{"addagent.service", "addagent-beat.service", "growing-delay.conf"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			key, value, set := strings.Cut(strings.TrimSpace(line), "=")
			if !set || strings.HasPrefix(key, "#") {
				continue
			}
			for _, bad := range []string{"RuntimeDirectory", "Memory", "CPU", "IO", "Limit", "Protect", "Private", "Restrict", "NoNew", "ReadOnly", "Inaccessible", "SystemCall", "Capability", "Nice", "OOMScore", "User"} {
				if strings.HasPrefix(key, bad) {
					t.Errorf("%s: %s falls on people's work", name, key)
				}
			}
			if key == "TasksMax" && value != "infinity" {
				t.Errorf("%s: TasksMax=%s falls on people's work", name, value)
			}
		}
	}
}

// TestEveryLineHasItsReason wants a comment above each setting of the units, or above the settings it belongs to.
func TestEveryLineHasItsReason(t *testing.T) {
	plain := []string{"Description", "Documentation", "WantedBy", "ExecStart", "Unit", "EnvironmentFile", "After", "OOMPolicy", "TasksMax", "RestartMaxDelaySec", "RestartSteps"}
	for _, name := range []string{"addagent.service", "addagent-beat.service", "addagent.timer", "addctl-fold.service", "addctl-doctor.service", "addctl-web.service"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before := ""
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			key, _, set := strings.Cut(line, "=")
			if set && !strings.HasPrefix(line, "#") && !strings.HasPrefix(before, "#") && !slices.Contains(plain, key) {
				t.Errorf("%s: %s has no reason beside it", name, line)
			}
			if !strings.HasPrefix(name, "addctl-") || !set { // whose walls share their reasons, a paragraph each
				before = line
			}
		}
	}
}
