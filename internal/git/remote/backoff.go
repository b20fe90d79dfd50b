package remote

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/retry"
)

// Backoff leaves a remote alone that asked for it, or that failed and has mirrors. The zero value asks at once.
type Backoff struct {
	retry.Pause
	Busy bool `json:"busy"` // it said so itself
}

// busyWait is how long a remote is left alone that asked for it.
func busyWait() retry.Backoff {
	return retry.Backoff{First: 5 * time.Second, Most: 15 * time.Minute, Low: 1, High: 1.5}
}

// spareWait is for one that failed while a mirror can answer: it is missed, so it is tried again sooner.
func spareWait() retry.Backoff {
	return retry.Backoff{First: time.Minute, Most: 5 * time.Minute, Low: 1, High: 1.25}
}

// Over is nil when the remote may be asked again.
func (b *Backoff) Over(now time.Time) error {
	left := b.Left(now)
	if left == 0 {
		return nil
	}
	// In seconds always: but for the number it reads the same at every look, so it is said once.
	return fmt.Errorf("%w (asked again in %d s)", b.Because(), int(left.Seconds())+1)
}

// Learn takes in how asking ended.
func (b *Backoff) Learn(err error, now time.Time) {
	if !Busy(err) {
		*b = Backoff{}
		return
	}
	wait := busyWait().Delay(b.Failures+1, rand.Float64())
	if after := RetryAfter(err); after > 0 {
		wait = busyWait().Asked(after, rand.Float64())
	}
	*b = Backoff{b.After(err, now, wait), true}
}

// Spare is Learn for one of several: after any failure it is left alone.
func (b *Backoff) Spare(err error, now time.Time) {
	was := b.Pause
	if b.Learn(err, now); b.Failures == 0 {
		*b = Backoff{was.After(err, now, spareWait().Delay(was.Failures+1, rand.Float64())), false}
	}
}

// Waits is a file that remembers backoffs by the URLs of their remotes.
type Waits struct {
	Path  string // "" = they are not remembered
	there bool
}

func (w *Waits) file() files.Remembered[map[string]Backoff] {
	return files.Remembered[map[string]Backoff]{Path: w.Path, What: "waits of " + w.Path}
}

// Recall returns what an earlier process remembered.
func (w *Waits) Recall() (waits map[string]Backoff, err error) {
	if w.Path != "" {
		waits, w.there, err = w.file().Recall()
	}
	return waits, err
}

// Save brings the file up to date; it is not there while nothing waits. When it cannot be written, this process still
// knows.
func (w *Waits) Save(waits map[string]Backoff) {
	switch {
	case w.Path == "":
	case len(waits) > 0:
		w.there = w.file().Save(waits) == nil || w.there
	case w.there:
		w.there = w.file().Forget() != nil
	}
}
