package systemd

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"time"
)

// ShuttingDown tells whether the machine itself is shutting down, for a service that was told to stop. It asks systemd;
// without systemd, a shutdown creates /run/nologin (shutdown(8)).
func ShuttingDown(ctx context.Context) bool { return shuttingDown(ctx, "/run") }

// askTime bounds the question: a service must stop in time.
const askTime = 2 * time.Second

func shuttingDown(ctx context.Context, run string) bool {
	if _, err := os.Stat(run + "/systemd/system"); err == nil {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		// It exits with 1 unless the answer is "running".
		ask := exec.CommandContext(ctx, "systemctl", "is-system-running")
		ask.WaitDelay = askTime
		if answer, _ := ask.Output(); len(answer) > 0 {
			return strings.TrimSpace(string(answer)) == "stopping"
		}
	}
	_, err := os.Stat(run + "/nologin")
	return err == nil
}
