package work

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/service/tree"
)

// At is a repository that is on this node, and the version its tree shows.
type At struct{ Repo, Version string }

// Inventory is what one look at all trees and memories gave.
type Inventory struct {
	Judgements []Judgement // in the order in which they run
	Holds      []Hold      // those that stop this node now
	Problems   []string    // what could not be used, each a sentence that names the file
	Unread     []string    // those of them that hide items, or may
	// InitDone is told when Place.Init is set: that repository was read, and it has no init scripts for this node, or
	// they have been done on this instance. While it is not done the init is the first of Judgements, if that could be
	// read.
	InitDone bool
	// Offers are the services that repositories describe or lists name, by name. OffersKnown tells that all lists were
	// read: only then is a service that is not among them unwanted.
	Offers      map[string]tree.Offer
	OffersKnown bool
}

// Survey judges every item of this node. What it found in the trees it keeps for as long as no repository moves and
// no local override is touched: a quiet beat opens no object store and reads only the small files of the memory.
type Survey struct {
	Root string // absolute path of gitrepo/
	// Open opens the tree of a repository at a version. The survey closes it.
	Open func(repo, version string) (*objects.Tree, error)
	// StateDir is where the memory of the node's init is, and of its services: outside of gitrepo/. The same as the
	// Runner's.
	StateDir string
	// Nodes tells what the set of nodes that agree with filter is now. The keys of filter are part, stacktype and
	// deployment, at least one. What is not known keeps what an item last met. It is asked at every beat for each such
	// watch, but not before the init is done, when no item may run. nil = presence.read is 0: not known, and said.
	Nodes func(filter map[string]string) NodeSet
	// Services tells what the set of endpoints of a service is now, in the same way. nil = presence.url is not set.
	Services func(service.Watch) NodeSet
	Judged   func() // all items of all repositories were judged, so what was not asked for is not watched; optional
	// ReadOnly is for those who hold no lock: nothing is set aside.
	ReadOnly bool

	key      string
	found    []foundItem
	holds    []Hold
	notices  []string
	unread   []string
	offers   map[string]tree.Offer
	known    bool // all lists of services were read
	initRead bool // the repository of Place.Init was read: if found has no init there is none
}

type foundItem struct {
	item    Item
	version string
	ids     map[string]string
	missing []string
	stamp   string // of its override file
}

// Judge finds the items of the repositories that lie on this node, reads their memory and judges them. Every error is a
// problem of one repository or item: the others are judged all the same.
func (s *Survey) Judge(at []At, place Place, now time.Time) Inventory {
	if key := fmt.Sprint(at, place); key != s.key || s.overridden() {
		// A look at trees that could not be read is not kept: the next beat tries again.
		s.find(at, place, now)
		if s.key = key; len(s.unread) > 0 {
			s.key = ""
		}
	}
	f := Inventory{Problems: slices.Clone(s.notices), Unread: s.unread, InitDone: s.initRead, Offers: s.offers, OffersKnown: s.known}
	for _, e := range s.found {
		m := recall(s.memory(e.item), !s.ReadOnly)
		f.Problems = append(f.Problems, m.Problems...)
		if e.item.Level == Init {
			if f.InitDone = m.Version != ""; f.InitDone {
				continue // once per instance, whatever was pushed since
			}
		}
		nodes, services := s.Nodes, s.Services
		if nodes != nil && place.Init != "" && !f.InitDone {
			nodes = func(map[string]string) NodeSet { return NodeSet{} }
		}
		if services != nil {
			services = func(w service.Watch) NodeSet {
				w.Deployment = cmp.Or(w.Deployment, place.Deployment)
				return s.Services(w)
			}
		}
		ids, await, notice := withSets(e.item, e.ids, m, nodes, services)
		if notice != "" {
			f.Problems = append(f.Problems, notice)
		}
		j := Judge(e.item, e.version, ids, m)
		if j.Verdict == First { // for all other runs others wait already
			j.Await, j.Overdue = await.Await, await.Overdue
		}
		j.Missing, j.Sets = e.missing, await.Endpoints
		f.Judgements = append(f.Judgements, j)
	}
	for _, h := range s.holds {
		if h.Until.IsZero() || now.Before(h.Until) {
			f.Holds = append(f.Holds, h)
		}
	}
	if s.Judged != nil && f.OffersKnown && len(f.Unread) == 0 {
		s.Judged()
	}
	return f
}

func (s *Survey) memory(it Item) string { return MemoryOf(s.Root, s.StateDir, it.Repo, it.Name) }

// overridden tells whether a person wrote, changed or removed a local override since the last find.
func (s *Survey) overridden() bool {
	return slices.ContainsFunc(s.found, func(e foundItem) bool { return s.overrideStamp(e.item) != e.stamp })
}

func (s *Survey) overrideStamp(it Item) string {
	st, err := os.Stat(filepath.Join(s.memory(it), overrideFile))
	if err != nil {
		return ""
	}
	return fmt.Sprint(st.Size(), st.ModTime().UnixNano())
}

// find reads the trees. What could not be read is in unread.
func (s *Survey) find(at []At, place Place, now time.Time) {
	s.found, s.holds, s.notices, s.unread, s.initRead = nil, nil, nil, nil, false
	var described []tree.Offer
	var lists []tree.Listed
	unlisted := len(at) == 0
	fail := func(format string, args ...any) {
		s.unread = append(s.unread, fmt.Sprintf(format, args...))
		s.notices = append(s.notices, fmt.Sprintf(format, args...))
	}
	all := map[string]Checkout{}
	for _, a := range at {
		if a.Version == "" { // its look said why
			all[a.Repo] = Checkout{Repo: a.Repo}
			unlisted = true
			continue
		}
		tree, err := s.Open(a.Repo, a.Version)
		if err != nil {
			fail("read the tree of %s: %v", a.Repo, err)
			// Known but unreadable: who watches it is not judged, rather than found changed.
			all[a.Repo] = Checkout{Repo: a.Repo}
			continue
		}
		defer tree.Close()
		all[a.Repo] = Checkout{Repo: a.Repo, Dir: filepath.Join(s.Root, a.Repo), Version: a.Version, Tree: tree}
	}
	add := func(version string, it Item) {
		ids, notices, err := Fingerprints(it, all)
		if err != nil {
			fail("%s: %v", it.Repo, err)
			return
		}
		s.notices = append(s.notices, notices...)
		s.found = append(s.found, foundItem{it, version, ids, missing(it, all, ids), s.overrideStamp(it)})
	}
	if c := all[place.Init]; c.Tree != nil {
		it, ok, err := FindInit(c, place)
		if err != nil {
			fail("%v", err)
		}
		if ok {
			add(c.Version, it)
		}
		s.initRead = err == nil && (!ok || len(s.found) > 0)
	}
	for _, a := range at {
		c := all[a.Repo]
		if c.Tree == nil {
			continue
		}
		holds, err := Holds(c, place, now)
		if err != nil {
			fail("%v", err)
			// There may be a brake: fail closed.
			holds = []Hold{{Repo: a.Repo, File: holdName, Reason: "it cannot be read"}}
		}
		s.holds = append(s.holds, holds...)
		items, notices, err := Find(c, place)
		if err != nil {
			fail("%v", err)
			continue
		}
		s.notices = append(s.notices, notices...)
		for _, it := range items {
			add(a.Version, it)
		}
		d, l, wrong, broken, err := findServices(c, place)
		if err != nil {
			fail("%v", err)
		}
		described, lists, unlisted = append(described, d...), append(lists, l...), unlisted || broken
		s.notices = append(s.notices, wrong...)
	}
	s.known = !unlisted && len(s.unread) == 0
	offers, wrong := tree.Join(described, lists, !s.known)
	s.offers = offers
	for _, p := range wrong {
		s.notices = append(s.notices, p.Text)
	}
	for _, o := range tree.InOrder(s.offers) {
		it, ok, err := setUp(o, all[o.Repo])
		if err != nil {
			fail("%s: %v", o.Repo, err)
		} else if ok {
			add(o.Version, it)
		}
	}
}

// String is a hold as a person reads it: who holds, why, until when.
func (h Hold) String() string {
	text := fmt.Sprintf("held by %s of %s: %s", h.File, h.Repo, h.Reason)
	if h.By != "" {
		text += " (" + h.By + ")"
	}
	if !h.Until.IsZero() {
		text += ", until " + human.Time(h.Until)
	}
	return text
}

// Watching is what an item watches, as a person reads it: "." for its whole repository, "app2:war/" for a path of
// another, "nodes of part app1" for a set of nodes.
func (it Item) Watching() []string {
	var all []string
	for _, w := range it.Watch {
		all = append(all, strings.TrimPrefix(w.key(it.Repo), "./"))
	}
	return all
}
