package proc

import "testing"

func TestUnitIn(t *testing.T) {
	for cgroup, want := range map[string]string{
		"":                                    "",
		"0::/system.slice/addagent.service\n": "addagent.service",
		"0::/user.slice/user-0.slice/session-2.scope\n":                                         "",
		"12:pids:/system.slice/agent@x.service\n1:name=systemd:/system.slice/agent@x.service\n": "agent@x.service",
	} {
		if got := UnitIn(cgroup); got != want {
			t.Errorf("%q: %q, want %q", cgroup, got, want)
		}
	}
}
