package clone

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
)

// snapshotOf lists everything below a folder with its time, size and mode.
func snapshotOf(tb testing.TB, dir string) string {
	tb.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err == nil {
			fmt.Fprintln(&b, path, info.ModTime().UnixNano(), info.Size(), info.Mode())
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestQuietLook(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{User: "x-access-token", Password: "a-token-of-forty-characters-0123456789ab"})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-forty-characters-0123456789ab\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.open(remote.Source{URL: w.repo.source.URL, Branch: "main", Agent: "addagent/0.1.0", Auth: remote.Auth{TokenFile: token}}, Limits{})
	id := w.src.Commit("main", someFiles(30, "x")...)
	for i := range 1000 {
		w.src.Git("update-ref", fmt.Sprintf("refs/heads/other/%d", i), id)
		if i == 20 {
			break // one loose ref is as good as another; the rest comes packed
		}
	}
	w.check()
	w.look()
	before, files := snapshotOf(t, w.dir), gittest.OpenFiles(t)
	requests, conns, bytes := w.server.Requests.Load(), w.server.Conns.Load(), w.server.Bytes()
	for range 100 {
		if s := w.look(); s.Moved || s.Files != 0 {
			t.Fatalf("%+v", s)
		}
	}
	requests, conns, bytes = w.server.Requests.Load()-requests, w.server.Conns.Load()-conns, w.server.Bytes()-bytes
	t.Logf("a look: %d bytes both ways", bytes/100)
	if requests != 100 || conns != 0 || bytes > 100*800 {
		t.Errorf("100 looks: %d requests, %d new connections, %d bytes", requests, conns, bytes)
	}
	if after := snapshotOf(t, w.dir); after != before {
		t.Error("a quiet look wrote something")
	}
	testkit.Eventually(t, fmt.Sprintf("no more files are open than the %d before, and one", files), func() bool { return gittest.OpenFiles(t) <= files+1 })
}

// TestBytes holds what changes cost on the wire: at most twice the changed objects and a small constant, for the three
// shapes that made other request forms send everything.
func TestBytes(t *testing.T) {
	t.Parallel()
	for _, bitmap := range []bool{false, true} {
		w := newWorld(t, gittest.ServerOptions{})
		w.src.Commit("main", someFiles(400, "start")...)
		w.src.History("main", 300, func(i int) []gittest.Change {
			return []gittest.Change{gittest.File(fmt.Sprintf("d%02d/e%d/file%04d.txt", i%20, i%3, i%400), strings.Repeat(fmt.Sprint("step ", i, "\n"), 30))}
		})
		fork := w.src.Git("rev-parse", "main~10")
		if bitmap {
			w.src.Git("repack", "-q", "-adb")
		}
		w.check()
		cost := func(name string, want int64) {
			t.Helper()
			old := gittest.Git(t, w.dir, "rev-parse", "HEAD")
			now := w.src.Tip("main")
			before, requests := w.server.Bytes(), w.server.Requests.Load()
			s := w.look()
			got := w.server.Bytes() - before
			requests = w.server.Requests.Load() - requests
			changed := changedObjects(t, w.src, old, now)
			t.Logf("bitmap %v, %s: %d bytes in %d requests for %d bytes of changed objects, notices %q", bitmap, name, got, requests, changed, s.Notices)
			if limit := 2*changed + 1800 + 2500*(requests-2); got > limit {
				t.Errorf("%s: %d bytes, more than %d", name, got, limit)
			}
			if requests != want {
				t.Errorf("%s: %d requests, want %d", name, requests, want)
			}
			w.same(s)
		}
		w.src.Commit("main", gittest.File("d00/e0/file0000.txt", "one line\n"))
		cost("one file", 2)
		side := w.src.CommitOn("side", []string{fork}, gittest.File("d01/e1/file0001.txt", "side\n"))
		w.src.CommitOn("main", []string{w.src.Tip("main"), side}, gittest.File("d01/e1/file0001.txt", "side\n"))
		cost("merge of a branch forked 10 back", 2)
		w.src.Move("main", "main~1")
		cost("moved back by one, to what we had", 1)
		w.src.History("main", 2, func(i int) []gittest.Change {
			return []gittest.Change{gittest.File("d02/e2/file0002.txt", fmt.Sprint("two ", i, "\n"))}
		})
		cost("two commits at once", 3)
		w.src.Move("main", "main~1")
		cost("moved back by one, to what we never had", 2)
		w.src.Move("main", "main~7")
		cost("moved back by seven", 2+4)
		w.src.History("main", 5, func(i int) []gittest.Change {
			return []gittest.Change{gittest.File(fmt.Sprint("new/", i), "x\n")}
		})
		cost("five commits at once", 4)
	}
}

// changedObjects sums the compressed sizes of the trees and blobs of one commit that another has not, and the commit.
func changedObjects(tb testing.TB, src *gittest.Repo, old, now string) int64 {
	tb.Helper()
	list := src.Git("rev-list", "--objects", now+"^{tree}", "--not", old+"^{tree}")
	ids := []byte(now + "\n")
	for line := range strings.Lines(list) {
		id, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		ids = append(ids, id+"\n"...)
	}
	out, err := gittest.TryGit(src.Dir, ids, "cat-file", "--batch-check=%(objectsize:disk)")
	if err != nil {
		tb.Fatal(err)
	}
	sum := int64(0)
	for line := range strings.Lines(out) {
		var n int64
		if _, err := fmt.Sscan(line, &n); err != nil {
			tb.Fatal(err)
		}
		sum += n
	}
	return sum
}

func TestAskForBranches(t *testing.T) {
	for _, noV2 := range []bool{false, true} {
		w := newWorld(t, gittest.ServerOptions{NoV2: noV2})
		ask := func(branch, want string) {
			t.Helper()
			w.open(remote.Source{URL: w.repo.source.URL, Branch: branch}, Limits{})
			_, err := w.repo.Ask(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v", branch, err)
			}
		}
		ask("", "the remote repository is empty: push a first commit")
		ask("main", "the remote repository is empty: push a first commit")
		w.src.Commit("dev", gittest.File("a", "a"))
		ask("", "HEAD names a branch that is not there: set branch; there are dev")
		ask("mian", `branch "mian" is not there; the remote has dev: push it, or set branch`)
		for i := range 8 {
			w.src.Commit(fmt.Sprint("b", i), gittest.File("a", "a"))
		}
		ask("b", "the remote has b0, b1, b2, b3, b4, ...: push it, or set branch")
		ask("a b", `branch "a b": git does not accept it`)
		w.src.Git("symbolic-ref", "HEAD", "refs/heads/b3")
		w.open(remote.Source{URL: w.repo.source.URL}, Limits{})
		before := w.server.Requests.Load()
		if tip, err := w.repo.Ask(t.Context()); err != nil || tip.Branch != "b3" {
			t.Errorf("%v %v", tip, err)
		}
		if n := w.server.Requests.Load() - before; !noV2 && n != 1 {
			t.Errorf("HEAD took %d requests", n)
		}
		w.src.Git("update-ref", "--no-deref", "HEAD", w.src.Tip("dev"))
		ask("", "HEAD is on no branch: set branch")
	}
}

func TestServerWithoutV2(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{NoV2: true})
	w.src.Commit("main", someFiles(50, "x")...)
	w.check()
	before := w.server.Requests.Load()
	for range 5 {
		w.look()
	}
	if n := w.server.Requests.Load() - before; n != 5 {
		t.Errorf("%d requests for five looks: it is not remembered that the server is old", n)
	}
	for i := range 5 {
		w.src.Commit("main", gittest.File("d00/e0/file0000.txt", fmt.Sprint("step ", i)))
		if s := w.check(); s.Bytes > 2000 {
			t.Errorf("a step of %d bytes", s.Bytes)
		}
	}
	w.src.Move("main", "main~3")
	if s := w.check(); s.Bytes > 2000 || len(s.Notices) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAdvice(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{User: "u", Password: "right"})
	w.src.Commit("main", gittest.File("a", "a"))
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	url := w.repo.source.URL
	ask := func(s remote.Source, want ...string) {
		t.Helper()
		w.open(s, Limits{})
		_, err := w.repo.Ask(t.Context())
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%q is not in: %v", text, err)
			}
		}
		if len(want) == 0 && err != nil {
			t.Error(err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret: %v", err)
		}
	}
	ask(remote.Source{URL: url}, "401", "set auth (token_file")
	ask(remote.Source{URL: url, Auth: remote.Auth{Username: "u", PasswordFile: file}}, "password_file", file, "no such file")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	withFile := remote.Source{URL: url, Auth: remote.Auth{Username: "u", PasswordFile: file}}
	ask(withFile, "401", "refuses the credentials of "+file)
	ask(remote.Source{URL: strings.Replace(url, "://", "://u:hunter2@", 1)}, "401")
	if err := os.WriteFile(file, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask(withFile)
	// Read at use: the same Repo, after the file changed.
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.repo.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.repo.Ask(t.Context()); err != nil {
		t.Error(err)
	}
	ask(remote.Source{URL: strings.Replace(url, "r.git", "nothing.git", 1), Auth: withFile.Auth}, "404", "check url", file)
	ask(remote.Source{URL: "http://127.0.0.1:1/x"}, "connection refused")
	ask(remote.Source{URL: "relative/path"}, "is not a URL")
	ask(remote.Source{URL: "/nowhere/at/all"}, "no such file")
	ask(remote.Source{URL: dir}, "does not appear to be a git repository")
}

func TestBusyServerIsLeftAlone(t *testing.T) {
	var code atomic.Int64
	w := newWorld(t, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if c := code.Load(); c != 0 {
				rw.Header().Set("Retry-After", "60")
				rw.WriteHeader(int(c))
				return
			}
			h.ServeHTTP(rw, r)
		})
	}})
	w.src.Commit("main", gittest.File("a", "a"))
	w.look()
	waits := filepath.Join(t.TempDir(), "remotes", "ops.json")
	for _, c := range []int64{429, 403, 503} {
		code.Store(c)
		before := w.server.Requests.Load()
		for i := range 4 {
			if i != 1 { // another process, as under cron
				w.open(w.repo.source, Limits{Waits: waits})
			}
			if _, err := w.repo.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprint(c)) {
				t.Fatal(err)
			}
		}
		if n := w.server.Requests.Load() - before; n != 1 {
			t.Errorf("%d: asked %d times", c, n)
		}
		w.repo.mirrors.list[0].wait.Until = time.Now()
		code.Store(0)
		w.look()
		if _, err := os.Lstat(waits); err == nil {
			t.Errorf("%d: there is still a file", c)
		}
		w.open(w.repo.source, Limits{Waits: waits})
		w.look()
	}
}

func TestIdleHoldsNothing(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(500, "x")...)
	w.look()
	debug.FreeOSMemory()
	before := gittest.OpenFiles(t)
	for i := range 10 {
		w.src.Commit("main", gittest.File("d00/e0/file0000.txt", fmt.Sprint(i)))
		w.look()
	}
	testkit.Eventually(t, fmt.Sprintf("no more files are open than the %d before, and two", before), func() bool { return gittest.OpenFiles(t) <= before+2 })
}
