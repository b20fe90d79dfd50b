package journal

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	screenWait = 1000    // ms that a line waits for a reader that has stopped; the lines after it do not wait
	screenPart = 4 << 10 // bytes that a pipe takes at once when it takes anything: PIPE_BUF
)

// Unblocked is standard error for a process that must not wait for whatever reads it: a journal that hangs, a pipe
// that is never read. Lines that do not fit are lost there; log/addagent.log has them.
func Unblocked(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		return &unblocked{File: f, fd: int32(f.Fd())}
	}
	return w
}

type unblocked struct {
	*os.File
	fd   int32
	full bool // the reader has stopped
}

func (u *unblocked) Write(line []byte) (int, error) {
	for rest := line; len(rest) > 0; {
		wait := screenWait
		if u.full {
			wait = 0
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: u.fd, Events: unix.POLLOUT}}, wait)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if u.full = err == nil && n == 0; u.full {
			break
		}
		part := rest[:min(len(rest), screenPart)]
		if _, err := u.File.Write(part); err != nil {
			return 0, err
		}
		rest = rest[len(part):]
	}
	return len(line), nil
}
