// Package index is the services of a grid as one branch holds them: a file for each service, with one endpoint a line.
// It is written beside the fold, moves only when an endpoint differs, and is all that a node reads to find services.
package index

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/service"
)

// The files of the index: one about itself, and a folder with one for each service.
const (
	indexFile     = "index.json"
	serviceFolder = "service"
	indexType     = "nodeserviceindex"

	most = 20_000 // services; more are a mistake
)

// Info is index.json. It has no time: the index moves only when an endpoint differs.
type Info struct {
	Every  int64  `json:"every"` // seconds between two folds
	Prefix string `json:"prefix"`
}

// Trust is for how long the index is good after the fold's ref has moved: five intervals, of which each third moves it.
func (i Info) Trust() time.Duration {
	return max(5*time.Duration(min(max(i.Every, 0), 24*3600))*time.Second, 2*time.Minute)
}

// FoldSeen is when a reader of the index saw the fold's ref move last.
type FoldSeen struct {
	Tip string    `json:"tip"`
	At  time.Time `json:"at"`
}

// Index is the endpoints of all services as gitstore.ServicesRef holds them.
type Index struct {
	Commit string // "" = there is none
	Info   Info
	All    presence.Endpoints
	Broken bool              // a file in it is no document: it is to be written again
	blobs  map[string]string // ids of the files, by service
}

// Tree is the commit that an index or a fold is read from.
type Tree interface {
	Read(name string, limit int64) ([]byte, error)
	Blob(id string, limit int64) ([]byte, error)
	List(dir string) ([]objects.Entry, error)
}

// ErrBroken is in the error about an index with a file that is no document, of a service that was not known before.
var ErrBroken = errors.New("the index of services is broken")

// Read reads the index of a commit; what did not change is taken from the one before, and so is a service whose file is
// no document. With ErrBroken the index has all others. After any other error it counts for nothing: what could not be
// read is not gone.
func Read(t Tree, commit string, before Index) (i Index, err error) {
	i = Index{Commit: commit, All: presence.Endpoints{}, blobs: map[string]string{}}
	data, err := t.Read(indexFile, presence.MaxEndpointsSize)
	if err == nil {
		_ = presence.DecodeDocument(data, indexType, &i.Info) // a broken one is not trusted
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return i, err
	}
	entries, err := t.List(serviceFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return i, err
	}
	var broken error
	for _, e := range entries[:min(len(entries), most)] {
		name, ok := strings.CutSuffix(e.Name, ".json")
		if !ok || e.Dir || e.Symlink || !service.ValidName(name) {
			continue
		}
		id, known := before.blobs[name]
		list := before.All[name]
		if !known || id != e.ID {
			data, err := t.Blob(e.ID, presence.MaxEndpointsSize)
			if err != nil && !errors.Is(err, objects.ErrTooBig) {
				return i, err
			}
			var read []presence.Endpoint
			if err == nil {
				read, err = presence.DecodeEndpoints(data)
			}
			if id = e.ID; err == nil {
				list = read
			} else if i.Broken, id = true, ""; !known {
				broken = fmt.Errorf("%w: %s: %w", ErrBroken, e.Name, err)
				continue
			}
		}
		if i.blobs[name] = id; len(list) > 0 {
			i.All[name] = list
		}
	}
	return i, broken
}

// Next is the index of a fleet that follows this one, nil where this one still holds. A grid that never offered a
// service has none.
func (i Index) Next(info Info, f presence.Fleet, now time.Time) *Index {
	next := Index{Info: info, All: presence.EndpointsOf(i.All, f, now)}
	if i.Commit == "" && len(next.All) == 0 || !i.Broken && next.Info == i.Info && next.All.Equal(i.All) {
		return nil
	}
	return &next
}

// Update is what is pushed so that the branch has the next index, or with nil stays as it is, and the index as it is
// then. With root the history of the branch is cut: its commit has no parent.
func (i Index) Update(next *Index, root bool, author objects.Person) (Index, []remote.Update, error) {
	switch {
	case next == nil && (!root || i.Commit == ""):
		return i, nil, nil
	case next == nil:
		next = &i
	}
	drawn, objects, err := i.draw(*next, root, author)
	return drawn, []remote.Update{{Ref: gitstore.ServicesRef, Old: i.Commit, New: drawn.Commit, Objects: objects}}, err
}

// draw makes the commit of the index that follows this one, and returns it with the objects to push.
func (i Index) draw(next Index, root bool, author objects.Person) (Index, *objects.Builder, error) {
	known := map[string]bool{}
	for _, id := range i.blobs {
		known[id] = true
	}
	o := &objects.Builder{Known: known}
	next.blobs = map[string]string{}
	var entries []objects.Entry
	for _, name := range slices.Sorted(maps.Keys(next.All)) {
		data, err := presence.EncodeEndpoints(next.All[name])
		if err != nil {
			return next, nil, err
		}
		next.blobs[name] = o.Blob(data)
		entries = append(entries, objects.Entry{Name: name + ".json", ID: next.blobs[name]})
	}
	info, err := presence.EncodeDocument(indexType, next.Info)
	if err != nil {
		return next, nil, err
	}
	top := []objects.Entry{{Name: indexFile, ID: o.Blob(info)}}
	if len(entries) > 0 {
		top = append(top, objects.Entry{Name: serviceFolder, ID: o.Tree(entries), Dir: true})
	}
	c := objects.CommitInfo{Tree: o.Tree(top), Author: author, Message: "services"}
	if i.Commit != "" && !root {
		c.Parents = []string{i.Commit}
	}
	next.Commit = o.Commit(c)
	return next, o, nil
}
