// Package kill decides whether a machine that stays wedged ends itself, and does it once.
//
// It is made to be hard to set off. A broken commit wedges a whole fleet in the same minute, and a git server that is
// away blinds it; in both no machine may die. Only a machine that alone fails at what one of its peers has finished
// counts as broken, only one of a part at a time, and only after it was reported. Decide in decide.go is pure; Killer
// in kill.go is the attempt. How to end a machine, and how to read the peers, is passed in.
package kill

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
)

// Way is how a machine ends itself.
type Way string

// The ways.
const (
	None      Way = "none"
	Poweroff  Way = "poweroff"      // switch this machine off
	Unhealthy Way = "asg-unhealthy" // ask its Auto Scaling group to replace it
	Terminate Way = "terminate"     // ask its cloud to terminate it
	Command   Way = "command"       // run a program of the operator
)

// alone tells whether a way works without presence: it does not shrink a group that no one watches.
func (w Way) alone() bool { return w == Poweroff || w == Command }

// Case is this node, wedged by its work.
type Case struct {
	ID, Deployment, Nodepart string

	Items map[string]string // wedged repo:item, and the fingerprint at which it fails
}

// Peer is another node, as seen in presence.
type Peer struct {
	ID, Deployment, Nodepart string

	Present bool              // it reports on time
	Well    bool              // it is idle or working: neither wedged nor failing, nor disabled by a person
	Done    map[string]string // repo:item, and the fingerprint that it has finished
}

// Decide tells whether a machine differs from its peers: for each of its wedged items another node of its part and
// deployment, present and well, has finished the same fingerprint. why is for people, in both cases.
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
		return false, "no item is wedged"
	case sound == 0:
		return false, "no other node " + who + " is present and healthy: the work may be at fault, not this machine"
	}
	var words []string
	for _, item := range slices.Sorted(maps.Keys(c.Items)) {
		if len(proof[item]) == 0 {
			return false, fmt.Sprintf("%s has not succeeded elsewhere (%s %s): the work may be at fault, not this machine", item, human.Count(sound, "other healthy node"), who)
		}
		words = append(words, fmt.Sprintf("%s, which %s finished", item, human.Some(slices.Sorted(slices.Values(proof[item])), 2)))
	}
	return true, strings.Join(words, "; ")
}
