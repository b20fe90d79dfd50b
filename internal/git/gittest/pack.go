package gittest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Packs made by hand, for what git would never make. The format is that of gitformat-pack(5); kinds are its numbers.

// PackHead is what a pack of version 2 begins with.
func PackHead(objects int) []byte {
	return binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(objects))
}

// Pack makes a pack of raw entries, with the right checksum.
func Pack(objects int, entries ...[]byte) []byte {
	b := append(PackHead(objects), bytes.Join(entries, nil)...)
	sum := sha1.Sum(b)
	return append(b, sum[:]...)
}

// PackHeader is what an entry begins with; size is what it says that it has inflated.
func PackHeader[K ~int | ~int8](kind K, size int64) []byte {
	var b []byte
	c := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, c|0x80)
		c = byte(size & 0x7f)
	}
	return append(b, c)
}

// PackEntry is a whole entry, of an object that is no delta.
func PackEntry[K ~int | ~int8](kind K, size int64, data []byte) []byte {
	return append(PackHeader(kind, size), Deflated(data)...)
}

// Deflated is data as it is in a pack.
func Deflated(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

// Wordy makes text that compresses and deltas like text.
func Wordy(r *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%x ", r.IntN(5000))
		if r.IntN(8) == 0 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
