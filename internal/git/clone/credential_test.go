package clone

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
)

// guarded is a repository behind a password that changes.
func guarded(tb testing.TB) (*world, *atomic.Value) {
	tb.Helper()
	password := &atomic.Value{}
	password.Store("hunter2-one")
	return newWorld(tb, gittest.ServerOptions{Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, p, _ := r.BasicAuth(); user != "robot" || p != password.Load() {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(w, r)
		})
	}}), password
}

// script writes a program; what it is asked goes to a file beside it.
func script(tb testing.TB, body string) (path string, asked func() string) {
	tb.Helper()
	dir := tb.TempDir()
	path = filepath.Join(dir, "helper")
	log := filepath.Join(dir, "asked")
	text := "#!/bin/sh\ncd " + dir + "\n{ echo \"== $*\"; cat; } >>asked\n" + body + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		tb.Fatal(err)
	}
	return path, func() string {
		b, err := os.ReadFile(log)
		if err != nil {
			return ""
		}
		_ = os.Remove(log)
		return string(b)
	}
}

func TestCredentialHelper(t *testing.T) {
	w, password := guarded(t)
	w.src.Commit("main", gittest.File("a", "a"))
	url := w.repo.source.URL
	dir := t.TempDir()
	answer := filepath.Join(dir, "answer")
	gittest.WriteFile(t, answer, "username=robot\npassword=hunter2-one\n")
	path, asked := script(t, `[ "$2" = erase ] || cat `+answer)
	w.open(remote.Source{URL: url, Auth: remote.Auth{Command: []string{path, "--flag"}}}, Limits{})
	for range 3 {
		w.look()
	}
	host := strings.TrimPrefix(w.server.URL, "http://")
	about := "protocol=http\nhost=" + host + "\npath=r.git\n"
	if got, want := asked(), "== --flag get\n"+about+"\n"; got != want {
		t.Errorf("asked\n%s, want\n%s", got, want)
	}
	// It is kept until the server refuses it; then the helper is told and asked again.
	password.Store("hunter2-two")
	gittest.WriteFile(t, answer, "username=robot\r\npassword=hunter2-two\r\nsomething=else\r\n")
	w.check()
	if got, want := asked(), "== --flag erase\n"+about+"username=robot\npassword=hunter2-one\n\n== --flag get\n"+about+"\n"; got != want {
		t.Errorf("asked\n%s, want\n%s", got, want)
	}
	// One that is about to expire is not used.
	password.Store("hunter2-three")
	gittest.WriteFile(t, answer, fmt.Sprintf("username=robot\npassword=hunter2-three\npassword_expiry_utc=%d\n", time.Now().Unix()+5))
	w.look()
	asked()
	w.look()
	if got := asked(); strings.Contains(got, "erase") || !strings.Contains(got, "get") {
		t.Errorf("asked %s", got)
	}
	gittest.WriteFile(t, answer, fmt.Sprintf("username=robot\npassword=hunter2-three\npassword_expiry_utc=%d\n", time.Now().Unix()+3600))
	w.look()
	asked()
	w.look()
	if got := asked(); got != "" {
		t.Errorf("asked %s", got)
	}
	// With a name of ours it is asked for that one's password.
	gittest.WriteFile(t, answer, "password=hunter2-three\n")
	w.open(remote.Source{URL: url, Auth: remote.Auth{Command: []string{path}, Username: "robot"}}, Limits{})
	w.look()
	if got := asked(); !strings.Contains(got, "\nusername=robot\n") {
		t.Errorf("asked %s", got)
	}
}

func TestCredentialHelperFails(t *testing.T) {
	w, _ := guarded(t)
	w.src.Commit("main", gittest.File("a", "a"))
	url := w.repo.source.URL
	for name, k := range map[string]struct {
		body string
		want []string
	}{
		"wrong password": {`echo username=robot; echo password=hunter2`, []string{"401", "refuses the credentials of the command"}},
		"nothing":        {``, []string{"auth command", "has no password for 127.0.0.1"}},
		"quit":           {`echo quit=1`, []string{"has no password"}},
		"nonsense":       {`echo hunter2`, []string{"not of the form key=value"}},
		"fails":          {`echo password=hunter2; echo "vault is sealed, hunter2" >&2; exit 3`, []string{"helper get: exit status 3: (its text is not shown"}},
		"half a secret":  {`echo password=hunter2; echo "hunter" >&2; exit 3`, []string{"exit status 3: (its text is not shown"}},
		"hangs":          {`sleep 1000 & sleep 1000`, []string{"no answer within 1s"}},
		"says too much":  {`yes hunter2 | head -c 10000000`, []string{"not of the form"}},
	} {
		t.Run(name, func(t *testing.T) {
			path, asked := script(t, k.body)
			look := testkit.Patience
			if name == "hangs" {
				look = time.Second
			}
			w.open(remote.Source{URL: url, Auth: remote.Auth{Command: []string{path}}}, Limits{Look: look})
			_, err := w.repo.Ask(t.Context())
			for _, text := range k.want {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not in: %v", text, err)
				}
			}
			if err != nil && (strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "\n")) {
				t.Errorf("a secret: %v", err)
			}
			if got := asked(); strings.Contains(strings.SplitN(got, "\n", 2)[0], "hunter") {
				t.Errorf("a secret among the arguments: %s", got)
			}
		})
	}
	w.open(remote.Source{URL: url, Auth: remote.Auth{Command: []string{"/nowhere/helper"}}}, Limits{})
	if _, err := w.repo.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "auth command /nowhere/helper") {
		t.Error(err)
	}
}

// TestGitsOwnHelper is git credential-store, which keeps no paths.
func TestGitsOwnHelper(t *testing.T) {
	w, _ := guarded(t)
	w.src.Commit("main", gittest.File("a", "a"))
	store := filepath.Join(t.TempDir(), "store")
	gittest.WriteFile(t, store, strings.Replace(w.server.URL, "://", "://robot:hunter2-one@", 1)+"\n")
	w.open(remote.Source{URL: w.repo.source.URL, Auth: remote.Auth{Command: []string{"git", "credential-store", "--file", store}}}, Limits{})
	w.check()
	w.look()
}
