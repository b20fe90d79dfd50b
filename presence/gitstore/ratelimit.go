package gitstore

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/service"
)

const (
	// defaultPushes is how many pushes a minute a repository takes from all nodes together: what hosting services ask
	// for.
	defaultPushes = 6
	// mostEach bounds the time between two refreshes in a large fleet. A promise is half as much again at most, and
	// readers believe none of more than two days.
	mostEach = 28 * time.Hour
	// countEach is how often the nodes are counted. A fleet grows in hours, and counting costs 65 bytes a node.
	countEach = 6 * time.Hour
	// queueLimit is how many transitions wait for a push; then the oldest go.
	queueLimit = 20
	// reasonLimit bounds the reason in a pushed record, in bytes; the whole one is in the node's own files.
	reasonLimit = 500

	backoffFirst, backoffMost = time.Second, 5 * time.Minute
	// slowly is the pause between tries that only a person can make succeed: after a clash, or without access, where
	// the first pauses are shorter.
	slowly, soon = 15 * time.Minute, time.Minute
)

// share maps a name to 0 <= share < n, evenly and always the same.
func share(name string, n int64) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:]) % uint64(max(n, 1)))
}

// nextSlot is the first of this node's slots after a time. Slots are one interval apart, at an offset that the name
// decides, so that a fleet that was started at once does not push at once.
func nextSlot(after time.Time, each time.Duration, name string) time.Time {
	seconds := max(int64(each/time.Second), 1)
	offset := share(name, seconds)
	into := (after.Unix() - offset) % seconds
	if into < 0 {
		into += seconds
	}
	return time.Unix(after.Unix()-into+seconds, 0).UTC()
}

// pace is how often a node may push, and how often it must: its share of what the repository takes.
type pace struct {
	refresh time.Duration // as configured
	fleet   int
	pushes  int // a minute, of the whole fleet
}

// share is the mean time between two pushes of one node, when all have the same share of the rate.
func (p pace) share() time.Duration {
	return time.Duration(max(p.fleet, 1)) * (time.Minute / time.Duration(max(p.pushes, 1)))
}

// each is the time between two refreshes, so long that those of the whole fleet stay below its rate.
func (p pace) each() time.Duration { return max(p.refresh, min(p.share(), mostEach)) }

// next is when a node that was seen at a time pushes again at the latest: at its next slot or, in a fleet so large that
// pushes are scarce, not before half the time is over.
func (p pace) next(seen time.Time, name string) time.Time {
	each := p.each()
	slot := nextSlot(seen, each, name)
	if each > p.refresh && slot.Sub(seen) < each/2 {
		slot = slot.Add(each)
	}
	return slot
}

// due says that an unchanged record must be pushed: at the time that was promised, even if the fleet has grown since;
// when the clock was set back, so that no beat of the future stays in the repository; and when the beats are about to
// pause for longer than was promised, as on a node that beats at some hours only.
func (p pace) due(t published, r presence.Record, name string) bool {
	seen, now := t.Record.BeatSeen, r.BeatSeen
	return now.Before(seen) || r.BeatNextBy.After(t.Record.BeatNextBy) || !t.Next.IsZero() && !now.Before(t.Next) || !now.Before(p.next(seen, name))
}

// countDue says that the nodes must be counted: never done, done long ago, or done before the clock was set back.
func countDue(counted, now time.Time, name string) bool {
	return counted.IsZero() || now.Before(counted) || !now.Before(nextSlot(counted, countEach, name))
}

// backoff is the pause after so many failures in a row, beside what the server asked for. It is random below its bound,
// so that a fleet that failed together does not come back together.
func backoff(tries int, asked time.Duration) time.Duration {
	return asked + retry.Backoff{First: backoffFirst, Most: backoffMost, High: 1}.Delay(tries, rand.Float64())
}

// burst is how many pushes that can wait may go at once: of N nodes all together what the repository takes in two
// minutes, of each between one and four. Then each gets the rate divided by N. An urgent push takes a token, too, but
// makes no debt: a node that was wedged and recovered ten times today still announces its work.
func (p pace) burst() float64 { return min(max(float64(2*time.Minute)/float64(p.share()), 1), 4) }

// urgent says that a transition is pushed at once: a step of the life cycle, and what a person waits for or must act
// on.
func urgent(from, to node.State) bool {
	if from == to {
		return false
	}
	at := func(s node.State) bool { return s == node.Wedged || s == node.Disabled || s == node.Leaving }
	row, _ := node.Row(to)
	return row.Logged || at(to) || at(from) || from == node.Failing
}

// offered are the services that became available or ceased to be, as the subject of a commit names them.
func offered(before *presence.Record, r presence.Record) (changes string) {
	if before != nil && slices.Equal(before.Services, r.Services) {
		return ""
	}
	codes := map[string]string{}
	if before != nil {
		for _, s := range before.Services {
			codes[s.Name] = s.Code
		}
	}
	for _, s := range r.Services {
		if old := codes[s.Name]; (s.Code == string(service.Running)) != (old == string(service.Running)) {
			changes += ", " + s.Name + " " + s.Code
		}
		delete(codes, s.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(codes)) {
		if codes[name] == string(service.Running) {
			changes += ", " + name + " gone"
		}
	}
	return changes
}

// queued is a commit that waits for its push.
type queued struct {
	record  presence.Record
	at      time.Time // of the transition
	urgent  bool
	refresh bool // it only proves that the node is alive
	offered string
}

// enqueue adds to the queue what r says that neither t nor the queue says. The first held entries are in a push and
// stay as they are. The queue's memory is reused.
func enqueue(queue []queued, held int, t published, r presence.Record, p pace) []queued {
	if n := len(queue); n > held && queue[n-1].refresh {
		queue = queue[:n-1] // what comes now takes its place
	}
	n := len(queue)
	waiting := n > held
	before := t.Record
	if n > 0 {
		before = &queue[n-1].record
	}
	add := queued{at: presence.WholeSecond(r.BeatSeen), offered: offered(before, r)}
	switch {
	case before == nil:
		add.urgent = true
	case before.State != r.State:
		from := before.State
		if waiting && from == node.Failing {
			from = "" // the failure was not published, so its end is not urgent
		}
		add.urgent = urgent(from, r.State) || add.offered != ""
	case add.offered != "":
		add.urgent = true
	case waiting && presence.SameContent(*before, r):
		before.BeatSeen, before.BeatNextBy = presence.WholeSecond(r.BeatSeen), presence.WholeSecond(r.BeatNextBy)
		return queue
	case waiting:
		*before = presence.Normalize(r) // the same state in newer words, under the time of the transition
		return queue
	case presence.SameContent(*before, r):
		if n > 0 || !p.due(t, r, r.InstanceID) {
			return queue
		}
		add.refresh = true
	}
	add.record = presence.Normalize(r)
	queue = append(queue, add)
	if over := len(queue) - held - queueLimit; over > 0 {
		first := &queue[held+over]
		for _, lost := range queue[held : held+over] {
			first.urgent = first.urgent || lost.urgent
		}
		queue = slices.Delete(queue, held, held+over)
	}
	return queue
}

// hurried says that something in the queue need not wait for a token.
func hurried(queue []queued) bool {
	return slices.ContainsFunc(queue, func(q queued) bool { return q.urgent || q.refresh })
}

// cutReason shortens a long text at a whole character.
func cutReason(s string) string {
	if len(s) <= reasonLimit {
		return s
	}
	return human.PrefixBytes(s, reasonLimit-len("…")) + "…"
}
