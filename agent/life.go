package agent

import (
	"time"

	"github.com/addagent/addagent/internal/node"
)

// life is the state of the node as it was last told, and what people and the cloud decide about it.
type life struct {
	state        node.State
	reason       string
	outside      string // the reason as others are told
	reasonItem   string // the items, or the person, that the reason names: only another one is news
	since        time.Time
	failingSince time.Time // of a node that works at a new version now; zero = it was not failing before
	initDone     bool
	leaving      bool   // the machine goes down
	notice       string // why the cloud takes the machine away; "" = it does not
	brakes       node.Brakes
}

// going is why this machine goes; "" = it stays.
func (l *life) going() string {
	if l.leaving {
		return "the machine is shutting down"
	}
	return l.notice
}

// disabled tells whether a person disabled this repository.
func (l *life) disabled(repo string) bool {
	_, disabled := l.brakes.Repos[repo]
	return disabled
}
