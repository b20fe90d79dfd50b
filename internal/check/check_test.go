package check

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/chat"
)

func TestLiveSeesWhatWaitsForARoom(t *testing.T) {
	dir := t.TempDir()
	room, err := chat.Open("hipchat://hush@127.0.0.1:1/room1?scheme=http", chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	box, err := chat.NewOutbox(room, dir, chat.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	now := time.Now()
	for i, want := range []string{"1 message waiting for 2 h", "2 messages waiting, the oldest for 2 h"} {
		if err := box.Say(t.Context(), chat.Message{Text: "x", Time: now.Add(-2*time.Hour/time.Duration(i+1) - time.Second)}); err != nil {
			t.Fatal(err)
		}
		if got := spooled(dir, now); !strings.HasPrefix(got, want) {
			t.Error(got)
		}
	}
	if got := spooled(filepath.Join(dir, "none"), now); got != "" {
		t.Error(got)
	}
}

func TestLiveReadsTheUnit(t *testing.T) {
	for shown, want := range map[string]struct {
		Result      Result
		words, mend string
	}{
		"LoadState=not-found\nActiveState=inactive\nUnitFileState=\nWatchdogUSec=0\n":          {Noted, "no unit", "Type=notify"},
		"LoadState=loaded\nActiveState=active\nUnitFileState=disabled\nWatchdogUSec=1min\n":    {Noted, "disabled", "systemctl enable addagent"},
		"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nWatchdogUSec=infinity\n": {Noted, "without a watchdog", "WatchdogSec="},
		"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nWatchdogUSec=1min\n":     {OK, "active, watchdog 1min", ""},
	} {
		if f := unit(shown); f.Status != want.Result || !strings.Contains(f.Text, want.words) || !strings.Contains(f.Fix, want.mend) {
			t.Errorf("%q: %+v", shown, f)
		}
	}
}

// TestExamineGivesUp what does not heed its deadline, and keeps the order.
func TestExamineGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		found := runProbes(t.Context(), time.Second, []probe{
			{"hangs", 2, func(context.Context) []Finding { <-never; return nil }},
			{"heeds", 1, func(ctx context.Context) []Finding {
				<-ctx.Done()
				return []Finding{fail(hurried(ctx, ctx.Err()).Error(), "x")}
			}},
			{"two", 1, func(context.Context) []Finding { return []Finding{good("a"), good("b").named("another")} }},
		})
		var words []string
		for _, f := range found {
			words = append(words, f.Check+" "+f.Text)
		}
		if got := strings.Join(words, "; "); got != "hangs no answer within 2 s; heeds no answer within 1 s; two a; another b" {
			t.Error(got)
		}
		close(never)
	})
}
