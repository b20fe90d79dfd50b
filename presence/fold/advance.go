package fold

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/addagent/addagent/presence"
)

const (
	// historyKept is for how long history files are kept: a year and a month, to compare with the same season.
	historyKept = 400 * 24 * time.Hour
	// sleepBeats is after how many intervals a fold in which nothing changed says that it is alive, and promiseBeats
	// for how many it is then good: one heartbeat may be late or lost.
	sleepBeats, promiseBeats = 3, 5
	leastPromise             = 2 * time.Minute
	mostPromise              = 24 * time.Hour
)

// observation is what the refs say.
type observation struct {
	tips   map[string]string      // where each node's ref is
	chains map[string][]statement // of the nodes whose ref moved: the statements that are not folded yet, oldest first
	unread map[string]bool        // nodes whose ref moved and could not be got
	notes  notes
}

// advance folds what the refs say into the fold: the next one, and the transitions between the two. It decides and does
// nothing; the ids of what the next one holds are filled in by who writes it. news says whether there is anything that
// a reader would see.
func (f fold) advance(s observation, now time.Time) (next fold, list []Transition, news bool) {
	next = f
	next.refStates, next.nodes = maps.Clone(f.refStates), maps.Clone(f.nodes)
	for _, id := range slices.Sorted(maps.Keys(s.tips)) {
		was, before := next.refStates[id], ""
		old, known := next.nodes[id] // and, from here on, what the node says now
		if known {
			before = string(old.record.State)
		}
		chain := s.chains[id]
		if len(chain) == 0 && !known {
			continue // its record is broken; a note says so
		}
		is := was
		if len(chain) > 0 {
			moved := steps(before, chain)
			if n := len(moved); n > 0 {
				is.Since = moved[n-1].Time
			}
			old = chain[len(chain)-1]
			if is.Told = old.at; is.Since.IsZero() {
				is.Since = old.at
			}
			list = append(list, moved...)
		}
		if !s.unread[id] {
			// Also where what is at the tip is broken: it is not to be read again before it moves.
			is.Commit, old.commit = s.tips[id], s.tips[id]
		}
		age := presence.AgeOf(old.record, is.Told, now)
		if t, ok := aged(old.record, was.age(), age, now); ok && known {
			list = append(list, t)
		}
		if is.Age = age; age == presence.Present {
			is.Age = ""
		}
		news = news || is != was
		next.refStates[id], next.nodes[id] = is, old
	}
	for _, id := range slices.Sorted(maps.Keys(f.nodes)) {
		if _, there := s.tips[id]; !there {
			list = append(list, ended(f.nodes[id].record, f.refStates[id].age(), now))
			delete(next.nodes, id)
			delete(next.refStates, id)
			news = true
		}
	}
	next.info.Notes = s.notes.with(nil)
	news = news || !slices.Equal(next.info.Notes, f.info.Notes) || f.commit == ""
	next.days = maps.Clone(f.days)
	maps.DeleteFunc(next.days, func(day string, _ string) bool {
		t, err := time.Parse(dayLayout, day)
		return err != nil || now.Sub(t) > historyKept
	})
	return next, list, news || len(list) > 0
}

// goodUntil is what a fold made now promises, where the next one comes after every.
func goodUntil(now time.Time, every time.Duration) time.Time {
	return now.Add(max(promiseBeats*every, leastPromise))
}

// since takes a ref's statements, newest first, and returns those that are not folded yet, oldest first. Where the
// ref was cut or rewritten, so that the folded commit is missing, the folded record tells where to stop, or its time.
func since(newest []statement, folded statement, known bool) []statement {
	end := len(newest)
	if known {
		if end = slices.IndexFunc(newest, func(t statement) bool { return t.commit == folded.commit }); end < 0 {
			end = slices.IndexFunc(newest, func(t statement) bool { return t.blob == folded.blob })
		}
		// The tip is new whatever it says: it may be the same record once more, or of a clock that was set back.
		if end == 0 && newest[0].commit != folded.commit {
			end = 1
		}
		if end < 0 {
			for end = min(1, len(newest)); end < len(newest) && newest[end].at.After(folded.at); end++ {
			}
		}
	}
	list := slices.Clone(newest[:end])
	slices.Reverse(list)
	return list
}

// appended adds transitions to the content of a history file.
func appended(content []byte, list []Transition) ([]byte, error) {
	b := slices.Clip(content)
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, '\n') // it was edited by hand
	}
	for _, t := range list {
		var err error
		if b, err = appendLine(b, t); err != nil {
			return nil, err
		}
	}
	return b, nil
}
