package gitstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
)

const leaseName = "kill/fed1/app1"

func leaseStore(t *testing.T, url string) Remote {
	t.Helper()
	store, err := remote.New(remote.Source{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestTakeLease(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	s.repo.Git("config", "receive.denyNonFastForwards", "true")
	store := leaseStore(t, s.url)
	watches := map[string]*LeaseWatch{"n1": {}, "n2": {}, "n3": {}}
	take := func(holder string, after time.Duration) (bool, Lease) {
		t.Helper()
		now := noon.Add(after)
		won, held, err := TakeLease(t.Context(), store, watches[holder], RefPrefix, leaseName, holder, "kill "+holder, now.Add(time.Hour), now, after)
		if err != nil {
			t.Fatal(err)
		}
		return won, held
	}
	first := Lease{Holder: "n1", Purpose: "kill n1", Taken: noon, Until: noon.Add(time.Hour)}
	taken := noon.Add(time.Hour + 2*leaseGrace + time.Second)
	second := Lease{Holder: "n2", Purpose: "kill n2", Taken: taken, Until: taken.Add(time.Hour)}
	for _, c := range []struct {
		holder string
		after  time.Duration
		won    bool
		held   Lease
	}{
		{"n1", 0, true, first},
		{"n2", time.Minute, false, first},
		{"n1", 2 * time.Minute, true, first},           // its own: it ends when it did
		{"n2", time.Hour + 2*leaseGrace, false, first}, // it was seen a minute after it began
		{"n3", 24 * time.Hour, false, first},           // a clock that is ahead: it was never seen before
		{"n2", time.Hour + 2*leaseGrace + time.Second, true, second},
		{"n3", 25*time.Hour + 2*leaseGrace, false, second}, // it is another one by now
		{"n1", time.Hour + 3*leaseGrace, false, second},
	} {
		if won, held := take(c.holder, c.after); won != c.won || held != c.held {
			t.Errorf("%s after %s: %v, %+v", c.holder, c.after, won, held)
		}
	}
	want := "{\n    \"holder\": \"n2\",\n    \"purpose\": \"kill n2\",\n    \"taken\": \"2026-03-01T13:02:01Z\",\n    \"until\": \"2026-03-01T14:02:01Z\"\n}"
	if got := s.repo.Git("show", "refs/heads/lease/"+leaseName+":lease.json"); got != want {
		t.Errorf("lease.json:\n%s", got)
	}
	if got := s.repo.Git("log", "--format=%an %s", "refs/heads/lease/"+leaseName); got != "n2 n2: kill n2\nn1 n1: kill n1" {
		t.Errorf("log:\n%s", got)
	}
}

func TestTakeLeaseRace(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	for round := range 3 { // the first takes it new, the others take over what has ended
		now := noon.Add(time.Duration(round) * 2 * time.Hour)
		tip := s.repo.Git("for-each-ref", "--format=%(objectname)", "refs/heads/lease/")
		var mu sync.Mutex
		var winners []string
		var all sync.WaitGroup
		for i := range 8 {
			holder := fmt.Sprintf("n%d", i)
			store := leaseStore(t, s.url)
			watch := &LeaseWatch{}
			if tip != "" {
				last, err := readLease(t.Context(), store, tip)
				if err != nil {
					t.Fatal(err)
				}
				watch.Lease = last
			}
			all.Go(func() {
				// A lock that another had just then is an error, and tried again at the next beat.
				for {
					won, held, err := TakeLease(t.Context(), store, watch, RefPrefix, leaseName, holder, "kill", now.Add(time.Hour), now, 2*time.Hour)
					if err != nil {
						if rejected := new(remote.Rejected); errors.As(err, &rejected) {
							continue
						}
						t.Errorf("%s: %v", holder, err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					if won {
						winners = append(winners, holder)
					}
					if won != (held.Holder == holder) {
						t.Errorf("%s: won %v, held by %s", holder, won, held.Holder)
					}
					return
				}
			})
		}
		all.Wait()
		if len(winners) != 1 {
			t.Errorf("round %d: won by %v", round, winners)
		}
	}
}

func TestTakeLeaseUnclear(t *testing.T) {
	t.Parallel()
	for name, landed := range map[string]bool{"landed": true, "not landed": false} {
		var pushes gate
		s := newSite(t, gittest.ServerOptions{Wrap: pushes.wrap})
		relay := gittest.StartRelay(t, strings.TrimPrefix(s.server.URL, "http://"))
		pushes.set(func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
			if landed {
				next.ServeHTTP(httptest.NewRecorder(), r)
			}
			relay.Cut()
		})
		store := leaseStore(t, "http://"+relay.Addr+"/r.git")
		won, held, err := TakeLease(t.Context(), store, new(LeaseWatch), RefPrefix, leaseName, "n1", "kill", noon.Add(time.Hour), noon, 0)
		if won != landed || (err == nil) != landed || landed && held.Holder != "n1" || !landed && !errors.Is(err, remote.ErrUnclear) {
			t.Errorf("%s: %v, %+v, %v", name, won, held, err)
		}
	}
}

func TestTakeLeaseRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t, gittest.ServerOptions{})
	store := leaseStore(t, s.url)
	fails := func(name string, until time.Time, word string) {
		t.Helper()
		won, _, err := TakeLease(t.Context(), store, new(LeaseWatch), RefPrefix, leaseName, "n1", "kill", until, noon, 0)
		if won || err == nil || !strings.HasPrefix(err.Error(), "lease refs/heads/lease/"+leaseName+": ") || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, %v", name, won, err)
		}
	}
	fails("it has ended already", noon, "it would end before it begins")
	for name, c := range map[string]string{"no JSON": "{", "no end": `{"holder":"n2"}`, "no holder": `{"until":"2020-01-01T00:00:00Z"}`} {
		s.repo.Commit("lease/"+leaseName, gittest.File("lease.json", c))
		fails(name, noon.Add(time.Hour), "lease.json")
	}
	s.repo.Commit("lease/"+leaseName, gittest.Remove("lease.json"), gittest.File("README", "x"))
	fails("no lease", noon.Add(time.Hour), "lease.json")
	s.repo.Git("update-ref", "-d", "refs/heads/lease/"+leaseName)
	s.repo.Git("config", "http.receivepack", "false")
	won, _, err := TakeLease(t.Context(), store, new(LeaseWatch), RefPrefix, leaseName, "n1", "kill", noon.Add(time.Hour), noon, 0)
	if won || !errors.Is(err, remote.ErrAccess) {
		t.Errorf("read-only: %v, %v", won, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if won, _, err := TakeLease(ended, store, new(LeaseWatch), RefPrefix, leaseName, "n1", "kill", noon.Add(time.Hour), noon, 0); won || !errors.Is(err, context.Canceled) {
		t.Errorf("in no time: %v, %v", won, err)
	}
}

func TestRefPart(t *testing.T) {
	for word, want := range map[string]string{"app1": "app1", "": "_", "a b/c..d": "a_b_c__d", "-x": "_-x", "grün": "gr_n", "x.lock": "x_lock"} {
		if got := RefPart(word); got != want {
			t.Errorf("%q becomes %q, not %q", word, got, want)
		}
	}
}
