package agent

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/journal"
)

// stuckWait is how long a look may take to end itself when the agent is told to end.
const stuckWait = 5 * time.Second

// supervised runs a slow step beside the loop and feeds the watchdog with its
// progress: the loop is alive as long as bytes come and files get written. At
// each tick, which is dropped, long hears what advanced since the one before, if
// anything did; nil disables these calls.
func (a *Agent) supervised(ctx context.Context, step func(progress func(journal.Fetching)) []journal.Look, long func(so []journal.Fetching, now time.Time)) []journal.Look {
	advanced := make(chan journal.Fetching, 1)
	done := make(chan []journal.Look, 1)
	go func() {
		done <- step(func(f journal.Fetching) {
			select {
			case advanced <- f:
			default: // the next one knows more
			}
		})
	}()
	var tick *time.Timer
	var ticked <-chan time.Time
	if long != nil {
		tick = time.NewTimer(a.untilTick(a.now()))
		defer tick.Stop()
		ticked = tick.C
	}
	so := map[string]journal.Fetching{}
	stop := ctx.Done()
	stuck := time.NewTimer(stuckWait)
	stuck.Stop()
	defer stuck.Stop()
	for {
		select {
		case looks := <-done:
			return looks
		case f := <-advanced:
			so[f.Repo] = f
			_ = a.Supervise.Alive() // that it cannot be reached is said by Status, once a beat
		case <-ticked:
			now := a.now()
			if len(so) > 0 && ctx.Err() == nil {
				long(slices.SortedFunc(maps.Values(so), func(a, b journal.Fetching) int { return cmp.Compare(a.Repo, b.Repo) }), now)
				clear(so)
			}
			tick.Reset(a.untilTick(now))
		case <-stop:
			// A step that hangs in the kernel (a dead network disk) must not make us deaf.
			stop = nil
			stuck.Reset(stuckWait)
		case <-stuck.C:
			return nil
		}
	}
}

// reportProgress says how a look goes on that takes longer than to the next tick, as a first clone does: to people, and
// to those who wait to hear that this node lives. The state is settled when the look is over. It does not feed the
// watchdog.
func (a *Agent) reportProgress(ctx context.Context, b journal.Beat, so []journal.Fetching, now time.Time) {
	var words []string
	for _, f := range so {
		words = append(words, f.String())
	}
	text := strings.Join(words, "; ")
	a.say(journal.Info, "", "%s", text)
	known := len(a.wrong.now)
	if len(a.trees.looks) == 0 { // the first look of this process: what the trees hold is known all the same
		a.trees.looks = b.Looks
		defer func() { a.trees.looks = nil }()
	}
	a.tellSinks(ctx, now)
	a.wrong.now = a.wrong.now[:known] // the end of the beat tells once more, and knows better
	b.Ms = float64((a.Clock.Up() - a.beats.began).Microseconds()) / 1000
	b.Dropped, b.Next, b.Fetching = a.beats.dropped, a.Schedule.Next(now).UTC(), so
	shown := a.snapshot(b)
	if shown.InHand == nil {
		shown.InHand = a.runs.unreported // whose end is told after the look, be it by the next agent
	}
	a.wrote("beat", a.Memory.Show(shown), now)
	_ = a.Supervise.Status(text) // the end of the beat says when that fails
}
