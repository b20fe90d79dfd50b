package gitrepo

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/gitrepo/gittest"
)

// TestDifferential drives our clone and the git program through the same random histories on a real server, while a
// person edits tracked files and leaves files of their own in our clone. After each step git itself compares.
//
// ADD_TEST_STEPS sets the number of steps (300), ADD_TEST_SEED the seed (a failure names its own).
func TestDifferential(t *testing.T) {
	steps, seed := number(t, "ADD_TEST_STEPS", 300), number(t, "ADD_TEST_SEED", 1)
	if testing.Short() {
		steps = min(steps, 40)
	}
	const histories = 6
	for i := range uint64(histories) {
		t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
			t.Parallel()
			d := newDuel(t, seed+i, i%2 == 1)
			for n := range steps / histories {
				d.step(int(n))
			}
		})
	}
}

func number(tb testing.TB, name string, otherwise uint64) uint64 {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	must(tb, err)
	return n
}

// content of a tracked path, as the random history made it.
type planned struct{ text, mode string }

type snapshot struct {
	id    string
	files map[string]planned
}

// duel is one random history, our clone of it, git's clone of it, and what a person did to ours.
type duel struct {
	t      *testing.T
	r      *rand.Rand
	seed   uint64
	bitmap bool
	src    *gittest.Repo
	ours   *Repo
	dir    string
	git    string
	past   []snapshot        // all commits, the present one last
	mine   map[string]string // content (or target) of a person's own file or link: where it was made
	serial int
	story  []string
}

func newDuel(t *testing.T, seed uint64, bitmap bool) *duel {
	src, server := gittest.Remote(t, gittest.ServerOptions{})
	root := t.TempDir()
	d := &duel{t: t, r: rand.New(rand.NewPCG(seed, 0)), seed: seed, bitmap: bitmap, src: src,
		dir: filepath.Join(root, "ours"), git: filepath.Join(root, "git"), mine: map[string]string{}}
	d.ours = New("r", d.dir, Source{URL: server.URL + "/r.git", Branch: "main", Agent: "test"}, Limits{})
	t.Cleanup(func() { must(t, d.ours.Close()) })
	d.commit(nil, map[string]planned{}, 12)
	gittest.Git(t, root, "clone", "-q", server.URL+"/r.git", d.git)
	return d
}

func (d *duel) fatalf(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("seed %d (ADD_TEST_SEED=%d ADD_TEST_STEPS=...): %s\n%s", d.seed, d.seed, fmt.Sprintf(format, args...), strings.Join(d.story, "\n"))
}

func (d *duel) tell(format string, args ...any) {
	d.story = append(d.story, fmt.Sprintf(format, args...))
}

func (d *duel) now() snapshot { return d.past[len(d.past)-1] }

func (d *duel) step(n int) {
	d.t.Helper()
	d.tell("step %d", n)
	edited := false
	if n > 0 {
		for range d.r.IntN(4) {
			edited = d.meddle() || edited
		}
		d.history()
	}
	if d.bitmap && n%5 == 0 {
		d.src.Git("repack", "-adbq")
		d.forget()
	}
	sight, err := d.ours.Look(d.t.Context(), nil)
	if err != nil {
		d.fatalf("look: %v", err)
	}
	d.tell("  %+v", sight)
	if sight.Version != d.now().id || sight.Rebuilt != "" {
		d.fatalf("at %s (rebuilt: %q), want %s", sight.Version, sight.Rebuilt, d.now().id)
	}
	said := slices.ContainsFunc(sight.Notices, func(s string) bool { return strings.HasPrefix(s, "put back ") })
	if said && !edited {
		d.fatalf("edits were put back that nobody made: %q", sight.Notices)
	}
	gittest.Git(d.t, d.git, "fetch", "-q", "origin", "+main:refs/remotes/origin/main")
	gittest.Git(d.t, d.git, "reset", "-q", "--hard", "origin/main")
	d.compare(n)
}

// compare lets git read both trees, and our clone.
func (d *duel) compare(n int) {
	d.t.Helper()
	want := gittest.Git(d.t, d.git, "rev-parse", "HEAD^{tree}")
	index := "GIT_INDEX_FILE=" + filepath.Join(d.t.TempDir(), "index")
	git := func(stdin string, args ...string) string {
		cmd := exec.Command("git", append([]string{"-c", "core.excludesFile=/dev/null", "-c", "core.quotePath=false"}, args...)...)
		cmd.Dir, cmd.Env, cmd.Stdin = d.dir, append(gittest.Env(), index), strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			d.fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSuffix(string(out), "\n")
	}
	untracked := d.sentinels()
	git("", "add", "-A", "-f", "--", ".", ":(exclude,top).temp")
	git(strings.Join(untracked, "\x00"), "update-index", "-z", "--force-remove", "--stdin")
	if got := git("", "write-tree"); got != want {
		status := gittest.Git(d.t, d.dir, "status", "--porcelain")
		d.fatalf("our files are tree %s, git's %s\n%s", got, want, status)
	}
	if got := gittest.Git(d.t, d.dir, "status", "--porcelain", "-uno"); got != "" {
		d.fatalf("git status in our clone:\n%s", got)
	}
	if got := gittest.Git(d.t, d.dir, "diff-files"); got != "" {
		d.fatalf("our index does not know:\n%s", got)
	}
	if got := gittest.Git(d.t, d.dir, "rev-parse", "HEAD"); got != d.now().id {
		d.fatalf("our HEAD is %s", got)
	}
	check := []string{"fsck", "--no-dangling", "--no-progress", "--connectivity-only"}
	if n%5 == 4 {
		check = check[:3]
	}
	if out, err := gittest.TryGit(d.dir, nil, check...); err != nil || out != "" {
		d.fatalf("fsck: %v %s", err, out)
	}
}

// sentinels finds all that a person made, whereever it is by now, and returns the paths of what is still in the tree.
func (d *duel) sentinels() []string {
	d.t.Helper()
	found := map[string]bool{}
	var inTree []string
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(path, d.dir), "/")
		if rel == ".git" {
			return filepath.SkipDir
		}
		var b []byte
		switch {
		case e.Type().IsRegular():
			b, err = os.ReadFile(path)
		case e.Type() == fs.ModeSymlink:
			var to string
			to, err = os.Readlink(path)
			b = []byte(to)
		}
		if err != nil {
			return err
		}
		if _, ok := d.mine[string(b)]; ok {
			found[string(b)] = true
			if !strings.HasPrefix(rel, ".temp/") {
				inTree = append(inTree, rel)
			}
		}
		return nil
	})
	must(d.t, err)
	for text, path := range d.mine {
		if !found[text] {
			d.fatalf("%q is gone: a person's file, made at %q", text, path)
		}
	}
	return inTree
}

// history does one thing to the branch.
func (d *duel) history() {
	tip := d.now()
	switch k := d.r.IntN(20); {
	case k < 9:
		d.commit([]string{tip.id}, tip.files, 1+d.r.IntN(6))
	case k < 11: // several in one push
		for range 2 + d.r.IntN(3) {
			d.commit([]string{d.now().id}, d.now().files, 1+d.r.IntN(3))
		}
	case k == 11:
		d.commit([]string{tip.id}, tip.files, 0)
	case k == 12: // unrelated
		d.commit(nil, map[string]planned{}, 3+d.r.IntN(8))
	case k < 15: // moved back
		old := d.past[d.r.IntN(len(d.past))]
		if old.id == tip.id {
			d.commit([]string{tip.id}, tip.files, 1)
			return
		}
		d.tell("  moved back to %s", old.id)
		d.src.Move("main", old.id)
		d.past = append(d.past, old)
	case k < 17: // rewritten
		if parent, err := gittest.TryGit(d.src.Dir, nil, "rev-parse", "-q", "--verify", tip.id+"^"); err == nil {
			d.commit([]string{parent}, tip.files, 2)
			return
		}
		d.commit([]string{tip.id}, tip.files, 2)
	default: // merge of an old branch
		old := d.past[d.r.IntN(len(d.past))]
		d.commit([]string{old.id}, old.files, 1+d.r.IntN(3))
		d.commit([]string{tip.id, d.now().id}, tip.files, 1+d.r.IntN(3))
	}
	if d.r.IntN(8) == 0 {
		d.tell("  server collects garbage")
		d.src.Git("-c", "gc.pruneExpire=now", "gc", "-q", "--prune=now")
		d.forget()
	}
}

// forget drops the commits that the server does not have any more.
func (d *duel) forget() {
	var ask strings.Builder
	for _, s := range d.past {
		fmt.Fprintln(&ask, s.id)
	}
	out, err := gittest.TryGit(d.src.Dir, []byte(ask.String()), "cat-file", "--batch-check")
	must(d.t, err)
	lines := strings.Split(out, "\n")
	var left []snapshot
	for i, s := range d.past {
		if strings.Contains(lines[i], " commit ") {
			left = append(left, s)
		}
	}
	d.past = left
}

// commit makes a commit of random changes on the files of the latest snapshot. fast-import starts from the tree of the
// first parent, so what the model says is written over it, whole.
func (d *duel) commit(parents []string, files map[string]planned, changes int) {
	files = maps.Clone(files)
	for range changes {
		d.change(files)
	}
	all := []gittest.Change{}
	if len(parents) > 0 {
		for line := range strings.SplitSeq(d.src.Git("ls-tree", "-z", "--name-only", parents[0]), "\x00") {
			if line != "" {
				all = append(all, gittest.Remove(line))
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		all = append(all, gittest.Change{Path: path, Content: files[path].text, Mode: files[path].mode})
	}
	id := d.src.CommitOn("main", parents, all...)
	d.tell("  commit %s on %v: %d files", id, parents, len(files))
	d.past = append(d.past, snapshot{id, files})
}

// Names that have gone wrong in one tool or another; several sort between a file and a folder of one name.
var differentialNames = []string{"a", "a.c", "a-b", "a0", "ab", "b", "dir", "dir.d", "x", "sp ace", "tab\there", "new\nline", `quo"te`, "'single'",
	`back\slash`, "-dash", "--", "caf\xe9", "café", "日本語", "\U0001f600", "*", "?", "[x]", "$HOME", "#", "~", ".hidden", ".gitignore",
	"git", ".gitkeep", "CON", "trailing.", "trailing ", strings.Repeat("long", 50), "\x01\x7f"}

func (d *duel) path() string {
	depth := 1 + d.r.IntN(4)
	if d.r.IntN(20) == 0 {
		depth = 15
	}
	var parts []string
	for range depth {
		parts = append(parts, differentialNames[d.r.IntN(len(differentialNames))])
	}
	return strings.Join(parts, "/")
}

func (d *duel) some(files map[string]planned) string {
	if len(files) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(files))[d.r.IntN(len(files))]
}

func (d *duel) change(files map[string]planned) {
	old := d.some(files)
	switch k := d.r.IntN(16); {
	case k < 5 || old == "":
		set(files, d.path(), d.anything())
	case k < 7:
		delete(files, old)
	case k == 7: // a whole folder
		folder, _, _ := strings.Cut(old, "/")
		remove(files, folder)
	case k == 8: // rename
		f := files[old]
		delete(files, old)
		set(files, d.path(), f)
	case k == 9:
		f := files[old]
		if f.mode = "100755"; files[old].mode == "100755" {
			f.mode = "100644"
		}
		if files[old].mode != "120000" {
			files[old] = f
		}
	case k == 10: // file to folder
		f := files[old]
		delete(files, old)
		set(files, old+"/"+differentialNames[d.r.IntN(8)], f)
	case k == 11: // folder to file
		if i := strings.LastIndexByte(old, '/'); i > 0 {
			set(files, old[:i], d.anything())
		}
	case k == 12: // link to file, file to link
		files[old] = d.anything()
	default: // an edit
		f := files[old]
		if f.mode == "120000" {
			f.text = "x" + f.text[1:]
		} else {
			cut := d.r.IntN(len(f.text) + 1)
			f.text = f.text[:cut] + d.text(20) + f.text[cut:]
		}
		files[old] = f
	}
}

// set puts a file into the model, with git's rule that a name is one thing only.
func set(files map[string]planned, path string, f planned) {
	remove(files, path)
	for i := range path {
		if path[i] == '/' {
			delete(files, path[:i])
		}
	}
	files[path] = f
}

func remove(files map[string]planned, path string) {
	delete(files, path)
	maps.DeleteFunc(files, func(name string, _ planned) bool { return strings.HasPrefix(name, path+"/") })
}

func (d *duel) anything() planned {
	switch k := d.r.IntN(24); {
	case k < 3:
		return planned{[]string{"a", "dir/b", "../outside", "/etc/passwd", "nowhere", strings.Repeat("l/", 100)}[d.r.IntN(6)], "120000"}
	case k < 6:
		return planned{"#!/bin/sh\n" + d.text(40), "100755"}
	case k == 6:
		return planned{"", "100644"}
	case k == 7 && d.r.IntN(3) == 0: // too big to be held: streamed
		return planned{strings.Repeat(d.text(1000), 1200), "100644"}
	case k == 8:
		b := make([]byte, d.r.IntN(5000))
		for i := range b {
			b[i] = byte(d.r.Uint32())
		}
		return planned{string(b), "100644"}
	case k == 9:
		return planned{"*.o\n*\n!*/\n", "100644"}
	}
	return planned{d.text(400), "100644"}
}

func (d *duel) text(n int) string {
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%x\n", d.r.Uint32())
	}
	return b.String()
}

// meddle does one thing to our clone that a person might do, and reports whether it was an edit of a tracked file.
func (d *duel) meddle() bool {
	files := d.now().files
	name := d.some(files)
	if name == "" || d.r.IntN(3) == 0 {
		d.leave(d.path())
		return false
	}
	path := filepath.Join(d.dir, name)
	info, err := os.Lstat(path)
	if err != nil || info.IsDir() {
		return false // edited away by an earlier one
	}
	folder, rest, deep := strings.Cut(name, "/")
	switch k := d.r.IntN(10); {
	case k < 3 && info.Mode().IsRegular():
		d.tell("  edit %q", name)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(d.t, err)
		_, err = f.WriteString("edited")
		must(d.t, err)
		must(d.t, f.Close())
	case k == 3:
		d.tell("  delete %q", name)
		must(d.t, os.Remove(path))
	case k == 4 && info.Mode().IsRegular():
		d.tell("  chmod %q", name)
		must(d.t, os.Chmod(path, info.Mode().Perm()^0o111))
	case k == 5:
		d.tell("  link in place of %q", name)
		must(d.t, os.Remove(path))
		must(d.t, os.Symlink("person", path))
	case k == 6 && info.Mode().IsRegular():
		d.tell("  touch %q", name)
		must(d.t, os.Chtimes(path, epoch, epoch))
		return false
	case k == 7 && deep && rest != "":
		if !d.clearFolder(folder) {
			return false
		}
		d.tell("  link in place of folder %q", folder)
		to := d.t.TempDir()
		must(d.t, os.Symlink(to, filepath.Join(d.dir, folder)))
		d.mine[to] = folder
	case k == 8 && deep:
		if !d.clearFolder(folder) {
			return false
		}
		d.leave(folder)
	case k == 9:
		d.tell("  folder in place of %q", name)
		must(d.t, os.Remove(path))
		d.leave(name + "/inside")
	default:
		return false
	}
	return true
}

// clearFolder deletes a folder with all that is tracked in it, unless a person's file is there.
func (d *duel) clearFolder(folder string) bool {
	for _, s := range d.sentinels() {
		if strings.HasPrefix(s, folder+"/") || s == folder {
			return false
		}
	}
	d.tell("  delete folder %q", folder)
	must(d.t, os.RemoveAll(filepath.Join(d.dir, folder)))
	return true
}

// leave makes a file of a person's own, if nothing is there and no link is on the way.
func (d *duel) leave(name string) {
	path := filepath.Join(d.dir, name)
	for at := filepath.Dir(path); len(at) > len(d.dir); at = filepath.Dir(at) {
		if info, err := os.Lstat(at); err == nil && !info.IsDir() {
			return
		}
	}
	if _, err := os.Lstat(path); err == nil || len(path) > 3000 {
		return
	}
	must(d.t, os.MkdirAll(filepath.Dir(path), 0o755))
	d.serial++
	text := fmt.Sprintf("made by a person, %d\n", d.serial)
	d.tell("  person's file %q", name)
	must(d.t, os.WriteFile(path, []byte(text), 0o644))
	d.mine[text] = name
}
