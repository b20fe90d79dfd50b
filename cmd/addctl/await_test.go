package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/addagent/addagent/fleet/doctor"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/testkit"
)

// TestInterruptedWhileReading: ^C is told as such, also while the queue is read.
func TestInterruptedWhileReading(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	_, server := gittest.Remote(t, gittest.ServerOptions{Wrap: func(next http.Handler) http.Handler {
		pushed := false
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if pushed {
				interrupt()
				_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client left
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(w, r)
			pushed = r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack")
		})
	}})
	s, err := doctor.Open(remote.Source{URL: server.URL + "/r.git"}, "person")
	testkit.Must(t, err)
	defer s.Close()
	m, problems := event.ParseMessage("message", []byte(`{"level":"instances","command":{"action":"start","group":"i-1"}}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var out, words bytes.Buffer
	err = testProcess(&out, &words).await(ctx, s, m, false)
	if exit, ok := errors.AsType[*cli.Exit](err); !ok || exit.Code != cli.ExitInterrupted || !strings.Contains(words.String(), "stays in the queue") {
		t.Errorf("%v, %q", err, words.String())
	}
}
