//go:build linux

package torture

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// oldWork is a work script of the old kind: it asks git itself what was pushed since it last worked, below the path
// that it watches, and keeps that in .temp/add.
const oldWork = `
ADD_TEMP=$GIT_ROOT/.temp/add
cd "$GIT_ROOT" || exit 1
mkdir -p "$ADD_TEMP"
WORK_VERSION=$ADD_TEMP/%[1]s.sh_VERSION
WORK_DOING_VERSION=$ADD_TEMP/%[1]s.sh_DOING_VERSION
WORK_WATCH_PATH=$ADD_TEMP/%[1]s.sh_WATCH_PATH.txt
[ -e "$WORK_WATCH_PATH" ] || echo %[2]s >"$WORK_WATCH_PATH"
WATCH=$(cat "$WORK_WATCH_PATH")
PREV=$(cat "$WORK_VERSION" 2>/dev/null)
GIT_VERSION=$(git rev-parse HEAD)
if [ -n "$PREV" ]; then
	CHANGES=$(git log --format=%%H "$PREV..$GIT_VERSION" -- $WATCH)
	FILES=$(git diff --name-only "$PREV" "$GIT_VERSION" | sort | tr '\n' ' ')
	echo "Compared $PREV to $GIT_VERSION for $WATCH and got" $CHANGES
	[ -n "$CHANGES" ] || exit 0
fi
[ ! -e "$WORK_DOING_VERSION" ] || exit 0
echo "$GIT_VERSION" >"$WORK_DOING_VERSION"
echo "%[1]s $GIT_VERSION $FILES" >>"$T_DIR/old"
echo "$GIT_VERSION" >"$WORK_VERSION"
rm "$WORK_DOING_VERSION"
`

// TestOldScripts runs an init and work scripts of the old kind, unchanged, beside the same pushes in a full clone that
// git pulls and a cron would run them in: one commit at a time and several, merges of old branches, forced pushes and
// branches moved back, with clones that are rebuilt and packs that are repacked in between.
//
// INVARIANT (spec 4): the commit of each last success and what was pushed since stay in the clone; what the scripts
// work under git and cron they work here, with the same answers of git.
func TestOldScripts(t *testing.T) {
	t.Parallel()
	g := newGrid(t, plan{work: "timeout: 60s, grace: 1s"})
	write(t, g.in("nodeinfo", "initgitrepo.txt"), "ops\n")
	g.repos["ops"].Git("config", "gc.auto", "0")
	g.push("ops", script("bin/nodework/common/work.sh", fmt.Sprintf(oldWork, "work", "app")), script("bin/nodework/part/app1/work.sh", fmt.Sprintf(oldWork, "seldom", "seldom")),
		script("it/nodeinit/common/init.sh", "DIR=$GIT_ROOT/it/nodeinit\ninclude $DIR/resource/vars.sh\ninclude $DIR/none.sh\necho \"$VALUE\" >$T_DIR/init\n"),
		gittest.File("it/nodeinit/resource/vars.sh", "VALUE=sourced\n"), gittest.File("app/f", "0"), gittest.File("seldom/f", "0"))
	plain := filepath.Join(g.dir, "plain")
	gittest.Git(t, g.dir, "clone", "-q", g.repos["ops"].Dir, plain)
	random := rand.New(rand.NewSource(7))
	listed(t, 200)
	n := testkit.Rounds(30, 200)
	change := func(i int) gittest.Change {
		where := "other"
		switch k := random.Intn(10); {
		case k < 3:
			where = "app"
		case i%60 == 59:
			where = "seldom"
		}
		return gittest.File(fmt.Sprintf("%s/f%d", where, random.Intn(3)), fmt.Sprint(random.Int()))
	}
	for i := range n {
		repo, tip := g.repos["ops"], g.tip("ops")
		switch {
		case i%9 == 8:
			repo.History("main", 2+random.Intn(5), func(int) []gittest.Change { return []gittest.Change{change(i)} })
		case i%14 == 13:
			side := repo.CommitOn("side", []string{repo.Git("rev-parse", tip+"~4")}, gittest.File(fmt.Sprintf("app/side%d", i), "x"))
			repo.CommitOn("main", []string{tip, side}, gittest.File(fmt.Sprintf("app/side%d", i), "x"))
		case i%17 == 16:
			repo.CommitOn("main", []string{repo.Git("rev-parse", tip+"~2")}, change(i))
		case i%23 == 22:
			repo.Move("main", tip+"~2")
		default:
			g.push("ops", change(i))
		}
		if i%40 == 20 {
			testkit.Must(t, os.RemoveAll(filepath.Join(g.clone("ops"), ".git")))
		}
		if code, _, stderr := g.run("beat"); code != 0 {
			t.Fatalf("push %d: the beat ended with %d: %s", i, code, stderr)
		}
		gittest.Git(t, plain, "fetch", "-q", "origin")
		gittest.Git(t, plain, "reset", "-q", "--hard", "origin/main")
		for _, path := range []string{"common", "part/app1"} {
			cmd := exec.Command(filepath.Join(plain, "bin/nodework", path, "work.sh"))
			cmd.Env = append(os.Environ(), "GIT_ROOT="+plain, "T_DIR="+plain+"/..")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if ours, theirs := read(g.note("old")), read(filepath.Join(g.dir, "old")); ours != theirs {
			t.Fatalf("push %d at %s: here the scripts worked\n%s\nand under git and cron\n%s", i, g.tip("ops"), tail(ours, 5), tail(theirs, 5))
		}
	}
	if got := strings.TrimSpace(read(g.note("init"))); got != "sourced" {
		t.Errorf("init: %q", got)
	}
	gittest.Fsck(t, g.clone("ops"))
}
