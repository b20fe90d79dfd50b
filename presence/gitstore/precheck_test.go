package gitstore

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// TestTrialsChangeNothing: whose the ref is, and whether it may be moved, is learnt without moving it.
func TestTrialsChangeNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	store := s.store()
	ours := said(node.Idle, 0)

	tip, _, err := ReadOwnRef(t.Context(), store, ourRef, ours, s.memory)
	if tip != "" || err != nil {
		t.Errorf("of no ref: %q %v", tip, err)
	}
	refused, err := CanPush(t.Context(), store, ourRef, "")
	if refused == "" || err != nil {
		t.Errorf("of no ref: %q %v", refused, err)
	}
	if refs := s.repo.Git("for-each-ref"); refs != "" {
		t.Errorf("there is %s", refs)
	}

	s.tell(s.open(), ours)
	before, memory := s.repo.Git("for-each-ref"), readFile(t, s.memory)
	tip, there, err := ReadOwnRef(t.Context(), store, ourRef, ours, s.memory)
	if err != nil || there.InstanceID != ours.InstanceID || !strings.HasPrefix(before, tip) {
		t.Errorf("of ours: %s %+v %v", tip, there, err)
	}
	if refused, err = CanPush(t.Context(), store, ourRef, tip); refused == "" || err != nil {
		t.Errorf("of ours: %q %v", refused, err)
	}

	theirs := ours
	theirs.Hardware = "dmi:elsewhere/elsewhere"
	var clash *Clash
	if _, _, err := ReadOwnRef(t.Context(), store, ourRef, theirs, s.memory); !errors.As(err, &clash) || !strings.HasSuffix(err.Error(), clash.Hint()) {
		t.Errorf("of another: %v", err)
	}
	// A clone of the image has the same hardware: only the memory tells that another boot spoke since.
	s.tell(s.openAt(filepath.Join(t.TempDir(), "presence.json")), func() presence.Record { r := said(node.Idle, time.Hour); r.BootID = "another"; return r }())
	if _, _, err := ReadOwnRef(t.Context(), store, ourRef, ours, s.memory); !errors.As(err, &clash) {
		t.Errorf("of a clone: %v", err)
	}
	if after := readFile(t, s.memory); after != memory {
		t.Errorf("the memory was\n%s\nand is\n%s", memory, after)
	}
}

func TestMayNotTell(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.String(), "receive-pack") {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	if refused, err := CanPush(t.Context(), s.store(), ourRef, ""); refused != "" || !errors.Is(err, remote.ErrAccess) {
		t.Errorf("%q %v", refused, err)
	}
}

// TestCanPushPromisesNothing that the push then cannot do: a branch in the way, and a hook that refuses a new ref.
func TestCanPushPromisesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	id := s.repo.Commit("main", gittest.File("a", "x"))
	hook := filepath.Join(s.repo.Dir, "hooks", "pre-receive")
	gittest.WriteFile(t, hook, "#!/bin/sh\necho 'only Ada pushes here' >&2; exit 1\n")
	if err := os.Chmod(hook, 0o755); err != nil {
		t.Fatal(err)
	}
	if refused, err := CanPush(t.Context(), s.store(), ourRef, ""); err != nil || !strings.Contains(refused, "only Ada pushes here") {
		t.Errorf("a hook: %q %v", refused, err)
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	for _, blocking := range []string{strings.TrimSuffix(RefPrefix, "/"), ourRef + "/x"} {
		s.repo.Git("update-ref", blocking, id)
		if _, err := CanPush(t.Context(), s.store(), ourRef, ""); err == nil || !strings.Contains(err.Error(), blocking+" blocks "+ourRef) {
			t.Errorf("%s: %v", blocking, err)
		}
		s.repo.Git("update-ref", "-d", blocking)
	}
}

func (s *site) store() *remote.Repository {
	s.t.Helper()
	store, err := remote.New(remote.Source{URL: s.url})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = store.Close() })
	return store
}

// openAt is open with another memory, as another machine has it.
func (s *site) openAt(memory string) *Sink {
	other := *s
	other.memory = memory
	return other.open()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
