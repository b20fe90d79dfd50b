package fold

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/history"
)

const (
	// historyKept is for how long history files are kept: a year and a month, to compare with the same season.
	historyKept = 400 * 24 * time.Hour
	// An unchanged fold is pushed again after sleepBeats intervals, and good for promiseBeats: one heartbeat may be
	// lost.
	sleepBeats, promiseBeats = 3, 5
	leastPromise             = 2 * time.Minute
	mostPromise              = 24 * time.Hour
)

// observation is what was read from the refs.
type observation struct {
	tips   map[string]string      // where each node's ref is
	chains map[string][]statement // of the nodes whose ref moved: the statements that are not folded yet, oldest first
	unread map[string]bool        // nodes whose ref moved and could not be read
	notes  notes

	omitted int // how many more refs there are
}

// advance adds what the refs say to the fold. It returns the next fold, whose ids are filled in when it is written, the
// transitions between the two, and whether a reader would see any change.
func (f fold) advance(s observation, now time.Time) (next fold, list []Transition, news bool) {
	next = f
	next.refStates, next.nodes = maps.Clone(f.refStates), maps.Clone(f.nodes)
	for _, id := range slices.Sorted(maps.Keys(s.tips)) {
		was := next.refStates[id]
		old, known := next.nodes[id] // and, from here on, what the node says now
		chain := s.chains[id]
		if len(chain) == 0 && !known {
			continue // its record is broken; a note says so
		}
		is := was
		if len(chain) > 0 {
			moved := steps(old.record, chain)
			for _, t := range moved {
				if t.Kind == "" {
					is.Since = t.Time
				}
			}
			old = chain[len(chain)-1]
			if is.Told = old.at; is.Since.IsZero() {
				is.Since = old.at
			}
			list = append(list, moved...)
		}
		if !s.unread[id] {
			// Also of a broken tip: it is not read again before it moves.
			is.Commit, old.commit = s.tips[id], s.tips[id]
		}
		age := presence.AgeOf(old.record, is.Told, now)
		if t, ok := history.Aged(old.record, cmp.Or(was.Age, presence.Present), age, now); ok && known {
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
			list = append(list, history.Ended(f.nodes[id].record, cmp.Or(f.refStates[id].Age, presence.Present), now))
			delete(next.nodes, id)
			delete(next.refStates, id)
			news = true
		}
	}
	next.info.Notes, next.info.Unseen = s.notes.with(nil), s.omitted+len(s.tips)-len(next.nodes)
	news = news || next.info.Unseen != f.info.Unseen || !slices.Equal(next.info.Notes, f.info.Notes) || f.commit == ""
	next.days = maps.Clone(f.days)
	maps.DeleteFunc(next.days, func(day string, _ string) bool {
		t, err := time.Parse(history.DayLayout, day)
		return err != nil || now.Sub(t) > historyKept
	})
	return next, list, news || len(list) > 0
}

// promise is for how long a fold is good when folds are made at this interval.
func promise(every time.Duration) time.Duration { return max(promiseBeats*every, leastPromise) }

// since takes a ref's statements, newest first, and returns those that are not folded yet, oldest first. Where the
// ref was cut or rewritten, so that the folded commit is missing, the folded record tells where to stop, or its time.
func since(newest []statement, folded statement, known bool) []statement {
	end := len(newest)
	if known {
		if end = slices.IndexFunc(newest, func(t statement) bool { return t.commit == folded.commit }); end < 0 {
			end = slices.IndexFunc(newest, func(t statement) bool { return t.blob == folded.blob })
		}
		// The tip is new even if its record is the same, or older because a clock was set back.
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
