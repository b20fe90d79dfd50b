package agent

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/trouble"
)

// foldTroubles merges what went wrong in this beat into what was wrong before: a trouble is news when it comes, once an
// hour while it stays, and when it is over. Pure; the answer is sorted by key.
func foldTroubles(before map[string]journal.Trouble, now []journal.Trouble, at time.Time) (map[string]journal.Trouble, []journal.News) {
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
			news = append(news, journal.News{At: at, Level: level(t), Text: is.Sentence(span(t, at), t.Text)})
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

// recallTroubles takes in what was wrong in the beat before, which was another process: what stays is not news again at
// each beat of cron's.
func (a *Agent) recallTroubles() {
	if a.Before == nil || a.Before.Node != a.ID {
		return
	}
	a.recalled = true
	for _, t := range a.Before.Troubles {
		a.troubles[t.Key] = t
	}
}

// notTriedYet are the troubles of telling that an earlier process had, and of which this one, whose whole life is this beat,
// knows no more before it has waited for its places.
func (a *Agent) notTriedYet() []journal.Trouble {
	var all []journal.Trouble
	for key, t := range a.troubles {
		if a.recalled && strings.HasPrefix(key, "tell ") && !slices.ContainsFunc(a.wrong, func(w journal.Trouble) bool { return w.Key == key }) {
			all = append(all, journal.Trouble{Key: key, Text: t.Text, Critical: t.Critical})
		}
	}
	return all
}

// toldAfterAll ends the troubles that notTriedYet carried over and that are none any more; false = there were none.
func (a *Agent) toldAfterAll(untold []journal.Trouble, now time.Time) bool {
	if !a.recalled {
		return false
	}
	still := slices.Concat(a.wrong, untold)
	n := len(a.troubles)
	for key, t := range a.troubles {
		if strings.HasPrefix(key, "tell ") && !slices.ContainsFunc(still, func(s journal.Trouble) bool { return s.Key == key }) {
			delete(a.troubles, key)
			t.Count-- // this beat was counted before it was tried
			a.Say(over(t, now))
		}
	}
	return len(a.troubles) < n
}

func listTroubles(m map[string]journal.Trouble) []journal.Trouble {
	var l []journal.Trouble
	for _, t := range m {
		l = append(l, t)
	}
	sort.Slice(l, func(i, j int) bool { return l[i].Key < l[j].Key })
	return l
}

func level(t journal.Trouble) journal.Level {
	if t.Critical {
		return journal.Critical
	}
	return journal.Warning
}
