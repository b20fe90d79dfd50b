package clone

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/go-git/go-git/v5/plumbing"
)

// TestDamageThatNoMoveMeets damages the objects of a folder that no push changes any more. Moves have no use for
// them, who looks for work has.
func TestDamageThatNoMoveMeets(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	src.Commit("main", gittest.File("still/work.sh", "echo\n"), gittest.File("serial", "1"))
	dir := filepath.Join(t.TempDir(), "clone")
	r := New(dir, remote.Source{URL: src.Dir, Branch: "main"}, Limits{})
	defer r.Close()
	look := func() Applied {
		t.Helper()
		s, err := r.Look(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := look().Version
	src.Commit("main", gittest.File("serial", "2"))
	version := look().Version
	id, err := hex.DecodeString(gittest.Git(t, src.Dir, "rev-parse", first+":still"))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*.idx"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pack index: %v", err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		// The folder has another name there now.
		data = bytes.Replace(data, id, bytes.Repeat([]byte{0xfe}, len(id)), 1)
		if err := errors.Join(os.Chmod(p, 0o644), os.WriteFile(p, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	plain, err := r.Tree(version)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.List("still"); err == nil {
		t.Fatal("the folder can be read: nothing is damaged")
	}
	plain.Close()
	if _, ok, err := r.Applied(); !ok || err != nil {
		t.Errorf("reading alone made the clone a broken one: %v %v", ok, err)
	}
	used, err := r.TreeInUse(version)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := used.List("still"); err == nil {
		t.Error("the folder can be read now")
	}
	used.Close()
	if s := look(); !strings.Contains(s.Rebuilt, "it is damaged") || s.Version != version {
		t.Errorf("the next look: %+v, want the clone made anew", s)
	}
	used, err = r.TreeInUse(version)
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	if all, err := used.List("still"); err != nil || len(all) != 1 {
		t.Errorf("the folder holds %v (%v)", all, err)
	}
	if s := look(); s.Rebuilt != "" {
		t.Errorf("the look after that: %+v", s)
	}
	gittest.Fsck(t, dir)
}

// TestNoDescriptorIsNoDamage opens objects with no descriptor free.
func TestNoDescriptorIsNoDamage(t *testing.T) {
	for _, no := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EACCES} {
		if err := pack.Missing(plumbing.ZeroHash, &os.PathError{Op: "open", Path: "pack", Err: no}); errors.Is(err, pack.ErrMissing) || !errors.Is(err, no) {
			t.Errorf("%v makes %v, for which a clone would be rebuilt", no, err)
		}
	}
	if err := pack.Missing(plumbing.ZeroHash, fmt.Errorf("read: %w", syscall.EIO)); !errors.Is(err, pack.ErrMissing) {
		t.Errorf("a disk that cannot be read makes %v", err)
	}
}
