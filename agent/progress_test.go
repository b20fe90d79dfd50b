package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/work"
)

// TestALongFirstCloneIsTold: once a tick people and presence hear how far it is, as long as something comes; one that
// hangs says nothing, and does not feed the watchdog.
func TestALongFirstCloneIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newBench(t, "common"), &ear{wrong: errors.New("presence: not reached")}
		b.InitDone, b.Sinks = false, []sink.Named{{Name: "ear", Sink: e}}
		start := time.Now()
		fed := 0
		b.slow = func(progress func(journal.Fetching)) {
			for i := range 60 { // ten minutes
				<-time.After(10 * time.Second)
				progress(journal.Fetching{Repo: "ops", Bytes: int64(i+1) * 1_500_000, Objects: (i + 1) * 100})
			}
			synctest.Wait()
			fed = b.alive
			<-time.After(5 * time.Minute)
			synctest.Wait()
			if b.alive != fed {
				t.Errorf("a step that hangs fed the watchdog %d times", b.alive-fed)
			}
			progress(journal.Fetching{Repo: "ops", Bytes: 90_000_000, Objects: 6000, Files: 7})
			<-time.After(90 * time.Second)
		}
		b.live(20*time.Minute, nil)
		if fed < 60 {
			t.Errorf("the watchdog was fed %d times by 60 steps", fed)
		}
		var told []time.Duration
		for _, r := range e.heard {
			if r.State == node.Setup {
				told = append(told, r.BeatSeen.Sub(start).Round(time.Minute))
				if r.BeatNextBy.Sub(r.BeatSeen) < 2*time.Minute || len(r.Repos) != 0 {
					t.Errorf("told %+v", r)
				}
			}
		}
		want := "[0s 1m0s 2m0s 3m0s 4m0s 5m0s 6m0s 7m0s 8m0s 9m0s 10m0s 11m0s 16m0s]"
		if fmt.Sprint(told) != want {
			t.Errorf("told at %v, want %s", told, want)
		}
		var shown []string
		for _, s := range b.shown {
			for _, f := range s.Fetching {
				shown = append(shown, fmt.Sprintf("%s of beat %d, next at %s: %s", s.State, s.Seq, s.Next.Sub(start), f))
				if len(s.Looks) != 1 || s.Looks[0].Version != "" || s.Looks[0].Moved {
					t.Errorf("the tree is not there yet: %+v", s.Looks)
				}
			}
		}
		if len(shown) != 12 || shown[1] != "setup of beat 1, next at 3m0s: fetching ops: 16 MB, 1100 objects so far" || shown[11] != "setup of beat 1, next at 17m0s: moving ops: 7 files so far" {
			t.Errorf("beat.json said %q", shown)
		}
		if b.hears("fetching ops: ") != 11 || b.hears("moving ops: 7 files") != 1 || b.hears("presence: not reached") != 1 {
			t.Errorf("said %q", b.said)
		}
		if first := b.beats[0]; first.Fetching != nil || first.Dropped < 15 || len(b.asked) > 5 || b.most != 1 {
			t.Errorf("first beat %+v, %d looks, %d at once", first, len(b.asked), b.most)
		}
		if got := e.states(); got != "setup initdone working idle" {
			t.Errorf("told %s", got)
		}
		// What came after the look was not before it: 16m30s of fetching.
		for _, r := range e.heard {
			if r.State != node.Setup && r.BeatSeen.Sub(start) < 16*time.Minute {
				t.Errorf("%s, told as of %s after the start", r.State, r.BeatSeen.Sub(start))
			}
		}
		if at := b.beats[0].Since.Sub(start); at < 16*time.Minute {
			t.Errorf("%s since %s after the start", b.beats[0].State, at)
		}
	})
}

// TestAnAgentThatBeginsWithALongLook tells what the trees hold; and how work ended while no agent was there is told by
// the one after it, should it be killed in that look.
func TestAnAgentThatBeginsWithALongLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newBench(t, "common"), &ear{}
		b.Sinks, b.Clones = []sink.Named{{Name: "ear", Sink: e}}, moving{b, "0ld"}
		b.Before = &journal.Beat{Node: "i-1", State: node.Working, Outside: "why", InHand: &work.InHand{Repo: "ops", Item: "common", RunID: "old"}}
		b.slow = func(progress func(journal.Fetching)) {
			for range 9 {
				<-time.After(10 * time.Second)
				progress(journal.Fetching{Repo: "ops", Bytes: 10})
			}
		}
		b.live(2*time.Minute, nil)
		if len(b.shown) == 0 || len(b.shown[0].Fetching) != 1 || b.shown[0].InHand == nil || b.shown[0].InHand.RunID != "old" {
			t.Errorf("beat.json was %+v", b.shown)
		}
		if len(e.heard) == 0 || len(e.heard[0].Repos) != 1 || e.heard[0].Repos[0].Version != "0ld" || e.heard[0].Reason != "why" {
			t.Errorf("told %+v", e.heard)
		}
	})
}

// moving are clones that move away from a version at the first look.
type moving struct {
	*bench
	from string
}

func (m moving) Ask(ctx context.Context, rests func(string) bool) []journal.Look {
	looks := m.bench.Ask(ctx, rests)
	if looks[0].Previous == "" {
		looks[0].Previous = m.from
	}
	return looks
}

func TestALookOfOneTickSaysNothingOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		b.slow = func(progress func(journal.Fetching)) {
			progress(journal.Fetching{Repo: "ops", Bytes: 10})
			<-time.After(20 * time.Second)
		}
		b.live(59*time.Second, nil)
		if b.hears("fetching") != 0 || len(b.shown) == 0 || b.shown[0].Fetching != nil {
			t.Errorf("said %q", b.said)
		}
	})
}

// TestToldToEndInALongLook: it ends, and reports nothing further of the look.
func TestToldToEndInALongLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "common")
		over := make(chan struct{})
		b.slow = func(progress func(journal.Fetching)) {
			defer close(over)
			for range 30 {
				<-time.After(10 * time.Second)
				progress(journal.Fetching{Repo: "ops", Bytes: 10})
			}
		}
		start := time.Now()
		b.live(2*time.Minute+30*time.Second, nil)
		if d := time.Since(start); d > 2*time.Minute+30*time.Second+stuckWait {
			t.Errorf("it took %s to end", d)
		}
		if b.hears("fetching ops: 10 bytes, 0 objects so far") != 2 || len(b.runs) != 0 {
			t.Errorf("said %q, ran %v", b.said, b.runs)
		}
		<-over
	})
}

func TestFetchingInWords(t *testing.T) {
	for want, f := range map[string]journal.Fetching{
		"fetching a: 0 bytes, 0 objects so far":   {Repo: "a"},
		"fetching a: 1 byte, 1 object so far":     {Repo: "a", Bytes: 1, Objects: 1},
		"fetching a: 41 KB, 12 objects so far":    {Repo: "a", Bytes: 41_900, Objects: 12},
		"fetching a: 9999 KB, 12 objects so far":  {Repo: "a", Bytes: 9_999_999, Objects: 12},
		"fetching a: 41 MB, 12000 objects so far": {Repo: "a", Bytes: 41_000_000, Objects: 12000},
		"moving a: 1 file so far":                 {Repo: "a", Bytes: 41_000_000, Objects: 12000, Files: 1},
	} {
		if got := f.String(); got != want || strings.Contains(got, "\n") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
