package run

import (
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/addagent/addagent/work/session"
	"golang.org/x/sys/unix"
)

// lockFD is where the shim finds the lock: the first of exec.Cmd's ExtraFiles.
const lockFD = 3

// spawnShim starts the shim so that nothing of this process is needed afterwards: a session of its own (the agent's
// terminal, its ^C and its hangup do not reach it), the order in memory instead of a pipe that a process must
// go on writing to, its output straight into the log.
func spawnShim(l *Lock, o Order, p Program) (pid int, done <-chan struct{}, err error) {
	data, err := json.Marshal(o)
	if err != nil {
		return 0, nil, err
	}
	order, err := session.MemoryFile("addagent-order", data)
	if err != nil {
		return 0, nil, err
	}
	defer order.Close()
	log, err := os.OpenFile(o.Attempt.Log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, nil, err
	}
	defer log.Close()
	if p.Path == "" {
		p = Program{Path: "/proc/self/exe", Args: []string{"work-shim"}}
	}
	cmd := exec.Command(p.Path, p.Args...)
	if p.Path == "/proc/self/exe" {
		cmd.Args[0] = os.Args[0] // what ps shows
	}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = order, log, log
	cmd.ExtraFiles = []*os.File{l.file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return cmd.Process.Pid, ended, nil
}

// waitProcess returns when the process has ended, atMost has passed, or a signal came. A process that is not there has
// not "ended": it waits all the same, so that a caller who asks again does not spin.
func waitProcess(pid int, atMost time.Duration) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		<-time.NewTimer(atMost).C
		return
	}
	defer unix.Close(fd)
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(atMost.Milliseconds()))
}

// wakeStopped continues a process that was stopped. Under a debugger it is stopped in another way, and left
// alone.
func wakeStopped(pid int) {
	if p, ok := session.Read(pid); ok && p.State == 'T' {
		p.Signal(syscall.SIGCONT)
	}
}
