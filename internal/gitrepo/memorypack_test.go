package gitrepo

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitrepo/gittest"
	"github.com/addagent/addagent/internal/gitwire"
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
		must(tb, writeStored(&out, base))
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
	must(tb, writeStored(&out, delta))
	if before {
		whole()
	}
	sum := sha1.Sum(out.Bytes())
	return append(out.Bytes(), sum[:]...), base, result
}

func TestUnpackDeltas(t *testing.T) {
	for _, c := range [][2]bool{{false, false}, {true, false}, {true, true}} {
		pack, base, result := deltaPack(t, c[0], c[1])
		into := &Content{left: 1000}
		must(t, into.unpack(t.Context(), bytes.NewReader(pack)))
		for _, data := range [][]byte{base, result} {
			got, err := into.Blob(plumbing.ComputeHash(plumbing.BlobObject, data).String())
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%v: %q %v", c, got, err)
			}
		}
		for limit := range int64(len(base) + len(result) + 6 + 300) {
			if err := (&Content{left: limit}).unpack(t.Context(), bytes.NewReader(pack)); !errors.Is(err, errTooBig) {
				t.Fatalf("%d bytes: %v", limit, err)
			}
		}
		for n := range len(pack) {
			if err := (&Content{left: 1000}).unpack(t.Context(), bytes.NewReader(pack[:n])); err == nil {
				t.Fatalf("cut at %d: no error", n)
			}
		}
	}
	// A delta of what is not there.
	pack, base, result := deltaPack(t, true, true)
	cut := append([]byte(nil), pack[:len(pack)-20-len(base)-11-2]...)
	copy(cut, packHead(1))
	sum := sha1.Sum(cut)
	cut = append(cut, sum[:]...)
	if err := (&Content{left: 1000}).unpack(t.Context(), bytes.NewReader(cut)); !errors.Is(err, errPack) {
		t.Error(err)
	}
	// And with that at hand from before.
	before := &Content{left: 1000, objects: map[plumbing.Hash]held{plumbing.ComputeHash(plumbing.BlobObject, base): {plumbing.BlobObject, base}}}
	into := &Content{left: 1000, base: before}
	must(t, into.unpack(t.Context(), bytes.NewReader(cut)))
	if !into.Has(plumbing.ComputeHash(plumbing.BlobObject, result).String()) {
		t.Error("the result is not there")
	}
}

func FuzzUnpack(f *testing.F) {
	for _, c := range [][2]bool{{false, false}, {true, false}, {true, true}} {
		pack, _, _ := deltaPack(f, c[0], c[1])
		f.Add(pack[:len(pack)-20])
	}
	var o Objects
	putRecord(&o, "i-1", "idle", 1)
	pack, err := o.pack()
	must(f, err)
	f.Add(pack[:len(pack)-20])
	f.Fuzz(func(t *testing.T, data []byte) {
		sum := sha1.Sum(data)
		c := &Content{left: 1 << 20}
		if err := c.unpack(t.Context(), bytes.NewReader(append(data, sum[:]...))); err != nil {
			return
		}
		all := 0
		for id, o := range c.objects {
			if plumbing.ComputeHash(o.kind, o.data) != id {
				t.Fatalf("%s has another content", id)
			}
			all += len(o.data)
			switch o.kind {
			case plumbing.CommitObject:
				_, _ = c.Commit(id.String())
				_, _ = c.File(id.String(), "it/presence/all/i-1.json")
			case plumbing.TreeObject:
				_, _ = c.Tree(id.String())
			}
		}
		if all > 1<<20 {
			t.Fatal("more than is allowed")
		}
	})
}

// TestObjectsAreTheSame in two makings, and are what git makes of them.
func TestObjectsAreTheSame(t *testing.T) {
	make := func() ([]byte, string) {
		var o Objects
		id := putRecord(&o, "i-1", "idle", 1)
		b, err := o.pack()
		must(t, err)
		return b, id
	}
	one, id := make()
	two, _ := make()
	if !bytes.Equal(one, two) {
		t.Error("two packs of the same objects differ")
	}
	src := gittest.New(t, t.TempDir())
	if _, err := gittest.TryGit(src.Dir, one, "index-pack", "--stdin", "--strict", "--fsck-objects"); err != nil {
		t.Fatal(err)
	}
	if got := src.Git("ls-tree", "-r", "--name-only", id); got != "it/presence/all/i-1.json" {
		t.Error(got)
	}
	// git's order of names, all kinds of entries, and what cannot be in a name.
	var o Objects
	blob := o.Blob([]byte("x"))
	empty := o.Tree(nil)
	tree := o.Tree([]Entry{{Name: "a0", ID: blob}, {Name: "a", ID: empty, Dir: true}, {Name: "a.b", ID: blob, Executable: true}, {Name: "l", ID: blob, Symlink: true}})
	commit := o.Commit(CommitInfo{Tree: tree, Author: Person{Name: "<a\n> b ", Email: "x>"}, Message: "s\x00ubject\n\nbody\n\n"})
	b, err := o.pack()
	must(t, err)
	if _, err := gittest.TryGit(src.Dir, b, "index-pack", "--stdin", "--strict", "--fsck-objects"); err != nil {
		t.Fatal(err)
	}
	if got, want := src.Git("ls-tree", tree), "100755 blob %[1]s\ta.b\n040000 tree %[2]s\ta\n100644 blob %[1]s\ta0\n120000 blob %[1]s\tl"; got != fmt.Sprintf(want, blob, empty) {
		t.Error(got)
	}
	if got := src.Git("cat-file", "commit", commit); got != "tree "+tree+"\nauthor a b <x> 0 +0000\ncommitter a b <x> 0 +0000\n\nsubject\n\nbody" {
		t.Errorf("%q", got)
	}
}

// BenchmarkStorePush pushes a record: the client's share is what is measured, as far as it can be told from the server's.
func BenchmarkStorePush(b *testing.B) {
	src, server := gittest.Remote(b, gittest.ServerOptions{})
	s := away{src, Source{URL: server.URL + "/r.git", Agent: "addagent/0.1.0"}}.store(b)
	at, n := "", 0
	b.ReportAllocs()
	for b.Loop() {
		at = pushOne(b, s, "i-1", n, at)
		n++
	}
}

// BenchmarkObjects makes the six objects of a push and their pack.
func BenchmarkObjects(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var o Objects
		putRecord(&o, "i-1", "idle", 1)
		if _, err := o.pack(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnpackThousand takes the pack of a thousand records, as a server sends it, into memory.
func BenchmarkUnpackThousand(b *testing.B) {
	src, server := gittest.Remote(b, gittest.ServerOptions{})
	tips := fill(b, src, 1000, 1)
	src.Git("repack", "-qadf")
	src.Git("pack-refs", "--all")
	var all []string
	for _, id := range tips {
		all = append(all, id)
	}
	c, err := gitwire.NewHTTP(server.URL+"/r.git", gitwire.Options{})
	must(b, err)
	p, err := c.Fetch(b.Context(), gitwire.FetchRequest{Want: all[0], Also: all[1:], Depth: 1})
	must(b, err)
	var pack bytes.Buffer
	_, err = pack.ReadFrom(p)
	must(b, err)
	must(b, p.Close())
	b.ReportMetric(float64(pack.Len()), "bytes")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		into := &Content{left: defaultContent}
		if err := into.unpack(b.Context(), bytes.NewReader(pack.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStoreReadThousand lists a thousand refs, reads what is behind them, and looks each record up.
func BenchmarkStoreReadThousand(b *testing.B) {
	src, server := gittest.Remote(b, gittest.ServerOptions{})
	fill(b, src, 1000, 1)
	src.Git("repack", "-qadf")
	src.Git("pack-refs", "--all")
	s := away{src, Source{URL: server.URL + "/r.git"}}.store(b)
	b.ReportAllocs()
	for b.Loop() {
		refs, c := readFleet(b, s, ReadOptions{Depth: 1})
		for _, r := range refs {
			if _, err := c.File(r.ID, "it/presence/all/"+strings.TrimPrefix(r.Name, presenceRefs)+".json"); err != nil {
				b.Fatal(err)
			}
		}
	}
}
