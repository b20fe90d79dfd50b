package agent

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/trouble"
	"github.com/addagent/addagent/presence"
)

// troubles is what is wrong with this node: as it was told before, as this beat found it, and as it was found since.
type troubles struct {
	known     map[string]journal.Trouble // by key, as last merged
	now       []journal.Trouble          // collected in this beat
	carried   []journal.Trouble          // collected since, at the end of work: the next beat has them
	recalled  bool                       // known holds those of an earlier process, too
	unwritten map[string]string          // what could not be written down the last time, and why
}

// add collects something that is wrong in this beat.
func (t *troubles) add(key, text string) {
	t.now = append(t.now, journal.Trouble{Key: key, Text: text})
}

// keep carries over the troubles of a kind that this beat does not look at: it cannot know that they are over.
func (t *troubles) keep(kind string) {
	for key, known := range t.known {
		if strings.HasPrefix(key, kind) {
			t.now = append(t.now, journal.Trouble{Key: key, Text: known.Text, Person: known.Person})
		}
	}
}

// recall takes in what was wrong in the last beat of an earlier process. Under cron, once, what stays is not news at
// each beat. A daemon begins anew with what it does not know before its second beat.
func (t *troubles) recall(before []journal.Trouble, once bool) {
	t.recalled = once
	for _, b := range before {
		if kind, _, _ := strings.Cut(b.Key, " "); once || slices.Contains([]string{"config", "items", "look", "nodeinfo", "start"}, kind) {
			t.known[b.Key] = b
		}
	}
}

// merge makes what this beat found the known troubles, and answers with the news in it.
func (t *troubles) merge(at time.Time) []journal.News {
	var news []journal.News
	t.known, news = mergeTroubles(t.known, append(t.now, t.untried()...), at)
	return news
}

// untried are the troubles of telling that an earlier process had. This process, which lives for one beat, cannot
// judge them before its sinks have answered.
func (t *troubles) untried() []journal.Trouble {
	var all []journal.Trouble
	for key, known := range t.known {
		if t.recalled && strings.HasPrefix(key, "tell ") && !slices.ContainsFunc(t.now, func(w journal.Trouble) bool { return w.Key == key }) {
			all = append(all, journal.Trouble{Key: key, Text: known.Text, Critical: known.Critical, Person: known.Person})
		}
	}
	return all
}

// settle ends the troubles that untried carried over and that did not come back, and answers with the news of it.
func (t *troubles) settle(untold []journal.Trouble, now time.Time) []journal.News {
	if !t.recalled {
		return nil
	}
	still := slices.Concat(t.now, untold)
	var news []journal.News
	for key, known := range t.known {
		if strings.HasPrefix(key, "tell ") && !slices.ContainsFunc(still, func(s journal.Trouble) bool { return s.Key == key }) {
			delete(t.known, key)
			known.Count-- // this beat was counted before it was tried
			news = append(news, over(known, now))
		}
	}
	return news
}

// late takes in a trouble that came up after the troubles of the beat were merged; false when it is no news.
func (t *troubles) late(is journal.Trouble, at time.Time) (journal.News, bool) {
	if next := is; follow(&next, t.known[is.Key], at) == trouble.Nothing {
		return journal.News{}, false
	}
	is.Since, is.Count, is.Said = at, 1, at
	t.known[is.Key] = is
	return journal.News{At: at, Level: level(is), Text: is.Text, Next: is.Next()}, true
}

// wrote takes note of how writing something down went; a failure is news once. A node that cannot write is failing
// until it can.
func (t *troubles) wrote(what string, err error) (news bool) {
	if err == nil {
		delete(t.unwritten, what)
		return false
	}
	news = true
	for _, why := range t.unwritten {
		news = news && !trouble.Same(why, err.Error())
	}
	t.unwritten[what] = err.Error()
	return news
}

// list is the known troubles by key.
func (t *troubles) list() []journal.Trouble {
	return slices.SortedFunc(maps.Values(t.known), func(a, b journal.Trouble) int { return cmp.Compare(a.Key, b.Key) })
}

// forPeople is what only a person can end, for the record: as it was known after the beat before, and as this one found
// it so far.
func (t *troubles) forPeople() []string {
	var all []string
	for _, one := range slices.Concat(t.list(), t.now) {
		text := human.Truncate(human.Line(one.Text), 200)
		if (one.Critical || one.Person) && len(all) < presence.TroublesMost && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// mergeTroubles merges what went wrong in this beat into what was wrong before: a trouble is news when it begins, once
// an hour while it lasts, and when it is over. Pure; the answer is sorted by key.
func mergeTroubles(before map[string]journal.Trouble, now []journal.Trouble, at time.Time) (map[string]journal.Trouble, []journal.News) {
	after := make(map[string]journal.Trouble, len(now))
	var news []journal.News
	for _, t := range now {
		if dup, twice := after[t.Key]; twice {
			switch {
			case trouble.Same(dup.Text, t.Text): // told twice in a beat, it is wrong once
				dup.Text = t.Text
			case !strings.Contains(dup.Text, t.Text):
				dup.Text += "; " + t.Text
			}
			after[t.Key] = dup
			continue
		}
		is := follow(&t, before[t.Key], at)
		after[t.Key] = t
		if is != trouble.Nothing {
			news = append(news, journal.News{At: at, Level: level(t), Text: is.Sentence(span(t, at), t.Text), Next: t.Next()})
		}
	}
	for key, t := range before {
		if _, still := after[key]; !still {
			news = append(news, over(t, at))
		}
	}
	sort.SliceStable(news, func(i, j int) bool { return news[i].Text < news[j].Text })
	return after, news
}

// over is the news that a trouble is none any more.
func over(t journal.Trouble, at time.Time) journal.News {
	return journal.News{At: at, Level: journal.Notice, Text: trouble.Over.Sentence(span(t, at), t.Text)}
}

// follow makes t the trouble that follows the one of the beat before, the zero value being none.
func follow(t *journal.Trouble, old journal.Trouble, at time.Time) trouble.News {
	next, news := trouble.Trouble{Text: old.Text, Since: old.Since, Said: old.Said}.Next(t.Text, at)
	t.Since, t.Said, t.Count = next.Since, next.Said, old.Count+1
	return news
}

// span is how long a trouble has lasted, in words.
func span(t journal.Trouble, at time.Time) string {
	return human.Duration(at.Sub(t.Since)) + " (" + human.Count(t.Count, "beat") + ")"
}

func level(t journal.Trouble) journal.Level {
	if t.Critical {
		return journal.Critical
	}
	return journal.Warning
}
