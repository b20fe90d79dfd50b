package event

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/presence"
)

// Phase is how far an action is.
type Phase string

// The phases. The last four are its end.
const (
	Waits     Phase = "waiting"
	Runs      Phase = "running" // a doctor has claimed it
	Asked     Phase = "asked"   // nodes were asked, and any doctor takes their answers in
	Succeeded Phase = "succeeded"
	Failed    Phase = "failed"
	Expired   Phase = "expired"
	Cancelled Phase = "cancelled"
)

func (p Phase) known() bool {
	return slices.Contains([]Phase{Waits, Runs, Asked, Succeeded, Failed, Expired, Cancelled}, p)
}

// Entry is an action in the queue.
type Entry struct {
	Action
	Phase   Phase             `json:"phase"`
	Added   time.Time         `json:"added"`
	Matched bool              `json:"matched,omitempty"` // an event since it was added was the one that it waits for
	By      string            `json:"by,omitempty"`      // the doctor that has claimed it
	Until   time.Time         `json:"until,omitzero"`    // of the claim
	Tries   int               `json:"tries,omitempty"`   // that failed
	Next    time.Time         `json:"next,omitzero"`     // it is not tried before
	Nodes   map[string]string `json:"nodes,omitempty"`   // the answer of each of Targets, "" = none yet
	Request string            `json:"request,omitempty"` // the id under which the nodes were asked
	Result  string            `json:"result,omitempty"`  // the last one, in words

	Starts map[string]string `json:"starts,omitempty"` // by expected instance, the action that starts it before
	Awaits []string          `json:"awaits,omitempty"` // expected instances that do not offer the services yet

	Launches int       `json:"launches,omitempty"` // tokens whose instance was terminated since
	Ended    time.Time `json:"ended,omitzero"`
}

// End is when an action stops waiting.
func (e Entry) End() time.Time { return e.Added.Add(e.deadline()) }

// Token is the client token of a launch: the same for each doctor and each try, and another one for an action of the
// same id in another queue or at another time, for AWS knows one account alone.
func (e Entry) Token() string {
	token := e.ID + "-" + strconv.FormatInt(e.Added.Unix(), 36)
	if e.Launches > 0 {
		token += "-" + strconv.Itoa(e.Launches)
	}
	return token
}

// Over says that an action has ended.
func (e Entry) Over() bool { return !slices.Contains([]Phase{Waits, Runs, Asked}, e.Phase) }

// Queue is what waits, runs, or has ended within a week. It is a value: each method returns the next one.
type Queue struct {
	Actions   []Entry           `json:"actions"`            // in the order of adding
	History   string            `json:"history"`            // where the fold's history was taken in to; "" = nothing yet
	Instances map[string]string `json:"instances,omitzero"` // as the provider said last; nil = never
	Sets      map[string]string `json:"sets,omitzero"`      // state and id, by service; nil = never seen
	Seen      time.Time         `json:"seen,omitzero"`      // when instances or sets were last seen to change

	Handled    []string   `json:"handled,omitempty"`  // the types of events that a doctor has handlers for
	Deliveries []Delivery `json:"handlers,omitempty"` // in the order of the events
}

const (
	// waitMost is how many actions may wait.
	waitMost = 1000
	// endedKept is for how long actions that have ended are kept.
	endedKept = 7 * 24 * time.Hour
	// takeover is how long after the end of a claim another doctor takes over: their clocks differ by less.
	takeover = 2 * time.Minute
	// resultLimit bounds a result, in characters.
	resultLimit = 300
	// retryFirst and retryMost are the delays between the tries of an action.
	retryFirst, retryMost = 30 * time.Second, 10 * time.Minute
)

// unfinished are the actions that have not ended.
func (q Queue) unfinished() []Entry {
	return slices.DeleteFunc(slices.Clone(q.Actions), Entry.Over)
}

// Find returns an action.
func (q Queue) Find(id string) (Entry, bool) {
	i := slices.IndexFunc(q.Actions, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return Entry{}, false
	}
	return q.Actions[i], true
}

func (q Queue) clone() Queue {
	q.Actions = slices.Clone(q.Actions)
	return q
}

// Add adds actions, in their order, and returns their ids. One that equals an action that waits or runs is that one.
func (q Queue) Add(list []Action, now time.Time) (next Queue, ids []string, err error) {
	next = q.clone()
	now = now.UTC().Truncate(time.Second)
	called := map[string]string{} // the ids in the list, and those they have
	for n, a := range list {
		a.After = cmp.Or(called[a.After], a.After)
		if _, there := next.Find(a.After); a.After != "" && !there {
			return q, nil, fmt.Errorf("action %d: after %s: it is not in the queue", n+1, a.After)
		}
		i := slices.IndexFunc(next.Actions, func(e Entry) bool { return !e.Over() && e.Action.same(a) })
		if i < 0 {
			id := cmp.Or(a.ID, newID(a, now, len(next.Actions)))
			if _, there := next.Find(id); there {
				return q, nil, fmt.Errorf("action %d: the id %s is taken", n+1, id)
			}
			i = len(next.Actions)
			if a.ID = id; list[n].ID != "" {
				called[list[n].ID] = id
			}
			next.Actions = append(next.Actions, Entry{Action: a, Phase: Waits, Added: now})
		} else if a.ID != "" {
			called[a.ID] = next.Actions[i].ID
		}
		ids = append(ids, next.Actions[i].ID)
	}
	if n := len(next.unfinished()); n > waitMost {
		return q, nil, fmt.Errorf("%s would wait, more than %d: wait, or cancel some", human.Count(n, "action"), waitMost)
	}
	return next, ids, nil
}

// newID makes an id that no other action has: two that add at once collide in the push of the queue.
func newID(a Action, now time.Time, n int) string {
	line, _ := json.Marshal(a) // texts and a number
	sum := sha256.Sum256([]byte(string(line) + strconv.Itoa(n) + human.Stamp(now)))
	return hex.EncodeToString(sum[:5])
}

// Cancel ends an action that has not ended. What a doctor is doing for it goes on; its result no longer counts.
func (q Queue) Cancel(id string, now time.Time) (Queue, error) {
	e, there := q.Find(id)
	switch {
	case !there:
		return q, fmt.Errorf("there is no action %s", human.Quote(id))
	case e.Over():
		return q, fmt.Errorf("action %s has ended: %s", id, e.Phase)
	}
	return q.with(id, func(e *Entry) { e.end(Cancelled, "cancelled", now) }), nil
}

func (q Queue) with(id string, change func(*Entry)) Queue {
	q = q.clone()
	for i := range q.Actions {
		if q.Actions[i].ID == id {
			change(&q.Actions[i])
		}
	}
	return q
}

func (e *Entry) end(p Phase, result string, now time.Time) {
	e.Phase, e.Result, e.Ended = p, human.Truncate(human.Line(result), resultLimit), now.UTC().Truncate(time.Second)
	e.By, e.Until, e.Next, e.Nodes, e.Awaits = "", time.Time{}, time.Time{}, nil, nil
}

// fail takes in a try that failed.
func (e *Entry) fail(why string, now time.Time) {
	e.Tries++
	if e.Tries >= cmp.Or(e.Attempts, defaultAttempts) {
		e.end(Failed, why, now)
		return
	}
	wait := retry.Backoff{First: retryFirst, Most: retryMost, Low: 0.5, High: 1}.Delay(e.Tries, retry.Chance(e.ID))
	e.Phase, e.Result, e.Next, e.Nodes, e.Request = Waits, human.Truncate(human.Line(why), resultLimit), now.Add(wait).UTC().Truncate(time.Second), nil, ""
	e.By, e.Until = "", time.Time{}
}

// TakeIn takes in what happened and how the fleet is: events that actions wait for, answers of nodes, deadlines, and
// the ends of those that others come after. history is where the events of the fold's history end.
func (q Queue) TakeIn(events []Event, history string, s Status, now time.Time) Queue {
	next := q.clone()
	next.History = history
	next.see(s)
	for i := range next.Actions {
		e := &next.Actions[i]
		if e.Over() {
			continue
		}
		e.Matched = e.Matched || slices.ContainsFunc(events, e.Action.Matches)
		if e.Phase == Asked {
			e.hear(s, now)
		}
		before, _ := next.Find(e.After)
		switch {
		case e.Over():
		case e.Phase != Runs && now.After(e.End()):
			e.end(Expired, cmp.Or(e.Result, "its condition did not come true in time"), now)
		case e.Phase == Waits && e.After != "" && (before.ID == "" || before.Over() && before.Phase != Succeeded):
			e.end(Failed, "after "+e.After+", which "+string(cmp.Or(before.Phase, "is not there any more")), now)
		}
	}
	next.Actions = slices.DeleteFunc(next.Actions, func(e Entry) bool { return e.Over() && now.Sub(e.Ended) > endedKept })
	return next
}

// hear takes in the answers of the nodes that were asked.
func (e *Entry) hear(s Status, now time.Time) {
	nodes, wrong, open := maps.Clone(e.Nodes), "", false
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		of, _ := Target(id)
		for _, n := range s.Nodes {
			for _, a := range n.Answers {
				if n.InstanceID == of && a.ID == RequestID(e.Request, id) && a.Code != presence.AnswerAccepted {
					nodes[id] = a.Code + " " + a.State
				}
			}
		}
		switch code, _, _ := strings.Cut(nodes[id], " "); code {
		case "":
			open = true
		case presence.AnswerDone:
		default:
			wrong = cmp.Or(wrong, id+": "+nodes[id])
		}
	}
	e.Nodes = nodes
	switch {
	case wrong != "" && e.DoLevel == Services && e.Attempts == 0 && slices.Contains([]string{"start", "stop", "restart"}, e.DoAction):
		e.end(Failed, wrong, now) // a script that fails is not repeated unless that was wanted
	case wrong != "":
		e.fail(wrong, now)
	case !open:
		e.end(Succeeded, asked(nodes)+" did it", now)
	}
}

// Claim claims for a doctor what is due: its condition came true, what it comes after has succeeded, and nothing else
// is done to its target. What the claim of another doctor has ended of is taken over.
func (q Queue) Claim(me string, s Status, lease time.Duration, now time.Time) (next Queue, claimed []Entry) {
	next = q.clone()
	busy := map[string]bool{}
	for _, e := range next.Actions {
		if e.Phase == Asked || e.Phase == Runs && !e.abandoned(now) {
			busy[e.target()] = true
		}
	}
	for i := range next.Actions {
		e := &next.Actions[i]
		before, _ := next.Find(e.After)
		free := e.Phase == Waits && !now.Before(e.Next) && (e.After == "" || before.Phase == Succeeded) && len(e.Awaits) == 0 && (e.Matched || e.Holds(s)) || e.abandoned(now)
		if !free || busy[e.target()] {
			continue
		}
		busy[e.target()] = true
		e.Phase, e.By, e.Until = Runs, me, now.Add(lease).UTC().Truncate(time.Second)
		claimed = append(claimed, *e)
	}
	return next, claimed
}

// abandoned says that the doctor which claimed an action has not ended it in time.
func (e Entry) abandoned(now time.Time) bool {
	return e.Phase == Runs && now.After(e.Until.Add(takeover))
}

// Outcome is what became of a claimed action.
type Outcome struct {
	ID      string
	Asked   []string // the targets that were asked; the action ends with their answers
	Request string   // the id under which they were asked
	Result  string
	Err     error
	Final   bool // an error that another try does not change

	Relaunch bool // the next try needs another token
	Released bool // the doctor was told to end: the error is none of the action
}

// End takes in what a doctor did with its claims. A claim that another doctor has taken over is not its own any more.
func (q Queue) End(me string, outcomes []Outcome, now time.Time) Queue {
	for _, o := range outcomes {
		q = q.with(o.ID, func(e *Entry) {
			switch {
			case e.Phase != Runs || e.By != me:
			case o.Released:
				e.Phase, e.By, e.Until = Waits, "", time.Time{}
			case o.Err != nil && o.Final:
				e.end(Failed, o.Err.Error(), now)
			case o.Err != nil:
				if o.Relaunch {
					e.Launches++
				}
				e.fail(o.Err.Error(), now)
			case len(o.Asked) > 0:
				e.Phase, e.By, e.Until, e.Request, e.Nodes = Asked, "", time.Time{}, o.Request, map[string]string{}
				for _, id := range o.Asked {
					e.Nodes[id] = ""
				}
			default:
				e.end(Succeeded, o.Result, now)
			}
		})
	}
	return q
}

// NeglectedAfter is for how long an action may be due before people are told that no doctor takes it.
const NeglectedAfter = 10 * time.Minute

// Neglected are the actions that have been due for long, as far as the queue alone shows it: their event came, or they
// wait for none.
func (q Queue) Neglected(now time.Time) (list []Entry) {
	_, due := q.Claim("", Status{}, 0, now)
	for _, e := range due {
		before, _ := q.Find(e.After)
		since := []time.Time{e.Added, e.Next, e.Until, before.Ended}
		if now.Sub(slices.MaxFunc(since, time.Time.Compare)) > NeglectedAfter {
			list = append(list, e)
		}
	}
	return list
}

// Line is one line of the queue's log: what became of an action, or an event that only the doctor sees.
type Line struct {
	Time   time.Time `json:"time"`
	ID     string    `json:"id,omitempty"`
	Action string    `json:"action,omitempty"`
	Phase  Phase     `json:"phase,omitempty"`
	By     string    `json:"by,omitempty"`
	Tries  int       `json:"tries,omitempty"`
	Result string    `json:"result,omitempty"`
	Event  *Event    `json:"event,omitempty"`
}

// Lines are what differs between two states of the queue. An action that ended a week ago goes without one.
func (q Queue) Lines(next Queue, now time.Time) []Line {
	var list []Line
	for _, e := range next.Actions {
		before, _ := q.Find(e.ID)
		if before.Phase != e.Phase || before.By != e.By || before.Tries != e.Tries {
			list = append(list, Line{Time: now.UTC().Truncate(time.Second), ID: e.ID, Action: e.String(), Phase: e.Phase, By: e.By, Tries: e.Tries, Result: e.Result})
		}
	}
	return list
}

// Clean makes a queue that another machine wrote fit to be shown and used: texts hold no control characters, and what
// is no action, or is in no known phase, is left out.
func (q Queue) Clean() Queue {
	q = q.clone()
	for i := range q.Actions {
		e := &q.Actions[i]
		for _, text := range []*string{&e.EventType, &e.EventName, &e.EventIP, &e.EventState, &e.DoGroup, &e.DoType, &e.By, &e.Result} {
			*text = human.Truncate(human.Safe(*text), resultLimit)
		}
	}
	for _, seen := range []*map[string]string{&q.Instances, &q.Sets} {
		*seen = maps.Clone(*seen)
		for name, text := range *seen {
			(*seen)[name] = human.Truncate(human.Safe(text), resultLimit)
		}
	}
	q.Handled = slices.DeleteFunc(slices.Clone(q.Handled), func(t string) bool { return !slices.Contains(Types(), t) })
	q.Deliveries = cleanDeliveries(q.Deliveries)
	q.Actions = slices.DeleteFunc(q.Actions, func(e Entry) bool { return e.ID == "" || e.Wrong() != "" || !e.Phase.known() })
	return q
}
