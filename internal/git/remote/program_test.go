package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
)

// here is a repository on this disk.
func here(tb testing.TB) away {
	tb.Helper()
	src := gittest.New(tb, filepath.Join(tb.TempDir(), "r.git"))
	src.Commit("main", gittest.File("a", "x"))
	return away{src, Source{URL: src.Dir}}
}

func TestPathWithoutGit(t *testing.T) {
	a := here(t)
	path := os.Getenv("PATH")
	t.Setenv("PATH", "")
	_, err := Try(t.Context(), a.source)
	t.Setenv("PATH", path)
	if !errors.Is(err, ErrAccess) || !strings.Contains(err.Error(), "needs the program git") || !strings.Contains(err.Error(), "install git") {
		t.Error(err)
	}
}

// TestPathOfAnother has repositories of another user, which git refuses to the superuser and to everybody else.
func TestPathOfAnother(t *testing.T) {
	const other = 65534
	if os.Geteuid() != 0 {
		t.Log("only the superuser can give a repository away")
		return
	}
	a := here(t)
	hook := filepath.Join(a.src.Dir, "hooks", "post-receive")
	testkit.Must(t, os.WriteFile(hook, []byte("#!/bin/sh\nid -u >ran-as\n"), 0o755))
	testkit.Must(t, filepath.WalkDir(a.src.Dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, other, other))
	}))
	_, err := Try(t.Context(), a.source)
	testkit.Must(t, err)
	testkit.Must(t, os.Chmod(filepath.Dir(filepath.Dir(a.src.Dir)), 0o755)) // where tests may write
	var o objects.Builder
	id := putRecord(&o, "i-1", "idle", 1)
	testkit.Must(t, a.store(t).Push(t.Context(), Update{Ref: "refs/heads/side", New: id, Objects: &o}))
	if b, err := os.ReadFile(filepath.Join(a.src.Dir, "ran-as")); err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(other) {
		t.Errorf("the hook ran as %q, %v", b, err)
	}
	testkit.Must(t, filepath.WalkDir(a.src.Dir, func(path string, d fs.DirEntry, err error) error {
		info, _ := d.Info()
		if st := info.Sys().(*syscall.Stat_t); st.Uid != other {
			t.Errorf("%s belongs to %d", path, st.Uid)
		}
		return err
	}))
	testkit.Must(t, os.Chmod(filepath.Dir(a.src.Dir), 0o700))
	err = a.store(t).Push(t.Context(), Update{Ref: "refs/heads/side", Old: id})
	if !errors.Is(err, ErrAccess) || !strings.Contains(err.Error(), "as user 65534, who owns it") {
		t.Error(err)
	}
}

// TestPathThatHangs ends git and all that it started, also where that does not heed the first signal.
func TestPathThatHangs(t *testing.T) {
	a := here(t)
	bin := t.TempDir()
	pids := filepath.Join(bin, "pids")
	script := fmt.Sprintf("#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $$ $! >%s.new\nmv %s.new %s\nwait\nwait\n", pids, pids, pids)
	testkit.Must(t, os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := a.store(t).Tip(ctx, "main"); err == nil || ctx.Err() == nil {
		t.Error(err)
	}
	b, err := os.ReadFile(pids)
	if errors.Is(err, fs.ErrNotExist) {
		return // it was ended before it came that far
	}
	testkit.Must(t, err)
	for word := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(word)
		testkit.Must(t, err)
		testkit.Eventually(t, "process "+word+" is gone", func() bool { return !runs(pid) })
	}
}

// runs is false for what is gone and for what only waits to be collected.
func runs(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}
