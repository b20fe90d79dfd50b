package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// versions makes two commits that differ in every way in which trees can.
func versions(src *gittest.Repo) (one, two string) {
	var a, b []gittest.Change
	for i := range 20 {
		a = append(a, gittest.File(fmt.Sprintf("many/%02d/f", i), fmt.Sprintf("one %d\n", i)))
		if i%2 == 0 {
			b = append(b, gittest.File(fmt.Sprintf("many/%02d/f", i), fmt.Sprintf("two %d\n", i)))
		}
	}
	a = append(a, gittest.File("stays", "stays"), gittest.File("file-to-folder", "file"), gittest.File("folder-to-file/x/y", "y"),
		gittest.WithMode("run", "run", "100755"), gittest.WithMode("link", "stays", "120000"), gittest.File("gone/a/b/c", "c"), gittest.File("big", strings.Repeat("one\n", 50_000)))
	one = src.Commit("main", a...)
	b = append(b, gittest.Remove("file-to-folder"), gittest.File("file-to-folder/x", "x"), gittest.Remove("folder-to-file"),
		gittest.File("folder-to-file", "file"), gittest.WithMode("run", "run", "100644"), gittest.WithMode("link", "many", "120000"), gittest.Remove("gone"),
		gittest.File("new/a/b", "b"), gittest.File("big", strings.Repeat("two\n", 60_000)))
	two = src.Commit("main", b...)
	return one, two
}

// TestCut stops a move at every step it takes, and finishes it: on the same boot of the machine, after another boot
// (all content compared), and with the index lost as well.
func TestCut(t *testing.T) {
	for name, spoil := range map[string]func(*checkout){
		"same boot":    func(*checkout) {},
		"another boot": otherBoot,
		"index lost": func(c *checkout) {
			otherBoot(c)
			testkit.Must(t, os.WriteFile(c.path(".git/index"), []byte("DIRC, but not much of it"), 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCheckout(t)
			one, two := versions(c.src)
			c.fetch(two)
			c.move(one)
			c.write("gone/a/mine", "mine")
			c.write("many/mine", "mine")
			steps := 0
			for from, to := one, two; ; steps += testkit.Rounds(5, 1) {
				ctx, cancel := context.WithCancel(t.Context())
				left := steps
				_, err := Move(ctx, c.dir, plumbing.NewHash(from), plumbing.NewHash(to), Options{Progress: func(int) {
					if left--; left < 0 {
						cancel()
					}
				}})
				cancel()
				whole := err == nil
				if !whole && !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				mark, found, err := ReadMarker(c.dir)
				testkit.Must(t, err)
				if found {
					if mark.From.String() != from || mark.To.String() != to {
						t.Fatalf("marker %v, want %s %s", mark, from, to)
					}
					spoil(c)
				}
				m, err := c.tryMove(t.Context(), from, to)
				testkit.Must(t, err)
				wantNotices(t, m)
				c.at = to
				if steps%7 == 0 || whole {
					c.check()
				}
				if got, want := gittest.TreeOf(t, c.dir, "gone/a/mine", "many/mine"), c.src.Git("rev-parse", to+"^{tree}"); got != want {
					t.Fatalf("step %d: tree %s, want %s", steps, got, want)
				}
				c.want("gone/a/mine", "mine")
				c.want("many/mine", "mine")
				from, to = to, from
				if whole {
					break
				}
			}
			if steps < 20 {
				t.Errorf("only %d steps", steps)
			}
		})
	}
}

func otherBoot(c *checkout) {
	b, err := os.ReadFile(c.path(".git/" + markerFile))
	if err == nil {
		f := strings.Fields(string(b))
		err = os.WriteFile(c.path(".git/"+markerFile), []byte(f[0]+" "+f[1]+"\n"), 0o644)
	}
	testkit.Must(c.tb, err)
}

// TestKilled kills a process that moves a tree to and fro, at any moment, and lets the next one finish.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("ADD_TEST_MOVES"); dir != "" {
		moveForEver(t, dir, strings.Fields(os.Getenv("ADD_TEST_COMMITS")))
		return
	}
	rounds := testkit.Rounds(5, 40)
	c := newCheckout(t)
	one, two := versions(c.src)
	c.fetch(two)
	c.move(one)
	c.write("gone/a/mine", "mine")
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	unfinished := 0
	for range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "ADD_TEST_MOVES="+c.dir, "ADD_TEST_COMMITS="+one+" "+two)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		testkit.Must(t, cmd.Start())
		time.AfterFunc(time.Duration(random.IntN(120_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err == nil || strings.Contains(out.String(), "FAIL") {
			t.Fatalf("seed %d: %v: %s", seed, err, out.String())
		}
		if _, found, err := ReadMarker(c.dir); err != nil {
			t.Fatal(err)
		} else if found {
			unfinished++
		}
		c.at = finish(t, c.dir, one, two)
		c.check()
		if got, want := gittest.TreeOf(t, c.dir, "gone/a/mine"), c.src.Git("rev-parse", c.at+"^{tree}"); got != want {
			t.Fatalf("seed %d: tree %s, want %s", seed, got, want)
		}
		c.want("gone/a/mine", "mine")
		if left := gittest.Git(t, c.dir, "status", "--porcelain", "-uall"); left != "?? gone/a/mine" {
			t.Fatalf("seed %d: left over: %s", seed, left)
		}
	}
	t.Logf("%d of %d were cut in the middle", unfinished, rounds)
}

// finish ends an interrupted move, and returns where the tree is then.
func finish(tb testing.TB, dir, one, two string) string {
	tb.Helper()
	mark, found, err := ReadMarker(dir)
	testkit.Must(tb, err)
	if !found {
		return gittest.Git(tb, dir, "rev-parse", "HEAD")
	}
	m, err := moveAndRecord(tb.Context(), dir, mark.From, mark.To, Options{})
	testkit.Must(tb, err)
	wantNotices(tb, m)
	return mark.To.String()
}

func moveForEver(t *testing.T, dir string, commits []string) {
	at := gittest.Git(t, dir, "rev-parse", "HEAD")
	for {
		to := commits[0]
		if at == to {
			to = commits[1]
		}
		m, err := moveAndRecord(t.Context(), dir, plumbing.NewHash(at), plumbing.NewHash(to), Options{})
		testkit.Must(t, err)
		wantNotices(t, m)
		at = to
	}
}
