package metrics

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what this process costs: bytes of resident memory now (0 without /proc), and processor time since its start
// without that of its children.
func Usage() (resident int64, cpu time.Duration) {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err == nil {
		cpu = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	// The second field counts resident pages, proc_pid_statm(5).
	data, _ := os.ReadFile("/proc/self/statm")
	if fields := bytes.Fields(data); len(fields) > 1 {
		if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			resident = pages * int64(os.Getpagesize())
		}
	}
	return resident, cpu
}
