//go:build linux && (amd64 || arm64)

package worktree

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"golang.org/x/sys/unix"
)

// watched is a work tree whose notes are believed: a folder and its files, and two moves.
func watched(t *testing.T) *checkout {
	c := newCheckout(t)
	c.notes = NewWatcher().DirtySet()
	c.move(c.src.Commit("main", gittest.File("a", "1"), gittest.File("dir/b", "1"), gittest.File("dir/deep/c", "1"),
		gittest.File("other/d", "1"), gittest.File("version", "0"), gittest.WithMode("link", "a", "120000")))
	c.step() // looks at all, and watches
	if !c.notes.sure {
		t.Fatalf("nothing is noted of a clone in %s", c.dir)
	}
	return c
}

// push changes one file, and returns the new commit.
func (c *checkout) push() string {
	return c.src.Commit("main", gittest.File("version", fmt.Sprint(time.Now().UnixNano())))
}

// step pushes and moves, and leaves the index as it is: one that git has written again is not ours.
func (c *checkout) step() Moved {
	c.tb.Helper()
	to := c.push()
	c.fetch(to)
	m, err := c.tryMove(c.tb.Context(), c.at, to)
	testkit.Must(c.tb, err)
	c.at = to
	return m
}

// moves pushes and moves, and checks that what was edited is back, and whether the notes served.
func (c *checkout) moves(believed bool, putBack ...string) {
	c.tb.Helper()
	since := c.notes.since
	m := c.step()
	if got := c.notes.whole && c.notes.since.Equal(since); got != believed {
		c.tb.Errorf("the notes were believed: %v, want %v", got, believed)
	}
	var want []string
	if len(putBack) > 0 {
		files := "1 edited file"
		if len(putBack) > 1 {
			files = fmt.Sprintf("%d edited files", len(putBack))
		}
		want = []string{"put back " + files + ": " + strings.Join(putBack, ", ")}
	}
	wantNotices(c.tb, m, want...)
	if got, want := gittest.TreeOf(c.tb, c.dir, "mine", "build", "dir/deep/mine"), c.src.Git("rev-parse", "main^{tree}"); got != want {
		c.tb.Fatalf("tree is %s, want %s:\n%s", got, want, strings.Join(gittest.Files(c.tb, c.dir), "\n"))
	}
	for _, args := range [][]string{{"diff-files"}, {"status", "--porcelain", "-uno"}} {
		if got := gittest.Git(c.tb, c.dir, append([]string{"--no-optional-locks"}, args...)...); got != "" {
			c.tb.Fatalf("git %v:\n%s", args, got)
		}
	}
	gittest.Fsck(c.tb, c.dir)
}

// TestWatcherSees: every way to touch a tracked file is noted, and put right at the next move without a look at the
// rest.
func TestWatcherSees(t *testing.T) {
	past := time.Unix(1_000_000_000, 0)
	for name, c := range map[string]struct {
		edit    func(t *testing.T, dir string)
		putBack []string
	}{
		"nothing": {func(*testing.T, string) {}, nil},
		"written": {func(t *testing.T, dir string) { testkit.Must(t, os.WriteFile(dir+"/dir/b", []byte("2"), 0o644)) }, []string{"dir/b"}},
		"written, with its old time": {func(t *testing.T, dir string) {
			info, err := os.Lstat(dir + "/dir/b")
			testkit.Must(t, err)
			testkit.Must(t, os.WriteFile(dir+"/dir/b", []byte("2"), 0o644))
			testkit.Must(t, os.Chtimes(dir+"/dir/b", info.ModTime(), info.ModTime()))
		}, []string{"dir/b"}},
		"still open": {func(t *testing.T, dir string) {
			f, err := os.OpenFile(dir+"/dir/deep/c", os.O_WRONLY, 0)
			testkit.Must(t, err)
			t.Cleanup(func() { testkit.Must(t, f.Close()) })
			_, err = f.WriteString("22")
			testkit.Must(t, err)
		}, []string{"dir/deep/c"}},
		"mapped": {func(t *testing.T, dir string) {
			f, err := os.OpenFile(dir+"/dir/b", os.O_RDWR, 0)
			testkit.Must(t, err)
			b, err := unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			testkit.Must(t, err)
			testkit.Must(t, f.Close())
			b[0] = '2'
			testkit.Must(t, unix.Munmap(b))
		}, []string{"dir/b"}},
		"truncated": {func(t *testing.T, dir string) { testkit.Must(t, os.Truncate(dir+"/a", 0)) }, []string{"a"}},
		"deleted":   {func(t *testing.T, dir string) { testkit.Must(t, os.Remove(dir+"/dir/deep/c")) }, []string{"dir/deep/c"}},
		"mode":      {func(t *testing.T, dir string) { testkit.Must(t, os.Chmod(dir+"/a", 0o755)) }, []string{"a"}},
		"touched":   {func(t *testing.T, dir string) { testkit.Must(t, os.Chtimes(dir+"/a", past, past)) }, nil},
		"renamed onto": {func(t *testing.T, dir string) {
			testkit.Must(t, os.WriteFile(dir+"/.temp-mine", []byte("2"), 0o644))
			testkit.Must(t, os.Rename(dir+"/.temp-mine", dir+"/dir/b"))
		}, []string{"dir/b"}},
		"linked onto": {func(t *testing.T, dir string) {
			testkit.Must(t, os.Remove(dir+"/dir/b"))
			testkit.Must(t, os.WriteFile(dir+"/../elsewhere", []byte("2"), 0o644))
			testkit.Must(t, os.Link(dir+"/../elsewhere", dir+"/dir/b"))
		}, []string{"dir/b"}},
		"link instead": {func(t *testing.T, dir string) {
			testkit.Must(t, os.Remove(dir+"/a"))
			testkit.Must(t, os.Symlink("dir/b", dir+"/a"))
		}, []string{"a"}},
		"link elsewhere": {func(t *testing.T, dir string) {
			testkit.Must(t, os.Remove(dir+"/link"))
			testkit.Must(t, os.Symlink("b", dir+"/link"))
		}, []string{"link"}},
		"two swapped": {func(t *testing.T, dir string) {
			testkit.Must(t, os.WriteFile(dir+"/a", []byte("2"), 0o644))
			testkit.Must(t, unix.Renameat2(unix.AT_FDCWD, dir+"/a", unix.AT_FDCWD, dir+"/dir/b", unix.RENAME_EXCHANGE))
		}, []string{"dir/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := watched(t)
			c.edit(t, w.dir)
			w.moves(true, c.putBack...)
			w.moves(true) // what the move itself wrote is no edit
		})
	}
}

// TestWatcherDoubts: whenever the notes may not be the whole truth all files are looked at, and the notes begin anew.
func TestWatcherDoubts(t *testing.T) {
	edit := func(t *testing.T, w *checkout) { w.write("dir/deep/c", "edited") }
	for name, c := range map[string]struct {
		do      func(t *testing.T, w *checkout)
		putBack []string
		again   bool // the move after that looks at all, too
	}{
		"an hour": {func(t *testing.T, w *checkout) {
			// A hard link elsewhere: nothing is noted of what is done through it.
			testkit.Must(t, os.Link(filepath.Join(w.dir, "dir/b"), w.dir+"-link"))
			testkit.Must(t, os.WriteFile(w.dir+"-link", []byte("2"), 0o644))
			w.notes.since = w.notes.since.Add(-believed)
		}, []string{"dir/b"}, false},
		"notes lost": {func(t *testing.T, w *checkout) {
			b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
			testkit.Must(t, err)
			var most int
			_, err = fmt.Sscan(string(b), &most)
			testkit.Must(t, err)
			for i := range most + 2 { // the kernel joins two of the same in a row
				testkit.Must(t, os.Chmod(filepath.Join(w.dir, []string{"a", "dir/b"}[i%2]), 0o644))
				testkit.Must(t, os.Chmod(filepath.Join(w.dir, []string{"a", "dir/b"}[i%2]), 0o600))
			}
			edit(t, w)
		}, []string{"a", "dir/b", "dir/deep/c"}, false},
		"folder renamed": {func(t *testing.T, w *checkout) {
			testkit.Must(t, os.Rename(filepath.Join(w.dir, "dir"), filepath.Join(w.dir, "mine")))
			testkit.Must(t, os.RemoveAll(filepath.Join(w.dir, "mine")))
		}, []string{"dir/b", "dir/deep/c"}, true},
		"folder replaced": {func(t *testing.T, w *checkout) {
			old := filepath.Join(w.dir, "dir")
			testkit.Must(t, os.Rename(old, w.dir+"-old"))
			testkit.Must(t, os.Mkdir(old, 0o755))
			testkit.Must(t, os.Rename(w.dir+"-old/deep", old+"/deep"))
			w.write("dir/b", "another")
			w.write("dir/deep/c", "another")
		}, []string{"dir/b", "dir/deep/c"}, false},
		"folder away and back": {func(t *testing.T, w *checkout) {
			testkit.Must(t, os.Rename(filepath.Join(w.dir, "dir"), w.dir+"-away"))
			testkit.Must(t, os.WriteFile(w.dir+"-away/deep/c", []byte("edited"), 0o644))
			testkit.Must(t, os.Rename(w.dir+"-away", filepath.Join(w.dir, "dir")))
		}, []string{"dir/deep/c"}, false},
		"folder deleted while somebody is in it": {func(t *testing.T, w *checkout) {
			f, err := os.Open(filepath.Join(w.dir, "other"))
			testkit.Must(t, err)
			t.Cleanup(func() { testkit.Must(t, f.Close()) })
			testkit.Must(t, os.RemoveAll(filepath.Join(w.dir, "other")))
			w.write("other/d", "another")
		}, []string{"other/d"}, false},
		"clone copied and put back": {func(t *testing.T, w *checkout) {
			gittest.Git(t, filepath.Dir(w.dir), "-C", w.dir, "status") // some program that writes the index
			testkit.Must(t, os.Rename(w.dir, w.dir+"-old"))
			testkit.Must(t, os.CopyFS(w.dir, os.DirFS(w.dir+"-old")))
			edit(t, w)
		}, []string{"dir/deep/c"}, false},
		"index of another": {func(t *testing.T, w *checkout) {
			index := filepath.Join(w.dir, ".git", "index")
			b, err := os.ReadFile(index)
			testkit.Must(t, err)
			testkit.Must(t, os.WriteFile(index+".new", b, 0o644))
			testkit.Must(t, os.Rename(index+".new", index))
		}, nil, false},
		"index lost": {func(t *testing.T, w *checkout) {
			testkit.Must(t, os.Remove(filepath.Join(w.dir, ".git", "index")))
			edit(t, w)
		}, []string{"dir/deep/c"}, true},
		"new folder": {func(t *testing.T, w *checkout) {
			w.move(w.src.Commit("main", gittest.File("new/folder/x", "1")))
			w.write("new/folder/x", "edited")
		}, []string{"new/folder/x"}, false},
		"move that failed": {func(t *testing.T, w *checkout) {
			edit(t, w)
			unsafe := w.src.Commit("main", gittest.File(".temp/x", "unsafe"))
			w.fetch(unsafe)
			if _, err := w.tryMove(t.Context(), w.at, unsafe); err == nil {
				t.Error("an unsafe tree was taken")
			}
			w.src.Commit("main", gittest.Remove(".temp"))
		}, []string{"dir/deep/c"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := watched(t)
			c.do(t, w)
			w.moves(false, c.putBack...)
			w.moves(!c.again)
			w.moves(true)
			edit(t, w)
			w.moves(true, "dir/deep/c")
		})
	}
}

// TestWatcherIgnores: what a person or a script does beside the tracked files costs no look at all of them.
func TestWatcherIgnores(t *testing.T) {
	w := watched(t)
	w.write(".temp/add/x", "memory")
	w.write("build/out/x", "made by a script")
	w.write("dir/deep/mine", "mine")
	testkit.Must(t, os.Chmod(filepath.Join(w.dir, "dir"), 0o700))
	gittest.Git(t, w.dir, "log", "-1")
	w.moves(true)
	testkit.Must(t, os.RemoveAll(filepath.Join(w.dir, "build")))
	w.moves(true)
	testkit.Must(t, os.Chmod(filepath.Join(w.dir, "dir"), 0o755))
}

// TestWatcherGivesUp: where nothing can be noted a move looks at all, as ever.
func TestWatcherGivesUp(t *testing.T) {
	t.Run("no room", func(t *testing.T) {
		w := watched(t)
		of := w.notes.of
		w.notes.Forget()
		of.folders.Store(3)
		w.write("other/d", "edited")
		w.moves(false, "other/d")
		w.moves(false)
		if n := of.folders.Load(); n != 3 || w.notes.whole {
			t.Errorf("room for %d folders, want 3 as before", n)
		}
		of.folders.Store(4)
		w.moves(false)
		if w.notes.whole {
			t.Error("it was tried again within the hour")
		}
		w.notes.full = w.notes.full.Add(-believed)
		of.clones.Store(0)
		w.moves(false)
		of.clones.Store(1)
		w.moves(false)
		w.moves(true)
		w.notes.Forget()
		if of.folders.Load() != 4 || of.clones.Load() != 1 {
			t.Error("what was taken did not come back")
		}
	})
	t.Run("nil", func(t *testing.T) {
		var w *Watcher
		if w.DirtySet() != nil {
			t.Error("a nil watcher has notes")
		}
	})
	for dir, want := range map[string]bool{"/": true, "/nowhere at all": false} { // below / there is always /proc
		if got := mountedBelow(strings.TrimSuffix(dir, "/")); got != want {
			t.Errorf("mounted below %s: %v", dir, got)
		}
	}
}
