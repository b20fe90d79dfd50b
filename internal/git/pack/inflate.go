package pack

import (
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// inflater inflates one piece after the other: a new one for each would cost 40 KB.
type inflater struct {
	z    io.ReadCloser
	more [1]byte
}

// open begins a piece.
func (i *inflater) open(r io.Reader) (err error) {
	if i.z == nil {
		i.z, err = zlib.NewReader(r)
		return err
	}
	return i.z.(zlib.Resetter).Reset(r, nil)
}

func (i *inflater) Read(p []byte) (int, error) { return i.z.Read(p) }

// fill reads a piece that is as long as b, up to the checksum at its end.
func (i *inflater) fill(b []byte) error {
	if _, err := io.ReadFull(i.z, b); err != nil {
		return err
	}
	switch n, err := i.z.Read(i.more[:]); {
	case n > 0:
		return fmt.Errorf("%w: an object longer than it says", ErrCorrupt)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}
