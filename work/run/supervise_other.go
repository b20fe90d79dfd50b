//go:build !linux

package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Work is done on Linux only: sessions are found through /proc. Elsewhere the package builds, judges and explains.
var errLinuxOnly = errors.New("work runs on Linux only")

func spawnShim(*Lock, Order, Program) (int, <-chan struct{}, error) { return 0, nil, errLinuxOnly }

// Supervise is the body of the hidden command `addagent work-shim`; on this system it only refuses.
func Supervise(context.Context) int {
	fmt.Fprintln(os.Stderr, errLinuxOnly)
	return 1
}

// sweepAll has nothing to sweep where no work runs.
func sweepAll(*Lock, []string, string, time.Duration) ([]string, error) { return nil, nil }

func waitProcess(_ int, atMost time.Duration) { <-time.NewTimer(atMost).C }

func wakeStopped(int) {}

// allocate gives f size bytes of disk that a later write of them cannot be refused.
func allocate(f *os.File, size int64) error { return fillWithZeros(f, size) }
