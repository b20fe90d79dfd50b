package agent

import (
	"context"
	"errors"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/work"
)

// Task is what goes on beside the heart: reading the others, measuring. It is told of each beat and answers with what
// is wrong with it now; it does not wait.
type Task struct {
	Name string // begins the key of its trouble
	Tick func(now time.Time) error
}

// Wedge is how this node is wedged by its work, as Config.SelfDestruct is told of it.
type Wedge struct {
	Items   map[string]string // repo:item that is wedged, and the fingerprint that it has failed at
	Leaving bool              // it leaves, by notice, and would be wedged else
	Reason  string            // of the state, as it was just told
}

// presence is what this node says of itself now.
func (a *Agent) presence(now time.Time) presence.Record {
	r := presence.Record{
		InstanceID: a.ID, Nodepart: a.info.Nodepart, Stacktype: a.info.Stacktype,
		IP: a.info.Fields["ip"], Deployment: a.info.Deployment, InitGitRepo: a.info.InitGitRepo,
		State: a.life.state, Reason: a.life.outside, Agent: "addagent/" + a.Version, Hardware: a.Hardware,
		Items: a.runs.deploy, BeatSeen: now, BeatNextBy: a.Schedule.Next(now).Add(2 * schedule.Interval(a.Schedule, now)).UTC(),
	}
	for _, l := range a.trees.looks {
		if l.Version != "" {
			repo := a.trees.worked[l.Repo]
			repo.Name, repo.Branch, repo.Version = l.Repo, l.Branch, l.Version
			repo.Failed = a.trees.failed(l.Repo)
			r.Repos = append(r.Repos, repo)
		}
	}
	r.Uses, r.Troubles = journal.Uses(a.trees.inventory.Judgements), a.wrong.forPeople()
	a.Record(&r)
	return r
}

// tellSinks tells the record to every sink, one after the other: none of them waits for a network.
func (a *Agent) tellSinks(ctx context.Context, now time.Time) {
	r := a.presence(now)
	for _, s := range a.Sinks {
		err := s.Tell(ctx, r)
		if err == nil {
			continue
		}
		t := journal.Trouble{Key: "tell " + s.Name, Text: human.Lines(err.Error()), Critical: critical(err)}
		if s.Name == "files" { // of another place it is not this node's disk that is full
			t.Key += diskFullIf(err)
		}
		if ctx.Err() != nil {
			// We were told to end in the middle of it: what was wrong before may still be, and nothing else is known.
			old, known := a.wrong.known[t.Key]
			if !known {
				continue
			}
			t.Text, t.Critical = old.Text, old.Critical
		}
		a.wrong.now = append(a.wrong.now, t)
	}
}

// critical tells an error that needs a person at once: it says so itself.
func critical(err error) bool {
	var c interface{ Critical() bool }
	return errors.As(err, &c) && c.Critical()
}

// flushWait is how long a beat that is the whole life of this process waits for what it has told to arrive. What does
// not arrive is not lost: the next one sends it.
const flushWait = 10 * time.Second

// flush waits until what was told has arrived, or ctx ends, and answers what has not.
func (a *Agent) flush(ctx context.Context) []journal.Trouble {
	var untold []journal.Trouble
	for i, err := range sink.FlushAll(ctx, a.Sinks) {
		if err != nil {
			untold = append(untold, journal.Trouble{Key: "tell " + a.Sinks[i].Name, Text: human.Lines(err.Error()), Critical: critical(err)})
		}
	}
	return untold
}

// tickTasks lets all that goes on beside the heart know of this beat.
func (a *Agent) tickTasks(now time.Time) {
	for _, s := range a.Tasks {
		if err := s.Tick(now); err != nil {
			a.wrong.now = append(a.wrong.now, journal.Trouble{Key: s.Name, Text: human.Lines(err.Error()), Critical: critical(err)})
		}
	}
}

// startNotice asks the cloud, beside the look, whether this machine is to go.
func (a *Agent) startNotice(ctx context.Context) (wait func()) {
	if a.Notice == nil {
		return func() {}
	}
	var why string
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		why, err = a.Notice(ctx)
	}()
	return func() {
		// Without an answer, what the cloud said before stays true.
		if <-done; err != nil {
			a.wrong.add("cloud", err.Error())
		} else {
			a.life.notice = why
		}
	}
}

// wedge is how this node is wedged by its work; nil when it is not, or when a person or the network has a part in it:
// then it is no machine that alone fails at what its peers can. Nor is one that has not failed yet at what is there
// now, or not often enough: a fix that is tried for the first time may well be one.
func (a *Agent) wedge(now time.Time) *Wedge {
	leaves := a.life.state == node.Leaving && !a.life.leaving
	if a.life.state != node.Wedged && !leaves || a.life.brakes.Wedged != nil || a.held() != "" {
		return nil
	}
	w := Wedge{Items: map[string]string{}, Leaving: leaves, Reason: a.life.outside}
	for i, j := range a.trees.inventory.Judgements {
		if !a.trees.next[i].Wedged {
			continue
		}
		last := j.Memory.Last
		if last == nil || last.Fingerprint != j.Fingerprint || last.Failures < a.Rules.WedgeAfter && last.Reason != work.ReasonWedged {
			return nil
		}
		w.Items[j.Item.ID()] = j.Fingerprint
	}
	for _, b := range a.vitals(now).Wedged {
		if b.Who == "node" { // no repository could be reached for long
			return nil
		}
	}
	if len(w.Items) == 0 {
		return nil
	}
	return &w
}
