//go:build !linux

package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/addagent/addagent/internal/retry"
)

// Work is done on Linux only: sessions are found through /proc. Elsewhere the package builds, judges and explains.
var errLinuxOnly = errors.New("work runs on Linux only")

func spawnShim(*Lock, Order, Program) (int, <-chan error, error) { return 0, nil, errLinuxOnly }

// Supervise is the body of the hidden command `addagent work-shim`; on this system it only refuses.
func Supervise(context.Context) int {
	fmt.Fprintln(os.Stderr, errLinuxOnly)
	return 1
}

// sweepAll has nothing to sweep where no work runs.
func sweepAll(*Lock, []string, string, time.Duration) ([]Swept, error) { return nil, nil }

func waitProcess(ctx context.Context, _ int, atMost time.Duration) {
	retry.Wait(ctx, atMost)
}

func bootID() string { return "" }

func wakeStopped(int) {}
