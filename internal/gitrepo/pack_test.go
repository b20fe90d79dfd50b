package gitrepo

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/addagent/addagent/internal/gitrepo/gittest"
)

// wordy makes text that compresses and deltas like text.
func wordy(r *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%x ", r.IntN(5000))
		if r.IntN(8) == 0 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

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
	text := wordy(random, 30000)
	huge := wordy(random, 5<<18)
	src.History("main", 60, func(i int) []gittest.Change {
		at := random.IntN(len(text) - 100)
		text = text[:at] + wordy(random, 30) + text[at+random.IntN(60):]
		all := []gittest.Change{gittest.File("text", text), gittest.File(fmt.Sprintf("d%d/f%d", i%7, i), wordy(random, 10+random.IntN(2000)))}
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
			got, err := receive(t.Context(), bytes.NewReader(pack), receiving{parent: dir, step: func() { steps++ }})
			if err != nil {
				t.Fatal(err)
			}
			if steps == 0 || got.bytes != int64(len(pack)) {
				t.Errorf("%d steps, %d bytes", steps, got.bytes)
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
	huge, text := wordy(random, 2<<20), wordy(random, 20000)
	old := src.Commit("main", append(files(30, "x"), gittest.File("huge", huge), gittest.File("text", text))...)
	now := src.History("main", 6, func(i int) []gittest.Change {
		text = text[:1000*i] + "changed" + text[1000*i:]
		return []gittest.Change{gittest.File("huge", huge[:100*i]+"changed"+huge[100*i:]), gittest.File("text", text), gittest.File("d00/e0/file0000.txt", fmt.Sprint(i))}
	})
	for _, args := range [][]string{{"--thin"}, {"--thin", "--delta-base-offset"}} {
		pack := packer(t, src, now+"\n^"+old, args...)
		clone := filepath.Join(t.TempDir(), "clone")
		gittest.Git(t, ".", "init", "-q", clone)
		gitDir := filepath.Join(clone, ".git")
		base := packer(t, src, old)
		got, err := receive(t.Context(), bytes.NewReader(base), receiving{parent: gitDir, step: func() {}})
		if err != nil {
			t.Fatal(err)
		}
		if err := got.install(gitDir); err != nil {
			t.Fatal(err)
		}
		if _, err := receive(t.Context(), bytes.NewReader(pack), receiving{parent: gitDir, step: func() {}}); !errors.Is(err, errMissingObject) {
			t.Errorf("without the clone: %v", err)
		}
		objects, closing, err := openObjects(gitDir)
		if err != nil {
			t.Fatal(err)
		}
		got, err = receive(t.Context(), bytes.NewReader(pack), receiving{parent: gitDir, base: objects.source, step: func() {}})
		closing()
		if err != nil {
			t.Fatal(err)
		}
		stem := got.stem
		if err := got.install(gitDir); err != nil {
			t.Fatal(err)
		}
		gittest.Git(t, clone, "verify-pack", filepath.Join(gitDir, "objects/pack", stem+".pack"))
		gittest.Git(t, clone, "update-ref", "refs/heads/main", now)
		gittest.Fsck(t, clone)
		if gittest.Git(t, clone, "rev-parse", "main^{tree}") != src.Git("rev-parse", "main^{tree}") {
			t.Error("another tree")
		}
		left, _ := filepath.Glob(filepath.Join(gitDir, receivePrefix+"*"))
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// TestDroppedContents solves with hardly any memory: contents are dropped and made again.
func TestDroppedContents(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	src := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	text := wordy(random, 900_000)
	src.History("main", 60, func(i int) []gittest.Change {
		at := random.IntN(len(text) - 1)
		text = text[:at] + "changed" + text[at:]
		return []gittest.Change{gittest.File("text", text)}
	})
	pack := packer(t, src, "main", "--delta-base-offset", "--depth=60", "--window=2")
	if len(pack) > 3<<20 {
		t.Fatalf("a pack of %d bytes has no deltas", len(pack))
	}
	got, err := receive(t.Context(), bytes.NewReader(pack), receiving{parent: t.TempDir(), step: func() {}})
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

func TestFold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", append(files(100, "start"), gittest.File("big", wordy(rand.New(rand.NewPCG(1, 1)), 300000)))...)
	w.check()
	for i := range 3 {
		w.src.Commit("main", files(20, fmt.Sprint("step ", i))...)
		w.look()
	}
	w.src.Commit("main", gittest.File("last", "x"))
	s := w.check()
	id, _ := idOf(s.Version)
	count := func() int {
		found, _ := filepath.Glob(filepath.Join(w.dir, ".git/objects/pack/*.pack"))
		return len(found)
	}
	if n := count(); n != 5 {
		t.Fatalf("%d packs", n)
	}
	for range 2 {
		if err := foldPacks(t.Context(), filepath.Join(w.dir, ".git"), id, true, func() {}); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 2 {
			t.Errorf("%d packs", n)
		}
		w.same(s)
	}
	w.src.Commit("main", files(90, "all anew")...)
	w.src.Commit("main", gittest.File("big", wordy(rand.New(rand.NewPCG(2, 2)), 400000)))
	s = w.check()
	id, _ = idOf(s.Version)
	if err := foldPacks(t.Context(), filepath.Join(w.dir, ".git"), id, true, func() {}); err != nil {
		t.Fatal(err)
	}
	if n := count(); n > 2 { // a pack of which most is needed stays as it is
		t.Errorf("%d packs", n)
	}
	w.same(s)
	// A person's clone: nothing is dropped, whatever hangs on it.
	for i := range 4 {
		w.src.Commit("main", gittest.File("after", fmt.Sprint(i)))
		w.look()
	}
	old := gittest.Git(t, w.dir, "cat-file", "--batch-all-objects", "--batch-check")
	if err := foldPacks(t.Context(), filepath.Join(w.dir, ".git"), id, false, func() {}); err != nil {
		t.Fatal(err)
	}
	if n := count(); n > 2 { // a pack of which most is needed stays as it is
		t.Errorf("%d packs", n)
	}
	if now := gittest.Git(t, w.dir, "cat-file", "--batch-all-objects", "--batch-check"); now != old {
		t.Errorf("objects were\n%s\nand are\n%s", old, now)
	}
	w.src.Commit("main", gittest.File("after", "x"))
	w.check()
}

func FuzzReceive(f *testing.F) {
	hello := entry(plumbing.BlobObject, 5, []byte("hello"))
	delta := append(append(appendHeader(nil, plumbing.OFSDeltaObject, 4), byte(len(hello))), deflated([]byte("\x05\x05\x90\x05"))...)
	named := append(append(appendHeader(nil, plumbing.REFDeltaObject, 4), bytes.Repeat([]byte{7}, 20)...), deflated([]byte("\x05\x05\x90\x05"))...)
	f.Add(packOf(0))
	f.Add(packOf(2, hello, delta))
	f.Add(packOf(2, hello, named))
	f.Add(packOf(1, entry(plumbing.CommitObject, 0, nil)))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		// The checksum would stop nearly everything: give each input the right one as well.
		sum := sha1.Sum(data)
		for _, pack := range [][]byte{data, append(bytes.Clone(data), sum[:]...)} {
			got, err := receive(t.Context(), bytes.NewReader(pack), receiving{parent: dir, step: func() {},
				base: func(plumbing.Hash) (blobSource, error) {
					return blobSource{kind: plumbing.BlobObject, size: 5, write: func(w io.Writer) error {
						_, err := io.WriteString(w, "hello")
						return err
					}}, nil
				}})
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

func FuzzCommit(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add([]byte("tree " + id + "\nparent " + id + "\nparent " + id + "\nauthor x\n\ntext"))
	f.Add([]byte("tree " + id))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCommit(data)
		if err == nil && len(c.parents)*40 > len(data) {
			t.Fatal("more parents than bytes")
		}
	})
}
