package agent

import (
	"maps"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/work"
)

// trees is what this node's repositories hold, and what is due because of it.
type trees struct {
	looks       []journal.Look
	inventory   work.Inventory
	next        []work.NextRun           // one for each judgement of the inventory
	queue       []string                 // items that still run in this beat
	firstDue    map[string]time.Time     // by item: the beat that first found it due
	startFail   map[string]string        // item: why it could not be started in its last beat
	lastReached time.Time                // the last look that reached a repository
	lastContact time.Time                // such a look, or a beat without a reason to look: from here the node is blind
	worked      map[string]presence.Repo // by repository, what its items have succeeded with
	// initFinished is that of init; nil = not looked for yet
	initFinished *work.Attempt
}

// always tells whether the work in hand is of the kind that runs every beat and is not worth a state.
func (t *trees) always(h *work.InHand) bool {
	i := t.find(h.Name())
	return i >= 0 && t.inventory.Judgements[i].Item.Always && !t.inventory.Judgements[i].Verdict.Wanted()
}

// find is the index of an item's judgement; -1 = there is none.
func (t *trees) find(item string) int {
	return slices.IndexFunc(t.inventory.Judgements, func(j work.Judgement) bool { return j.Item.ID() == item })
}

// learnFinished takes in what each item has succeeded with, for the record. Init, once done, is no item any more, but
// a machine that alone fails at it must learn that it can be done.
func (t *trees) learnFinished(initRepo string, lastInit func() *work.Attempt) {
	t.worked = map[string]presence.Repo{}
	add := func(repo, item, fingerprint, version string) {
		r := t.worked[repo]
		if r.Done == nil {
			r.Done, r.Worked = map[string]string{}, map[string]string{}
		}
		r.Done[item], r.Worked[item] = fingerprint, version
		t.worked[repo] = r
	}
	for _, j := range t.inventory.Judgements {
		if j.Item.Action != "" { // it is done once, and not a state of the node
			continue
		}
		if j.Verdict.Wanted() {
			r := t.worked[j.Item.Repo]
			r.Due = append(r.Due, j.Item.Name)
			t.worked[j.Item.Repo] = r
		}
		if j.Memory.Done == nil || j.Memory.Version == "" {
			continue
		}
		fingerprint := j.Fingerprint
		if !maps.Equal(j.Memory.Done.Ids, j.Ids) {
			fingerprint = work.Fingerprint(j.Memory.Done.Ids)
		}
		add(j.Item.Repo, j.Item.Name, fingerprint, j.Memory.Version)
	}
	if initRepo == "" {
		return
	}
	if t.initFinished == nil {
		t.initFinished = &work.Attempt{} // looked for, once
		if last := lastInit(); last != nil && last.OK() {
			t.initFinished = last
		}
	}
	if last := t.initFinished; last.Fingerprint != "" {
		add(initRepo, string(work.Init), last.Fingerprint, last.Version)
	}
}

// failed are the items of a repository that are failing or wedged, and the version that each failed at.
func (t *trees) failed(repo string) map[string]string {
	var all map[string]string
	for _, j := range t.inventory.Judgements {
		last := j.Memory.Last
		if j.Item.Repo != repo || last == nil || last.Finished.IsZero() || last.OK() || last.Failures == 0 {
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[j.Item.Name] = last.Version
	}
	return all
}
