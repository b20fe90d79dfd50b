// Package kill is what a machine does about itself that stays wedged: it ends, so that its cloud or a person replaces it.
//
// It is made to be hard to set off. A commit that is broken wedges a whole fleet in the same minute, and a git server that
// is away blinds it; in both nobody may die. Only a machine that alone fails at what one of its peers has finished is
// taken for broken, only one of a part at a time, and only after it was told.
package kill

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// Way is how a machine ends itself.
type Way string

// The ways.
const (
	None      Way = "none"
	Poweroff  Way = "poweroff"      // this machine switches itself off
	Unhealthy Way = "asg-unhealthy" // its autoscaling group is told to replace it
	Terminate Way = "terminate"     // its cloud is told to end it
	Command   Way = "command"       // a program of the operator's
)

// alone tells whether a way may be gone without presence: it takes no capacity out of a group that nobody sees.
func (w Way) alone() bool { return w == Poweroff || w == Command }

// Case is this node, wedged by its work.
type Case struct {
	ID, Deployment, Nodepart string

	Since time.Time         // since when it is wedged, as this process has seen it
	Items map[string]string // repo:item that is wedged, and the fingerprint that it fails at
}

// Peer is another node, as presence tells of it.
type Peer struct {
	ID, Deployment, Nodepart string

	Present bool              // it keeps its promise to be heard of
	Well    bool              // it is idle or working: neither wedged nor failing, nor held back by a person
	Done    map[string]string // repo:item, and the fingerprint that it has finished
}

// Decide says whether a machine differs from its peers: for each of its wedged items there is another node of its part and
// deployment, present and well, that has finished that very fingerprint. Pure. Why is for people, either way.
func Decide(c Case, peers []Peer) (ends bool, why string) {
	sound := 0
	proof := map[string][]string{}
	for _, p := range peers {
		if p.ID == c.ID || p.Nodepart != c.Nodepart || p.Deployment != c.Deployment || !p.Present || !p.Well {
			continue
		}
		sound++
		for item, fingerprint := range c.Items {
			if fingerprint != "" && p.Done[item] == fingerprint {
				proof[item] = append(proof[item], p.ID)
			}
		}
	}
	who := fmt.Sprintf("of %s/%s", c.Deployment, c.Nodepart)
	switch {
	case len(c.Items) == 0:
		return false, "nothing of its work is wedged"
	case sound == 0:
		return false, "no other node " + who + " is present and well: it may be the work, not this machine"
	}
	var words []string
	for _, item := range slices.Sorted(maps.Keys(c.Items)) {
		if len(proof[item]) == 0 {
			return false, fmt.Sprintf("none of the %d other nodes %s that are well has finished what %s fails at: it may be the work, not this machine", sound, who, item)
		}
		words = append(words, fmt.Sprintf("%s, which %s finished", item, some(proof[item])))
	}
	return true, strings.Join(words, "; ")
}

// some names a few.
func some(ids []string) string {
	slices.Sort(ids)
	if len(ids) > 2 {
		ids = []string{ids[0], human.Count(len(ids)-1, "other")}
	}
	return human.List(ids, "and")
}
