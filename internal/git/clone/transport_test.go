package clone

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
)

// follow clones from an address and goes through a history with it.
func (w *world) follow(s remote.Source) {
	w.tb.Helper()
	w.open(s, Limits{})
	w.src.Commit("main", someFiles(60, "x")...)
	w.check()
	before := gittest.OpenFiles(w.tb)
	for i := range 4 {
		w.src.Commit("main", gittest.File("d01/e1/file0001.txt", fmt.Sprint("step ", i)), gittest.File(fmt.Sprint("new", i), "x"))
		if s := w.check(); s.Bytes > 3000 || len(s.Notices) > 0 {
			w.tb.Errorf("step: %+v", s)
		}
	}
	side := w.src.CommitOn("side", []string{w.src.Git("rev-parse", "main~3")}, gittest.File("side", "x"))
	w.src.CommitOn("main", []string{w.src.Tip("main"), side}, gittest.File("side", "x"))
	w.check()
	w.src.History("main", 3, func(i int) []gittest.Change { return []gittest.Change{gittest.File("m", fmt.Sprint(i))} })
	if s := w.check(); len(s.Notices) > 0 {
		w.tb.Errorf("three at once: %+v", s)
	}
	w.src.Move("main", "main~5")
	if s := w.check(); len(s.Notices) != 1 {
		w.tb.Errorf("moved back: %+v", s)
	}
	if s := w.check(); s.Moved {
		w.tb.Errorf("quiet: %+v", s)
	}
	testkit.Eventually(w.tb, fmt.Sprintf("no more files are open than the %d before, and one", before), func() bool { return gittest.OpenFiles(w.tb) <= before+1 })
}

func newLocal(tb testing.TB) *world {
	tb.Helper()
	root := tb.TempDir()
	return &world{tb: tb, src: gittest.New(tb, filepath.Join(root, "r.git")), dir: filepath.Join(root, "clone")}
}

func TestPaths(t *testing.T) {
	for _, prefix := range []string{"", "file://"} {
		w := newLocal(t)
		w.follow(remote.Source{URL: prefix + w.src.Dir})
	}
	// A work tree, packed refs, packs with deltas, an alternate, and loose objects.
	w := newLocal(t)
	w.src.Commit("main", someFiles(60, "x")...)
	w.src.History("main", 30, func(i int) []gittest.Change {
		return []gittest.Change{gittest.File("d00/e0/file0000.txt", strings.Repeat(fmt.Sprint("line ", i, "\n"), 2000))}
	})
	w.src.Git("repack", "-qad")
	w.src.Git("pack-refs", "--all")
	tree := filepath.Join(t.TempDir(), "tree")
	gittest.Git(t, ".", "clone", "-q", "--shared", w.src.Dir, tree)
	if err := os.WriteFile(filepath.Join(tree, "loose"), make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	gittest.Git(t, tree, "add", ".")
	gittest.Git(t, tree, "commit", "-qm", "loose")
	gittest.Git(t, tree, "push", "-q", w.src.Dir, "main")
	w.open(remote.Source{URL: tree}, Limits{})
	w.same(w.look())
	_, err := New(w.dir, remote.Source{URL: tree, Branch: "nothing"}, Limits{}).Ask(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the remote has main") {
		t.Error(err)
	}
	empty := newLocal(t)
	empty.open(remote.Source{URL: empty.src.Dir}, Limits{})
	if _, err := empty.repo.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Error(err)
	}
}

func TestGitDaemon(t *testing.T) {
	w := newLocal(t)
	url := gittest.Daemon(t, filepath.Dir(w.src.Dir))
	w.open(remote.Source{URL: url + "/r.git"}, Limits{})
	if _, err := w.repo.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Error(err)
	}
	w.follow(remote.Source{URL: url + "/r.git", Agent: "addagent/test"})
	w.open(remote.Source{URL: url + "/nothing.git"}, Limits{})
	if _, err := w.repo.Ask(t.Context()); err == nil {
		t.Error("no error")
	}
}

// TestGitDaemonIsAskedForOneRef and not for all of them.
func TestGitDaemonIsAskedForOneRef(t *testing.T) {
	w := newLocal(t)
	w.src.Commit("main", someFiles(3, "x")...)
	w.src.PackRefs("other/", 500)
	relay := gittest.StartRelay(t, strings.TrimPrefix(gittest.Daemon(t, filepath.Dir(w.src.Dir)), "git://"))
	w.open(remote.Source{URL: "git://" + relay.Addr + "/r.git", Agent: "addagent/test"}, Limits{})
	w.check()
	for range 3 {
		before := relay.Up.Load() + relay.Down.Load()
		w.look()
		if n := relay.Up.Load() + relay.Down.Load() - before; n > 1000 {
			t.Errorf("%d bytes a look", n)
		}
	}
}

// TestStalledPack stops in the middle of a pack, with the connection open: half-open sockets look like that.
func TestStalledPack(t *testing.T) {
	w := newLocal(t)
	root := filepath.Dir(w.src.Dir)
	w.src.Commit("main", gittest.File("big", randomText(1<<20)))
	sshd := gittest.StartSSHD(t)
	server := gittest.Serve(t, root, gittest.ServerOptions{})
	for kind, to := range map[string]string{
		"ssh": sshd.Addr, "git": strings.TrimPrefix(gittest.Daemon(t, root), "git://"), "http": strings.TrimPrefix(server.URL, "http://"),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := &world{tb: t, src: w.src, dir: filepath.Join(t.TempDir(), "clone")}
			relay := gittest.StartRelay(t, to)
			url := kind + "://" + relay.Addr + "/r.git"
			auth := remote.Auth{}
			if kind == "ssh" {
				sshd.Knows(relay.Addr)
				url, auth = sshd.URLAt(relay.Addr, w.src.Dir), remote.Auth{SSHKeyFiles: []string{sshd.KeyFile}, KnownHostsFile: sshd.KnownHosts}
			}
			w.open(remote.Source{URL: url, Auth: auth}, Limits{Stall: 5 * time.Second})
			tip, err := w.repo.Ask(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			relay.Stall.Store(100 << 10)
			if _, err := w.repo.Apply(t.Context(), tip, nil); err == nil || !strings.Contains(err.Error(), "nothing advanced for 5s") {
				t.Error(err)
			}
			relay.Stall.Store(0)
			w.open(w.repo.source, Limits{})
			w.check()
		})
	}
}

func TestSSH(t *testing.T) {
	w := newLocal(t)
	d := gittest.StartSSHD(t)
	auth := remote.Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: d.KnownHosts}
	w.follow(remote.Source{URL: d.URL(w.src.Dir), Auth: auth, Agent: "addagent/test"})

	ask := func(url string, a remote.Auth, want ...string) {
		t.Helper()
		w.open(remote.Source{URL: url, Auth: a}, Limits{})
		_, err := w.repo.Ask(t.Context())
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%q is not in: %v", text, err)
			}
		}
	}
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	gittest.WriteFile(t, empty, "")
	ask(d.URL(w.src.Dir), remote.Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: empty}, "unknown host key", d.HostKey, "known: none")
	other := gittest.StartSSHD(t)
	_, port, _ := net.SplitHostPort(d.Addr)
	_, otherPort, _ := net.SplitHostPort(other.Addr)
	b, err := os.ReadFile(other.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, "changed")
	gittest.WriteFile(t, changed, strings.ReplaceAll(string(b), otherPort, port))
	ask(d.URL(w.src.Dir), remote.Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: changed}, "host key changed", d.HostKey, other.HostKey, changed+":1")
	ask(d.URL(w.src.Dir), remote.Auth{SSHKeyFiles: []string{other.KeyFile}, KnownHostsFile: d.KnownHosts}, "does not let", other.KeyFile)
	ask(d.URL(w.src.Dir), remote.Auth{SSHKeyFiles: []string{empty}, KnownHostsFile: d.KnownHosts}, "is not a private key")
	ask(d.URL(w.src.Dir), remote.Auth{SSHKeyFiles: []string{dir + "/none"}, KnownHostsFile: d.KnownHosts}, "auth ssh_key_file", "no such file")
	ask(d.URL(w.src.Dir), remote.Auth{SSHKeyFiles: []string{d.KeyFile}, KnownHostsFile: dir + "/none"}, "auth known_hosts_file", "no such file")
	ask(d.URL(w.src.Dir+"/nothing's here"), auth, "does not appear to be a git repository")
}

// TestHangingServers accept and say nothing.
func TestHangingServers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
		}
	}()
	key := filepath.Join(t.TempDir(), "key")
	d := gittest.StartSSHD(t)
	b, err := os.ReadFile(d.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	gittest.WriteFile(t, key, string(b))
	before := gittest.OpenFiles(t)
	for _, scheme := range []string{"http", "https", "ssh", "git"} {
		r := New(t.TempDir(), remote.Source{URL: scheme + "://" + l.Addr().String() + "/x", Auth: remote.Auth{SSHKeyFiles: []string{key}, KnownHostsFile: d.KnownHosts}}, Limits{Look: 200 * time.Millisecond})
		_, err := r.Ask(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no answer within 200ms") {
			t.Errorf("%s: %v", scheme, err)
		}
		_ = r.Close()
	}
	// The other ends close as they notice.
	testkit.Eventually(t, fmt.Sprintf("no more files are open than the %d before, and four", before), func() bool { return gittest.OpenFiles(t) <= before+4 })
}
