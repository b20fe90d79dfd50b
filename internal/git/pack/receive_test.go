package pack

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

func packer(t *testing.T, src *gittest.Repo, revs string, args ...string) []byte {
	t.Helper()
	out, err := gittest.TryGit(src.Dir, []byte(revs+"\n"), append([]string{"pack-objects", "-q", "--stdout", "--revs"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	// TryGit trims newlines at the end, which may belong to the checksum.
	for range 20 {
		if sum := packSum(out); sum {
			return []byte(out)
		}
		out += "\n"
	}
	t.Fatal("no pack")
	return nil
}

func packSum(pack string) bool {
	if len(pack) < 32 {
		return false
	}
	sum := sha1.Sum([]byte(pack[:len(pack)-20]))
	return string(sum[:]) == pack[len(pack)-20:]
}

// TestIndexIsGits compares our index of many kinds of packs with the one that git makes, byte by byte.
func TestIndexIsGits(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	src := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	text := gittest.Wordy(random, 30000)
	huge := gittest.Wordy(random, 5<<18)
	src.History("main", 60, func(i int) []gittest.Change {
		at := random.IntN(len(text) - 100)
		text = text[:at] + gittest.Wordy(random, 30) + text[at+random.IntN(60):]
		all := []gittest.Change{gittest.File("text", text), gittest.File(fmt.Sprintf("d%d/f%d", i%7, i), gittest.Wordy(random, 10+random.IntN(2000)))}
		if i%20 == 0 { // beyond what is held in memory, with deltas on deltas
			at := random.IntN(len(huge) - 100)
			huge = huge[:at] + "changed" + huge[at:]
			all = append(all, gittest.File("huge", huge))
		}
		if i%30 == 0 {
			all = append(all, gittest.File(fmt.Sprint("empty", i), ""))
		}
		return all
	})
	src.Git("tag", "-a", "-m", "annotated", "v1")
	for name, args := range map[string][]string{
		"offsets":    {"--delta-base-offset", "--window=20", "--depth=50"},
		"names":      {"--window=20", "--depth=50"},
		"deep":       {"--delta-base-offset", "--window=10", "--depth=4000"},
		"no deltas":  {"--window=0"},
		"everything": {"--all", "--delta-base-offset"},
	} {
		t.Run(name, func(t *testing.T) {
			pack := packer(t, src, "main", args...)
			dir := t.TempDir()
			steps := 0
			got, err := Receive(t.Context(), bytes.NewReader(pack), ReceiveOptions{Parent: dir, Progress: func(int64, int) error { steps++; return nil }})
			if err != nil {
				t.Fatal(err)
			}
			if steps == 0 || got.Bytes != int64(len(pack)) {
				t.Errorf("%d steps, %d bytes", steps, got.Bytes)
			}
			stored, err := os.ReadFile(filepath.Join(got.dir, "pack"))
			if err != nil || !bytes.Equal(stored, pack) {
				t.Fatal("the pack is not what was sent", err)
			}
			theirs := filepath.Join(dir, "theirs.pack")
			if err := os.WriteFile(theirs, pack, 0o644); err != nil {
				t.Fatal(err)
			}
			gittest.Git(t, dir, "index-pack", theirs)
			a, err := os.ReadFile(filepath.Join(got.dir, "idx"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, "theirs.idx"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) {
				t.Error("our index is not git's")
			}
		})
	}
}

// TestThinPack completes packs that lean on objects of a clone: small ones, huge ones, and deltas of deltas of them.
func TestThinPack(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	src := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	huge, text := gittest.Wordy(random, 2<<20), gittest.Wordy(random, 20000)
	old := src.Commit("main", gittest.File("huge", huge), gittest.File("text", text), gittest.File("d00/e0/file.txt", strings.Repeat("x\n", 20)), gittest.File("other", "x"))
	now := src.History("main", 6, func(i int) []gittest.Change {
		text = text[:1000*i] + "changed" + text[1000*i:]
		return []gittest.Change{gittest.File("huge", huge[:100*i]+"changed"+huge[100*i:]), gittest.File("text", text), gittest.File("d00/e0/file.txt", fmt.Sprint(i))}
	})
	for _, args := range [][]string{{"--thin"}, {"--thin", "--delta-base-offset"}} {
		pack := packer(t, src, now+"\n^"+old, args...)
		clone := filepath.Join(t.TempDir(), "clone")
		gittest.Git(t, ".", "init", "-q", clone)
		gitDir := filepath.Join(clone, ".git")
		base := packer(t, src, old)
		got, err := Receive(t.Context(), bytes.NewReader(base), ReceiveOptions{Parent: gitDir})
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Install(gitDir); err != nil {
			t.Fatal(err)
		}
		if _, err := Receive(t.Context(), bytes.NewReader(pack), ReceiveOptions{Parent: gitDir}); !errors.Is(err, ErrMissing) {
			t.Errorf("without the clone: %v", err)
		}
		objects, err := Open(gitDir, filepath.Join(gitDir, "tmp"))
		if err != nil {
			t.Fatal(err)
		}
		got, err = Receive(t.Context(), bytes.NewReader(pack), ReceiveOptions{Parent: gitDir, Base: objects})
		objects.Close()
		if err != nil {
			t.Fatal(err)
		}
		stem := got.Stem
		if err := got.Install(gitDir); err != nil {
			t.Fatal(err)
		}
		gittest.Git(t, clone, "verify-pack", filepath.Join(gitDir, "objects/pack", stem+".pack"))
		gittest.Git(t, clone, "update-ref", "refs/heads/main", now)
		gittest.Fsck(t, clone)
		if gittest.Git(t, clone, "rev-parse", "main^{tree}") != src.Git("rev-parse", "main^{tree}") {
			t.Error("another tree")
		}
		left, _ := filepath.Glob(filepath.Join(gitDir, ReceivePrefix+"*"))
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// TestManyContents solves more than fits into memory: contents go to the scratch file.
func TestManyContents(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	src := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	text := gittest.Wordy(random, 900_000)
	src.History("main", 60, func(i int) []gittest.Change {
		at := random.IntN(len(text) - 1)
		text = text[:at] + "changed" + text[at:]
		return []gittest.Change{gittest.File("text", text)}
	})
	pack := packer(t, src, "main", "--delta-base-offset", "--depth=60", "--window=2")
	if len(pack) > 3<<20 {
		t.Fatalf("a pack of %d bytes has no deltas", len(pack))
	}
	got, err := Receive(t.Context(), bytes.NewReader(pack), ReceiveOptions{Parent: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	gittest.Git(t, got.dir, "index-pack", "-o", "theirs", "pack")
	a, _ := os.ReadFile(filepath.Join(got.dir, "idx"))
	b, _ := os.ReadFile(filepath.Join(got.dir, "theirs"))
	if len(a) == 0 || !bytes.Equal(a, b) {
		t.Error("our index is not git's")
	}
}

func FuzzReceive(f *testing.F) {
	hello := gittest.PackEntry(plumbing.BlobObject, 5, []byte("hello"))
	delta := append(append(appendHeader(nil, plumbing.OFSDeltaObject, 4), byte(len(hello))), gittest.Deflated([]byte("\x05\x05\x90\x05"))...)
	src := gittest.New(f, filepath.Join(f.TempDir(), "r.git"))
	src.Commit("main", gittest.File("f", "hello"))
	base, err := Open(src.Dir, f.TempDir())
	testkit.Must(f, err)
	defer base.Close()
	id := plumbing.ComputeHash(plumbing.BlobObject, []byte("hello"))
	named := append(append(appendHeader(nil, plumbing.REFDeltaObject, 4), id[:]...), gittest.Deflated([]byte("\x05\x05\x90\x05"))...)
	f.Add(gittest.Pack(0))
	f.Add(gittest.Pack(2, hello, delta))
	f.Add(gittest.Pack(2, hello, named))
	f.Add(gittest.Pack(1, gittest.PackEntry(plumbing.CommitObject, 0, nil)))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		// The checksum would stop nearly everything: give each input the right one as well.
		sum := sha1.Sum(data)
		for _, pack := range [][]byte{data, append(bytes.Clone(data), sum[:]...)} {
			got, err := Receive(t.Context(), bytes.NewReader(pack), ReceiveOptions{Parent: dir, Base: base})
			if err == nil {
				err = got.discard()
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
	})
}

func FuzzEntryHeader(f *testing.F) {
	f.Add([]byte{0x35})
	f.Add([]byte{0xb5, 0xff, 0x7f})
	f.Add(bytes.Repeat([]byte{0xff}, 12))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		kind, size, err := readHeader(r)
		if err != nil {
			return
		}
		used := len(data) - r.Len()
		if size < 0 {
			t.Fatalf("size %d", size)
		}
		again, n, err := readHeader(bytes.NewReader(appendHeader(nil, kind, size)))
		if again != kind || n != size || err != nil {
			t.Fatalf("%v %d became %v %d, %v", kind, size, again, n, err)
		}
		back, err := readBack(bytes.NewReader(data[used:]))
		if err == nil && back < 0 {
			t.Fatalf("back %d", back)
		}
	})
}

// TestAppendBack writes how far back a base lies as it is read.
func TestAppendBack(t *testing.T) {
	for _, back := range []int64{1, 127, 128, 129, 16511, 16512, 16513, 1 << 20, 1<<31 - 1, 1 << 31, 1 << 40} {
		b := appendBack(nil, back)
		if got, err := readBack(bytes.NewReader(b)); got != back || err != nil {
			t.Errorf("%d: %x is read as %d (%v)", back, b, got, err)
		}
	}
}

// TestCollision: an object that was made to collide is refused, however it comes. The bytes are the first of the two
// files of "SHA-1 is a Shambles".
func TestCollision(t *testing.T) {
	data, err := os.ReadFile("testdata/sha-mbles-1.bin")
	testkit.Must(t, err)
	h := newIDHash()
	h.Write(data) // without git's header, which the files were not made for
	if _, err := h.sum(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
	begin(h, plumbing.BlobObject, 5)
	h.Write([]byte("hello"))
	if id, err := h.sum(); err != nil || id != plumbing.ComputeHash(plumbing.BlobObject, []byte("hello")) {
		t.Errorf("%s, %v", id, err)
	}
}
