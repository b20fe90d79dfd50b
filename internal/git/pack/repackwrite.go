package pack

import (
	"bufio"
	"cmp"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxDepth is how many deltas may lean on each other in such a pack, as in git's own.
const maxDepth = 50

// packCopier writes objects of other packs into a new one: compressed as they are where they can stand so there, so
// that what a server packed well stays so and a large object is neither held nor compressed again.
type packCopier struct {
	*Repack
	out  *counted
	flat *zlib.Writer
	buf  []byte
}

// writePack writes the stream of the new pack.
func (f *Repack) writePack(ctx context.Context, to io.Writer) error {
	// In the order of packs and offsets, so that each is read once from front to back.
	order := make([]int32, len(f.list))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		x, y := &f.list[a], &f.list[b]
		if x.pack != y.pack {
			return strings.Compare(x.source(), y.source())
		}
		return cmp.Compare(x.at, y.at)
	})
	sum := sha1.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(to, sum), 32<<10)
	c := &packCopier{Repack: f, out: &counted{w: buffered}, buf: make([]byte, 32<<10)}
	if _, err := c.out.Write(packHead(len(f.list))); err != nil {
		return err
	}
	for _, i := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.put(&f.list[i]); err != nil {
			return err
		}
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	_, err := to.Write(sum.Sum(nil))
	return err
}

func (o *living) source() string {
	if o.pack == nil {
		return ""
	}
	return o.pack.stem
}

// put writes one object, after the one that it is a delta of.
func (c *packCopier) put(o *living) error {
	if o.begun {
		return nil
	}
	o.begun = true
	if o.pack == nil {
		return c.whole(o)
	}
	e, base, err := c.r.packs.header(o.pack, o.at)
	if err != nil {
		return err
	}
	if base == 0 {
		return c.copy(o, e, appendHeader(nil, e.kind, e.size))
	}
	id, _, err := c.span(o.pack, base)
	if err != nil {
		return err
	}
	i, ok := c.number[id]
	if !ok || i < 0 {
		return c.whole(o) // its base is not in the new pack
	}
	b := &c.list[i]
	if err := c.put(b); err != nil {
		return err
	}
	if b.out == 0 || b.depth >= maxDepth { // a base that in another pack leans on this very object; or too long a chain
		return c.whole(o)
	}
	o.depth = b.depth + 1
	return c.copy(o, e, appendBack(appendHeader(nil, plumbing.OFSDeltaObject, e.size), c.out.n-b.out))
}

// copy writes a new header and the compressed bytes as they are. The reader of the new pack checks them.
func (c *packCopier) copy(o *living, e packEntry, header []byte) error {
	_, end, err := c.span(o.pack, o.at)
	if err != nil {
		return err
	}
	o.out = c.out.n
	if _, err := c.out.Write(header); err != nil {
		return err
	}
	n, err := io.CopyBuffer(writerOnly{c.out}, io.NewSectionReader(o.pack.data, e.body, end-e.body), c.buf)
	if err == nil && n != end-e.body {
		err = fmt.Errorf("%w: it is cut off", ErrCorrupt)
	}
	return err
}

// whole writes an object that stands by itself.
func (c *packCopier) whole(o *living) error {
	object, err := c.r.object(o.id, nil)
	if err != nil {
		return err
	}
	o.out = c.out.n
	if _, err := c.out.Write(appendHeader(nil, object.Kind, object.Size)); err != nil {
		return err
	}
	if c.flat == nil {
		c.flat = zlib.NewWriter(c.out)
	} else {
		c.flat.Reset(c.out)
	}
	if err := object.CopyTo(c.flat, func() {}); err != nil {
		return err
	}
	return c.flat.Close()
}

// appendBack adds how far before a delta its base begins. Format: gitformat-pack(5), "offset encoding".
func appendBack(b []byte, back int64) []byte {
	var digits [10]byte
	i := len(digits) - 1
	digits[i] = byte(back & 0x7f)
	for back >>= 7; back > 0; back >>= 7 {
		back--
		i--
		digits[i] = byte(back&0x7f) | 0x80
	}
	return append(b, digits[i:]...)
}
