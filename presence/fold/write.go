package fold

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence/gitstore"
)

// today is the history file that is written to.
type today struct {
	day     string // YYYY/MM/DD.jsonl
	content []byte
}

// draft gathers the objects of a new fold that the old one has not.
type draft struct {
	objects *objects.Builder
	scratch objects.Builder // to compute an id without sending the object
	old     fold
	next    fold
}

func (d *draft) file(name string, data []byte) {
	id := d.scratch.Blob(data)
	if id != d.old.files[name] {
		d.objects.Blob(data)
	}
	d.next.files[name] = id
}

func (d *draft) folder(path string, entries []objects.Entry) string {
	id := d.scratch.Tree(entries)
	if id != d.old.dirs[path] {
		d.objects.Tree(entries)
	}
	d.next.dirs[path] = id
	return id
}

// draw makes the commit of a fold that was advanced from an old one, and returns the fold with its ids and the objects
// to push. With quiet only fold.json changes; with root the commit has no parent.
func draw(old, next fold, list []Transition, t *today, quiet, root bool, author objects.Person) (fold, *objects.Builder, error) {
	d := &draft{objects: &objects.Builder{}, old: old, next: next}
	d.next.files, d.next.dirs = map[string]string{}, map[string]string{}
	if quiet {
		for _, name := range []string{readmeFile, refsFile} {
			d.next.files[name] = old.files[name]
		}
		for path, id := range old.dirs {
			d.next.dirs[path] = id
		}
	} else if err := d.contents(list, t, author.When); err != nil {
		return fold{}, nil, err
	}
	data, err := encodeInfo(next.info)
	if err != nil {
		return fold{}, nil, err
	}
	d.file(infoFile, data)
	if len(next.said) > 0 {
		d.file(saidFile, next.said)
	}
	top := slices.Clone(old.rest[""])
	for name, id := range d.next.files {
		top = append(top, objects.Entry{Name: name, ID: id})
	}
	for name, id := range d.next.dirs {
		if !strings.Contains(name, "/") {
			top = append(top, objects.Entry{Name: name, ID: id, Dir: true})
		}
	}
	commit := objects.CommitInfo{Tree: d.objects.Tree(top), Author: author, Message: subject(d.next, list, quiet)}
	if old.commit != "" && !root {
		commit.Parents = []string{old.commit}
	}
	d.next.commit = d.objects.Commit(commit)
	return d.next, d.objects, nil
}

// contents adds everything but fold.json, said.json and the root.
func (d *draft) contents(list []Transition, t *today, now time.Time) error {
	records := make([]objects.Entry, 0, len(d.next.nodes))
	for id, one := range d.next.nodes {
		if d.old.nodes[id].blob != one.blob {
			d.objects.Blob(one.raw)
		}
		records = append(records, objects.Entry{Name: path.Base(gitstore.PathOf(id)), ID: one.blob})
	}
	if len(records) > 0 {
		inner := d.folder(gitstore.Folder, records)
		for dir := gitstore.Folder; strings.Contains(dir, "/"); {
			name := path.Base(dir)
			dir = path.Dir(dir)
			inner = d.folder(dir, append(slices.Clone(d.old.rest[dir]), objects.Entry{Name: name, ID: inner, Dir: true}))
		}
	}
	if len(list) > 0 {
		var err error
		if t.content, err = appended(t.content, list); err != nil {
			return err
		}
		d.next.days[t.day] = d.objects.Blob(t.content)
	}
	d.history()
	seats, err := encodeRefs(d.next.refStates)
	if err != nil {
		return err
	}
	d.file(refsFile, seats)
	d.file(readmeFile, readme(d.next.fleet(), func(id string) time.Time { return d.next.refStates[id].Since }, now))
	return nil
}

// history adds the folders of the history files, from the months up.
func (d *draft) history() {
	level := map[string]string{} // path below the folder -> id
	for day, id := range d.next.days {
		level[day] = id
	}
	for depth := 0; depth < 3 && len(level) > 0; depth++ {
		folders := map[string][]objects.Entry{}
		for name, id := range level {
			dir, base := path.Split(name)
			folders[strings.TrimSuffix(dir, "/")] = append(folders[strings.TrimSuffix(dir, "/")], objects.Entry{Name: base, ID: id, Dir: depth > 0})
		}
		level = map[string]string{}
		for dir, entries := range folders {
			level[dir] = d.folder(path.Join(gitstore.HistoryFolder, dir), entries)
		}
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
