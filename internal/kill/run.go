package kill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// Run runs a program that ends this machine. What it says goes into the error, on one line.
func Run(ctx context.Context, argv []string) error {
	if len(argv) == 0 {
		return errors.New("wedged.command is not set")
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = 5 * time.Second // what it leaves running may hold its output
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ADD_SECRET_") || strings.HasPrefix(v, "NOTIFY_SOCKET=") || strings.HasPrefix(v, "WATCHDOG_")
	})
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if text := human.Safe(strings.TrimSpace(string(out[:min(len(out), 300)]))); text != "" {
		return fmt.Errorf("%s: %w: %s", argv[0], err, text)
	}
	return fmt.Errorf("%s: %w", argv[0], err)
}
