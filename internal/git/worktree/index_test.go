package worktree

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// readAll reads an index whole.
func readAll(data []byte) ([]indexEntry, plumbing.Hash, error) {
	r, err := readIndex(bytes.NewReader(data), int64(len(data)), 0, true)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	var all []indexEntry
	for {
		e, err := r.next()
		if e == nil && err == nil {
			break
		}
		if err != nil {
			return nil, plumbing.ZeroHash, err
		}
		one := *e
		one.path, one.raw = bytes.Clone(e.path), bytes.Clone(e.raw)
		all = append(all, one)
	}
	tree, err := r.finish()
	return all, tree, err
}

func writeAllEntries(tb testing.TB, entries []indexEntry, tree plumbing.Hash) []byte {
	tb.Helper()
	var out bytes.Buffer
	x, err := newIndexWriter(&out, len(entries))
	testkit.Must(tb, err)
	for i := range entries {
		testkit.Must(tb, x.add(entries[i].path, entries[i].mode, &entries[i].id, &entries[i].stat))
	}
	testkit.Must(tb, x.finish(tree))
	return out.Bytes()
}

func TestIndexReadsWhatGitWrites(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "src.git"))
	long := strings.Repeat("d123456789/", 400) + "file" // more than 4095 bytes: the length does not fit its field
	var changes []gittest.Change
	for i := range 40 {
		changes = append(changes, gittest.File(fmt.Sprintf("a%s/f%d", strings.Repeat("x", i), i), "x"))
	}
	changes = append(changes, gittest.File(long, "deep"), gittest.WithMode("run", "r", "100755"), gittest.WithMode("link", "run", "120000"))
	tip := src.Commit("main", changes...)
	dir := t.TempDir()
	git := func(args ...string) string {
		return gittest.Git(t, dir, append([]string{"--git-dir=" + src.Dir, "--work-tree=."}, args...)...)
	}
	git("read-tree", tip)
	data, err := os.ReadFile(filepath.Join(src.Dir, "index"))
	testkit.Must(t, err)
	entries, tree, err := readAll(data)
	testkit.Must(t, err)
	if want := src.Git("rev-parse", tip+"^{tree}"); tree.String() != want || len(entries) != 43 {
		t.Errorf("%d entries of tree %s, want 43 of %s", len(entries), tree, want)
	}
	// and git reads what we write
	testkit.Must(t, os.WriteFile(filepath.Join(src.Dir, "index"), writeAllEntries(t, entries, tree), 0o644))
	if got := git("write-tree"); got != tree.String() {
		t.Errorf("git makes tree %s of our index, want %s", got, tree)
	}
	if got := len(strings.Split(git("ls-files"), "\n")); got != 43 {
		t.Errorf("git lists %d files, want 43", got)
	}
	// a path added by a person: not the index of a tree any more
	git("update-index", "--add", "--cacheinfo", "100644,"+src.Git("rev-parse", tip+":run")+",added")
	data, err = os.ReadFile(filepath.Join(src.Dir, "index"))
	testkit.Must(t, err)
	if _, _, err := readAll(data); !errors.Is(err, errIndex) {
		t.Errorf("a changed index: %v", err)
	}
	for _, version := range []string{"3", "4"} {
		git("update-index", "--index-version", version)
		git("update-index", "--skip-worktree", "run")
		data, err = os.ReadFile(filepath.Join(src.Dir, "index"))
		testkit.Must(t, err)
		if _, _, err := readAll(data); !errors.Is(err, errIndex) {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

func sampleIndex(tb testing.TB) []byte {
	entries := []indexEntry{
		{path: []byte("a"), mode: objects.ModeFile, id: plumbing.NewHash(strings.Repeat("1", 40))},
		{path: []byte("a-b"), mode: objects.ModeExecutable},
		{path: []byte("a/b"), mode: objects.ModeSymlink},
		{path: []byte("sub"), mode: objects.ModeSubmodule},
	}
	return writeAllEntries(tb, entries, plumbing.NewHash(strings.Repeat("2", 40)))
}

// TestIndexDamaged: no damage of a single bit or byte goes unnoticed, nothing hangs, nothing is believed.
func TestIndexDamaged(t *testing.T) {
	good := sampleIndex(t)
	if _, _, err := readAll(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, _, err := readAll(bad); !errors.Is(err, errIndex) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, _, err := readAll(good[:i]); !errors.Is(err, errIndex) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	for _, paths := range [][]string{{"b", "a"}, {"a", "a"}, {"../x"}, {"a/../x"}, {"/a"}, {"a//b"}, {"a/"}, {".git/config"}, {"x/.git"}, {".temp/x"}, {""}} {
		var entries []indexEntry
		for _, p := range paths {
			entries = append(entries, indexEntry{path: []byte(p), mode: objects.ModeFile})
		}
		if _, _, err := readAll(writeAllEntries(t, entries, plumbing.NewHash("01"))); !errors.Is(err, errIndex) {
			t.Errorf("paths %q: %v", paths, err)
		}
	}
}

// summedIndex puts the right sum at the end, so that a fuzzer gets behind it.
func summedIndex(b []byte) []byte {
	sum := sha1.Sum(b)
	return append(bytes.Clone(b), sum[:]...)
}

func FuzzIndex(f *testing.F) {
	good := sampleIndex(f)
	f.Add(good[:len(good)-20])
	f.Add([]byte("DIRC\x00\x00\x00\x02\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, tree, err := readAll(summedIndex(body))
		if err != nil {
			if !errors.Is(err, errIndex) {
				t.Fatalf("%v is no errIndex", err)
			}
			return
		}
		// what is believed can be written and reads the same
		again, tree2, err := readAll(writeAllEntries(t, entries, tree))
		if err != nil || tree != tree2 || len(again) != len(entries) {
			t.Fatalf("read again: %v", err)
		}
		for i := range again {
			if !bytes.Equal(again[i].path, entries[i].path) || again[i].id != entries[i].id || again[i].stat != entries[i].stat {
				t.Fatalf("entry %d: %v, want %v", i, again[i], entries[i])
			}
		}
	})
}

// TestIndexSkip: whatever is passed over in stretches is what next would have read, and nothing is passed over that
// only next understands.
func TestIndexSkip(t *testing.T) {
	var entries []indexEntry
	for i := range 3000 { // several buffers
		path := fmt.Sprintf("d%02d/%s%04d", i/100, strings.Repeat("x", i%90), i)
		if i%700 == 350 { // a length that does not fit its field
			path = fmt.Sprintf("d%02d/", i/100) + strings.Repeat("x", 5000+i)
		}
		entries = append(entries, indexEntry{path: []byte(path), mode: objects.ModeFile, id: plumbing.NewHash(fmt.Sprintf("%040d", i))})
	}
	slices.SortFunc(entries, func(a, b indexEntry) int { return bytes.Compare(a.path, b.path) })
	data := writeAllEntries(t, entries, plumbing.NewHash(strings.Repeat("2", 40)))
	for _, every := range []int{1, 2, 7, 640, 2999, 5000} {
		r, err := readIndex(bytes.NewReader(data), int64(len(data)), 0, false)
		testkit.Must(t, err)
		var out bytes.Buffer
		x, err := newIndexWriter(&out, len(entries))
		testkit.Must(t, err)
		for at := every; ; at += every {
			var stop []byte
			if at < len(entries) {
				stop = entries[at].path
			}
			testkit.Must(t, r.skip(stop, x.stretch))
			e, err := r.next()
			if e == nil && err == nil {
				break
			}
			testkit.Must(t, err)
			if long := len(e.path) > 0xfff; stop != nil && !long && !bytes.Equal(e.path, stop) || stop == nil && !long {
				t.Fatalf("every %d: stopped at %.60q, want %.60q", every, e.path, stop)
			}
			if !bytes.Equal(e.path, stop) {
				at -= every // a long one on the way
			}
			testkit.Must(t, x.copy(e))
		}
		_, err = r.finish()
		testkit.Must(t, err)
		testkit.Must(t, x.finish(plumbing.NewHash(strings.Repeat("2", 40))))
		if !bytes.Equal(out.Bytes(), data) {
			t.Errorf("every %d: the copy is another index", every)
		}
	}
	r, err := readIndex(bytes.NewReader(data[:len(data)-2000]), int64(len(data)-2000), 0, false)
	testkit.Must(t, err)
	for err == nil {
		testkit.Must(t, r.skip(nil, nil))
		_, err = r.next()
	}
	if !errors.Is(err, errIndex) {
		t.Errorf("an index that was cut: %v", err)
	}
}
