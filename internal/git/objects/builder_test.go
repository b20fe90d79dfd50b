package objects

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// nested makes a commit with a file three folders deep.
func nested(o *Builder) string {
	entry := Entry{Name: "i-1.json", ID: o.Blob([]byte("{}\n"))}
	for _, folder := range []string{"all", "presence", "it"} {
		entry = Entry{Name: folder, ID: o.Tree([]Entry{entry}), Dir: true}
	}
	who := Person{Name: "i-1", Email: "i-1@example.org", When: time.Unix(1_800_000_000, 0)}
	return o.Commit(CommitInfo{Tree: o.Tree([]Entry{entry}), Author: who, Message: "i-1: idle"})
}

// TestObjectsAreTheSame in two makings, and are what git makes of them.
func TestObjectsAreTheSame(t *testing.T) {
	make := func() ([]byte, string) {
		var o Builder
		id := nested(&o)
		b, err := Pack(&o)
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
	var o Builder
	blob := o.Blob([]byte("x"))
	empty := o.Tree(nil)
	tree := o.Tree([]Entry{{Name: "a0", ID: blob}, {Name: "a", ID: empty, Dir: true}, {Name: "a.b", ID: blob, Executable: true}, {Name: "l", ID: blob, Symlink: true}})
	commit := o.Commit(CommitInfo{Tree: tree, Author: Person{Name: "<a\n> b ", Email: "x>"}, Message: "s\x00ubject\n\nbody\n\n"})
	b, err := Pack(&o)
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

// BenchmarkObjects makes the six objects of a push and their pack.
func BenchmarkObjects(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var o Builder
		nested(&o)
		if _, err := Pack(&o); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzContent: whatever a commit and a folder hold, they are read or refused.
func FuzzContent(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add([]byte("tree "+id+"\nparent "+id+"\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\ntext\n"), []byte("40000 it\x0001234567890123456789100644 x\x0001234567890123456789"))
	f.Add([]byte("tree "+id), []byte("100644 i"))
	f.Fuzz(func(t *testing.T, commit, tree []byte) {
		c := NewContent(1<<20, 1<<20)
		add := func(kind plumbing.ObjectType, data []byte) string {
			one, err := pack.Encode([]pack.Object{{Kind: kind, Data: data}})
			testkit.Must(t, err)
			_ = c.Unpack(t.Context(), bytes.NewReader(one)) // one that is too large is not there
			return plumbing.ComputeHash(kind, data).String()
		}
		folder := add(plumbing.TreeObject, tree)
		shown := add(plumbing.CommitObject, []byte("tree "+folder+"\n\n"))
		_, _ = c.Commit(add(plumbing.CommitObject, commit))
		for _, name := range []string{"x", "it/x"} {
			if b, err := c.File(shown, name); err == nil && !c.Has(plumbing.ComputeHash(plumbing.BlobObject, b).String()) {
				t.Errorf("%s is %q, which was not read", name, b)
			}
		}
	})
}
