package presence

import (
	"cmp"
	"slices"
	"time"
)

// Node is one node's record as a reader has it.
type Node struct {
	Record
	Told   time.Time // when its commit was made, by the node's clock; zero when not known
	Commit string    // id of that commit, 40 hex digits; "" when not known
	Since  time.Time // when it went into its state, by the fold; zero when not known
	Folded time.Time // when the fold that it was read from was made; zero = it was read from its own ref

	Every time.Duration // the interval of that fold
}

// Age is the age of the node's record at a time. In a fold it is the age when the fold was made, because newer records
// are not in it yet, or one interval ago where the fold is older.
func (n Node) Age(now time.Time) Age {
	return AgeOf(n.Record, n.Told, JudgedAt(n.Folded, n.Every, now))
}

// JudgedAt is the time to judge ages at, of a fold made at a time and due again after every. A running control node
// looked at that time or later, and would have pushed a change; a dead one keeps no node present for longer than this.
func JudgedAt(folded time.Time, every time.Duration, now time.Time) time.Time {
	if at := now.Add(-every); at.After(folded) {
		return at
	}
	return folded
}

// Fleet is the records of all nodes, as read at one time. The zero value was never read.
type Fleet struct {
	Nodes  []Node    // sorted by id, none twice
	From   string    // FromFold or FromRefs; "" = never read
	At     time.Time // when it was read
	Folded time.Time // from the fold: when that was made
	Notes  []string  // what was left out, and why; sorted
	Unseen int       // nodes that may be there and are not in Nodes, because nothing of them could be read
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
