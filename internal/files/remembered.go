package files

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Remembered is a value that one file keeps from process to process, as JSON on one line.
type Remembered[T any] struct {
	Path    string
	What    string                  // begins each error: "chat memory"
	Limit   int64                   // of bytes that are read; 0 = 1 MB
	Parse   func([]byte) (T, error) // nil = any JSON that T takes
	Durable bool                    // it decides something, so it survives a power cut
	Public  bool                    // other accounts may read it; else it and the folder are made for ours alone
	Indent  string                  // not on one line, and with <, > and & as they are: people read it
}

// Corrupt is the error for a file with anything in it that was not saved there.
type Corrupt struct {
	Err   error
	Aside string // where it is now; "" after Peek
}

func (c *Corrupt) Error() string {
	if c.Aside == "" {
		return c.Err.Error()
	}
	return c.Err.Error() + ": set aside as " + c.Aside
}

func (c *Corrupt) Unwrap() error { return c.Err }

// Recall reads the value; ok is false when there is none. A file with anything else in it is set aside as *.corrupt and
// is none, too: the error, which wraps a *Corrupt, says so. A file that cannot be read just now stays where it is.
func (r Remembered[T]) Recall() (v T, ok bool, err error) {
	v, ok, err = r.read()
	if c := (*Corrupt)(nil); errors.As(err, &c) {
		aside, failed := SetAside(r.Path, "corrupt")
		if c.Aside = aside; failed != nil {
			err = fmt.Errorf("%v; %w", c.Err, failed)
		}
	}
	return v, ok, r.wrap(err)
}

// Peek is Recall for those who must not write: nothing is set aside.
func (r Remembered[T]) Peek() (v T, ok bool, err error) {
	v, ok, err = r.read()
	return v, ok, r.wrap(err)
}

func (r Remembered[T]) read() (v T, ok bool, err error) {
	limit := r.Limit
	if limit == 0 {
		limit = 1 << 20
	}
	data, err := ReadSmall(r.Path, limit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return v, false, nil
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrIrregular):
		return v, false, &Corrupt{Err: err}
	case err != nil:
		return v, false, err
	case r.Parse != nil:
		v, err = r.Parse(data)
	default:
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		var none T
		return none, false, &Corrupt{Err: err}
	}
	return v, true, nil
}

// Save writes the value.
func (r Remembered[T]) Save(v T) error {
	data, err := r.Encode(v)
	if err != nil {
		return err
	}
	return r.Put(data)
}

// Encode is what Save writes.
func (r Remembered[T]) Encode(v T) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", r.Indent)
	e.SetEscapeHTML(r.Indent == "")
	err := e.Encode(v)
	return b.Bytes(), r.wrap(err)
}

// Put writes the value in the form that Parse reads.
func (r Remembered[T]) Put(data []byte) error {
	write, file, folder := Replace, fs.FileMode(0o600), fs.FileMode(0o700)
	if r.Durable {
		write = Write
	}
	if r.Public {
		file, folder = 0o644, 0o755
	}
	err := write(r.Path, data, file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		if _, err = MakeFolder(filepath.Dir(r.Path), folder); err == nil {
			err = write(r.Path, data, file)
		}
	}
	return r.wrap(err)
}

// Forget removes the file, durably; that there is none is no error.
func (r Remembered[T]) Forget() error {
	err := Remove(r.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return r.wrap(err)
}

func (r Remembered[T]) wrap(err error) error {
	if err == nil || r.What == "" {
		return err
	}
	return fmt.Errorf("%s: %w", r.What, err)
}
