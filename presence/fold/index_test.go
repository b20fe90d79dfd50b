package fold

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// TestIndexOutOfReach: an index that cannot be fetched still is there, so endpoints that have left stay away.
// Only one that can never be read is written over.
func TestIndexOutOfReach(t *testing.T) {
	var refused atomic.Value // a commit that the server does not send
	refused.Store("none")
	repo, server := gittest.Remote(t, gittest.ServerOptions{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if bytes.Contains(body, []byte("want "+refused.Load().(string))) {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		})
	}})
	g := newGrid(t, repo)
	now := noon()
	say := func(ids ...string) {
		for _, id := range ids {
			g.say(offers(id, now, presence.Service{Name: "db", Port: 3306, Code: "000000"}), now)
		}
		g.push()
	}
	left := func() int { return strings.Count(g.Git("show", "services:service/db.json"), `"left":true`) }
	say("a", "b", "c")
	now = now.Add(20 * time.Minute)
	say("a", "b")
	now = now.Add(10 * time.Minute)
	say("b")
	once(t, folder(t, server.URL+"/r.git"), now)
	if left() != 1 {
		t.Fatalf("%d have left", left())
	}

	now = now.Add(20 * time.Minute)
	say("b")
	f := folder(t, server.URL+"/r.git") // another process
	first := g.Git("rev-parse", gitstore.ServicesRef)
	refused.Store(first)
	for range indexTries - 1 {
		if r, err := f.Once(t.Context(), now); err == nil {
			t.Errorf("%+v", r)
		}
	}
	if g.Git("rev-parse", gitstore.ServicesRef) != first {
		t.Error("it was written over")
	}
	refused.Store("none")
	once(t, f, now)
	if left() != 2 {
		t.Errorf("%d have left: %s", left(), g.Git("show", "services:service/db.json"))
	}

	refused.Store(g.Commit("services", gittest.File("README", "x")))
	for range indexTries - 1 {
		_, _ = f.Once(t.Context(), now)
	}
	now = now.Add(time.Minute)
	if once(t, f, now); left() != 2 {
		t.Errorf("%d have left", left())
	}
	refused.Store("none")
	var in bytes.Buffer
	in.WriteString("feature done\ncommit refs/heads/services\ncommitter C <c@example.org> 1 +0000\ndata 0\nM 100644 inline a/" + strings.Repeat("x/", 5000) + "x\ndata 0\n\ndone\n")
	g.Import(in.Bytes())
	now = now.Add(time.Minute)
	if once(t, f, now); left() != 2 {
		t.Errorf("%d have left", left())
	}
}

// TestIndexIsRefused: a server that takes the fold and not the branch of the index is said, and tried again.
func TestIndexIsRefused(t *testing.T) {
	repo, server := gittest.Remote(t, gittest.ServerOptions{})
	g := newGrid(t, repo)
	g.say(offers("a", noon(), presence.Service{Name: "db", Port: 3306, Code: "000000"}), noon())
	g.push()
	hook := filepath.Join(repo.Dir, "hooks", "update")
	testkit.Must(t, os.MkdirAll(filepath.Dir(hook), 0o755))
	testkit.Must(t, os.WriteFile(hook, []byte("#!/bin/sh\ntest $1 != refs/heads/services\n"), 0o755))
	f := folder(t, server.URL+"/r.git")
	for n := range 2 {
		if r := once(t, f, noon().Add(time.Duration(n)*time.Second)); !r.Pushed || !strings.Contains(strings.Join(r.Notes, "\n"), "refs/heads/services was rejected") {
			t.Errorf("%+v", r)
		}
	}
	testkit.Must(t, os.Remove(hook))
	if r := once(t, f, noon().Add(3*time.Second)); len(r.Notes) != 0 || g.Git("for-each-ref", gitstore.ServicesRef) == "" {
		t.Errorf("%+v", r)
	}
}
