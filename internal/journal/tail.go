package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"golang.org/x/sys/unix"
)

// Tail is one log that is read, and read on, by its name: whichever file has that name. It holds the file open, so that
// nothing is lost when it is moved away. It is our own because the libraries for this lose lines when a log is rotated
// more than once between two looks, print some twice, and with inotify do not see that a link was swapped.
type Tail struct {
	Path    string
	Rotated func() []string   // older files of the same log, oldest first; nil: each file is a log of its own
	Opened  func(path string) // is told which file it is now; may be nil
	Out     *LineWriter
	Say     func(format string, args ...any)

	file *os.File // nil before there is one
	at   int64    // read so far
	last string   // the newest rotated file that is dealt with
	cut  bool     // it was said that the middle is missing
}

// Advance goes over to the file that has the name now, by way of those that were rotated since, and prints the last so
// many lines of them all; -1 are all.
func (t *Tail) Advance(lines int) error {
	now, err := open(t.Path) // before the rotated ones are listed: it may be the next of them
	if err != nil {
		return err
	}
	var older []string
	if t.Rotated != nil {
		for _, path := range t.Rotated() {
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
		if err := t.End(); err != nil {
			return err
		}
		t.file, t.at, t.cut = p.file, p.from, false
		if t.Opened != nil {
			name := t.Path
			if real, err := filepath.EvalSymlinks(t.Path); err == nil && isFile(t.file, real) {
				name = real
			}
			t.Opened(name)
		}
		if err := t.read(); err != nil {
			return err
		}
	}
	return nil
}

// Missing tells that the log is not there.
func (t *Tail) Missing() bool { return t.file == nil }

// Empty tells that nothing was ever written to the log.
func (t *Tail) Empty() bool { return fileSize(t.file) == 0 && t.last == "" }

// open opens a file; nil when it is not there: not yet, or the agent, which keeps so many, has just removed it.
func open(path string) (*os.File, error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// Poll prints what is new.
func (t *Tail) Poll() error {
	if err := t.read(); err != nil {
		return err
	}
	now, err := os.Stat(t.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // moved away, and the new one is not there yet: until it is, the old one is the log
	case err != nil:
		return err
	case isFile(t.file, t.Path):
		return t.shorter(now.Size())
	}
	// Another file has the name. What was written to the old one before that is still read.
	if err := t.read(); err != nil {
		return err
	}
	return t.Advance(-1)
}

// End prints what is left of a line without an end; nothing more comes of this file.
func (t *Tail) End() error {
	t.file.Close() // a nil one, too
	t.file = nil
	return t.Out.End()
}

// boundedFrom is the size from which on a shortened log of a run was shortened by
// its shim, which keeps the first megabyte and the end: that was all read already.
const boundedFrom = 1 << 20

// shorter deals with a file that is shorter than what was read of it.
func (t *Tail) shorter(size int64) error {
	if size >= t.at {
		return nil
	}
	if t.Rotated == nil && size >= boundedFrom {
		t.at = size
		t.Say("==> %s: middle omitted <==", t.Path)
		return nil
	}
	t.at = 0
	t.Say("==> %s was truncated <==", t.Path)
	return t.read()
}

// read passes on what lies between the last read and the end. The shim cuts holes
// into the log of a script that writes without end: they are passed over.
func (t *Tail) read() error {
	if t.file == nil {
		return nil
	}
	chunk := make([]byte, 32<<10)
	for {
		n, err := t.file.ReadAt(chunk, t.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", t.Path, err)
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
				t.Say("==> %s: middle omitted <==", t.Path)
			}
			if len(data) == 0 {
				if next, err := t.file.Seek(t.at, unix.SEEK_DATA); err == nil {
					t.at = next
				}
			}
		}
		if _, err := t.Out.Write(data); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
}

// lastLines is where the last n lines of a file begin, and how many there are: fewer
// than n in a shorter file. -1 asks for all. A hole counts as the beginning.
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

// LastLine is the last line of a log, "" when there is none that can be read.
func LastLine(path string) string {
	f, err := files.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	size := fileSize(f)
	from, _, err := lastLines(f, size, 1)
	if err != nil {
		return ""
	}
	const most = 400
	line, err := io.ReadAll(io.NewSectionReader(f, from, min(size-from, most)))
	if err != nil {
		return ""
	}
	return human.Safe(strings.TrimSpace(string(line)))
}
