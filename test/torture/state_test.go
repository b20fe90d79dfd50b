//go:build linux

package torture

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestStateFilesDamaged puts garbage into every file that the agent keeps, cuts it short, empties it, or puts a folder
// there; while the agent runs, and while it does not.
//
// INVARIANT (spec 1, 6): none of it is fatal; what was corrupt is set aside and said in the log, never lost in silence;
// the node comes back to idle with the last push worked, at worst once more, and still knows its name.
func TestStateFilesDamaged(t *testing.T) {
	t.Parallel()
	var (
		root     = []string{"gitrepo", "ops", ".temp", "add", "root"}
		garbage  = func(string) string { return "\x00\xff garbage {{{" }
		cut      = func(s string) string { return s[:len(s)/2] }
		nothing  = func(string) string { return "" }
		longer   = func(s string) string { return s + s }
		endless  = func(string) string { return strings.Repeat("x", 8<<20) }
		imposter = func(string) string { return "{\"done\":{\"version\":\"not a version\"},\"last\":{\"attempt\":-1}}" }
	)
	cases := map[string]struct {
		path   []string // below home
		lib    string   // or this file of the state folder
		damage func(string) string
		folder bool // a folder stands there instead
		aside  bool // it is set aside as *.corrupt and the log names it
	}{
		"VERSION is garbage":       {path: append(root, "work.sh_VERSION"), damage: garbage, aside: true},
		"VERSION is cut":           {path: append(root, "work.sh_VERSION"), damage: cut, aside: true},
		"VERSION is empty":         {path: append(root, "work.sh_VERSION"), damage: nothing},
		"VERSION is a folder":      {path: append(root, "work.sh_VERSION"), folder: true, aside: true},
		"DOING is garbage":         {path: append(root, "work.sh_DOING_VERSION"), damage: garbage, aside: true},
		"RESULT is cut":            {path: append(root, "work.sh_RESULT.json"), damage: cut, aside: true},
		"RESULT is empty":          {path: append(root, "work.sh_RESULT.json"), damage: nothing, aside: true},
		"RESULT is there twice":    {path: append(root, "work.sh_RESULT.json"), damage: longer, aside: true},
		"RESULT is endless":        {path: append(root, "work.sh_RESULT.json"), damage: endless, aside: true},
		"RESULT is an imposter":    {path: append(root, "work.sh_RESULT.json"), damage: imposter, aside: true},
		"beat.json is garbage":     {path: []string{"nodeinfo", "beat.json"}, damage: garbage},
		"presence.json is cut":     {path: []string{"nodeinfo", "presence.json"}, damage: cut},
		"state.txt is garbage":     {path: []string{"nodeinfo", "state.txt"}, damage: garbage},
		"statelog.txt is garbage":  {path: []string{"nodeinfo", "statelog.txt"}, damage: garbage, aside: true},
		"instance.json is garbage": {lib: "instance.json", damage: garbage, aside: true},
		"instance.json is cut":     {lib: "instance.json", damage: cut, aside: true},
		"instance.json is empty":   {lib: "instance.json", damage: nothing, aside: true},
	}
	listed(t, len(cases))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 3)
			t.Parallel()
			g := newGrid(t, plan{})
			g.push("ops", gittest.File("nodework/work.sh", "echo worked $ADD_VERSION >>$T_DIR/journal\n"))
			g.start()
			g.settle("ops", "root")
			path := filepath.Join(g.dir, "lib", c.lib)
			if c.lib == "" {
				path = g.in(c.path...)
			}
			// Some are read at the start only; the others, while the agent runs.
			offline := c.lib != "" || filepath.Base(path) == "statelog.txt"
			if offline {
				g.stop()
			}
			switch {
			case c.folder:
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(path, "inside"), "x")
			default:
				// In one step: a beat must not see the file empty in between, and write it anew.
				damaged := filepath.Join(g.dir, "damaged")
				write(t, damaged, c.damage(read(path)))
				if err := os.Rename(damaged, path); err != nil {
					t.Fatal(err)
				}
			}
			if offline {
				g.start()
			}
			if c.aside {
				g.until("it to be set aside", func() bool { g.surprise(); return exists(path + ".corrupt") })
				g.until("that to be said", func() bool { return strings.Contains(g.log(), filepath.Base(path)) })
			}
			g.beats(1)
			g.settle("ops", "root")
			g.push("ops", gittest.File("later", "x"))
			g.settle("ops", "root")
			g.stop()
			if id := strings.TrimSpace(read(g.in("nodeinfo", "instance-id.txt"))); id != promptID() {
				t.Errorf("the node is called %s now", id)
			}
			if n := g.count("worked"); n > 3 {
				t.Errorf("%d runs for two pushes", n)
			}
			if c.aside {
				if err := os.RemoveAll(path + ".corrupt"); err != nil {
					t.Fatal(err)
				}
			}
			g.sound("ops")
		})
	}
}

// TestNodeinfoEditedBadly writes a nodepart into nodeinfo that cannot be one.
//
// INVARIANT (spec 1): while the agent runs, that is a trouble that names the file, said once, and the node goes on as
// who it was; a start that cannot know who it is ends with 2 and names the file; a good value ends the trouble.
func TestNodeinfoEditedBadly(t *testing.T) {
	t.Parallel()
	listed(t, 1)
	g := newGrid(t, plan{})
	g.push("ops", gittest.File("nodework/part/app1/work.sh", "echo worked $ADD_VERSION $ADD_NODEPART >>$T_DIR/journal\n"))
	g.start()
	g.settle("ops", "part.app1")
	write(t, g.in("nodeinfo", "nodepart.txt"), "../../etc\n")
	g.until("the trouble", func() bool { return len(g.beat().Troubles) == 1 })
	g.push("ops", gittest.File("later", "x"))
	g.settle("ops", "part.app1")
	g.beats(2)
	if n := strings.Count(g.log(), "nodepart.txt"); n != 1 {
		t.Errorf("the trouble was said %d times", n)
	}
	g.stop()
	code, _, stderr := g.run("run")
	if code != 2 || !strings.Contains(stderr, "nodepart.txt") {
		t.Errorf("a start with a bad nodepart ends with %d: %q", code, stderr)
	}
	write(t, g.in("nodeinfo", "nodepart.txt"), " app1 \r\n")
	g.start()
	g.push("ops", gittest.File("later", "y"))
	g.settle("ops", "part.app1")
	g.stop()
	if b := g.beat(); len(b.Troubles) != 0 || g.count("worked") != 3 {
		t.Errorf("troubles %+v, journal %v", b.Troubles, g.journal())
	}
	g.sound("ops")
}

// TestCloneDamaged breaks the clone itself in the ways in which disks and people do.
//
// INVARIANT (spec 4): the next push at the latest brings the clone back to what was pushed, by git's own word;
// untracked files and the memory of what was worked survive.
func TestCloneDamaged(t *testing.T) {
	t.Parallel()
	each := func(pattern string, do func(path string) error) func(git string) error {
		return func(git string) error {
			paths, err := filepath.Glob(filepath.Join(git, pattern))
			for _, p := range paths {
				if err == nil {
					err = do(p)
				}
			}
			return err
		}
	}
	fill := func(text string) func(string) error {
		return func(path string) error {
			return join(os.Chmod(path, 0o644), os.WriteFile(path, []byte(text), 0o644))
		}
	}
	half := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return join(os.Chmod(path, 0o644), os.Truncate(path, info.Size()/2))
	}
	cases := map[string]func(git string) error{
		"no packs":           each("objects/pack/*", os.Remove),
		"half a pack":        each("objects/pack/*.pack", half),
		"half a pack index":  each("objects/pack/*.idx", half),
		"no objects":         func(git string) error { return os.RemoveAll(filepath.Join(git, "objects")) },
		"HEAD is garbage":    each("HEAD", fill("garbage")),
		"HEAD is empty":      each("HEAD", fill("")),
		"the branch is bad":  each("refs/heads/main", fill("not an id\n")),
		"no branch":          each("refs/heads/main", os.Remove),
		"index is garbage":   each("index", fill("DIRC garbage")),
		"half an index":      each("index", half),
		"no index":           each("index", os.Remove),
		"shallow is garbage": each("shallow", fill("garbage\n")),
		"marker of nowhere": func(git string) error {
			return os.WriteFile(filepath.Join(git, "addagent-move"), []byte("garbage"), 0o644)
		},
		"another remote":    each("config", fill("[core]\n\tbare = false\n[remote \"origin\"]\n\turl = http://127.0.0.1:1/x.git\n")),
		"config is garbage": each("config", fill("[[[")),
		"no .git":           os.RemoveAll,
		".git is a file": func(git string) error {
			return join(os.RemoveAll(git), os.WriteFile(git, []byte("gitdir: /nowhere\n"), 0o644))
		},
	}
	listed(t, len(cases))
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			testkit.OneIn(t, 3)
			t.Parallel()
			g := newGrid(t, plan{})
			g.push("ops", gittest.File("nodework/work.sh", "echo worked $ADD_VERSION >>$T_DIR/journal\n"), gittest.File("a/b", "1"), gittest.File("gone", "1"))
			g.start()
			g.settle("ops", "root")
			write(t, g.clone("ops")+"/a/people.txt", "mine\n")
			if err := damage(filepath.Join(g.clone("ops"), ".git")); err != nil {
				t.Fatal(err)
			}
			g.beats(1)
			g.surprise()
			g.push("ops", gittest.File("a/b", "2"), gittest.Remove("gone"), gittest.File("new", "1"))
			g.settle("ops", "root")
			g.stop()
			g.sound("ops", "a/people.txt")
			if n := g.count("worked"); n != 2 {
				t.Errorf("%d runs for two pushes: %v", n, g.journal())
			}
		})
	}
}
