// Package gittest makes git repositories, and real servers in front of them, for the tests of everything that talks to
// git.
//
// The repositories are made by the git program, so that what we read is what people push.
package gittest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Repo is a bare repository that a test pushes to.
type Repo struct {
	Dir   string // the bare repository itself
	tb    testing.TB
	clock int64 // committer time of the last commit; a minute a commit, so that histories are the same in every run
}

// Change is one path of a commit. The zero Mode is a plain file.
type Change struct {
	Path    string
	Content string
	Mode    string // 100644, 100755, 120000, 160000 (Content is the commit's id then)
	Delete  bool
}

// File is a Change that writes a plain file.
func File(path, content string) Change { return Change{Path: path, Content: content} }

// WithMode is a file of one of git's modes: 100755 is executable, 120000 a link, 160000 a submodule.
func WithMode(path, content, mode string) Change {
	return Change{Path: path, Content: content, Mode: mode}
}

// Remove is a Change that deletes a file or a folder.
func Remove(path string) Change { return Change{Path: path, Delete: true} }

// New makes an empty bare repository at dir, whose HEAD names main. Any commit of it may be asked for by id. Programs
// that are still at work in it when the test ends are ended.
func New(tb testing.TB, dir string) *Repo {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	r := &Repo{Dir: dir, tb: tb, clock: 1_700_000_000}
	tb.Cleanup(r.vacate)
	r.Git("init", "-q", "--bare", "--template=", "--initial-branch=main", ".")
	if err := os.MkdirAll(filepath.Join(dir, "hooks"), 0o755); err != nil {
		tb.Fatal(err)
	}
	config := filepath.Join(dir, "config")
	// The last two: else git goes on when the push is over.
	WriteFile(tb, config, ReadFile(tb, config)+
		"[uploadpack]\n\tallowAnySHA1InWant = true\n[http]\n\treceivepack = true\n[gc]\n\tauto = 0\n[receive]\n\tautogc = false\n")
	return r
}

// vacate ends whatever works in the repository. A server that is stopped, or whose client went away, leaves its git
// programs behind, and their hooks: what they still write would be in the way when the folder is removed.
func (r *Repo) vacate() {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		at, err := filepath.EvalSymlinks(r.Dir)
		if err != nil {
			return
		}
		workers, _ := filepath.Glob("/proc/[0-9]*/cwd")
		left := 0
		for _, link := range workers {
			var pid int
			if dir, err := os.Readlink(link); err != nil || dir != at && !strings.HasPrefix(dir, at+"/") {
				continue
			}
			if _, err := fmt.Sscanf(link, "/proc/%d/", &pid); err == nil && pid != os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				left++
			}
		}
		if left == 0 {
			return
		}
	}
	r.tb.Errorf("a program still works in %s", r.Dir)
}

// Git runs the git program in the repository and returns what it prints, trimmed.
func (r *Repo) Git(args ...string) string {
	r.tb.Helper()
	return Git(r.tb, r.Dir, args...)
}

// Git runs the git program in a folder with a fixed identity and without the configuration of the machine.
func Git(tb testing.TB, dir string, args ...string) string {
	tb.Helper()
	out, err := TryGit(dir, nil, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// TryGit is Git for calls that may fail; the error holds what git printed.
func TryGit(dir string, stdin []byte, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = Env()
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s in %s: %w: %s%s", strings.Join(args, " "), dir, err, out, stderr.Bytes())
	}
	return strings.TrimRight(string(out), "\n"), nil
}

// Env is the environment for git programs in tests.
func Env() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		// else git goes on in the background
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=maintenance.auto", "GIT_CONFIG_VALUE_0=false",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.org")
}

// Commit puts a commit with the changes on top of a branch, which is made when it is not there, and returns its id.
func (r *Repo) Commit(branch string, changes ...Change) string {
	r.tb.Helper()
	var parents []string
	if id := r.find(branch); id != "" {
		parents = []string{id}
	}
	return r.CommitOn(branch, parents, changes...)
}

// CommitOn makes a commit with the given parents (ids or refs; the tree is the first one's, with the changes) and
// moves the branch to it, wherever it was before.
func (r *Repo) CommitOn(branch string, parents []string, changes ...Change) string {
	r.tb.Helper()
	var in bytes.Buffer
	in.WriteString("feature done\n")
	r.stream(&in, branch, parents, false, changes)
	in.WriteString("done\n")
	r.Import(in.Bytes())
	return r.Tip(branch)
}

// History puts n commits on a branch in one go; change says what the i-th of them does.
func (r *Repo) History(branch string, n int, change func(i int) []Change) string {
	r.tb.Helper()
	var in bytes.Buffer
	in.WriteString("feature done\n")
	var parents []string
	if id := r.find(branch); id != "" {
		parents = []string{id}
	}
	for i := range n {
		r.stream(&in, branch, parents, i > 0, change(i))
		parents = nil
	}
	in.WriteString("done\n")
	r.Import(in.Bytes())
	return r.Tip(branch)
}

// Import feeds a stream to git fast-import.
func (r *Repo) Import(stream []byte) {
	r.tb.Helper()
	if _, err := TryGit(r.Dir, stream, "fast-import", "--quiet", "--force", "--date-format=raw"); err != nil {
		r.tb.Fatal(err)
	}
}

// stream writes one commit; with next set it follows the one before it in the same stream.
func (r *Repo) stream(in *bytes.Buffer, branch string, parents []string, next bool, changes []Change) {
	r.clock += 60
	if len(parents) == 0 && !next {
		fmt.Fprintf(in, "reset refs/heads/%s\n", branch)
	}
	fmt.Fprintf(in, "commit refs/heads/%s\nauthor A <a@example.org> %d +0000\ncommitter C <c@example.org> %d +0000\ndata <<EOM\ncommit %d\nEOM\n",
		branch, r.clock, r.clock, r.clock)
	for i, p := range parents {
		word := "from"
		if i > 0 {
			word = "merge"
		}
		fmt.Fprintf(in, "%s %s\n", word, p)
	}
	for _, c := range changes {
		switch {
		case c.Delete:
			fmt.Fprintf(in, "D %s\n", quote(c.Path))
		case c.Mode == "160000":
			fmt.Fprintf(in, "M 160000 %s %s\n", c.Content, quote(c.Path))
		default:
			mode := c.Mode
			if mode == "" {
				mode = "100644"
			}
			fmt.Fprintf(in, "M %s inline %s\ndata %d\n%s\n", mode, quote(c.Path), len(c.Content), c.Content)
		}
	}
	in.WriteString("\n")
}

// quote writes a path the way fast-import reads it when it holds odd characters.
func quote(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(path) {
		switch c := path[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, "\\%03o", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Tip returns the id of a branch.
func (r *Repo) Tip(branch string) string {
	r.tb.Helper()
	id := r.find(branch)
	if id == "" {
		r.tb.Fatalf("%s has no branch %s", r.Dir, branch)
	}
	return id
}

// find is the id of a branch, "" when there is none. It reads git's files: tests that wait for a tip ask for it fifty
// times a second, and a program for each would be most of what they do.
func (r *Repo) find(branch string) string {
	id, err := os.ReadFile(filepath.Join(r.Dir, "refs", "heads", branch))
	if err == nil {
		return strings.TrimSpace(string(id))
	}
	packed, _ := os.ReadFile(filepath.Join(r.Dir, "packed-refs"))
	for line := range strings.Lines(string(packed)) {
		if id, ref, _ := strings.Cut(strings.TrimSpace(line), " "); ref == "refs/heads/"+branch {
			return id
		}
	}
	return ""
}

// Move points a branch at another commit, as a forced push does.
func (r *Repo) Move(branch, to string) string {
	r.tb.Helper()
	r.Git("update-ref", "refs/heads/"+branch, to)
	return r.Tip(branch)
}

// Fsck fails the test unless git finds the repository at dir whole: a work tree or a bare repository.
func Fsck(tb testing.TB, dir string) {
	tb.Helper()
	out, err := TryGit(dir, nil, "fsck", "--full", "--strict", "--no-progress")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "dangling ") {
			tb.Fatalf("git fsck in %s: %s", dir, out)
		}
	}
}

// TreeOf returns the id of the tree that git makes of the files in dir, .git, .temp and the ones named left out.
// Compare it with REF^{tree} of the source.
func TreeOf(tb testing.TB, dir string, without ...string) string {
	tb.Helper()
	scratch := filepath.Join(tb.TempDir(), "scratch.git")
	for _, sub := range []string{"objects", "refs"} {
		if err := os.MkdirAll(filepath.Join(scratch, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(scratch, "HEAD"), []byte("ref: refs/heads/main\n"), 0o644); err != nil {
		tb.Fatal(err)
	}
	git := func(args ...string) string {
		return Git(tb, dir, append([]string{"--git-dir=" + scratch, "--work-tree=.", "-c", "core.autocrlf=false",
			"-c", "core.excludesFile=/dev/null", "-c", "core.compression=0"}, args...)...)
	}
	git("add", "-A", "-f", "--", ".", ":!/.temp")
	if len(without) > 0 {
		git(append([]string{"rm", "-r", "-q", "-f", "--cached", "--ignore-unmatch", "--"}, without...)...)
	}
	return git("write-tree")
}

// OpenFiles counts the files that this process has open.
func OpenFiles(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}

// Files lists the files below dir, sorted, with slashes, .git left out.
func Files(tb testing.TB, dir string) []string {
	tb.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			all = append(all, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	sort.Strings(all)
	return all
}

// WriteFile writes a file that must not fail.
func WriteFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// ReadFile reads one.
func ReadFile(tb testing.TB, path string) string {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// ReplaceFile puts another file in place of one, as programs that rotate secrets do.
func ReplaceFile(tb testing.TB, path, text string) {
	tb.Helper()
	WriteFile(tb, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

// PackRefs gives the repository so many more branches at the tip of main.
func (r *Repo) PackRefs(prefix string, n int) {
	r.tb.Helper()
	var refs strings.Builder
	refs.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	id := r.Tip("main")
	for i := range n {
		fmt.Fprintf(&refs, "%s refs/heads/%s%04d\n", id, prefix, i)
	}
	WriteFile(r.tb, filepath.Join(r.Dir, "packed-refs"), refs.String())
}
