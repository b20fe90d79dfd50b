package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds is how much of a script's output stays on disk.
type Bounds struct {
	Total int64 // allocated bytes from which on the middle is cut out
	Head  int64 // of the beginning this much stays: what was about to be done, and the first error
	Tail  int64 // of the end this much: how it ended
}

// DefaultBounds: ordinary logs are never touched; a runaway one keeps about a hundred thousand lines.
func DefaultBounds() Bounds { return Bounds{Total: 16 << 20, Head: 1 << 20, Tail: 4 << 20} }

// Log is the log file that a script writes into directly, so that neither the shim nor the agent is between them. It
// is bounded from the side: by punching a hole into its middle while it grows, and by closing that hole when the script
// has ended.
type Log struct {
	path   string
	File   *os.File // what the script gets
	edit   *os.File // reads, punches, compacts: writes through append always go to the end
	Bounds Bounds
	cut    int64 // the bytes from bounds.Head to here are gone
	lost   int64 // bytes that went with a truncation, where the file system knows no holes
	last   int64 // size at the last look
	looked time.Time
	idle   time.Duration // the pause after the last look that found nothing new
}

func OpenLog(path string, b Bounds) (*Log, error) {
	appending, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	edit, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		appending.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &Log{path: path, File: appending, edit: edit, Bounds: b, looked: time.Now()}, nil
}

// Say adds a line of the shim's own.
func (o *Log) Say(format string, args ...any) {
	var b bytes.Buffer
	if end := make([]byte, 1); o.size() > 0 {
		if _, err := o.edit.ReadAt(end, o.size()-1); err == nil && end[0] != '\n' {
			b.WriteByte('\n')
		}
	}
	fmt.Fprintf(&b, NotePrefix+format+"\n", args...)
	_, _ = o.File.Write(b.Bytes()) // a full disk: the result says it too
}

func (o *Log) size() int64 {
	info, err := o.edit.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// bound cuts the middle out when the file has grown too large, and says when to look again: soon while it grows fast,
// so that it cannot outgrow its bound by much between two looks.
func (o *Log) bound(now time.Time) time.Duration {
	const soonest, latest = 10 * time.Millisecond, 250 * time.Millisecond
	size := o.size()
	if size < o.cut {
		o.cut = 0 // the script truncated its own log: "> /dev/stdout" does that
	}
	kept := size - max(o.cut-o.Bounds.Head, 0)
	if kept > o.Bounds.Total {
		o.punch(size)
		kept = o.Bounds.Head + o.Bounds.Tail
	}
	grown, took := size-o.last, now.Sub(o.looked)
	o.last, o.looked = size, now
	if grown <= 0 || took <= 0 {
		o.idle = min(max(2*o.idle, soonest), latest)
		return o.idle
	}
	o.idle = 0
	// A quarter of the time in which what is left fills at this rate.
	left := max(o.Bounds.Total-kept, 0)
	next := time.Duration(float64(left) / float64(grown) * float64(took) / 4)
	return min(max(next, soonest), latest)
}

func (o *Log) punch(size int64) {
	from, to := o.Bounds.Head, size-o.Bounds.Tail
	if to <= max(from, o.cut) {
		return
	}
	start := max(from, o.cut)
	err := unix.Fallocate(int(o.edit.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, start, to-start)
	switch {
	case err == nil:
		o.cut = to
	case errors.Is(err, unix.EINTR):
	default:
		// No holes here (NFS, some overlays): the beginning stays and the rest starts anew, so it is bounded all the
		// same.
		if o.edit.Truncate(from) == nil {
			o.lost += size - from
			o.cut = 0
		}
	}
}

// Finish makes the file what a person can read: beginning, one line that says how much was cut, end. In place: a server
// that the script left running on purpose may still write into it. It returns the script's last line.
func (o *Log) Finish() (string, error) {
	o.bound(time.Now())
	size := o.size()
	last := LastLine(o.edit, size)
	if o.cut == 0 && o.lost == 0 {
		return last, nil
	}
	from := o.Bounds.Head
	to := min(max(o.cut, size-o.Bounds.Tail, from), size)
	to += o.restOfLine(to, size)
	mark := fmt.Sprintf("\n... %d bytes cut here by addagent ...\n", to-from+o.lost)
	if to-from < int64(len(mark)) {
		if o.lost > 0 {
			o.Say("%d bytes were cut from this log after its first %d", o.lost, from)
		}
		return last, nil
	}
	if _, err := o.edit.WriteAt([]byte(mark), from); err != nil {
		return last, fmt.Errorf("shorten log: %w", err)
	}
	// Forward copy: the target is before the source, so an overlap does no harm.
	n, err := io.Copy(io.NewOffsetWriter(o.edit, from+int64(len(mark))), io.NewSectionReader(o.edit, to, size-to))
	if err != nil {
		return last, fmt.Errorf("shorten log: %w", err)
	}
	if err := o.edit.Truncate(from + int64(len(mark)) + n); err != nil {
		return last, fmt.Errorf("shorten log: %w", err)
	}
	o.cut, o.lost = 0, 0
	return last, nil
}

// restOfLine is how far the next line is from at, when that is near: the end shall begin with a whole line.
func (o *Log) restOfLine(at, size int64) int64 {
	data := make([]byte, min(4096, size-at))
	if n, err := o.edit.ReadAt(data, at); err != nil && !errors.Is(err, io.EOF) {
		return 0
	} else if i := bytes.IndexByte(data[:n], '\n'); i >= 0 {
		return int64(i) + 1
	}
	return 0
}

func (o *Log) Close() error { return errors.Join(o.File.Close(), o.edit.Close()) }

// KeepBounded looks after the size until stop is called, which returns when that has ended.
func (o *Log) KeepBounded() (stop func()) {
	over, idle := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(idle)
		look := time.NewTimer(0)
		defer look.Stop()
		for {
			select {
			case <-look.C:
				look.Reset(o.bound(time.Now()))
			case <-over:
				return
			}
		}
	}()
	return func() {
		close(over)
		<-idle
	}
}
