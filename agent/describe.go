package agent

import (
	"slices"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/service/offer"
	"github.com/addagent/addagent/work"
)

func diskFullIf(err error) string {
	if files.DiskFull(err) {
		return journal.OnDisk
	}
	return ""
}

// unmoved are the answers of repositories whose trees could not be moved in this beat.
func unmoved(looks []journal.Look) []journal.Look {
	out := slices.Clone(looks)
	for i, l := range out {
		if l.Moved {
			out[i].Version = l.Previous
		}
		out[i].Moved, out[i].Previous = false, ""
	}
	return out
}

// old are the looks of an earlier beat, for one that does not look.
func old(looks []journal.Look) []journal.Look {
	var out []journal.Look
	for _, l := range looks {
		out = append(out, journal.Look{Repo: l.Repo, Branch: l.Branch, Version: l.Version, Old: true, Resting: l.Resting})
	}
	return out
}

// disabledIn are the repositories that rested in an earlier beat.
func disabledIn(looks []journal.Look) map[string]node.Brake {
	rest := map[string]node.Brake{}
	for _, l := range looks {
		if l.Resting != "" {
			rest[l.Repo] = node.Brake{Reason: l.Resting}
		}
	}
	return rest
}

// unfinished tells whether an attempt has no recorded end, or a success no commit.
func unfinished(js []work.Judgement) bool {
	return slices.ContainsFunc(js, func(j work.Judgement) bool {
		l := j.Memory.Last
		return l != nil && (l.Finished.IsZero() || l.OK() && j.Memory.Doing == l.Version)
	})
}

// sayEnd takes down that work ended, and says so.
func (a *Agent) sayEnd(e journal.Ended) {
	a.runs.note(e)
	waits := e.Reason == string(work.ReasonWaiting)
	switch {
	case e.OK && e.Routine() && e.Attempt <= 1:
		// `run: always` without a change: told only when it fails.
	case waits && e.Attempt > 1:
		// Said when it began; the record of every beat has it.
	case e.OK || waits:
		a.say(journal.Info, "", "%s", e)
	case offer.Once(e.Item):
		a.say(journal.Warning, "addagent log "+e.Repo+":"+e.Item, "%s", e)
	default:
		a.say(journal.Warning, "addagent why "+e.Repo+":"+e.Item, "%s", e)
	}
}

// judged is what the decision record says of every item.
func (a *Agent) judged() []journal.Judged {
	held, now := a.held(), a.beats.read.At
	var out []journal.Judged
	for i, j := range a.trees.inventory.Judgements {
		name := j.Item.ID()
		mine := a.runs.doing(name)
		d := journal.Describe(j, a.trees.next[i])
		d.DueSince = a.trees.firstDue[name]
		d.Due = d.Due || mine || slices.Contains(a.trees.queue, name)
		if mine {
			// Its attempt has no recorded end yet, which is no failure; what was wrong before it still is.
			d.Standing, d.Reason, d.NotBefore, d.Attempt = a.runs.inHand.Standing(), a.runs.inHand.Before, nil, a.runs.inHand.Attempt
		}
		if d.Due && !mine {
			rest, rests := a.life.brakes.Repos[j.Item.Repo]
			switch {
			case a.life.going() != "":
				d.Held = "leaving: " + a.life.going()
			case held != "":
				d.Held = held
			case rests:
				d.Held = "disabled: " + rest.String()
			case !a.life.initDone && j.Item.Level != work.Init:
				d.Held = "waiting for the init of this node"
			case a.runs.lockedBy != "":
				d.Held = a.runs.lockedBy
			case a.spreadUntil(i).After(now):
				d.Held = "delayed by beat.work_spread until " + human.Moment(a.spreadUntil(i), now)
			case a.trees.startFail[name] != "":
				d.Held = a.trees.startFail[name]
			case a.runs.inHand != nil:
				d.Held = "waits for " + a.runs.inHand.Name() + " to end"
			}
		}
		out = append(out, d)
	}
	return out
}
