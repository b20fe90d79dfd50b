package chat

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStepped(t *testing.T) {
	put := moment{time.Date(2015, 1, 1, 0, 0, 10, 0, time.UTC), 10 * time.Second}
	for want, now := range map[time.Duration]moment{
		0:                    {put.wall.Add(25 * time.Hour), put.run + 25*time.Hour},
		365 * 24 * time.Hour: {put.wall.Add(365*24*time.Hour + time.Hour), put.run + time.Hour},
		-2 * time.Hour:       {put.wall.Add(-time.Hour), put.run + time.Hour},
		-90 * time.Second:    {put.wall.Add(-90 * time.Second), put.run},
	} {
		if got := stepped(put, now); got != want {
			t.Errorf("%v after %v: %s, want %s", now, put, got, want)
		}
	}
	if got := stepped(put, moment{put.wall.Add(time.Hour + 59*time.Second), put.run + time.Hour}); got != 0 {
		t.Errorf("a clock that drifts was set by %s", got)
	}
}

func TestBetweenProcesses(t *testing.T) {
	last := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct{ passed, want time.Duration }{
		{0, 0}, {time.Minute, time.Minute}, {5 * time.Hour, 5 * time.Hour}, {70 * time.Hour, 6 * time.Hour}, {100000 * time.Hour, 6 * time.Hour}, {-100000 * time.Hour, 0},
	} {
		if got := between(last, last.Add(c.passed), 24*time.Hour); got != c.want {
			t.Errorf("%s: %s, want %s", c.passed, got, c.want)
		}
	}
}

// TestSpoolLivesThroughClockJumps has messages put, and lets time pass, by both clocks, within one process and between two: what the
// clocks say decides neither that a message is lost nor that it stays.
func TestSpoolLivesThroughClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	type step struct {
		wall, run time.Duration // that pass
		again     bool          // in between, with no process; run is what is true
		waits     bool          // it still waits after that
	}
	for name, steps := range map[string][]step{
		"no jump":                       {{23 * time.Hour, 23 * time.Hour, false, true}, {2 * time.Hour, 2 * time.Hour, false, false}},
		"a year ahead":                  {{year, time.Minute, false, true}, {23 * time.Hour, 23 * time.Hour, false, true}, {time.Hour, time.Hour, false, false}},
		"a year back":                   {{-year, time.Minute, false, true}, {25 * time.Hour, 25 * time.Hour, false, false}},
		"a year ahead at a restart":     {{time.Minute, time.Minute, false, true}, {year, time.Second, true, true}, {17 * time.Hour, 17 * time.Hour, false, true}, {2 * time.Hour, 2 * time.Hour, false, false}},
		"a year back at a restart":      {{time.Minute, time.Minute, false, true}, {-year, time.Second, true, true}, {25 * time.Hour, 25 * time.Hour, false, false}},
		"restarts, an hour apart":       {{0, 0, false, true}, {5 * time.Hour, 0, true, true}, {5 * time.Hour, 0, true, true}, {5 * time.Hour, 0, true, true}, {5 * time.Hour, 0, true, true}, {5 * time.Hour, 0, true, false}},
		"a clock that jumps every time": {{0, 0, false, true}, {year, 0, true, true}, {year, 0, true, true}, {year, 0, true, true}, {year, 0, true, true}, {time.Minute, 0, true, false}},
		"off over the weekend":          {{0, 0, false, true}, {60 * time.Hour, 0, true, true}, {19 * time.Hour, 19 * time.Hour, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			folder, l := t.TempDir(), Limits{}.orDefault()
			now := moment{wall: time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC), run: time.Second}
			open := func() *spool {
				s, err := openSpool(folder, now, l)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := open()
			s.put(Message{Text: "a", Time: now.wall}, now, l)
			for i, step := range steps {
				now = moment{now.wall.Add(step.wall), now.run + step.run}
				if step.again {
					if err := s.close(now); err != nil { // as one that was killed: the clock is not written again so soon
						t.Fatal(err)
					}
					now.run = time.Second
					s = open()
				}
				s.expire(now, l.Age)
				s.sync(now)
				if waits := len(s.entries) == 1; waits != step.waits {
					t.Fatalf("after step %d it waits: %v", i, waits)
				}
			}
			if s.lost != 1 || s.trouble != nil {
				t.Errorf("%d lost, %v", s.lost, s.trouble)
			}
			if err := s.close(now); err != nil {
				t.Error(err)
			}
			if got := names(t, folder); !slices.Equal(got, []string{lostFile}) {
				t.Errorf("left on disk: %q", got)
			}
		})
	}
}

// What earlier agents left has no time of the spool's clock, and a bad disk gives any: it is as if it were put now.
func TestSpoolWithoutAClock(t *testing.T) {
	for name, on := range map[string]struct {
		clock, entry string
	}{
		"of an earlier agent":    {"", `{"text":"a","time":"2015-01-01T00:00:00Z"}`},
		"the clock is garbled":   {"{", `{"text":"a","time":"2015-01-01T00:00:00Z","at":17}`},
		"the clock is absurd":    {`{"at":99999999999999999,"wall":"2026-03-01T09:30:08Z"}`, `{"text":"a","time":"2015-01-01T00:00:00Z","at":17}`},
		"the entry is absurd":    {`{"at":20,"wall":"2026-03-01T09:30:08Z"}`, `{"text":"a","time":"2015-01-01T00:00:00Z","at":-5}`},
		"the entry is far ahead": {`{"at":20,"wall":"2026-03-01T09:30:08Z"}`, `{"text":"a","time":"2015-01-01T00:00:00Z","at":4000000000}`},
	} {
		t.Run(name, func(t *testing.T) {
			folder, l := t.TempDir(), Limits{}.orDefault()
			err := os.WriteFile(filepath.Join(folder, "000000000001.json"), []byte(on.entry), 0o600)
			if on.clock != "" {
				err = errors.Join(err, os.WriteFile(filepath.Join(folder, clockFile), []byte(on.clock), 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			now := moment{wall: time.Date(2026, 3, 1, 9, 30, 8, 0, time.UTC)}
			s, err := openSpool(folder, now, l)
			if err != nil {
				t.Fatal(err)
			}
			defer s.lock.Close()
			if s.expire(now, l.Age); len(s.entries) != 1 {
				t.Fatal("it is lost")
			}
			s.put(Message{Text: "b"}, now, l)
			now.run += l.Age - time.Minute
			if s.expire(now, l.Age); len(s.entries) != 2 {
				t.Errorf("%d wait", len(s.entries))
			}
			now.run += 2 * time.Minute
			if s.expire(now, l.Age); len(s.entries) != 0 {
				t.Errorf("%d wait for ever", len(s.entries))
			}
		})
	}
}

// A line that was put before the clock was set right is said with its time by the clock as it is now.
func TestOutboxSaysTimesByTheClockThatIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(t, &parrot{hangs: true}, t.TempDir(), Limits{})
		put(t, o, Message{Text: "blocks the room"})
		synctest.Wait()
		put(t, o, Message{Text: "early"})
		began := since(o.began)
		o.mu.Lock()
		o.spool.drop(0)
		o.mu.Unlock()
		after(time.Hour)
		now := since(o.began)
		now.wall = now.wall.Add(9000 * time.Hour)
		turn, _, _ := o.next(now.wall, now)
		if want := fmt.Sprintf("%s UTC early", began.wall.Add(9000*time.Hour).Format(time.DateTime)); !strings.HasSuffix(turn.message.Text, want) {
			t.Errorf("says %q, want %q", turn.message.Text, want)
		}
	})
}
