package presence

import (
	"cmp"
	"slices"
	"time"
)

// Node is one node's record as a reader has it.
type Node struct {
	Record
	Told   time.Time // when the commit that tells it was made, by the node's clock; zero when not known
	Commit string    // id of that commit, 40 hex digits; "" when not known
	Since  time.Time // when it went into its state, as the fold saw it; zero when not known
	Folded time.Time // when the fold that it was read from was made; zero = it was read from its own ref

	Every time.Duration // of that fold, from one to the next
}

// Age says how the node stands at a time. Of one that was read from a fold it is as the fold saw it, for what the node
// has said since is not there yet; but never as of longer ago than a fold takes to come again.
func (n Node) Age(now time.Time) Age {
	return AgeOf(n.Record, n.Told, JudgedAt(n.Folded, n.Every, now))
}

// JudgedAt is the time at which ages are judged of what was folded at a time and is folded again after every. A living
// folding node was there at that time or later, and would have said what is different; a dead one makes nobody look
// alive for longer than this.
func JudgedAt(folded time.Time, every time.Duration, now time.Time) time.Time {
	if at := now.Add(-every); at.After(folded) {
		return at
	}
	return folded
}

// Fleet is what all nodes said, as read at one time. The zero value is a fleet that was never read.
type Fleet struct {
	Nodes  []Node    // sorted by id, none twice
	From   string    // FromFold or FromRefs; "" = never read
	At     time.Time // when it was read
	Folded time.Time // from the fold: when that was made
	Notes  []string  // what was left out, and why; sorted
}

// Where a fleet was read from.
const (
	FromFold = "fold"
	FromRefs = "refs"
)

// Node returns the node with an id.
func (f Fleet) Node(id string) (Node, bool) {
	i, ok := slices.BinarySearchFunc(f.Nodes, id, func(n Node, id string) int { return cmp.Compare(n.InstanceID, id) })
	if !ok {
		return Node{}, false
	}
	return f.Nodes[i], true
}

// SortNodes puts a fleet into the order that it promises.
func SortNodes(nodes []Node) []Node {
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.InstanceID, b.InstanceID) })
	return nodes
}
