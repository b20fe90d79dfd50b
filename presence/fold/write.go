package fold

import (
	"maps"
	"path"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold/page"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/history"
)

// today is the history file that is written to.
type today struct {
	day     string // YYYY/MM/DD.jsonl
	content []byte
}

// draft gathers the objects of a new fold that the old one has not.
type draft struct {
	objects *objects.Builder
	next    fold
}

// folder adds a folder.
func (d *draft) folder(name string, entries []objects.Entry) objects.Entry {
	for _, e := range entries {
		d.next.known[e.ID] = true
	}
	return objects.Entry{Name: name, ID: d.objects.Tree(entries), Dir: true}
}

// file puts a file into a list, in the place of one with its name.
func (d *draft) file(list []objects.Entry, name string, data []byte) []objects.Entry {
	list = slices.DeleteFunc(slices.Clone(list), func(e objects.Entry) bool { return e.Name == name })
	return append(list, objects.Entry{Name: name, ID: d.objects.Blob(data)})
}

// draw makes the commit of a fold that was advanced from an old one, and returns the fold with its ids and the objects
// to push. With quiet only fold.json changes; with root the commit has no parent.
func draw(old, next fold, list []Transition, t *today, quiet, root bool, author objects.Person) (fold, *objects.Builder, error) {
	d := &draft{objects: &objects.Builder{Known: old.known}, next: next}
	d.next.known = map[string]bool{}
	if quiet {
		maps.Copy(d.next.known, old.known)
		for _, e := range old.top {
			delete(d.next.known, e.ID)
		}
	} else if err := d.contents(list, t, author.When); err != nil {
		return fold{}, nil, err
	}
	data, err := presence.EncodeDocument(infoType, next.info)
	if err != nil {
		return fold{}, nil, err
	}
	d.next.top = d.file(d.next.top, infoFile, data)
	if len(next.said) > 0 {
		d.next.top = d.file(d.next.top, saidFile, next.said)
	}
	commit := objects.CommitInfo{Tree: d.folder("", d.next.top).ID, Author: author, Message: subject(d.next, list, quiet)}
	if old.commit != "" && !root {
		commit.Parents = []string{old.commit}
	}
	d.next.commit = d.objects.Commit(commit)
	return d.next, d.objects, nil
}

// contents adds everything but fold.json, said.json and the root.
func (d *draft) contents(list []Transition, t *today, now time.Time) error {
	d.next.top = slices.Clone(d.next.rest[""])
	records := make([]objects.Entry, 0, len(d.next.nodes))
	for id, one := range d.next.nodes {
		if !d.objects.Known[one.blob] {
			d.objects.Blob(one.raw)
		}
		records = append(records, objects.Entry{Name: path.Base(gitstore.PathOf(id)), ID: one.blob})
	}
	if len(records) > 0 {
		inner := d.folder(path.Base(gitstore.Folder), records)
		for dir := path.Dir(gitstore.Folder); dir != "."; dir = path.Dir(dir) {
			inner = d.folder(path.Base(dir), append(slices.Clone(d.next.rest[dir]), inner))
		}
		d.next.top = append(d.next.top, inner)
	}
	if len(list) > 0 {
		var err error
		if t.content, err = history.Append(t.content, list); err != nil {
			return err
		}
		d.next.days[t.day] = d.objects.Blob(t.content)
	}
	d.history()
	states, err := encodeRefs(d.next.refStates)
	if err != nil {
		return err
	}
	d.next.top = d.file(d.next.top, refsFile, states)
	d.next.top = d.file(d.next.top, readmeFile, page.Of(d.next.fleet(), d.next.offered, func(id string) time.Time { return d.next.refStates[id].Since }, now))
	return nil
}

// history adds the folders of the history files, from the months up.
func (d *draft) history() {
	level := map[string][]objects.Entry{} // by folder
	for day, id := range d.next.days {
		level[path.Dir(day)] = append(level[path.Dir(day)], objects.Entry{Name: path.Base(day), ID: id})
	}
	for level["."] == nil && len(level) > 0 {
		up := map[string][]objects.Entry{}
		for dir, entries := range level {
			up[path.Dir(dir)] = append(up[path.Dir(dir)], d.folder(path.Base(dir), entries))
		}
		level = up
	}
	if years := level["."]; years != nil {
		d.next.top = append(d.next.top, d.folder(gitstore.HistoryFolder, years))
	}
}

// subject says what changed: `git log` of the branch is a short history.
func subject(f fold, list []Transition, quiet bool) string {
	switch {
	case quiet:
		return "fold: nothing new"
	case len(list) == 1:
		return "fold: " + list[0].ID + " " + list[0].To
	}
	return "fold: " + human.Count(len(list), "transition") + ", " + human.Count(len(f.nodes), "node")
}
