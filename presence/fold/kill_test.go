package fold

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// cutter ends a context at the n-th request of a server, before it is served or after.
type cutter struct {
	at    atomic.Int64
	after atomic.Bool
	cut   atomic.Pointer[context.CancelFunc]
}

func (c *cutter) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cut := c.cut.Load()
		due := cut != nil && c.at.Add(-1) == 0
		if due && !c.after.Load() {
			(*cut)()
			panic(http.ErrAbortHandler)
		}
		if due {
			// The server does its work to the end, and its answer is lost.
			h.ServeHTTP(discard{http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
			(*cut)()
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	})
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// TestKilledFold cuts a fold at each of its requests, before the server does it and after, and lets the same folding
// node or another one go on. No transition is lost and none is there twice.
func TestKilledFold(t *testing.T) {
	c := &cutter{}
	repo, server := gittest.Remote(t, gittest.ServerOptions{Wrap: c.wrap})
	g := newGrid(t, repo)
	url := server.URL + "/r.git"
	now, at := noon(), 0
	var want []string
	state := map[string]string{}
	step := func() {
		for i := range 3 {
			id := fmt.Sprintf("n%d", (at+i)%4)
			for _, s := range []node.State{node.Working, node.Failing, node.Idle} {
				now = now.Add(time.Second)
				g.say(record(id, s, now), now)
				if state[id] != string(s) {
					want = append(want, fmt.Sprintf("%s %s>%s", id, state[id], s))
					state[id] = string(s)
				}
			}
		}
		g.push()
		at++
	}
	f := folder(t, url)
	g.tell("n9", node.Idle, now)
	want = append(want, "n9 >idle")
	once(t, f, now)
	cuts := 0
	for _, another := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for n := int64(1); ; n++ {
				step()
				ctx, cancel := context.WithCancel(t.Context())
				c.at.Store(n)
				c.after.Store(after)
				c.cut.Store(&cancel)
				_, err := f.Once(ctx, now)
				c.cut.Store(nil)
				whole := ctx.Err() == nil
				cancel()
				if (err == nil) != whole {
					t.Fatalf("cut at %d (after %v): %v", n, after, err)
				}
				if whole {
					break // it has fewer requests
				}
				cuts++
				if another {
					f = folder(t, url)
				}
				once(t, f, now)
				sameSet(t, fmt.Sprintf("cut at %d (after %v, another %v)", n, after, another), g.lines(), want)
				if t.Failed() {
					return
				}
			}
		}
	}
	if cuts < 12 {
		t.Errorf("only %d cuts: the test does not reach the push", cuts)
	}
	gittest.Fsck(t, repo.Dir)
}

// TestTwoFolders lets two fold at once. One of them hears so; the history has each transition once.
func TestTwoFolders(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	url := server.URL + "/r.git"
	now := noon()
	g.tell("a", node.Setup, now)
	want := []string{"a >setup"}
	folders := []*Aggregator{folder(t, url), folder(t, url), folder(t, url)}
	for i := range 8 {
		errs := make([]error, len(folders))
		var all sync.WaitGroup
		for k, f := range folders {
			all.Add(1)
			go func() {
				defer all.Done()
				_, errs[k] = f.Once(t.Context(), now.Add(time.Duration(k)*time.Second))
			}()
		}
		all.Wait()
		for _, err := range errs {
			if err != nil && !errors.Is(err, ErrRace) {
				t.Fatal(err)
			}
		}
		sameSet(t, fmt.Sprintf("round %d", i), g.lines(), want)
		now = now.Add(time.Minute)
		for _, s := range []node.State{node.Working, node.Idle} {
			now = now.Add(time.Second)
			g.say(record("a", s, now), now)
		}
		g.push()
		from := "idle"
		if i == 0 {
			from = "setup"
		}
		want = append(want, "a "+from+">working", "a working>idle")
	}
	gittest.Fsck(t, repo.Dir)
}

// TestLostRace lets another one fold between a folder's look and its push.
func TestLostRace(t *testing.T) {
	var before func()
	repo, server := gittest.Remote(t, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if call := before; call != nil && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				before = nil
				call()
			}
			h.ServeHTTP(w, r)
		})
	}})
	g := newGrid(t, repo)
	url := server.URL + "/r.git"
	now := noon()
	g.tell("a", node.Setup, now)
	one, other := folder(t, url), folder(t, url)
	want := []string{"a >setup"}
	for _, s := range []node.State{node.InitDone, node.Idle} {
		before = func() { once(t, other, now.Add(time.Second)) }
		if _, err := one.Once(t.Context(), now); !errors.Is(err, ErrRace) {
			t.Errorf("error %v", err)
		}
		sameSet(t, "history", g.lines(), want)
		// It goes on as soon as it is alone.
		if got := once(t, one, now.Add(2*time.Second)); got.Pushed || got.Nodes != 1 {
			t.Errorf("fold %+v", got)
		}
		now = now.Add(time.Minute)
		want = append(want, fmt.Sprintf("a %s>%s", map[node.State]string{node.InitDone: "setup", node.Idle: "initdone"}[s], s))
		g.tell("a", s, now)
	}
	once(t, one, now)
	sameSet(t, "history", g.lines(), want)
}

// TestSquash: the branch is cut when it has many commits, and where the server does not allow that it goes on.
func TestSquash(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		repo, server := gittest.Remote(t, gittest.ServerOptions{})
		g := newGrid(t, repo)
		repo.Git("config", "receive.denyNonFastForwards", fmt.Sprint(!allowed))
		url := server.URL + "/r.git"
		now := noon()
		g.tell("a", node.Setup, now)
		g.say(offers("db", now, presence.Service{Name: "db", Port: 3306, Code: "000000"}), now)
		g.push()
		f, r := folder(t, url), reader(t, url)
		once(t, f, now)
		read(t, r, now)
		// The index has two commits.
		g.say(offers("db", now, presence.Service{Name: "db", Port: 3307, Code: "000000"}), now)
		g.push()
		once(t, f, now.Add(time.Second))
		served := func() string {
			all, err := r.Endpoints(t.Context(), now)
			testkit.Must(t, err)
			return fmt.Sprint(len(all["db"]), all["db"][0].Port, " ", repo.Git("rev-list", "--count", gitstore.ServicesRef))
		}
		if got := served(); got != "1 3307 2" {
			t.Errorf("index: %s", got)
		}
		// As if it had been folding for a day.
		text := repo.Git("show", "main:fold.json")
		repo.Commit("main", gittest.File(infoFile, strings.Replace(text, `"commits": 2,`, `"commits": 1000,`, 1)))
		for i, s := range []node.State{node.InitDone, node.Idle} {
			now = now.Add(time.Minute)
			g.tell("a", s, now)
			if got := once(t, f, now); !got.Pushed {
				t.Errorf("allowed %v: %+v", allowed, got)
			}
			if got := read(t, r, now); got.From != presence.FromFold || say(got, now) != "a "+string(s)+" present, db idle present" {
				t.Errorf("allowed %v: read %s from %s", allowed, say(got, now), got.From)
			}
			n := map[bool]string{true: fmt.Sprint(1 + i), false: fmt.Sprint(4 + i)}[allowed]
			if got := repo.Git("rev-list", "--count", "main"); got != n {
				t.Errorf("allowed %v: %s commits, not %s", allowed, got, n)
			}
			if got, want := served(), map[bool]string{true: "1 3307 1", false: "1 3307 2"}[allowed]; got != want {
				t.Errorf("allowed %v: index: %s, want %s", allowed, got, want)
			}
		}
		sameSet(t, "history", g.lines(), []string{"a >setup", "a setup>initdone", "a initdone>idle", "db >idle", "db >000000"})
		gittest.Fsck(t, repo.Dir)
	}
}

// TestFoldRefused: a branch that takes no push is an error with the server's words, and no race.
func TestFoldRefused(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	g.tell("a", node.Setup, noon())
	repo.Git("config", "receive.denyCurrentBranch", "refuse")
	repo.Git("config", "transfer.hideRefs", "refs/heads/main")
	_, err := folder(t, server.URL+"/r.git").Once(t.Context(), noon())
	if err == nil || errors.Is(err, ErrRace) || !strings.Contains(err.Error(), "refs/heads/main") {
		t.Errorf("error %v", err)
	}
}

func TestFoldersOnEveryTransport(t *testing.T) {
	dir := t.TempDir()
	ssh := gittest.StartSSHD(t)
	modern := gittest.Serve(t, dir, gittest.ServerOptions{})
	old := gittest.Serve(t, dir, gittest.ServerOptions{NoV2: true})
	for kind, s := range map[string]func(repo string) remote.Source{
		"http":    func(repo string) remote.Source { return remote.Source{URL: modern.URL + "/" + filepath.Base(repo)} },
		"http v0": func(repo string) remote.Source { return remote.Source{URL: old.URL + "/" + filepath.Base(repo)} },
		"path":    func(repo string) remote.Source { return remote.Source{URL: repo} },
		"ssh": func(repo string) remote.Source {
			return remote.Source{URL: ssh.URL(repo), Auth: remote.Auth{SSHKeyFiles: []string{ssh.KeyFile}, KnownHostsFile: ssh.KnownHosts}}
		},
	} {
		for _, prefix := range []string{gitstore.RefPrefix, "refs/presence/"} {
			if kind == "ssh" && prefix != gitstore.RefPrefix {
				continue // each request is a process of sshd and one of git
			}
			t.Run(kind+" "+prefix, func(t *testing.T) {
				repo := gittest.New(t, filepath.Join(dir, strings.ReplaceAll(kind+prefix, "/", "-")+".git"))
				g := newGrid(t, repo)
				g.prefix = prefix
				o := Options{Source: s(repo.Dir), Prefix: prefix, CacheDir: t.TempDir()}
				f, err := NewAggregator(AggregatorOptions{Options: o, Author: "control1"})
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				o.CacheDir = t.TempDir()
				refs := readerWith(t, o)
				o.CacheDir = t.TempDir()
				folds := readerWith(t, o)
				now := noon()
				g.tell("a", node.Setup, now)
				g.tell("b", node.Idle, now)
				for i, s := range []node.State{node.InitDone, node.Working, node.Idle} {
					now = now.Add(time.Minute)
					g.tell("a", s, now)
					want := "a " + string(s) + " present, b idle present"
					if i == 0 {
						if got := read(t, refs, now); got.From != presence.FromRefs || say(got, now) != want {
							t.Errorf("read %s from %s", say(got, now), got.From)
						}
					}
					once(t, f, now)
					if got := read(t, folds, now); got.From != presence.FromFold || say(got, now) != want {
						t.Errorf("read %s from %s", say(got, now), got.From)
					}
				}
				later := now.Add(6*time.Minute + presence.Skew)
				if got := read(t, refs, later); got.From != presence.FromRefs || len(got.Nodes) != 2 {
					t.Errorf("of a fold that is old: %+v", got)
				}
				g.Git("update-ref", "-d", gitstore.RefName(prefix, "b"))
				now = now.Add(2 * time.Hour)
				reaped, err := refs.Reap(t.Context(), time.Hour, now, false)
				if err != nil || len(reaped) != 1 || reaped[0].Node.InstanceID != "a" {
					t.Errorf("reaped %+v, %v", reaped, err)
				}
				once(t, f, now)
				sameSet(t, "history", g.lines(), []string{"a >setup", "a setup>initdone", "b >idle", "a initdone>working", "a working>idle", "a idle>gone", "b idle>gone"})
				history, err := folds.History(t.Context(), "a", noon())
				if err != nil || len(history) != 5 {
					t.Errorf("history %+v, %v", history, err)
				}
				gittest.Fsck(t, repo.Dir)
			})
		}
	}
}
