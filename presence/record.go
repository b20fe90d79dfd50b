// Package presence is what nodes say of themselves, and what that means to others.
//
// Record in record.go is what one node says, age.go how old it may be before the node counts as late or missing,
// nodes.go the sets of nodes that work can wait for, fleet.go and views.go all nodes together. It is pure: package
// gitstore publishes one node's record, package fold gathers all of them.
package presence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
)

// Record is what one node says about itself. Encode gives its form on disk and in git; the field order is that form's
// key order.
//
// The keys deployment, initgitrepo, instance-id, nodepart, stacktype, state, statelog and statetss are those of the
// first presence files; a record that has only them is read as well.
type Record struct {
	Addresses   []string   `json:"addresses"`             // IP addresses that others can reach, sorted
	Agent       string     `json:"agent"`                 // "addagent/VERSION"
	Answers     []Answer   `json:"answers,omitempty"`     // to requests that stand, sorted by id
	BeatNextBy  time.Time  `json:"beat_next_by,omitzero"` // when the next record is due: after it the node is late
	BeatSeen    time.Time  `json:"beat_seen,omitzero"`    // the beat that this record was made in
	BootID      string     `json:"boot_id"`               // the kernel's id of this boot
	Deployment  string     `json:"deployment"`
	Hardware    string     `json:"hardware"` // node.Hardware.String
	Hostname    string     `json:"hostname"`
	InitGitRepo string     `json:"initgitrepo"`
	InstanceID  string     `json:"instance-id"`  // never empty
	IP          string     `json:"ip,omitempty"` // the address that the node announces
	Items       int        `json:"-"`            // of the deploy in hand, for the rooms of this node
	Nodepart    string     `json:"nodepart"`
	Obeys       []string   `json:"obeys,omitempty"` // what may be asked of it, see Answers
	Reason      string     `json:"reason"`          // why it is in this state; "" when the state says it all
	Repos       []Repo     `json:"repos"`           // in the order of the config
	Services    []Service  `json:"services"`        // what the node offers: at most ServicesMost, sorted by name
	Stacktype   string     `json:"stacktype"`
	State       node.State `json:"state"`    // a newer or older agent may say a word that this one does not know
	StateLog    string     `json:"statelog"` // node.StateLog.String
	StateTss    string     `json:"statetss"` // node.StateLog.Stamp
	// Troubles is what needs a person, such as a bad config or no access: at most TroublesMost, a line each.
	Troubles []string `json:"troubles,omitempty"`
	Uses     []Use    `json:"uses,omitempty"` // the services that it watches: at most UsesMost, sorted
}

// TroublesMost bounds Troubles.
const TroublesMost = 5

// Repo is a repository as the node has it.
type Repo struct {
	Branch string `json:"branch"`
	// Done is, for each item of the repository that this node has finished, the fingerprint of that success: others
	// learn from it that what they fail at can be done.
	Done map[string]string `json:"done,omitempty"`
	Due  []string          `json:"due,omitempty"` // items whose last success is of something else, in order
	// Failed is, for each item that is failing or wedged, the full id of the commit that it failed at: while a new
	// one is tried, Version is that already.
	Failed  map[string]string `json:"failed,omitempty"`
	Name    string            `json:"name"`             // the folder below gitrepo/
	Version string            `json:"version"`          // full id of the commit that the tree is at
	Worked  map[string]string `json:"worked,omitempty"` // for each item in Done, the commit of that success
}

// Deployed is the version that a repository is worked at, and the one that it is pulled at where that is another:
// "ops@6942aad -> f1857fe".
func (r Repo) Deployed() string {
	if len(r.Due) == 0 { // also of an older agent, which does not tell
		return r.Name + "@" + human.ID(r.Version)
	}
	return r.Name + "@" + human.ID(r.Worked[r.Due[0]]) + " -> " + human.ID(r.Version)
}

// Deployed lists that of all repositories.
func (r Record) Deployed(separator string) string {
	var all []string
	for _, repo := range r.Repos {
		all = append(all, repo.Deployed())
	}
	return strings.Join(all, separator)
}

// WorkedAt tells whether all items have worked a version, which may be cut short; has is false where the node has never
// had it, as far as the record tells.
func (r Repo) WorkedAt(version string) (has, worked bool) {
	if strings.HasPrefix(r.Version, version) {
		return true, len(r.Due) == 0 && len(r.Failed) == 0
	}
	for _, v := range r.Worked {
		has = has || strings.HasPrefix(v, version)
	}
	return has, false
}

// FailedAt are the versions that items of the repository failed at.
func (r Repo) FailedAt() []string { return slices.Compact(slices.Sorted(maps.Values(r.Failed))) }

// Answer is what became of a request.
type Answer struct {
	Code  string    `json:"code"` // one of the codes below
	ID    string    `json:"id"`   // of the request
	State string    `json:"state"`
	Time  time.Time `json:"time,omitzero"` // since when it is in this state
}

// The codes of answers.
const (
	AnswerDone     = "000000"
	AnswerAccepted = "ER0019" // what was asked goes on
	AnswerFailed   = "ER0018" // it was done, and failed
	AnswerRefused  = "ER0004" // it was not done, and will not be
)

const (
	filetype = "nodepresence"
	// MaxRecordSize bounds what Decode reads. A usual record has 1 to 2 KB, one with a hundred services 40 KB.
	MaxRecordSize = 64 << 10
)

// EncodeDocument returns the form of our JSON files in git, {"filetype":TYPE,"value":{...}}: four spaces of indent, a
// newline at the end.
func EncodeDocument(filetype string, value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a reason may well say <nil>, and people read these files
	e.SetIndent("", "    ")
	err := e.Encode(struct {
		Filetype string `json:"filetype"`
		Value    any    `json:"value"`
	}{filetype, value})
	return b.Bytes(), err
}

// DecodeDocument reads what EncodeDocument writes into a value, as far as it can be read.
func DecodeDocument[T any](data []byte, filetype string, value *T) error {
	var d struct {
		Filetype string `json:"filetype"`
		Value    *T     `json:"value"`
	}
	err := json.Unmarshal(data, &d)
	switch {
	case errors.As(err, new(*json.SyntaxError)):
		return err
	case d.Filetype != filetype:
		return cmp.Or(err, fmt.Errorf("filetype %.40q, not %q", d.Filetype, filetype))
	case d.Value == nil:
		return cmp.Or(err, errors.New("no value"))
	}
	*value = *d.Value
	return err
}

// Encode returns the record as a JSON document: keys sorted, four spaces of indent, a newline at the end, times in UTC
// and whole seconds. The error says why it could not be read back, so that it must not be published.
func Encode(r Record) ([]byte, error) {
	if err := node.ValidID(r.InstanceID); err != nil {
		return nil, fmt.Errorf("presence record: %w", err)
	}
	data, err := EncodeDocument(filetype, Normalize(r))
	if err == nil && len(data) > MaxRecordSize {
		err = fmt.Errorf("%d bytes, more than %d", len(data), MaxRecordSize)
	}
	if err != nil {
		return nil, fmt.Errorf("presence record: %w", err)
	}
	return data, nil
}

// Normalize returns a copy in which equal meaning has one form: no nil lists, times in UTC and whole seconds.
func Normalize(r Record) Record {
	r.Addresses = append([]string{}, r.Addresses...)
	r.Repos = append([]Repo{}, r.Repos...)
	r.IP, r.Services, r.Uses = ValidIP(r.IP), normalServices(r.Services), normalUses(r.Uses)
	r.Troubles, r.Obeys = slices.Clone(r.Troubles), slices.Clone(r.Obeys)
	r.Answers = slices.Clone(r.Answers)
	for i := range r.Answers {
		r.Answers[i].Time = WholeSecond(r.Answers[i].Time)
	}
	for i := range r.Repos {
		r.Repos[i].Done, r.Repos[i].Worked = maps.Clone(r.Repos[i].Done), maps.Clone(r.Repos[i].Worked)
		r.Repos[i].Due = slices.Clone(r.Repos[i].Due)
		r.Repos[i].Failed = maps.Clone(r.Repos[i].Failed)
	}
	r.BeatSeen = WholeSecond(r.BeatSeen)
	r.BeatNextBy = WholeSecond(r.BeatNextBy)
	return r
}

// WholeSecond returns a time as records hold it: UTC, without parts of a second.
func WholeSecond(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// SaneTime makes a time fit to be written: a commit may say any number of seconds. The zero time stays.
func SaneTime(t time.Time) time.Time {
	if t = t.UTC(); !t.IsZero() && (t.Year() > 9999 || t.Unix() < 0) {
		return time.Unix(0, 0).UTC()
	}
	return t
}

// Decode reads a record of an older, this or a newer agent: unknown keys are ignored, absent ones leave their field
// empty. The node must have a valid id.
func Decode(data []byte) (Record, error) {
	if len(data) > MaxRecordSize {
		return Record{}, fmt.Errorf("presence record: %d bytes, more than %d", len(data), MaxRecordSize)
	}
	var r Record
	err := DecodeDocument(data, filetype, &r)
	if err == nil {
		err = node.ValidID(r.InstanceID)
	}
	times := []time.Time{r.BeatSeen, r.BeatNextBy}
	for _, s := range r.Services {
		times = append(times, s.Time)
	}
	for _, a := range r.Answers {
		times = append(times, a.Time)
	}
	for _, t := range times {
		if y := t.UTC().Year(); err == nil && (y < 0 || y > 9999) {
			err = fmt.Errorf("the year %d cannot be", y) // it could not be written again
		}
	}
	if err != nil {
		return Record{}, fmt.Errorf("presence record: %w", err)
	}
	clean(reflect.ValueOf(&r).Elem())
	return Normalize(r), nil
}

// clean takes out of all texts what would draw on a terminal: a record is what another machine says, and is shown in
// tables, lists, rooms and files, whose encoding may let it pass.
func clean(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(human.SafeLines(v.String()))
	case reflect.Slice:
		for i := range v.Len() {
			clean(v.Index(i))
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			if safe := human.SafeLines(key.String()); safe != key.String() {
				v.SetMapIndex(key, reflect.Value{})
				key = reflect.ValueOf(safe)
			}
			v.SetMapIndex(key, reflect.ValueOf(human.SafeLines(value.String())))
		}
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[time.Time]() {
			for i := range v.NumField() {
				clean(v.Field(i))
			}
		}
	}
}

// SameContent says whether two records are the same apart from the times of the beat. It is called at every beat, so it
// allocates nothing.
func SameContent(a, b Record) bool {
	return a.InstanceID == b.InstanceID && a.State == b.State && a.Reason == b.Reason &&
		a.Agent == b.Agent && a.BootID == b.BootID && a.Deployment == b.Deployment && a.Hardware == b.Hardware &&
		a.Hostname == b.Hostname && a.InitGitRepo == b.InitGitRepo && a.Nodepart == b.Nodepart && a.Stacktype == b.Stacktype &&
		a.StateLog == b.StateLog && a.StateTss == b.StateTss && a.IP == b.IP && slices.Equal(a.Uses, b.Uses) &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Troubles, b.Troubles) && slices.Equal(a.Obeys, b.Obeys) && slices.EqualFunc(a.Answers, b.Answers, func(a, b Answer) bool {
		a.Time, b.Time = WholeSecond(a.Time), WholeSecond(b.Time)
		return a == b
	}) &&
		slices.EqualFunc(a.Repos, b.Repos, func(a, b Repo) bool {
			return a.Branch == b.Branch && a.Name == b.Name && a.Version == b.Version &&
				maps.Equal(a.Done, b.Done) && maps.Equal(a.Worked, b.Worked) && slices.Equal(a.Due, b.Due) && maps.Equal(a.Failed, b.Failed)
		}) &&
		slices.EqualFunc(a.Services, b.Services, func(a, b Service) bool {
			a.Time, b.Time = WholeSecond(a.Time), WholeSecond(b.Time)
			return a == b
		})
}

// Finished is what the node says to have finished: the fingerprints by repo:item.
func (r Record) Finished() map[string]string {
	all := map[string]string{}
	for _, repo := range r.Repos {
		for item, fingerprint := range repo.Done {
			all[repo.Name+":"+item] = fingerprint
		}
	}
	return all
}
