package systemd

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"time"
)

// ShuttingDown tells whether the machine itself is going down, asked by a service that was told to stop. systemd knows
// best; where it does not run, /run/nologin is what a shutdown leaves (shutdown(8)).
func ShuttingDown(ctx context.Context) bool { return shuttingDown(ctx, "/run") }

// askTime bounds the question: who is told to stop has not for ever.
const askTime = 2 * time.Second

func shuttingDown(ctx context.Context, run string) bool {
	if _, err := os.Stat(run + "/systemd/system"); err == nil {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		// It exits with 1 for every answer but "running".
		ask := exec.CommandContext(ctx, "systemctl", "is-system-running")
		ask.WaitDelay = askTime
		if answer, _ := ask.Output(); len(answer) > 0 {
			return strings.TrimSpace(string(answer)) == "stopping"
		}
	}
	_, err := os.Stat(run + "/nologin")
	return err == nil
}
