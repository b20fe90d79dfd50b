//go:build linux

package torture

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"golang.org/x/sys/unix"
)

// patient is work that is tried again at once, so that a beat after a failure works.
const patient = "timeout: 30s, grace: 1s, retry_first: 10ms, retry_max: 10ms, wedge_after: 1000"

// TestOutOfInodes leaves the node's disk so many files as may still be made, from none on, and beats: with a push to
// take, and with nothing here yet.
//
// INVARIANT (spec 6, 1): such a beat ends with 0, or with 1 and the reason; every state file is whole, whatever was
// pushed is taken whole or not at all; when there is room again the next beat heals it all.
func TestOutOfInodes(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	spares := []int{0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 30, 40, 50}
	listed(t, 2*len(spares))
	g := newGrid(t, plan{home: mounted(t, "size=200m,nr_inodes=1000"), work: patient})
	for _, first := range []bool{false, true} {
		for i, spare := range spares {
			if i%testkit.Rounds(5, 1) != 0 {
				continue
			}
			g.push("ops", append(load(i, 10), script("nodework/work.sh", watchful), gittest.File("mood", "fails=0\n"))...)
			g.heal("with room", nil)
			if first {
				for _, dir := range []string{g.in("gitrepo"), g.in("log")} {
					if err := os.RemoveAll(dir); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				g.push("ops", append(load(i+1000, 10), script("nodework/work.sh", watchful))...)
			}
			where := fmt.Sprintf("with room for %d files, first %v", spare, first)
			ballast := g.in("ballast")
			fillInodes(t, ballast, spare)
			// A second one, too: what the first could not finish.
			for range 2 {
				code, _, stderr := g.run("beat")
				if code != 0 && !strings.Contains(stderr, "no space left on device") && !strings.Contains(stderr, "disk full") || code > 1 {
					t.Errorf("%s: beat ended with %d: %s", where, code, stderr)
				}
				g.whole()
			}
			if err := os.RemoveAll(ballast); err != nil {
				t.Fatal(err)
			}
			g.heal(where, nil)
			if t.Failed() {
				t.Fatal(where)
			}
		}
	}
}

// fillInodes creates files until that fails, and then removes as many as are to be spare.
func fillInodes(t *testing.T, dir string, spare int) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	made := 0
	for ; ; made++ {
		f, err := os.Create(filepath.Join(dir, itoa(made)))
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err = join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range spare {
		if err := os.Remove(filepath.Join(dir, itoa(made-1-i))); err != nil {
			t.Fatal(err)
		}
	}
}

// mounted is a folder with a tmpfs of its own.
func mounted(t *testing.T, options string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err == nil {
		dir = filepath.Join(dir, "disk")
		err = os.Mkdir(dir, 0o755)
	}
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, options)
	}
	if err != nil {
		t.Fatalf("%v: this test needs to mount: root with CAP_SYS_ADMIN, or user namespaces for ordinary users (user.max_user_namespaces)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// elsewhere runs the test once more as root of a user namespace, where an ordinary user may mount, and tells whether it
// did; root needs none.
func elsewhere(t *testing.T) bool {
	t.Helper()
	if os.Getuid() == 0 {
		return false
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.short="+flag.Lookup("test.short").Value.String(), "-test.v")
	cmd.Env = append(os.Environ(), "ADD_TORTURE_BINARY="+binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in a user namespace (this test needs to mount: root, or user namespaces for ordinary users): %v\n%s", err, out)
	}
	return true
}

// TestHomeReadOnly makes the home, or the state folder, read-only (what is open already can still be written, as it is
// with a disk that the kernel gave up), while the agent has nothing to do, and while work runs; pushes; and makes it
// writable again.
//
// INVARIANT (spec 3, 6): the agent lives and says what it cannot do; nothing is worked whose result could not be kept,
// a run that ended meanwhile is repeated rather than forgotten; when the home can be written again the node heals by
// itself.
func TestHomeReadOnly(t *testing.T) {
	t.Parallel()
	if elsewhere(t) {
		return
	}
	cases := map[string]struct {
		folder  string // below the grid's
		working bool
	}{
		"the home, with nothing to do":         {"home", false},
		"the home, while work runs":            {"home", true},
		"the state folder, with nothing to do": {"lib", false},
		"the state folder, while work runs":    {"lib", true},
		"the run folder, with nothing to do":   {"run", false},
		"the run folder, while work runs":      {"run", true},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{})
			g.push("ops", script("nodework/work.sh", gated))
			write(t, g.note("go"), "")
			g.start()
			g.settle("ops", "root")
			if c.working {
				g.remove(g.note("go"))
				g.push("ops", gittest.File("serial", "1"))
				g.until("work", func() bool { return g.count("start") == 2 })
			}
			said := len(read(g.stderr()))
			undo := readOnly(t, filepath.Join(g.dir, c.folder))
			write(t, g.note("go"), "")
			g.push("ops", gittest.File("serial", "2"))
			g.until("three beats", func() bool { g.surprise(); return strings.Count(read(g.stderr())[said:], " | next ") > 3 })
			text := read(g.stderr())[said:]
			if c.folder == "home" && (!strings.Contains(text, "read-only file system") || !strings.Contains(text, "WARNING")) {
				t.Errorf("the home is read-only, and nothing says so:\n%s", text)
			}
			undo()
			g.settle("ops", "root")
			g.stop()
			g.sound("ops")
			if n := g.count("start"); n > 4 {
				t.Errorf("%d runs for two or three pushes: %v", n, g.journal())
			}
		})
	}
}

// readOnly makes a folder read-only until undo is called.
func readOnly(t *testing.T, dir string) (undo func()) {
	t.Helper()
	err := unix.Mount(dir, dir, "", unix.MS_BIND, "")
	if err == nil {
		err = unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	if err != nil {
		t.Fatalf("%v: this test needs to mount: root with CAP_SYS_ADMIN, or user namespaces for ordinary users", err)
	}
	done := false
	undo = func() {
		if done {
			return
		}
		done = true
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(undo)
	return undo
}

// limited is a beat with a limit of its own (prlimit(1)), "" = none, and of another user, nil = ours.
func (g *grid) limited(option string, as *syscall.Credential) (code int, stderr string) {
	g.t.Helper()
	cmd := g.command("beat")
	if option != "" {
		path, err := exec.LookPath("prlimit")
		if err != nil {
			g.t.Fatalf("%v: install util-linux", err)
		}
		cmd.Path, cmd.Args = path, append([]string{"prlimit", option}, cmd.Args...)
	}
	if as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	p := launch(g.t, cmd)
	g.until("a beat with "+option+" to end", func() bool { return !p.alive() })
	return p.code(), errs.String()
}

// TestNoDescriptors beats with so few file descriptors as a process may have open: from those that a Go program cannot
// live without, one more each time, with a push to take, and, every other time, with nothing here yet.
//
// INVARIANT (spec 3, 6): the beat does what it can, or ends with the reason; a Go program without a descriptor for its
// poller dies; nothing is left half done that the next beat does not finish.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	const least, most = 6, 40
	listed(t, most-least+1)
	g := newGrid(t, plan{work: patient})
	through := 0
	for n := least; n <= most; n += testkit.Rounds(7, 1) {
		if err := os.RemoveAll(g.in("gitrepo")); err != nil {
			t.Fatal(err)
		}
		g.push("ops", small(n)...)
		if n%2 == 0 {
			g.beatOnce(0) // each pack that is fetched takes two: always the same few
			g.push("ops", small(-n)...)
		}
		code, stderr := g.limited(fmt.Sprintf("--nofile=%d", n), nil)
		switch {
		case runtimeGaveUp(stderr):
		case code != 0 && !strings.Contains(stderr, "too many open files"): // 5, when it cannot tell whether a hold is in force
			t.Errorf("with %d descriptors: beat ended with %d: %s", n, code, stderr)
			noCrash(t, stderr)
		case code == 0:
			through++
		}
		g.heal(fmt.Sprintf("after a beat with %d descriptors", n), nil)
		if t.Failed() {
			t.FailNow()
		}
	}
	if through == 0 {
		t.Error("no beat came through: the limits are too tight to show anything")
	}
	t.Logf("%d of %d beats came through", through, most-least+1)
}

// small is a commit of a few files, some of which come and go.
func small(n int) []gittest.Change {
	return []gittest.Change{script("nodework/work.sh", watchful), gittest.File("mood", fmt.Sprintf("fails=0 # %d\n", n)), gittest.Remove("d"),
		gittest.File(fmt.Sprintf("d/%d/file", n%3), fmt.Sprint(n)), gittest.File(fmt.Sprintf("d/%d", n%3+3), fmt.Sprint(n))}
}

// runtimeGaveUp knows the few words with which Go itself ends a program that the system denies a thread or a poller: no
// code of ours is asked then.
func runtimeGaveUp(stderr string) bool {
	for _, word := range []string{"runtime: failed to create new OS thread", "runtime: epollcreate failed", "runtime: eventfd failed"} {
		if strings.Contains("\n"+stderr, "\n"+word) { // maybe behind a line of ours: one thread was had, the next was not
			return true
		}
	}
	return false
}

// TestNoProcesses beats as a user who may have but so many processes and threads, from as few as addagent starts with.
//
// INVARIANT (spec 6): what cannot be started is said and tried again; a Go program that is refused a thread dies, and
// that leaves nothing that the next beat does not finish.
func TestNoProcesses(t *testing.T) {
	t.Parallel()
	const least, most = 1, 24
	listed(t, most-least+1)
	g := newGrid(t, plan{work: patient})
	as, base := g.stranger()
	through := 0
	for n := least; n <= most; n += testkit.Rounds(6, 1) {
		g.push("ops", small(n)...)
		code, stderr := g.limited(fmt.Sprintf("--nproc=%d", base+n), as)
		switch {
		case runtimeGaveUp(stderr):
		case code != 0 && (code > 1 || !strings.Contains(stderr, "resource temporarily unavailable") && !strings.Contains(stderr, "interrupted") && !strings.Contains(stderr, "failed: ")):
			t.Errorf("with %d processes: beat ended with %d: %s", n, code, stderr)
			noCrash(t, stderr)
		case code == 0:
			through++
		}
		g.healAs(as, fmt.Sprintf("after a beat with %d processes", n))
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d of %d beats came through", through, most-least+1)
}

// stranger gives the node to a user of its own, who has no processes, when we are root; else it stays ours. It returns
// who that is and how many processes and threads that user has already.
func (g *grid) stranger() (as *syscall.Credential, base int) {
	g.t.Helper()
	if os.Getuid() != 0 {
		dirs, _ := filepath.Glob("/proc/[0-9]*/task/*")
		for _, dir := range dirs {
			if info, err := os.Stat(dir); err == nil && int(info.Sys().(*syscall.Stat_t).Uid) == os.Getuid() {
				base++
			}
		}
		return nil, base
	}
	id := 1_000_000 + os.Getpid()
	for _, dir := range []string{filepath.Dir(g.dir), filepath.Dir(binary)} { // made for root alone
		if err := os.Chmod(dir, 0o755); err != nil {
			g.t.Fatal(err)
		}
	}
	err := filepath.WalkDir(g.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(path, filepath.Join(g.dir, "remote")) {
			return err
		}
		return os.Chown(path, id, id)
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}, 0
}

// healAs is heal for a node of another user.
func (g *grid) healAs(as *syscall.Credential, where string) {
	g.t.Helper()
	for try := 1; ; try++ {
		g.until("work of an earlier beat to end", g.quiet)
		code, stderr := g.limited("", as)
		noCrash(g.t, stderr)
		if code == 0 && g.worked("ops", "root") == g.tip("ops") {
			break
		}
		if code > 1 || try > 4 {
			g.t.Fatalf("%s: beat %d after it ended with %d, worked %q, pushed %s: %s", where, try, code, g.worked("ops", "root"), g.tip("ops"), stderr)
		}
	}
	if g.count("overlap") > 0 {
		g.t.Errorf("%s: two runs at once: %v", where, g.journal())
	}
	if got, want := gittest.TreeOf(g.t, g.clone("ops")), g.repos["ops"].Git("rev-parse", "main^{tree}"); got != want {
		g.t.Errorf("%s: the tree is %s, pushed %s", where, got, want)
	}
	g.whole()
}
