package offer

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

// witness is a pipe that all processes of a check inherit: it ends when none of them is left. To look at all processes
// of the machine at each beat would cost more than the check.
type witness struct{ ours, theirs *os.File }

// newWitness gives a command, which has not begun, its end of the pipe.
func newWitness(cmd *exec.Cmd) (w witness, err error) {
	if w.ours, w.theirs, err = os.Pipe(); err == nil {
		cmd.ExtraFiles = []*os.File{w.theirs}
	}
	return w, err
}

// end kills what is left of the command, which has ended, wherever it went.
func (w witness) end() {
	_ = w.theirs.Close()
	for range endTries {
		if !w.left() {
			return
		}
		killHolders(w.ours)
	}
}

const (
	endTries = 10
	// goneTime is how long the kernel takes to end what was killed.
	goneTime = 20 * time.Millisecond
)

// left says whether a process has the pipe.
func (w witness) left() bool {
	_ = w.ours.SetReadDeadline(time.Now().Add(goneTime))
	for buf := make([]byte, 512); ; {
		if _, err := w.ours.Read(buf); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

func (w witness) close() {
	_ = w.ours.Close()
	_ = w.theirs.Close()
}
