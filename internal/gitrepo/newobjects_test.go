package gitrepo

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/gitpack"
	"github.com/addagent/addagent/internal/gitrepo/gittest"
	"github.com/addagent/addagent/internal/gitwire"
	"github.com/addagent/addagent/internal/testkit"
)

// TestObjectsAreTheSame in two makings, and are what git makes of them.
func TestObjectsAreTheSame(t *testing.T) {
	make := func() ([]byte, string) {
		var o Objects
		id := putRecord(&o, "i-1", "idle", 1)
		b, err := o.pack()
		testkit.Must(t, err)
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
	testkit.Must(t, err)
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
	testkit.Must(b, err)
	p, err := c.Fetch(b.Context(), gitwire.FetchRequest{Want: all[0], Also: all[1:], Depth: 1})
	testkit.Must(b, err)
	var pack bytes.Buffer
	_, err = pack.ReadFrom(p)
	testkit.Must(b, err)
	testkit.Must(b, p.Close())
	b.ReportMetric(float64(pack.Len()), "bytes")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		into := gitpack.NewMemory(defaultContent, nil)
		if err := into.Unpack(b.Context(), bytes.NewReader(pack.Bytes())); err != nil {
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
