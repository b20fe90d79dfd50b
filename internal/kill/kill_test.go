package kill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	me := Case{ID: "i-1", Deployment: "fed1", Nodepart: "app1", Items: map[string]string{"ops:root": "aa", "ops:part.app1": "bb"}}
	peer := func(change func(*Peer)) Peer {
		p := Peer{ID: "i-2", Deployment: "fed1", Nodepart: "app1", Present: true, Well: true, Done: map[string]string{"ops:root": "aa", "ops:part.app1": "bb"}}
		change(&p)
		return p
	}
	as := func(*Peer) {}
	for name, c := range map[string]struct {
		peers []Peer
		ends  bool
		why   string
	}{
		"a peer has finished all of it":    {[]Peer{peer(as)}, true, "ops:part.app1, which i-2 finished; ops:root, which i-2 finished"},
		"no one else":                      {nil, false, "no other node of fed1/app1 is present and healthy"},
		"only itself, an earlier life":     {[]Peer{peer(func(p *Peer) { p.ID = "i-1" })}, false, "no other node"},
		"a peer of another part":           {[]Peer{peer(func(p *Peer) { p.Nodepart = "db1" })}, false, "no other node"},
		"a peer of another deployment":     {[]Peer{peer(func(p *Peer) { p.Deployment = "fed2" })}, false, "no other node"},
		"a peer that is missing":           {[]Peer{peer(func(p *Peer) { p.Present = false })}, false, "no other node"},
		"a peer that is wedged or failing": {[]Peer{peer(func(p *Peer) { p.Well = false })}, false, "no other node"},
		"a peer that finished another one": {[]Peer{peer(func(p *Peer) { p.Done["ops:root"] = "zz" })}, false, "ops:root has not succeeded elsewhere (1 other healthy node of fed1/app1)"},
		"a peer that says nothing of it":   {[]Peer{peer(func(p *Peer) { p.Done = nil })}, false, "ops:part.app1 has not succeeded"},
		"two peers that finished one each": {[]Peer{
			peer(func(p *Peer) { delete(p.Done, "ops:root") }), peer(func(p *Peer) { p.ID = "i-3"; delete(p.Done, "ops:part.app1") })}, true, "ops:part.app1, which i-2 finished; ops:root, which i-3 finished"},
		"many": {[]Peer{peer(as), peer(func(p *Peer) { p.ID = "i-4" }), peer(func(p *Peer) { p.ID = "i-3" })}, true, "i-2, i-3 and 1 more finished"},
	} {
		ends, why := Decide(me, c.peers)
		if ends != c.ends || !strings.Contains(why, c.why) {
			t.Errorf("%s: %v, %q", name, ends, why)
		}
	}
	if ends, _ := Decide(Case{ID: "i-1"}, []Peer{peer(as)}); ends {
		t.Error("ended without an item")
	}
	empty := Case{ID: "i-1", Deployment: "fed1", Nodepart: "app1", Items: map[string]string{"ops:root": ""}}
	if ends, _ := Decide(empty, []Peer{peer(func(p *Peer) { p.Done = map[string]string{"ops:root": ""} })}); ends {
		t.Error("ended by an unknown fingerprint")
	}
}

// world is a grid of stand-ins: what each node says, one lease, and who ended.
type world struct {
	mu    sync.Mutex
	nodes map[string]Peer
	away  error  // presence cannot be read
	lease string // who holds it
	mute  error  // nothing can be told
	stuck error  // the cloud refuses
	told  []string
	ended []string
	said  []string
}

func (w *world) killer(t *testing.T, id string) *Killer {
	return &Killer{Path: filepath.Join(t.TempDir(), "killed.json"), Means: Means{
		Peers: func(context.Context, time.Time) ([]Peer, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			var all []Peer
			for _, p := range w.nodes {
				all = append(all, p)
			}
			return all, w.away
		},
		Lease: func(_ context.Context, c Case, _, _ time.Time) (bool, string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.lease == "" {
				w.lease = c.ID
			}
			return w.lease == c.ID, w.lease, nil
		},
		Tell: func(_ context.Context, why string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, id+" "+why)
			return w.mute
		},
		Do: func(_ context.Context, way Way) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.stuck == nil {
				w.ended = append(w.ended, id+" "+string(way))
			}
			return w.stuck
		},
		Say: func(text string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.said = append(w.said, text)
		},
	}}
}

var (
	begin = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	rules = Rules{Way: Terminate, After: 30 * time.Minute, Grid: true}
)

// wedged is a node that fails at what others may have finished.
func wedged(id string) *Case {
	return &Case{ID: id, Deployment: "fed1", Nodepart: "app1", Items: map[string]string{"ops:root": "bad"}}
}

func well(id string) Peer {
	return Peer{ID: id, Deployment: "fed1", Nodepart: "app1", Present: true, Well: true, Done: map[string]string{"ops:root": "bad"}}
}

// at asks a killer on a machine whose clock was never set.
func (k *Killer) at(r Rules, c *Case, at time.Time) error { return k.Consider(r, c, at, at.Sub(begin)) }

// live asks a killer once a minute.
func live(k *Killer, r Rules, c *Case, minutes int) (wrong error) {
	for i := range minutes {
		wrong = k.at(r, c, begin.Add(time.Duration(i)*time.Minute))
		k.Wait()
	}
	return wrong
}

func TestAMachineThatAloneFailsEndsOnce(t *testing.T) {
	w := &world{nodes: map[string]Peer{"i-2": well("i-2"), "i-3": well("i-3")}}
	k := w.killer(t, "i-1")
	if err := live(k, rules, wedged("i-1"), 29); err != nil || len(w.ended) != 0 {
		t.Fatalf("ended before its time: %v %v", w.ended, err)
	}
	if err := live(k, rules, wedged("i-1"), 600); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.ended, []string{"i-1 terminate"}) || len(w.told) != 1 || !strings.Contains(w.told[0], "terminating itself (terminate) after 30 min wedged: ops:root, which i-2, i-3 finished") {
		t.Errorf("ended %q, told %q", w.ended, w.told)
	}
	// Another life of the same instance, switched on by a person.
	again := w.killer(t, "i-1")
	again.Path = k.Path
	if err := live(again, rules, wedged("i-1"), 600); err != nil || len(w.ended) != 1 {
		t.Errorf("ended again: %q %v", w.ended, err)
	}
	other := wedged("i-1")
	other.Items = map[string]string{"ops:root": "bad", "app:root": "worse"}
	w.nodes["i-2"].Done["app:root"] = "worse"
	if live(again, rules, other, 60); len(w.ended) != 2 {
		t.Errorf("another failure is another matter: %q", w.ended)
	}
}

func TestOnlyWhatThisProcessHasSeenCounts(t *testing.T) {
	w := &world{nodes: map[string]Peer{"i-2": well("i-2")}}
	if live(w.killer(t, "i-1"), rules, wedged("i-1"), 29); len(w.ended) != 0 {
		t.Errorf("a machine that was just switched on ended at once: %q", w.ended)
	}
}

// TestOnlyTimeThatPassedCounts: a clock that is set forward or back neither ends a machine nor keeps it.
func TestOnlyTimeThatPassedCounts(t *testing.T) {
	for _, jump := range []time.Duration{-50 * 365 * 24 * time.Hour, -24 * time.Hour, -time.Minute, time.Minute, 24 * time.Hour, 50 * 365 * 24 * time.Hour} {
		w := &world{nodes: map[string]Peer{"i-2": well("i-2")}}
		k := w.killer(t, "i-1")
		for minute := range 31 {
			up := time.Duration(minute) * time.Minute
			now := begin.Add(up)
			if minute > 10 {
				now = now.Add(jump)
			}
			_ = k.Consider(rules, wedged("i-1"), now, up)
			k.Wait()
			if len(w.ended) > 0 != (minute == 30) {
				t.Fatalf("the clock set by %s: ended %q after %d min", jump, w.ended, minute)
			}
		}
	}
}

// TestFortyNodesOnOneBadCommit: all of a part are wedged by the same commit, for a day. None may end; and when one of
// them gets through, by luck, only those that still fail end, one a lease.
func TestFortyNodesOnOneBadCommit(t *testing.T) {
	w := &world{nodes: map[string]Peer{}}
	killers := map[string]*Killer{}
	for i := range 40 {
		id := fmt.Sprintf("i-%02d", i)
		p := well(id)
		p.Well, p.Done = false, map[string]string{"ops:root": "good"}
		w.nodes[id] = p
		killers[id] = w.killer(t, id)
	}
	day := func(from int) {
		for i := range 24 * 60 {
			for id, k := range killers {
				if w.nodes[id].Well {
					continue
				}
				if err := k.at(rules, wedged(id), begin.Add(time.Duration(from+i)*time.Minute)); err != nil {
					t.Fatal(err)
				}
			}
			for _, k := range killers {
				k.Wait()
			}
		}
	}
	day(0)
	if len(w.ended) != 0 {
		t.Fatalf("ended: %q", w.ended)
	}
	if len(w.said) > 40 {
		t.Errorf("said %d lines in a day, the same %q", len(w.said), w.said[0])
	}
	w.nodes["i-07"] = well("i-07")
	day(24 * 60)
	if len(w.ended) != 1 || len(w.told) != 1 {
		t.Errorf("with one lease ended %q", w.ended)
	}
}

// TestTheGitServerIsAway for two hours, and with it presence: no machine may end, even with older data.
func TestTheGitServerIsAway(t *testing.T) {
	w := &world{nodes: map[string]Peer{"i-2": well("i-2")}, away: errors.New("dial: no route")}
	k := w.killer(t, "i-1")
	err := live(k, rules, wedged("i-1"), 120)
	if err == nil || !strings.Contains(err.Error(), "refusing to terminate: no fresh presence data: dial: no route") {
		t.Errorf("the trouble: %v", err)
	}
	if len(w.ended) != 0 || w.lease != "" {
		t.Errorf("ended %q, lease %q", w.ended, w.lease)
	}
}

func TestNobodyEndsUntold(t *testing.T) {
	w := &world{nodes: map[string]Peer{"i-2": well("i-2")}, mute: errors.New("presence: 503")}
	k := w.killer(t, "i-1")
	if err := live(k, rules, wedged("i-1"), 120); err == nil || len(w.ended) != 0 {
		t.Errorf("ended %q, %v", w.ended, err)
	}
	w.mute = nil
	if err := live(k, rules, wedged("i-1"), 240); err != nil || len(w.ended) != 1 {
		t.Errorf("ended %q, %v", w.ended, err)
	}
}

func TestACloudThatRefusesIsATroubleAndTriedAgain(t *testing.T) {
	w := &world{nodes: map[string]Peer{"i-2": well("i-2")}, stuck: errors.New("UnauthorizedOperation")}
	k := w.killer(t, "i-1")
	if err := live(k, rules, wedged("i-1"), 60); err == nil || !strings.Contains(err.Error(), "kill: terminate: UnauthorizedOperation") {
		t.Errorf("the trouble: %v", err)
	}
	if n := len(w.told); n < 2 || n > 7 {
		t.Errorf("%d attempts in half an hour", n)
	}
	if _, err := os.Lstat(k.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is remembered as done: %v", err)
	}
	if err := k.at(rules, nil, begin.Add(time.Hour)); err != nil {
		t.Errorf("well again, and still %v", err)
	}
}

func TestWithoutPresence(t *testing.T) {
	for way, ends := range map[Way]bool{None: false, Poweroff: true, Command: true, Unhealthy: false, Terminate: false} {
		w := &world{}
		k := w.killer(t, "i-1")
		k.Peers, k.Lease = nil, nil
		live(k, Rules{Way: way, After: 30 * time.Minute}, wedged("i-1"), 90)
		if got := len(w.ended) == 1; got != ends {
			t.Errorf("%s: ended %q, said %q", way, w.ended, w.said)
		}
	}
}

func TestABrokenMemory(t *testing.T) {
	w := &world{nodes: map[string]Peer{"i-2": well("i-2")}}
	k := w.killer(t, "i-1")
	if err := os.WriteFile(k.Path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := live(k, rules, wedged("i-1"), 40); err != nil || len(w.ended) != 1 {
		t.Errorf("ended %q, %v", w.ended, err)
	}
}

// TestAnAttemptIsCalledOff when the node is well again, or a person says so, while everybody is being told.
func TestAnAttemptIsCalledOff(t *testing.T) {
	for name, call := range map[string]func(k *Killer, at time.Time){
		"well again":   func(k *Killer, at time.Time) { _ = k.at(rules, nil, at) },
		"switched off": func(k *Killer, at time.Time) { _ = k.at(Rules{Way: None}, wedged("i-1"), at) },
		"another failure": func(k *Killer, at time.Time) {
			c := wedged("i-1")
			c.Items = map[string]string{"ops:root": "fix"}
			_ = k.at(rules, c, at)
		},
	} {
		w := &world{nodes: map[string]Peer{"i-2": well("i-2")}}
		k := w.killer(t, "i-1")
		telling := make(chan struct{})
		k.Tell = func(ctx context.Context, _ string) error {
			close(telling)
			<-ctx.Done()
			return nil // everybody heard it, and meanwhile it is not so any more
		}
		live(k, rules, wedged("i-1"), 30)
		at := begin.Add(31 * time.Minute)
		_ = k.at(rules, wedged("i-1"), at)
		<-telling
		call(k, at.Add(time.Second))
		k.Wait()
		if len(w.ended) != 0 {
			t.Errorf("%s: ended %q", name, w.ended)
		}
		if _, err := os.Lstat(k.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it is remembered as done", name)
		}
		if err := k.at(rules, nil, at.Add(time.Minute)); err != nil {
			t.Errorf("%s: and still %v", name, err)
		}
	}
}

// TestAFixHasItsTime: what is wedged changes, and the clock begins anew.
func TestAFixHasItsTime(t *testing.T) {
	w := &world{nodes: map[string]Peer{"i-2": well("i-2")}}
	w.nodes["i-2"].Done["ops:root"] = "fix"
	k := w.killer(t, "i-1")
	live(k, rules, wedged("i-1"), 40)
	fix := wedged("i-1")
	fix.Items = map[string]string{"ops:root": "fix"}
	for i := range 29 {
		_ = k.at(rules, fix, begin.Add(time.Duration(41+i)*time.Minute))
		k.Wait()
	}
	if len(w.ended) != 0 {
		t.Errorf("ended %q", w.ended)
	}
	for i := range 10 {
		_ = k.at(rules, fix, begin.Add(time.Duration(70+i)*time.Minute))
		k.Wait()
	}
	if len(w.ended) != 1 {
		t.Errorf("ended %q", w.ended)
	}
}
