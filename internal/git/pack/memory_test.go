package pack

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// deltaPack writes a pack by hand: a blob, then a delta of it, by offset or by name, in this order or the other.
func deltaPack(tb testing.TB, named, before bool) (pack []byte, base, result []byte) {
	tb.Helper()
	base, result = []byte("0123456789abcdef0123456789abcdef"), []byte("0123456789abcdef!")
	delta := []byte{byte(len(base)), byte(len(result)), 0x90, 16, 1, '!'}
	id := plumbing.ComputeHash(plumbing.BlobObject, base)
	var out bytes.Buffer
	out.Write(packHead(2))
	whole := func() {
		out.Write(appendHeader(nil, plumbing.BlobObject, int64(len(base))))
		testkit.Must(tb, writeStored(&out, base))
	}
	if !before {
		whole()
	}
	at := out.Len()
	if named {
		out.Write(appendHeader(nil, plumbing.REFDeltaObject, int64(len(delta))))
		out.Write(id[:])
	} else {
		out.Write(appendHeader(nil, plumbing.OFSDeltaObject, int64(len(delta))))
		out.WriteByte(byte(at - len(packHead(0))))
	}
	testkit.Must(tb, writeStored(&out, delta))
	if before {
		whole()
	}
	sum := sha1.Sum(out.Bytes())
	return append(out.Bytes(), sum[:]...), base, result
}

func TestUnpackDeltas(t *testing.T) {
	for _, c := range [][2]bool{{false, false}, {true, false}, {true, true}} {
		pack, base, result := deltaPack(t, c[0], c[1])
		into := NewMemory(1000, 1000)
		testkit.Must(t, into.Unpack(t.Context(), bytes.NewReader(pack)))
		for _, data := range [][]byte{base, result} {
			if got, err := blobOf(into, data); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%v: %q %v", c, got, err)
			}
		}
		for limit := range int64(len(base) + len(result) + 6 + 300) {
			if err := NewMemory(limit, 1000).Unpack(t.Context(), bytes.NewReader(pack)); !errors.Is(err, ErrTooBig) {
				t.Fatalf("%d bytes: %v", limit, err)
			}
		}
		for n := range len(pack) {
			if err := NewMemory(1000, 1000).Unpack(t.Context(), bytes.NewReader(pack[:n])); err == nil {
				t.Fatalf("cut at %d: no error", n)
			}
		}
	}
	// A delta of what is not there.
	pack, base, _ := deltaPack(t, true, true)
	cut := append([]byte(nil), pack[:len(pack)-20-len(base)-11-2]...)
	copy(cut, packHead(1))
	sum := sha1.Sum(cut)
	cut = append(cut, sum[:]...)
	if err := NewMemory(1000, 1000).Unpack(t.Context(), bytes.NewReader(cut)); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// blobOf reads a blob by its content.
func blobOf(m *Memory, data []byte) ([]byte, error) {
	return m.Load(plumbing.ComputeHash(plumbing.BlobObject, data), plumbing.BlobObject, m.Most, nil)
}

// TestUnpackBackwards: deltas that each come before their base are applied once each, however many, and the end of the
// context ends that.
func TestUnpackBackwards(t *testing.T) {
	const many = maxChain - 1
	var out bytes.Buffer
	out.Write(packHead(many + 1))
	object := func(i int) []byte { return fmt.Appendf(nil, "%08d0123456789", i) }
	for i := many; i > 0; i-- {
		base := plumbing.ComputeHash(plumbing.BlobObject, object(i-1))
		delta := append(append([]byte{18, 18, 8}, object(i)[:8]...), 0x91, 8, 10)
		out.Write(appendHeader(nil, plumbing.REFDeltaObject, int64(len(delta))))
		out.Write(base[:])
		testkit.Must(t, writeStored(&out, delta))
	}
	out.Write(appendHeader(nil, plumbing.BlobObject, 18))
	testkit.Must(t, writeStored(&out, object(0)))
	sum := sha1.Sum(out.Bytes())
	out.Write(sum[:])
	m := NewMemory(64<<20, 1<<20)
	testkit.Must(t, m.Unpack(t.Context(), bytes.NewReader(out.Bytes())))
	if data, err := blobOf(m, object(many)); err != nil || !bytes.Equal(data, object(many)) {
		t.Errorf("%q %v", data, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	// The last byte of the stream ends the context: all that is left is to apply the deltas.
	err := NewMemory(64<<20, 1<<20).Unpack(ctx, io.MultiReader(bytes.NewReader(out.Bytes()[:out.Len()-40]), endsWith(cancel), bytes.NewReader(out.Bytes()[out.Len()-40:])))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// endsWith is an empty reader that calls a function.
type endsWith func()

func (e endsWith) Read([]byte) (int, error) { e(); return 0, io.EOF }

// TestUnpackTooBig: an object that is too big hides no other, is known as such, and so is what leans on it.
func TestUnpackTooBig(t *testing.T) {
	big, small := make([]byte, 5<<20), []byte("small")
	pack, err := Encode([]Object{{Kind: plumbing.BlobObject, Data: big}, {Kind: plumbing.BlobObject, Data: small}})
	testkit.Must(t, err)
	m := NewMemory(1<<20, 1000)
	testkit.Must(t, m.Unpack(t.Context(), bytes.NewReader(pack)))
	if data, err := blobOf(m, big); !errors.Is(err, ErrTooBig) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if data, err := blobOf(m, small); err != nil || !bytes.Equal(data, small) {
		t.Errorf("%q, %v", data, err)
	}
}

func FuzzUnpack(f *testing.F) {
	for _, c := range [][2]bool{{false, false}, {true, false}, {true, true}} {
		pack, _, _ := deltaPack(f, c[0], c[1])
		f.Add(pack[:len(pack)-20])
	}
	pack, err := Encode([]Object{
		{Kind: plumbing.BlobObject, Data: bytes.Repeat([]byte("{}\n"), 50)},
		{Kind: plumbing.TreeObject, Data: []byte("100644 f\x0001234567890123456789")},
		{Kind: plumbing.CommitObject, Data: []byte("tree 0000000000000000000000000000000000000000\n\nm\n")},
	})
	testkit.Must(f, err)
	f.Add(pack[:len(pack)-20])
	f.Fuzz(func(t *testing.T, data []byte) {
		sum := sha1.Sum(data)
		m := NewMemory(1<<20, 1<<20)
		if err := m.Unpack(t.Context(), bytes.NewReader(append(data, sum[:]...))); err != nil {
			return
		}
		all := m.NewRepack()
		testkit.Must(t, all.AddPack(m.packs.packs[0]))
		size := 0
		for id := range all.number {
			kind, data, err := m.Raw(id, 1<<20, nil)
			if err != nil || plumbing.ComputeHash(kind, data) != id {
				t.Fatalf("%s has another content: %v", id, err)
			}
			size += len(data)
		}
		if size > 1<<20 {
			t.Fatal("more than is allowed")
		}
	})
}
