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

// tail is one log that is read, and read on, by its name: whichever file has that
// name. It holds the file open, so that nothing is lost when it is moved away.
type tail struct {
	path    string
	rotated func() []string   // older files of the same log, oldest first; nil = each file is a log of its own
	opened  func(path string) // told which file it is now; nil = nobody cares
	out     logWriter
	say     func(format string, args ...any)

	file *os.File // nil = not there yet
	at   int64    // read so far
	last string   // the newest rotated file that is dealt with
	cut  bool     // it was said that the middle is missing
}

// begin opens the log so that the last so many lines come next; -1 are all. What
// of them stands in rotated files is printed at once.
func (t *tail) begin(lines int) (missing bool, err error) {
	f, err := t.open()
	if err != nil {
		return false, err
	}
	got := 0
	if t.file = f; f != nil {
		if t.at, got, err = lastLines(f, fileSize(f), lines); err != nil {
			return false, err
		}
	}
	if t.rotated == nil {
		return f == nil, nil
	}
	older := slices.DeleteFunc(t.rotated(), func(path string) bool { return isFile(f, path) })
	if len(older) > 0 {
		t.last = older[len(older)-1]
	}
	if lines < 0 || got < lines {
		err = t.older(older, lines, got)
	}
	return f == nil && len(older) == 0, err
}

// older prints what rotated files have of the last lines.
func (t *tail) older(paths []string, lines, got int) error {
	type part struct {
		path string
		from int64
	}
	var parts []part
	for i := len(paths) - 1; i >= 0 && (lines < 0 || got < lines); i-- {
		f, err := files.Open(paths[i])
		if errors.Is(err, fs.ErrNotExist) {
			break // the agent keeps so many, and has just removed this one
		}
		if err != nil {
			return err
		}
		more := -1
		if lines >= 0 {
			more = lines - got
		}
		from, n, err := lastLines(f, fileSize(f), more)
		f.Close()
		if err != nil {
			return err
		}
		parts, got = append(parts, part{paths[i], from}), got+n
	}
	for i := len(parts) - 1; i >= 0; i-- {
		if err := t.whole(parts[i].path, parts[i].from); err != nil {
			return err
		}
	}
	return nil
}

// whole prints a file that nobody writes any more, leaving the open one alone.
func (t *tail) whole(path string, from int64) error {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	one := &tail{path: path, out: t.out, say: t.say, file: f, at: from}
	if err := one.read(); err != nil {
		return err
	}
	return t.out.end()
}

// open opens whichever file has the name now; none is no error.
func (t *tail) open() (*os.File, error) {
	f, err := files.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if t.opened != nil {
		name := t.path
		if real, err := filepath.EvalSymlinks(t.path); err == nil && isFile(f, real) {
			name = real
		}
		t.opened(name)
	}
	return f, nil
}

// poll prints what is new. Without follow it prints to the end, once.
func (t *tail) poll(follow bool) error {
	if t.file != nil {
		if err := t.read(); err != nil {
			return err
		}
	}
	if !follow {
		return t.close()
	}
	now, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // moved away, and the new one is not there yet: until it is, the old one is the log
	}
	if err != nil {
		return err
	}
	if t.file != nil {
		if isFile(t.file, t.path) {
			return t.shorter(now.Size())
		}
		// Another file has the name. What was written to the old one before that is still read.
		if err := t.read(); err != nil {
			return err
		}
	}
	return t.next()
}

// next goes over to the file that has the name now, by way of those that were
// rotated since.
func (t *tail) next() error {
	f, err := t.open()
	if err != nil || f == nil {
		return err
	}
	old := t.file
	if err := t.out.end(); err != nil {
		f.Close()
		return err
	}
	if t.rotated != nil {
		for _, path := range t.rotated() {
			if isFile(f, path) {
				break // rotated since it was opened
			}
			if path <= t.last {
				continue
			}
			t.last = path
			if isFile(old, path) {
				continue
			}
			if err := t.whole(path, 0); err != nil {
				f.Close()
				return err
			}
		}
	}
	if old != nil {
		old.Close()
	}
	t.file, t.at, t.cut = f, 0, false
	return t.read()
}

func (t *tail) close() error {
	if t.file == nil {
		return nil
	}
	t.file.Close()
	t.file = nil
	return t.out.end()
}

func (t *tail) size() int64 { return fileSize(t.file) }

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
