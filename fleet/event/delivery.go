package event

import (
	"slices"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/retry"
)

// Delivery is an event whose handlers still have to run.
type Delivery struct {
	Event  Event     `json:"event"`
	By     string    `json:"by,omitempty"`    // the doctor that runs them; "" = it waits
	Until  time.Time `json:"until,omitzero"`  // of the claim
	Tries  int       `json:"tries,omitempty"` // that failed
	Next   time.Time `json:"next,omitzero"`   // they are not tried before
	Done   []string  `json:"done,omitempty"`  // the handlers that have succeeded
	Result string    `json:"result,omitempty"`
}

// Handled is what became of a claimed delivery.
type Handled struct {
	ID   string   // of the event
	Done []string // the handlers that have succeeded, those of earlier tries too
	Err  error

	Released bool // the doctor was told to end: the error is none of the handlers
}

const (
	handleWithin = time.Hour // events that are older are not handled
	handleTries  = 3
)

// subject is what an event is about: handlers for one subject run one at a time.
func (e Event) subject() [3]string { return [3]string{e.Type, e.Name, e.Node} }

// Line is a line of the log about a delivery.
func (d Delivery) Line(p Phase, result string, now time.Time) Line {
	e := d.Event
	action := "handlers of " + e.Type + " " + e.Name
	if e.Node != "" && e.Node != e.Name {
		action += " on " + e.Node
	}
	return Line{Time: now.UTC().Truncate(time.Second), ID: e.ID, Action: action + " " + e.State, Phase: p, By: d.By, Tries: d.Tries,
		Result: human.Truncate(human.Line(result), resultLimit)}
}

// Handle makes known the types of events that a doctor has handlers for, so that every doctor queues such events.
func (q Queue) Handle(types []string) Queue {
	all := slices.Concat(q.Handled, types)
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > len(q.Handled) {
		q.Handled = all
	}
	return q
}

// Deliver queues events whose type has handlers. Of the events of one subject that wait, only the newest stays; what
// waits for longer than an hour goes.
func (q Queue) Deliver(events []Event, now time.Time) (Queue, []Line) {
	q.Deliveries = slices.Clone(q.Deliveries)
	for _, e := range events {
		known := slices.ContainsFunc(q.Deliveries, func(d Delivery) bool { return d.Event.ID == e.ID })
		if slices.Contains(q.Handled, e.Type) && !known {
			q.Deliveries = append(q.Deliveries, Delivery{Event: e})
		}
	}
	var lines []Line
	newest := map[[3]string]time.Time{}
	for _, d := range q.Deliveries {
		if s := d.Event.subject(); d.Event.At.After(newest[s]) {
			newest[s] = d.Event.At
		}
	}
	// Of several at the same second, the last in the list is the newest.
	kept := []Delivery{}
	seen := map[[3]string]bool{}
	for _, d := range slices.Backward(q.Deliveries) {
		s := d.Event.subject()
		old := now.Sub(d.Event.At) > handleWithin
		switch {
		case d.By != "":
			kept = append(kept, d)
			continue
		case seen[s] || d.Event.At.Before(newest[s]):
			lines = append(lines, d.Line(Cancelled, "a newer event of the same came", now))
		case old && d.Tries > 0:
			lines = append(lines, d.Line(Failed, d.Result, now))
		case old:
			lines = append(lines, d.Line(Cancelled, "it is older than "+human.Setting(handleWithin), now))
		default:
			kept, seen[s] = append(kept, d), true
		}
	}
	slices.Reverse(kept)
	q.Deliveries = kept
	if len(kept) == 0 {
		q.Deliveries = nil
	}
	return q, lines
}

// ClaimHandlers claims for a doctor up to most deliveries of some types whose turn it is. What the claim of another
// doctor has ended of is taken over.
func (q Queue) ClaimHandlers(me string, types []string, most int, lease time.Duration, now time.Time) (next Queue, claimed []Delivery) {
	q.Deliveries = slices.Clone(q.Deliveries)
	busy := map[[3]string]bool{}
	for _, d := range q.Deliveries {
		if d.By != "" && !d.abandoned(now) {
			busy[d.Event.subject()] = true
		}
	}
	for i := range q.Deliveries {
		d := &q.Deliveries[i]
		if s := d.Event.subject(); len(claimed) < most && slices.Contains(types, d.Event.Type) && !busy[s] && (d.abandoned(now) || d.By == "" && !now.Before(d.Next)) {
			busy[s] = true
			d.By, d.Until = me, now.Add(lease).UTC().Truncate(time.Second)
			claimed = append(claimed, *d)
		}
	}
	return q, claimed
}

func (d Delivery) abandoned(now time.Time) bool {
	return d.By != "" && now.After(d.Until.Add(takeover))
}

// EndHandlers takes in what became of deliveries that a doctor claimed. A claim that another doctor has taken over is
// not its own any more.
func (q Queue) EndHandlers(me string, list []Handled, now time.Time) (Queue, []Line) {
	q.Deliveries = slices.Clone(q.Deliveries)
	var lines []Line
	for _, h := range list {
		i := slices.IndexFunc(q.Deliveries, func(d Delivery) bool { return d.Event.ID == h.ID && d.By == me })
		if i < 0 {
			continue
		}
		d := &q.Deliveries[i]
		d.Done = h.Done
		if h.Released {
			d.By, d.Until = "", time.Time{}
			continue
		}
		if h.Err != nil {
			d.Tries++
			d.Result = human.Truncate(human.Line(h.Err.Error()), resultLimit)
		}
		switch {
		case h.Err == nil:
			lines = append(lines, d.Line(Succeeded, "", now))
		case d.Tries >= handleTries:
			lines = append(lines, d.Line(Failed, d.Result, now))
		default:
			lines = append(lines, d.Line(Waits, d.Result, now))
			wait := retry.Backoff{First: retryFirst, Most: retryMost, Low: 0.5, High: 1}.Delay(d.Tries, retry.Chance(h.ID))
			d.By, d.Until, d.Next = "", time.Time{}, now.Add(wait).UTC().Truncate(time.Second)
			continue
		}
		q.Deliveries = slices.Delete(q.Deliveries, i, i+1)
	}
	if len(q.Deliveries) == 0 {
		q.Deliveries = nil
	}
	return q, lines
}

// Renew makes the claims of a doctor on what it is doing last as if they were made now, once a third of them has
// passed. doing are the ids of actions and events.
func (q Queue) Renew(me string, doing []string, lease time.Duration, now time.Time) Queue {
	q = q.clone()
	q.Deliveries = slices.Clone(q.Deliveries)
	renew := func(id, by string, until *time.Time) {
		if by == me && slices.Contains(doing, id) && until.Sub(now) < lease-lease/3 {
			*until = now.Add(lease).UTC().Truncate(time.Second)
		}
	}
	for i := range q.Actions {
		if e := &q.Actions[i]; e.Phase == Runs {
			renew(e.ID, e.By, &e.Until)
		}
	}
	for i := range q.Deliveries {
		d := &q.Deliveries[i]
		renew(d.Event.ID, d.By, &d.Until)
	}
	return q
}

// Untils are until when the claims of a doctor last, by the id of the action or of the event.
func (q Queue) Untils(me string) map[string]time.Time {
	all := map[string]time.Time{}
	for _, e := range q.Actions {
		if e.Phase == Runs && e.By == me {
			all[e.ID] = e.Until
		}
	}
	for _, d := range q.Deliveries {
		if d.By == me {
			all[d.Event.ID] = d.Until
		}
	}
	return all
}

// cleanDeliveries leaves out what another machine wrote and is no event that handlers can get.
func cleanDeliveries(all []Delivery) []Delivery {
	var list []Delivery
	for _, d := range all {
		e, ok := d.Event.Clean()
		if !ok || len(list) == waitMost {
			continue
		}
		d.Event, d.By, d.Result = e, human.Truncate(human.Safe(d.By), resultLimit), human.Truncate(human.Safe(d.Result), resultLimit)
		list = append(list, d)
	}
	return list
}
