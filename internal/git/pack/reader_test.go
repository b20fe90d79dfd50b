package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// deltaRepo has long delta chains, of small and of large files, and some large ones without.
func deltaRepo(tb testing.TB) *gittest.Repo {
	tb.Helper()
	src := gittest.New(tb, filepath.Join(tb.TempDir(), "src.git"))
	random := rand.New(rand.NewPCG(1, 2))
	text := func(lines int) []string {
		var all []string
		for i := range lines {
			all = append(all, fmt.Sprintf("%d %x %x", i, random.Uint64(), random.Uint64()))
		}
		return all
	}
	small, large := text(50), text(30_000) // 1.1 MB
	for i := range 6 {
		small[random.IntN(len(small))] = fmt.Sprint("changed ", i)
		large[random.IntN(len(large))] = fmt.Sprint("changed ", i)
		large = append(large[100:], large[:100]...) // copies that go back in the base
		src.Commit("main",
			gittest.File("dir/small", strings.Join(small, "\n")),
			gittest.File("large", strings.Join(large, "\n")),
			gittest.File(fmt.Sprint("dir/n", i), fmt.Sprint(i)))
	}
	src.Git("repack", "-adfq", "--depth=50")
	return src
}

// TestObjectsAsGit: every object reads as git reads it, whole and streamed.
func TestObjectsAsGit(t *testing.T) {
	src := deltaRepo(t)
	o, err := Open(src.Dir, filepath.Join(src.Dir, "tmp"))
	testkit.Must(t, err)
	defer o.Close()
	list := strings.Split(src.Git("cat-file", "--batch-all-objects", "--batch-check"), "\n")
	kinds := map[string]plumbing.ObjectType{"blob": plumbing.BlobObject, "tree": plumbing.TreeObject, "commit": plumbing.CommitObject}
	large := 0
	for range 2 { // the second time with delta bases at hand
		for _, line := range list {
			f := strings.Fields(line)
			id := plumbing.NewHash(f[0])
			if has, err := o.Has(id); err != nil || !has {
				t.Errorf("has %s: %v %v", line, has, err)
			}
			data, err := o.Load(id, kinds[f[1]], 64<<20, nil) // checks the id
			if err != nil || fmt.Sprint(len(data)) != f[2] {
				t.Fatalf("%s: %d bytes, %v", line, len(data), err)
			}
			if f[1] != "blob" {
				continue
			}
			b, err := o.Blob(id, nil)
			testkit.Must(t, err)
			if b.Data == nil {
				large++
			}
			var out bytes.Buffer
			testkit.Must(t, b.CopyTo(&out, func() {}))
			if !bytes.Equal(out.Bytes(), data) {
				t.Errorf("%s streams other bytes", line)
			}
		}
	}
	if large != 12 {
		t.Errorf("%d large blobs were streamed, want 24", large)
	}
	if _, err := o.Load(plumbing.NewHash(strings.Repeat("ab", 20)), plumbing.BlobObject, 100, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("an unknown object: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(src.Dir, "tmp", "*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

// TestPackDamaged: whatever is wrong with a pack, an object of it is right or it is missing.
func TestPackDamaged(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "src.git"))
	lines := strings.Repeat("some line or other\n", 40)
	for i := range 4 {
		src.Commit("main", gittest.File("f", fmt.Sprint(lines, i, lines)), gittest.File(fmt.Sprint("d/", i), fmt.Sprint(i)))
	}
	src.Git("repack", "-adfq")
	ids := strings.Fields(src.Git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	for _, ext := range []string{".pack", ".idx"} {
		all, err := filepath.Glob(filepath.Join(src.Dir, "objects/pack/*"+ext))
		testkit.Must(t, err)
		good, err := os.ReadFile(all[0])
		testkit.Must(t, err)
		testkit.Must(t, os.Chmod(all[0], 0o644))
		for i := 0; i < len(good); i += 3 {
			bad := bytes.Clone(good)
			bad[i] ^= byte(1 << (i % 8))
			if i%4 == 0 {
				bad = bad[:i]
			}
			testkit.Must(t, os.WriteFile(all[0], bad, 0o644))
			o, err := Open(src.Dir, filepath.Join(src.Dir, "tmp"))
			testkit.Must(t, err)
			for _, text := range ids {
				kind, data, err := o.Raw(plumbing.NewHash(text), 1<<20, nil)
				if err == nil {
					_, err = o.Load(plumbing.NewHash(text), kind, 1<<20, data)
				}
				if err != nil && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrTooBig) {
					t.Fatalf("%s, byte %d, object %s: %v", ext, i, text, err)
				}
				b, err := o.Blob(plumbing.NewHash(text), nil)
				if err == nil {
					err = b.CopyTo(io.Discard, func() {})
				}
				if err != nil && !errors.Is(err, ErrMissing) {
					t.Fatalf("%s, byte %d, blob %s: %v", ext, i, text, err)
				}
			}
			o.Close()
		}
		testkit.Must(t, os.WriteFile(all[0], good, 0o644))
	}
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte("base of it"), []byte("\x0a\x04\x04abcd"))
	f.Add([]byte("base of it"), []byte("\x0a\x04\x90\x04"))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		out, err := applyDelta(base, delta, 1<<16, nil)
		if err == nil && len(out) > 1<<16 {
			t.Fatal("longer than allowed")
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooBig) {
			t.Fatalf("%v is no ErrCorrupt", err)
		}
	})
}
