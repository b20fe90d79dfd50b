package fold

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// folderSaying is a folder with something to say: its words come after what is there.
func folderSaying(t *testing.T, url string, words *string) *Aggregator {
	t.Helper()
	return folderWith(t, url, AggregatorOptions{Said: func(said []byte, f presence.Fleet, _ presence.Endpoints, now time.Time) []byte {
		if *words == "" {
			return said
		}
		return fmt.Appendf(nil, "%s%s of %d at %s\n", said, *words, len(f.Nodes), now.Format("15:04"))
	}})
}

// TestSaid: what one who folds says is in the branch with the fold that it is about, the next one goes on from there,
// and who has nothing to say leaves it.
func TestSaid(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	url := server.URL + "/r.git"
	g := newGrid(t, repo)
	now := noon()
	var mine, theirs string
	a, b, mute := folderSaying(t, url, &mine), folderSaying(t, url, &theirs), folder(t, url)
	is := func(what string, r Report, pushed bool, want string) {
		t.Helper()
		if string(r.Said) != want || r.Pushed != pushed {
			t.Errorf("%s: %q, pushed %v", what, r.Said, r.Pushed)
		}
		if want == "" {
			return
		}
		if got := g.Git("show", "main:"+saidFile) + "\n"; got != want {
			t.Errorf("%s: the branch has %q", what, got)
		}
	}
	is("no node, no fold", once(t, a, now), false, "")
	g.tell("a", node.Idle, now)
	is("nothing to say", once(t, a, now), true, "")
	if got := g.Git("ls-tree", "--name-only", "main"); strings.Contains(got, saidFile) {
		t.Errorf("the branch holds %q", got)
	}
	mine = "a: one"
	is("said of what is no news", once(t, a, now), true, "a: one of 1 at 12:00\n")
	mine, theirs = "", "b: two"
	g.tell("b", node.Idle, now)
	is("by the other one", once(t, b, now.Add(time.Minute)), true, "a: one of 1 at 12:00\nb: two of 2 at 12:01\n")
	theirs = ""
	is("the first one knows", once(t, a, now.Add(time.Minute)), false, "a: one of 1 at 12:00\nb: two of 2 at 12:01\n")
	g.tell("b", node.Wedged, now)
	is("who is mute keeps it", once(t, mute, now.Add(2*time.Minute)), true, "a: one of 1 at 12:00\nb: two of 2 at 12:01\n")
	is("also in a sign of life", once(t, mute, now.Add(10*time.Minute)), true, "a: one of 1 at 12:00\nb: two of 2 at 12:01\n")
	if got := read(t, reader(t, url), now.Add(10*time.Minute)); len(got.Nodes) != 2 || got.From != presence.FromFold {
		t.Errorf("read %+v", got)
	}

	// Two at once: what the slower one would have said is not in the branch, and it is asked again.
	g.tell("a", node.Working, now)
	theirs = "b: three"
	a.say = func(said []byte, f presence.Fleet, _ presence.Endpoints, at time.Time) []byte {
		a.say = func(said []byte, _ presence.Fleet, _ presence.Endpoints, _ time.Time) []byte { return said }
		once(t, b, now.Add(11*time.Minute))
		return append([]byte("a: lost\n"), said...)
	}
	if r, err := a.Once(t.Context(), now.Add(11*time.Minute)); !errors.Is(err, ErrRace) || r.Pushed {
		t.Errorf("%+v, %v", r, err)
	}
	is("after a race", once(t, a, now.Add(11*time.Minute)), false, "a: one of 1 at 12:00\nb: two of 2 at 12:01\nb: three of 2 at 12:11\n")

	// People can push to the branch, too.
	g.Commit(strings.TrimPrefix(gitstore.FoldRef, "refs/heads/"), gittest.File(saidFile, strings.Repeat("x", saidLimit+1)))
	mine = "a: four"
	a.say = folderSaying(t, url, &mine).say
	is("after something huge", once(t, a, now.Add(12*time.Minute)), true, "a: four of 2 at 12:12\n")
	gittest.Fsck(t, repo.Dir)
}

// TestFoldIsDamaged: what a disk lost of the fold, be it what was said, is fetched again, and not forgotten.
func TestFoldIsDamaged(t *testing.T) {
	for _, name := range []string{saidFile, refsFile, infoFile} {
		t.Run(name, func(t *testing.T) { foldIsDamaged(t, name) })
	}
}

func foldIsDamaged(t *testing.T, name string) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	now := noon()
	var words string
	f := folderSaying(t, server.URL+"/r.git", &words)
	g.tell("a", node.Idle, now)
	words = "a: one"
	once(t, f, now)
	words = ""
	// A new process reads it, and has it in its clone.
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	once(t, f, now)
	clone := filepath.Join(f.repo.dir, "fold")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, clone, "HEAD:"+name)
	if _, err := f.Once(t.Context(), now); err == nil {
		t.Error("it folded without it")
	}
	want := "a: one of 1 at 12:00\n"
	if r := once(t, f, now); string(r.Said) != want || r.Pushed {
		t.Errorf("%q, pushed %v", r.Said, r.Pushed)
	}
}

// damage spoils one object in the only pack of a clone.
func damage(t *testing.T, clone, name string) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(clone, ".git", "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	id := strings.TrimSpace(gittest.Git(t, clone, "rev-parse", name))
	for line := range strings.Lines(gittest.Git(t, clone, "verify-pack", "-v", packs[0])) {
		var kind string
		var size, packed, at int64
		if _, err := fmt.Sscan(strings.TrimPrefix(line, id), &kind, &size, &packed, &at); !strings.HasPrefix(line, id) || err != nil {
			continue
		}
		if err := os.Chmod(packs[0], 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(packs[0], os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("spoilt"), at+packed/2); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	t.Fatalf("%s is not in %s", id, packs[0])
}
