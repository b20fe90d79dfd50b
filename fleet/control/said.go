package control

import (
	"slices"
	"time"

	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

const (
	// longLease bounds the lease: a longer one was made by a wrong clock, or by people who push to the branch.
	longLease = 12 * time.Hour
	saidType  = "nodefoldsaid"
)

// said is said.json of the fold: which control node tells the rooms, and what each room was told. It is pushed with
// the fold in one compare-and-swap, so only one of several control nodes can take the lease.
type said struct {
	Lease gitstore.Lease         `json:"lease"`
	Rooms map[string][]announced `json:"rooms"` // by "room N", as in the config
}

// parseSaid reads said.json. A broken one was made by people who push to the branch; it counts as empty.
func parseSaid(data []byte) said {
	var s said
	if presence.DecodeDocument(data, saidType, &s) != nil {
		return said{}
	}
	return s
}

func (s said) encode() ([]byte, error) { return presence.EncodeDocument(saidType, s) }

// takeLease returns the lease as a control node holds it from now on; ok is false if another one holds it. The holder
// renews it when half of it is over, which is as often as a quiet fold is pushed.
func takeLease(l gitstore.Lease, me string, now time.Time, lasts time.Duration) (_ gitstore.Lease, ok bool) {
	left := l.Until.Sub(now)
	switch {
	case l.Holder != me && !l.Ended(now) && left <= longLease:
		return l, false
	case l.Holder != me:
		l = gitstore.Lease{Holder: me, Purpose: "tells the rooms of the fleet", Taken: now}
	case left >= lasts/2 && left <= lasts:
		return l, true
	}
	l.Until = now.Add(lasts)
	return l, true
}

// sameAnnounced compares what a room was told, without the groups of which no node is left.
func sameAnnounced(a, b []announced) bool {
	left := func(all []announced) []announced {
		return slices.DeleteFunc(slices.Clone(all), func(s announced) bool { return s.N == 0 })
	}
	return slices.EqualFunc(left(a), left(b), func(a, b announced) bool { return a.group == b.group && a.N == b.N && a.Said.Equal(b.Said) })
}
