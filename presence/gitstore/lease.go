package gitstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/presence"
)

// Lease is lease.json in the ref of a lease: who may do what only one node may do at a time.
type Lease struct {
	Holder  string    `json:"holder"`  // instance-id
	Purpose string    `json:"purpose"` // in words, for people
	Taken   time.Time `json:"taken"`
	Until   time.Time `json:"until"`
}

// Ended says that a lease is over by this machine's clock.
func (l Lease) Ended(now time.Time) bool { return now.After(l.Until.Add(leaseGrace)) }

const (
	leaseFile = "lease.json"
	// leaseGrace is how long after its end a lease may be taken over: the clocks of two nodes differ by less.
	leaseGrace = time.Minute
	leaseLimit = 64 << 10
)

// LeaseWatch is since when a lease of another node was seen unchanged. The zero value has seen none. It is valid within
// one boot of the machine.
type LeaseWatch struct {
	Lease Lease   `json:"lease"`
	Since float64 `json:"up"` // seconds since the boot
}

// Ended says that a lease was seen unchanged for as long as it lasts; up is the time since the boot. What the clocks of
// its holder and of this node say does not matter: one of them may be wrong, and both nodes would believe that they
// have it.
func (w *LeaseWatch) Ended(l Lease, up time.Duration) bool {
	if w.Lease != l || up.Seconds() < w.Since {
		*w = LeaseWatch{l, up.Seconds()}
	}
	return up.Seconds()-w.Since > (l.Until.Sub(l.Taken) + leaseGrace).Seconds()
}

// TakeLease tries to become the holder of a lease until a time. It is won when it was free, when watch has seen the
// last one unchanged for longer than that lasts, or when holder has it already; then its end stays. held is the lease
// in the repository. Of several nodes that try at once exactly one wins; the others lose without an error. After an
// error act as if it was lost. up is the time since the boot, for watch.
func TakeLease(ctx context.Context, s Remote, watch *LeaseWatch, prefix, name, holder, purpose string, until, now time.Time, up time.Duration) (won bool, held Lease, err error) {
	ref := LeaseRef(prefix, name)
	wanted := Lease{Holder: holder, Purpose: purpose, Taken: presence.WholeSecond(now), Until: presence.WholeSecond(until)}
	if !wanted.Until.After(wanted.Taken) {
		return false, Lease{}, fmt.Errorf("lease %s: it would end before it begins", ref)
	}
	var pushed error
	// The second round finds out what became of a push that failed.
	for range 2 {
		tip, err := refID(ctx, s, ref)
		if err != nil {
			return false, Lease{}, fmt.Errorf("lease %s: %w", ref, transport.OneLine(pushed, err))
		}
		if tip != "" {
			held, err := readLease(ctx, s, tip)
			if err != nil {
				return false, Lease{}, fmt.Errorf("lease %s: %w", ref, err)
			}
			if held.Holder == holder && !held.Ended(now) {
				return true, held, nil
			}
			if held.Holder != holder && !watch.Ended(held, up) {
				return false, held, nil
			}
		}
		if pushed != nil {
			break // it failed, and the lease is still free
		}
		if pushed = pushLease(ctx, s, ref, tip, wanted); pushed == nil {
			return true, wanted, nil
		}
	}
	return false, Lease{}, fmt.Errorf("lease %s: %w", ref, pushed)
}

// pushLease moves the ref from old ("" = none) to the lease.
func pushLease(ctx context.Context, s Remote, ref, old string, l Lease) error {
	data, err := json.MarshalIndent(l, "", "    ")
	if err != nil {
		return err
	}
	return s.Push(ctx, fileUpdate(ref, old, leaseFile, append(data, '\n'), l.Holder, l.Holder+": "+l.Purpose, l.Taken))
}

func readLease(ctx context.Context, s Remote, commit string) (Lease, error) {
	data, err := readPushed(ctx, s, commit, leaseFile, leaseLimit)
	if err != nil {
		return Lease{}, err
	}
	var l Lease
	if err := json.Unmarshal(data, &l); err != nil {
		return Lease{}, fmt.Errorf("%s: %w", leaseFile, err)
	}
	if l.Holder == "" || l.Until.IsZero() {
		return Lease{}, fmt.Errorf("%s: it names no holder or no end", leaseFile)
	}
	return l, nil
}

// RefPart makes a word fit for a part of a ref's name: letters, digits, _ and - stay as they are.
func RefPart(word string) string {
	fit := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, word)
	if fit == "" || fit[0] == '-' {
		return "_" + fit
	}
	return fit
}
