// Package fold reads the records of all nodes in a presence repository.
//
// The fold is one branch that has the newest record of each node and the history of their states. A control node keeps
// it (Aggregator), so that a Reader needs one request; without a fresh fold the nodes' own refs are read. Reap deletes
// the refs of nodes that are gone. How one node writes its ref is package gitstore's.
package fold

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/history"
	"github.com/addagent/addagent/presence/index"
)

// The files of the fold, beside gitstore.Folder and gitstore.HistoryFolder.
const (
	readmeFile = "README.md"
	infoFile   = "fold.json" // about the fold itself: a heartbeat changes only this
	refsFile   = "refs.json" // of each node the commit that was read, and its age
	saidFile   = "said.json" // what control nodes announced, in a form of their own

	infoType, refsType = "nodefold", "nodefoldrefs"
)

const (
	fileLimit = 64 << 20 // of a file of the fold
	saidLimit = 4 << 20  // of said.json
	// nodeLimit bounds a fleet. More refs are a mistake, or an attack on the memory of the readers.
	nodeLimit = 20_000
	noteLimit = 50 // of Notes
)

// foldInfo is fold.json: {"filetype":"nodefold","value":{...}}, keys sorted.
type foldInfo struct {
	Commits int       `json:"commits"` // of the branch since its history was last cut
	Every   int64     `json:"every"`   // seconds until the next fold; 0 = not known
	Folded  time.Time `json:"folded"`  // when it was made
	NextBy  time.Time `json:"next_by"` // until when it is good
	Notes   []string  `json:"notes"`   // what was left out, and why
	Prefix  string    `json:"prefix"`  // of the refs that are folded

	Unseen int `json:"unseen,omitempty"` // refs of which no record is known
}

// fresh says whether the fold is good instead of the refs under a prefix. A promise of more than a day, or one made in
// the future, comes from a wrong clock.
func (n foldInfo) fresh(prefix string, now time.Time) bool {
	return n.Prefix == prefix && !n.Folded.After(now.Add(presence.Skew)) && !now.After(n.NextBy.Add(presence.Skew)) && n.NextBy.Sub(n.Folded) <= mostPromise
}

// every is the interval of the folding node as it says, but at least what one push may take and at most the promise.
func (n foldInfo) every() time.Duration {
	most := max(min(n.NextBy.Sub(n.Folded), mostPromise), 0)
	if n.Every <= 0 {
		return 0
	}
	return min(max(time.Duration(min(n.Every, int64(most/time.Second)))*time.Second, presence.LeastSpan), most)
}

// refState is one node in refs.json: {"filetype":"nodefoldrefs","value":{"ID":{...}}}, a line for each node, so that
// git stores and sends small differences.
type refState struct {
	Age    presence.Age `json:"age,omitempty"` // at the last fold; "" = present
	Commit string       `json:"commit"`        // of the node's ref, up to which the history is complete
	Since  time.Time    `json:"since"`         // when it went into its state
	Told   time.Time    `json:"told"`          // the time of Commit
}

// sane removes impossible values: people can push to the branch, too.
func (s refState) sane() refState {
	if b, err := hex.DecodeString(s.Commit); err != nil || len(b) != 20 || strings.ToLower(s.Commit) != s.Commit {
		s.Commit = ""
	}
	if s.Age != presence.Late && s.Age != presence.Missing && s.Age != presence.Gone {
		s.Age = ""
	}
	s.Since, s.Told = presence.SaneTime(s.Since), presence.SaneTime(s.Told)
	return s
}

// fold is the content of the branch, in memory. It is a value: advance makes a new one.
type fold struct {
	commit    string // "" = the branch does not exist
	info      foldInfo
	refStates map[string]refState
	nodes     map[string]statement       // the statement of each node
	said      []byte                     // said.json, for the aggregator alone
	offered   presence.Endpoints         // for the aggregator alone, too
	days      map[string]string          // ids of the files of the history, by YYYY/MM/DD.jsonl
	top       []objects.Entry            // the root folder
	known     map[string]bool            // ids of all files and folders
	rest      map[string][]objects.Entry // other files that people put there, by folder; they stay
}

// fleet is the fold as readers see it.
func (f fold) fleet() presence.Fleet {
	fl := presence.Fleet{From: presence.FromFold, At: f.info.Folded, Folded: f.info.Folded, Notes: f.info.Notes, Unseen: max(f.info.Unseen, 0), Nodes: make([]presence.Node, 0, len(f.nodes))}
	every := f.info.every()
	for _, id := range slices.Sorted(maps.Keys(f.nodes)) {
		t := f.nodes[id]
		fl.Nodes = append(fl.Nodes, presence.Node{Record: t.record, Told: t.at, Commit: f.refStates[id].Commit, Since: f.refStates[id].Since,
			Folded: f.info.Folded, Every: every})
	}
	return fl
}

// stands says whether a control node that keeps its interval could have left the fold as it is. When an age has changed
// since, it would have pushed a new one: then the fold is outdated, and those nodes may have reported since.
func (f fold) stands(now time.Time) bool {
	at := presence.JudgedAt(f.info.Folded, f.info.every(), now)
	for _, t := range f.nodes {
		if presence.AgeOf(t.record, t.at, at) != presence.AgeOf(t.record, t.at, f.info.Folded) {
			return false
		}
	}
	return true
}

// tree is the commit that a fold is read from.
type tree = index.Tree

// readFold reads the fold of a commit. What is broken is left out, with a note. Unchanged records are taken from the
// fold before.
func readFold(t tree, commit string, before fold) (fold, error) {
	f := fold{commit: commit, refStates: map[string]refState{}, nodes: map[string]statement{},
		days: map[string]string{}, known: map[string]bool{}, rest: map[string][]objects.Entry{}}
	if err := f.listRest(t); err != nil {
		return fold{}, err
	}
	if err := readValue(t, infoFile, infoType, &f.info); err != nil {
		return fold{}, err
	}
	var notes notes
	if err := readValue(t, refsFile, refsType, &f.refStates); err != nil {
		return fold{}, err
	}
	f.info.Commits = max(f.info.Commits, 0)
	if f.refStates == nil {
		f.refStates = map[string]refState{}
	}
	records, err := f.list(t, gitstore.Folder)
	if err != nil {
		return fold{}, err
	}
	for _, e := range records {
		id, ok := strings.CutSuffix(e.Name, ".json")
		if !ok || e.Dir || e.Symlink || node.ValidID(id) != nil {
			continue
		}
		if len(f.nodes) == nodeLimit {
			notes.add("the fold has more than %s: the others are omitted", human.Count(nodeLimit, "record"))
			break
		}
		one, ok := before.nodes[id]
		if !ok || one.blob != e.ID {
			raw, err := t.Blob(e.ID, presence.MaxRecordSize)
			if err == nil {
				one.record, err = decode(id, raw)
			}
			if err != nil {
				notes.add("%s: %v", id, err)
				continue
			}
			one.raw, one.blob = raw, e.ID
		}
		s := f.refStates[id].sane()
		f.refStates[id] = s
		one.commit, one.at = s.Commit, s.Told
		f.nodes[id] = one
	}
	// A node whose record is broken is unknown, so that the aggregator reads it again.
	maps.DeleteFunc(f.refStates, func(id string, _ refState) bool { _, ok := f.nodes[id]; return !ok })
	f.info.Notes = notes.with(f.info.Notes)
	return f, f.listDays(t)
}

// readValue reads a JSON document of the fold. One that is absent or broken leaves the value as it is, or as far as it
// can be read: the next fold writes it again. The error says that the tree could not be read.
func readValue[T any](t tree, name, filetype string, value *T) error {
	data, err := t.Read(name, fileLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_ = presence.DecodeDocument(data, filetype, value)
	}
	return err
}

// listRest finds what people put beside our files and folders.
func (f *fold) listRest(t tree) error {
	for dir := ""; dir != gitstore.Folder; {
		entries, err := f.list(t, dir)
		if err != nil {
			return err
		}
		next, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(gitstore.Folder, dir), "/"), "/")
		ours := []string{next}
		if dir == "" {
			f.top = entries
			ours = append(ours, readmeFile, infoFile, refsFile, saidFile, gitstore.HistoryFolder)
		}
		f.rest[dir] = slices.DeleteFunc(slices.Clone(entries), func(e objects.Entry) bool { return slices.Contains(ours, e.Name) })
		dir = path.Join(dir, next)
	}
	return nil
}

// list lists a folder, whose entries are known then.
func (f *fold) list(t tree, dir string) ([]objects.Entry, error) {
	entries, err := t.List(dir)
	for _, e := range entries {
		f.known[e.ID] = true
	}
	return entries, err
}

// listDays finds the files of the history.
func (f *fold) listDays(t tree) error {
	var walk func(dir string, depth int) error
	walk = func(dir string, depth int) error {
		entries, err := f.list(t, dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := dir + "/" + e.Name
			day := strings.TrimPrefix(name, gitstore.HistoryFolder+"/")
			_, err := time.Parse(history.DayLayout, day)
			switch {
			case e.Dir && depth < 2:
				if err := walk(name, depth+1); err != nil {
					return err
				}
			case !e.Dir && !e.Symlink && depth == 2 && err == nil:
				f.days[day] = e.ID
			}
		}
		return nil
	}
	return walk(gitstore.HistoryFolder, 0)
}

// decode reads the record of a node. It must be of that node.
func decode(id string, raw []byte) (presence.Record, error) {
	r, err := presence.Decode(raw)
	if err != nil {
		return r, err
	}
	if r.InstanceID != id {
		return r, fmt.Errorf("the record names %s", r.InstanceID)
	}
	return r, nil
}

// notes are what was left out, and why.
type notes []string

func (n *notes) add(format string, args ...any) {
	*n = append(*n, human.Truncate(fmt.Sprintf(format, args...), 300))
}

// noted adds one note.
func noted(all []string, format string, args ...any) []string {
	var n notes
	n.add(format, args...)
	return n.with(all)
}

// with returns the notes and others, each on one line, sorted, without duplicates, and not too many.
func (n notes) with(more []string) []string {
	all := []string{}
	for _, text := range slices.Concat(n, more) {
		all = append(all, human.Truncate(human.Line(text), 300))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > noteLimit {
		all = append(all[:noteLimit:noteLimit], fmt.Sprintf("and %d more", len(all)-noteLimit))
	}
	return all
}

// encodeRefs writes refs.json.
func encodeRefs(states map[string]refState) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n    \"filetype\": %q,\n    \"value\": {", refsType)
	for i, id := range slices.Sorted(maps.Keys(states)) {
		if i > 0 {
			b.WriteByte(',')
		}
		line, err := json.Marshal(states[id])
		if err != nil {
			return nil, fmt.Errorf("fold: %s: %w", id, err)
		}
		fmt.Fprintf(&b, "\n        %q: %s", id, line)
	}
	b.WriteString("\n    }\n}\n")
	return b.Bytes(), nil
}
