package systemd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestShuttingDown(t *testing.T) {
	for _, c := range []struct {
		name    string
		systemd string // what systemctl says; "" = it does not run
		nologin bool
		want    bool
	}{
		{"an ordinary stop", "running", false, false},
		{"a degraded machine", "degraded", false, false},
		{"a machine that still boots", "starting", true, false},
		{"a shutdown", "stopping", true, true},
		{"a shutdown that lets people in", "stopping", false, true},
		{"no systemd", "", false, false},
		{"no systemd, a shutdown", "", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			run, bin := t.TempDir(), t.TempDir()
			t.Setenv("PATH", bin+":/usr/bin:/bin")
			if c.systemd != "" {
				if err := os.MkdirAll(filepath.Join(run, "systemd", "system"), 0o755); err != nil {
					t.Fatal(err)
				}
				script := "#!/bin/sh\necho " + c.systemd + "\n[ " + c.systemd + " = running ]\n"
				if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if c.nologin {
				if err := os.WriteFile(filepath.Join(run, "nologin"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := shuttingDown(t.Context(), run); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
