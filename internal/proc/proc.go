package proc

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Catches tells whether a process has a handler for a signal that would end it
// otherwise (/proc/PID/status, man 5 proc). Where that cannot be read nothing is sent.
func Catches(pid int, s syscall.Signal) bool {
	bits, err := strconv.ParseUint(Status(pid, "SigCgt"), 16, 64)
	return err == nil && bits&(1<<(uint(s)-1)) != 0
}

// Stopped tells whether a process is stopped by a signal or a tracer: it does nothing until it is continued.
func Stopped(pid int) bool {
	return strings.HasPrefix(strings.ToUpper(Status(pid, "State")), "T")
}

// Status is a line of /proc/PID/status; "" where that cannot be read.
func Status(pid int, name string) string {
	for line := range strings.Lines(File(pid, "status")) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// File is a file of /proc/PID, "" where that cannot be read.
func File(pid int, name string) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		return ""
	}
	return string(text)
}

// Lives tells whether there is such a process.
func Lives(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// UnitIn is the unit of systemd that a process runs in, "" when it is none. Format: /proc/PID/cgroup, cgroups(7).
func UnitIn(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		if unit := path.Base(strings.TrimSpace(line)); strings.HasSuffix(unit, ".service") {
			return unit
		}
	}
	return ""
}
