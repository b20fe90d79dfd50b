package pack

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"

	"github.com/go-git/go-git/v5/plumbing"
)

// Encode returns a pack of version 2 with all objects, without deltas. Format: gitformat-pack(5).
func Encode(list []Object) ([]byte, error) {
	size := 32
	for _, o := range list {
		size += 20 + len(o.Data)
	}
	out := bytes.NewBuffer(make([]byte, 0, size))
	out.Write(packHead(len(list)))
	var z *zlib.Writer // made when there is something that shrinks: it costs 800 KB of memory
	for _, o := range list {
		out.Write(appendHeader(out.AvailableBuffer(), o.Kind, int64(len(o.Data))))
		if o.Kind == plumbing.TreeObject && len(o.Data) <= maxPlainTree {
			if err := writeStored(out, o.Data); err != nil {
				return nil, err
			}
			continue
		}
		if z == nil {
			z = zlib.NewWriter(out)
		} else {
			z.Reset(out)
		}
		if _, err := z.Write(o.Data); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
	}
	sum := sha1.Sum(out.Bytes())
	out.Write(sum[:])
	return out.Bytes(), nil
}

// maxPlainTree is the size in bytes up to which a folder is sent as it is: ids are random, so a few of them do not
// shrink.
const maxPlainTree = 256

// packHead is what a pack of version 2 begins with.
func packHead(objects int) []byte {
	return binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(objects))
}
