package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/addagent/addagent/internal/files"
)

// tail is one log that is read, and read on, by its name: whichever file has that name. It holds the file open, so that
// nothing is lost when it is moved away. It is our own because the libraries for this lose lines when a log is rotated
// more than once between two looks, print some twice, and with inotify do not see that a link was swapped.
type tail struct {
	path    string
	rotated func() []string   // older files of the same log, oldest first; nil: each file is a log of its own
	opened  func(path string) // is told which file it is now; may be nil
	out     *lineWriter
	say     func(format string, args ...any)

	file *os.File // nil before there is one
	at   int64    // read so far
	last string   // the newest rotated file that is dealt with
	cut  bool     // it was said that the middle is missing
}

// advance goes over to the file that has the name now, by way of those that were rotated since, and prints the last so
// many lines of them all; -1 are all.
func (t *tail) advance(lines int) error {
	now, err := open(t.path) // before the rotated ones are listed: it may be the next of them
	if err != nil {
		return err
	}
	var older []string
	if t.rotated != nil {
		for _, path := range t.rotated() {
			if isFile(now, path) {
				break
			}
			if path > t.last && !isFile(t.file, path) {
				older = append(older, path)
			}
			t.last = max(t.last, path)
		}
	}
	type part struct {
		file *os.File
		from int64
	}
	var parts []part // newest first
	for f := now; ; {
		if f != nil {
			from, got, err := lastLines(f, fileSize(f), lines)
			if err != nil {
				return err
			}
			if parts = append(parts, part{f, from}); lines > 0 {
				lines -= got
			}
		}
		if len(older) == 0 || lines == 0 {
			break
		}
		if f, err = open(older[len(older)-1]); err != nil {
			return err
		}
		older = older[:len(older)-1]
	}
	for _, p := range slices.Backward(parts) {
		if err := t.end(); err != nil {
			return err
		}
		t.file, t.at, t.cut = p.file, p.from, false
		if t.opened != nil {
			name := t.path
			if real, err := filepath.EvalSymlinks(t.path); err == nil && isFile(t.file, real) {
				name = real
			}
			t.opened(name)
		}
		if err := t.read(); err != nil {
			return err
		}
	}
	return nil
}

// missing tells that the log is not there.
func (t *tail) missing() bool { return t.file == nil }

// empty tells that nothing was ever written to the log.
func (t *tail) empty() bool { return fileSize(t.file) == 0 && t.last == "" }

// open opens a file; nil when it is not there: not yet, or the agent, which keeps so many, has just removed it.
func open(path string) (*os.File, error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// poll prints what is new.
func (t *tail) poll() error {
	if err := t.read(); err != nil {
		return err
	}
	now, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // moved away, and the new one is not there yet: until it is, the old one is the log
	case err != nil:
		return err
	case isFile(t.file, t.path):
		return t.shorter(now.Size())
	}
	// Another file has the name. What was written to the old one before that is still read.
	if err := t.read(); err != nil {
		return err
	}
	return t.advance(-1)
}

// end prints what is left of a line without an end; nothing more comes of this file.
func (t *tail) end() error {
	t.file.Close() // a nil one, too
	t.file = nil
	return t.out.end()
}

// boundedFrom is the size from which on a shortened log of a run was shortened by
// its shim, which keeps the first megabyte and the end: that was all read already.
const boundedFrom = 1 << 20

// shorter deals with a file that is shorter than what was read of it.
func (t *tail) shorter(size int64) error {
	if size >= t.at {
		return nil
	}
	if t.rotated == nil && size >= boundedFrom {
		t.at = size
		t.say("==> the middle of %s was cut out <==", t.path)
		return nil
	}
	t.at = 0
	t.say("==> %s was truncated <==", t.path)
	return t.read()
}

// read passes on what lies between the last read and the end. The shim cuts holes
// into the log of a script that writes without end: they are passed over.
func (t *tail) read() error {
	if t.file == nil {
		return nil
	}
	chunk := make([]byte, 32<<10)
	for {
		n, err := t.file.ReadAt(chunk, t.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", t.path, err)
		}
		if n == 0 {
			return nil
		}
		data := chunk[:n]
		t.at += int64(n)
		if bytes.IndexByte(data, 0) >= 0 {
			data = bytes.ReplaceAll(data, []byte{0}, nil)
			if !t.cut {
				t.cut = true
				t.say("==> the middle of %s was cut out <==", t.path)
			}
			if len(data) == 0 {
				if next, err := t.file.Seek(t.at, unix.SEEK_DATA); err == nil {
					t.at = next
				}
			}
		}
		if _, err := t.out.Write(data); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
}

// lastLines is where the last n lines of a file begin, and how many there are: less
// than n when the file has no more. -1 asks for all. A hole counts as the beginning.
func lastLines(f io.ReaderAt, size int64, n int) (from int64, got int, err error) {
	if n < 0 {
		return 0, 0, nil
	}
	if n == 0 || size == 0 {
		return size, 0, nil
	}
	chunk := make([]byte, 32<<10)
	for end := size; end > 0; {
		begin := max(0, end-int64(len(chunk)))
		part := chunk[:end-begin]
		if k, err := f.ReadAt(part, begin); err != nil && !(errors.Is(err, io.EOF) && k == len(part)) {
			if errors.Is(err, io.EOF) {
				return 0, 0, nil // truncated meanwhile
			}
			return 0, 0, err
		}
		for i := len(part) - 1; i >= 0; i-- {
			at := begin + int64(i)
			switch {
			case part[i] == 0:
				return at + 1, got + 1, nil
			case part[i] != '\n' || at == size-1:
				continue
			}
			if got++; got == n {
				return at + 1, got, nil
			}
		}
		end = begin
	}
	return 0, got + 1, nil
}

func fileSize(f *os.File) int64 {
	if f == nil {
		return 0
	}
	st, err := f.Stat()
	if err != nil {
		return 0
	}
	return st.Size()
}

// isFile tells whether an open file is the one that has this name.
func isFile(f *os.File, path string) bool {
	if f == nil {
		return false
	}
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	mine, err := f.Stat()
	return err == nil && os.SameFile(st, mine)
}
