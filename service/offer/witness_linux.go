package offer

import (
	"os"
	"strconv"
	"syscall"

	"github.com/addagent/addagent/work/session"
)

// killHolders kills all other processes that have the pipe. What this account may not see or kill stays.
func killHolders(pipe *os.File) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	link := ""
	_ = raw.Control(func(fd uintptr) { // and not Fd, which takes the deadlines from a file
		link, _ = os.Readlink(session.ProcPath(os.Getpid(), "fd/"+strconv.Itoa(int(fd))))
	})
	all, err := session.Processes(0, func(p session.Process) bool { return p.PID != os.Getpid() && session.Holds(p.PID, link) })
	if err != nil {
		return
	}
	for _, p := range all {
		p.Signal(syscall.SIGKILL)
	}
}
