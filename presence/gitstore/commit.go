package gitstore

import (
	"path"
	"strings"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// fileTree adds a tree that holds one file and returns its id.
func fileTree(o *objects.Builder, name string, content []byte) string {
	e := objects.Entry{Name: path.Base(name), ID: o.Blob(content)}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		e = objects.Entry{Name: path.Base(dir), ID: o.Tree([]objects.Entry{e}), Dir: true}
	}
	return o.Tree([]objects.Entry{e})
}

// commit adds the entry's commit on a parent ("" = none) and returns its id.
func (s historyEntry) commit(o *objects.Builder, who, parent string) string {
	c := objects.CommitInfo{Tree: s.tree, Author: objects.Person{Name: who, Email: who + "@addagent", When: s.at}, Message: s.subject}
	if parent != "" {
		c.Parents = []string{parent}
	}
	return o.Commit(c)
}

// oneLine is a text as the subject of a commit.
func oneLine(s string) string {
	return strings.TrimSpace(human.PrefixBytes(human.Line(s), 200))
}

// plan makes the commits of a queue, which is not empty: what will be published, and the objects that the server lacks.
//
// A refresh and a transition both have the newest commit that stays as parent, so they replace the refresh before them,
// and a history holds the transitions and one refresh. Where the server refuses that, the parent is the tip.
func plan(m *publishState, queue []queued, speed pace) (pending, *objects.Builder, error) {
	newest := queue[len(queue)-1]
	who := newest.record.InstanceID
	now := newest.record.BeatSeen
	left := m.Append.Sub(now)
	appends := left > 0 && left <= appendFor // a clock that was set back does not make it longer

	p := pending{published: published{Base: m.Told.Base}}
	parent := m.Told.Base
	objects := &objects.Builder{}
	n := surplus(m.Steps, len(queue), newest.at)
	switch {
	case appends:
		parent = m.Told.Tip
		p.From = min(max(len(m.Steps)+len(queue)-stepsMost, 0), len(m.Steps))
	case n > 0:
		p.From, parent = n, ""
		for _, s := range m.Steps[n:] {
			parent = s.commit(objects, who, parent)
		}
		p.Base = parent
	}
	p.forced = m.Told.Tip != "" && (n > 0 && !appends || parent != m.Told.Tip)

	for i, q := range queue {
		if q.refresh && i < len(queue)-1 {
			continue // something new came while it waited
		}
		record := q.record
		if !record.BeatSeen.IsZero() {
			slack := max(record.BeatNextBy.Sub(record.BeatSeen), 0)
			p.Next = speed.next(record.BeatSeen, who)
			if promise := p.Next.Add(slack); promise.After(record.BeatNextBy) {
				record.BeatNextBy = promise
			}
		}
		data, err := presence.Encode(record)
		if err != nil {
			return p, nil, err
		}
		s := historyEntry{tree: fileTree(objects, PathOf(who), data), at: q.at, subject: oneLine(Subject(record) + q.offered)}
		parent = s.commit(objects, who, parent)
		if !q.refresh || p.Base == "" {
			p.Add, p.Base = append(p.Add, s), parent
		}
		p.Tip, p.Record = parent, &record
	}
	return p, objects, nil
}
