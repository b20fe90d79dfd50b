package pack

import (
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

// content is what an object holds, in memory when it is small and in a nameless file when it is not.
type content struct {
	kind plumbing.ObjectType
	size int64
	data []byte
	file *os.File
}

func (c *content) ReadAt(p []byte, at int64) (int, error) {
	if c.file != nil {
		return c.file.ReadAt(p, at)
	}
	if at > int64(len(c.data)) {
		return 0, io.EOF
	}
	n := copy(p, c.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (c *content) close() {
	if c != nil && c.file != nil {
		_ = c.file.Close() // it has no name any more
	}
}

// filler writes into a slice of fixed length.
type filler struct {
	b []byte
	n int
}

func (f *filler) Write(p []byte) (int, error) {
	n := copy(f.b[f.n:], p)
	f.n += n
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}
