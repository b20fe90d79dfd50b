package journal

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
)

// A Beat is what one tick saw, decided and did. It is the decision record: a line of log/beats.jsonl, and
// nodeinfo/beat.json for the newest. The JSON is a contract with people's scripts: fields are added, never renamed.
type Beat struct {
	Seq      uint64       `json:"seq"`                // counts from the start of this agent
	Start    time.Time    `json:"start"`              // UTC
	Ms       float64      `json:"ms"`                 // how long the beat took, milliseconds
	Node     string       `json:"node"`               // instance-id
	State    node.State   `json:"state"`              // as settled at the end of the beat
	Reason   string       `json:"reason,omitempty"`   // why, when the state needs one
	Outside  string       `json:"outside,omitempty"`  // the reason as other machines are told: without what scripts wrote
	Blamed   string       `json:"blamed,omitempty"`   // who is at fault: items, by name
	Since    time.Time    `json:"since"`              // when the state began
	Looks    []Look       `json:"looks,omitempty"`    // one a repository, in config order; none while work is in hand
	Fetching []Fetching   `json:"fetching,omitempty"` // the look goes on, and takes long: what of it advanced since the tick before; beat.json only, until the beat is over
	Items    []Judged     `json:"items,omitempty"`    // one an item, in the order in which they would run
	InHand   *work.InHand `json:"in_hand,omitempty"`  // the work that runs
	Started  []Started    `json:"started,omitempty"`  // work started since the last record
	Ended    []Ended      `json:"ended,omitempty"`    // work that ended since the last record
	Did      *Ended       `json:"did,omitempty"`      // the last work that ended, in this beat or long ago; not the quiet successes of run: always
	Services []Service    `json:"services,omitempty"` // what this node offers to others, by name
	Asked    []Asked      `json:"asked,omitempty"`    // what people asked for, and what became of it
	Troubles []Trouble    `json:"troubles,omitempty"` // what is wrong and for how long
	Dropped  uint64       `json:"dropped"`            // ticks dropped since the start, because a beat was still going on
	Next     time.Time    `json:"next"`               // when the next beat begins
	Agent    string       `json:"agent"`              // version of addagent
	PID      int          `json:"pid"`                // of the agent
	By       string       `json:"by"`                 // what beats: "run", the daemon, or "beat", called by cron, a timer or a person
	LastLook time.Time    `json:"last_look,omitzero"` // the last look that reached a repository

	// Stopped is when the daemon was told to end, and did; in beat.json only.
	Stopped time.Time `json:"stopped,omitzero"`
	// Died is the last beat of a daemon that was killed, in those of single beats that follow.
	Died time.Time `json:"died,omitzero"`
	// LastContact is that look, or a later beat that had no reason to look. An hour after it the node is wedged.
	LastContact time.Time `json:"last_contact,omitzero"`
	Clock       Reading   `json:"clock,omitzero"` // what the clocks showed when this was written
}

// A Reading is what the clocks of a machine show at one moment. By two of them a process knows what passed in between,
// and by how much the time of day was set.
type Reading struct {
	At      time.Time `json:"at"`      // the time of day, UTC
	BootID  string    `json:"boot_id"` // of the machine
	Seconds float64   `json:"up"`      // how long the machine has run since it booted, seconds
}

// Up is how long the machine had run.
func (r Reading) Up() time.Duration { return time.Duration(r.Seconds * float64(time.Second)) }

// absent is how long no beat may come, beside the pauses of the schedule, for what lasts to be known to have lasted.
const absent = 30 * time.Minute

// Lasts tells that the beats went on from this one to now, in the same boot of the machine: what it found has lasted.
func (b Beat) Lasts(bootID string, up time.Duration) bool {
	return b.Clock.BootID == bootID && up-b.Clock.Up()-b.Next.Sub(b.Clock.At) < absent
}

// A Look is what one repository answered, or, when Old, what it was at before.
type Look struct {
	Repo     string   `json:"repo"`
	Branch   string   `json:"branch,omitempty"`
	Version  string   `json:"version,omitempty"`  // full id of what the tree shows now
	Previous string   `json:"previous,omitempty"` // what it showed before, when it moved
	Moved    bool     `json:"moved,omitempty"`
	Old      bool     `json:"old,omitempty"`     // not asked in this beat: work is running, or the repository is disabled
	Resting  string   `json:"resting,omitempty"` // a person disabled this repository: why, who, until when
	Files    int      `json:"files,omitempty"`   // written and deleted
	Bytes    int64    `json:"bytes,omitempty"`   // received for the move
	Ms       float64  `json:"ms"`
	Notices  []string `json:"notices,omitempty"`
	Trouble  string   `json:"trouble,omitempty"`
	DiskFull bool     `json:"disk_full,omitempty"` // that is the trouble: the node is failing until there is room
	Blocked  bool     `json:"blocked,omitempty"`   // the tree cannot be moved to a version that is known: failing
	Denied   bool     `json:"denied,omitempty"`    // the server gives no access: it stays until a person changes that
}

// Judged is the verdict on one item in one beat.
type Judged struct {
	Repo      string       `json:"repo"`
	Item      string       `json:"item"`
	Verdict   work.Verdict `json:"verdict"`
	Why       string       `json:"why"`
	Version   string       `json:"version"`              // the repository's, in this beat
	Done      string       `json:"done,omitempty"`       // version of the last success
	Always    bool         `json:"always,omitempty"`     // run: always
	Watch     []string     `json:"watch,omitempty"`      // what it watches
	WatchFrom string       `json:"watch_from"`           // work.yaml, override or default
	Missing   []string     `json:"missing,omitempty"`    // watched paths that are not there, and what may be meant
	Changed   []string     `json:"changed,omitempty"`    // watches that differ from the last success
	Due       bool         `json:"due,omitempty"`        // it runs in this beat
	DueSince  time.Time    `json:"due_since,omitzero"`   // the beat that first found it due; work_spread counts from it
	Standing  string       `json:"standing,omitempty"`   // failing, wedged or waiting
	Reason    string       `json:"reason,omitempty"`     // of the standing
	Attempt   int          `json:"attempt,omitempty"`    // the try that is next or running
	NotBefore *time.Time   `json:"not_before,omitempty"` // when it is tried again
	Held      string       `json:"held,omitempty"`       // why an item that is wanted does not run
}

// A Service is what this node runs for others, in one beat.
type Service struct {
	Name      string    `json:"name"`                // of the service
	Repo      string    `json:"repo"`                // that describes it
	Code      string    `json:"code"`                // "000000" running, or why not
	State     string    `json:"state"`               // the code in words, or what the check calls it
	Role      string    `json:"role"`                // master, slave, standalone, na
	Mode      string    `json:"mode"`                // the kind of server
	Port      int       `json:"port,omitempty"`      // none: nothing connects to it
	Since     time.Time `json:"since"`               // when code or role changed last
	Check     string    `json:"check"`               // how it is checked
	Why       string    `json:"why,omitempty"`       // the last check failed
	Step      string    `json:"step,omitempty"`      // of its removal: draining, removing, uninstalled
	Told      time.Time `json:"told,omitzero"`       // since when the presence repository has the code; absent = not yet
	DrainedAt time.Time `json:"drained_at,omitzero"` // when its users have had their time
	Drained   string    `json:"drained,omitempty"`   // a person or a script drains it: why, who, until when
	Unknown   string    `json:"unknown,omitempty"`   // why it is not known whether it is still wanted
	Asked     []string  `json:"asked,omitempty"`     // what requests want of it that is not answered yet, in words
}

// UndrainedUntil is what is still to come before the service is drained; "" = nothing.
func (s Service) UndrainedUntil(now time.Time) string {
	switch {
	case s.Drained == "":
		return "a beat that drains " + s.Name
	case s.Told.IsZero():
		return "the presence repository to take the announcement of " + s.Name
	case now.Before(s.DrainedAt):
		return fmt.Sprintf("the users of %s, until %s", s.Name, human.Moment(s.DrainedAt, now))
	}
	return ""
}

// Started is work that began.
type Started struct {
	Repo    string    `json:"repo"`
	Item    string    `json:"item"`
	RunID   string    `json:"run_id"`
	Version string    `json:"version"`
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
	Error   string    `json:"error,omitempty"` // why it could not begin
}

// Ended is work that came to an end.
type Ended struct {
	Repo    string       `json:"repo"`
	Item    string       `json:"item"`
	RunID   string       `json:"run_id"`
	Verdict work.Verdict `json:"verdict"`
	Version string       `json:"version"`
	Attempt int          `json:"attempt"`
	At      time.Time    `json:"at"`
	Seconds float64      `json:"seconds"`
	Exit    int          `json:"exit"`
	OK      bool         `json:"ok"`
	Reason  string       `json:"reason,omitempty"` // the kind of end, a word of work.Reason; none = success
	Detail  string       `json:"detail,omitempty"` // the end in words
	Last    string       `json:"last_line,omitempty"`
	Log     string       `json:"log,omitempty"`
	Adopted bool         `json:"adopted,omitempty"`
}

// Routine tells that only `run: always` made it run: nothing had changed.
func (e Ended) Routine() bool { return e.Verdict == work.Same || e.Verdict == work.Unaffected }

// EndedFrom makes the decision record's line of a finished run; false when the run left no result.
func EndedFrom(o work.Outcome, adopted bool) (Ended, bool) {
	l := o.Last
	if l == nil || l.RunID != o.RunID || l.Finished.IsZero() {
		return Ended{}, false
	}
	return Ended{Repo: o.Repo, Item: o.Item, RunID: l.RunID, Verdict: l.Verdict, Version: l.Version,
		Attempt: l.Attempt, At: l.Finished, Seconds: math.Round(l.Finished.Sub(l.Started).Seconds()*1000) / 1000, Exit: l.Exit,
		OK: l.OK(), Reason: string(l.Reason), Detail: l.Detail, Last: l.LastLine, Log: l.Log, Adopted: adopted}, true
}

// An Ask is a request of a person to an agent that lives: a file of state_dir/asked.
type Ask struct {
	ID     string    `json:"id"`               // names the request
	What   string    `json:"what"`             // beat, again, unwedge, or install, start, stop, restart, drain or undrain
	Target string    `json:"target,omitempty"` // REPO or REPO:ITEM; none = all
	By     string    `json:"by,omitempty"`     // who asked
	At     time.Time `json:"at"`               // when
	Until  time.Time `json:"until,omitzero"`   // it is not served later; zero = it is
}

// What can be asked for.
const (
	AskBeat    = "beat"    // a beat now
	AskAgain   = "again"   // forget what was done, so that it is done again
	AskUnwedge = "unwedge" // forget that it failed
	AskInstall = "install" // set a service up again
)

// ServiceAsks are what can be asked for of a service, which is the target.
var ServiceAsks = []string{AskInstall, "start", "stop", "restart", "drain", "undrain"}

// Asked is what became of a request.
type Asked struct {
	Ask
	Did   []string `json:"did,omitempty"`     // the items that it was done to
	Error string   `json:"error,omitempty"`   // why not
	Goes  bool     `json:"goes_on,omitempty"` // it goes on; the answer of the request says how it ends
}

// A Trouble is something that is wrong and does not stop the beat. It is said once and then counted.
type Trouble struct {
	Key      string    `json:"key"` // what it is about: "look ops", "state files", ...
	Text     string    `json:"text"`
	Since    time.Time `json:"since"`
	Count    int       `json:"count"`              // beats in a row
	Said     time.Time `json:"said"`               // when it stood in the log last, UTC
	Critical bool      `json:"critical,omitempty"` // it needs a person at once
	Person   bool      `json:"person,omitempty"`   // it stays until a person changes something
}

// Level is how loud a piece of news is.
type Level int

// From quiet to loud.
const (
	Info Level = iota
	Notice
	Warning
	Critical
)

// News is one line worth a person's eye: a transition, work that began or ended, a trouble that came or went.
type News struct {
	At    time.Time
	Level Level
	Text  string
	Next  string // the command to run next; set for failures
}

// Fetching is how far the look that goes on has come with a repository.
type Fetching struct {
	Repo    string `json:"repo"`
	Bytes   int64  `json:"bytes"`   // received
	Objects int    `json:"objects"` // received
	Files   int    `json:"files"`   // of the tree, written and deleted
}

// String is that in words, on one line.
func (f Fetching) String() string {
	if f.Files > 0 {
		return fmt.Sprintf("moving %s: %s so far", f.Repo, human.Count(f.Files, "file"))
	}
	return fmt.Sprintf("fetching %s: %s, %s so far", f.Repo, human.Size(f.Bytes), human.Count(f.Objects, "object"))
}

// Next is the command to run next.
func (t Trouble) Next() string {
	kind, name, _ := strings.Cut(t.Key, " ")
	switch {
	case t.OfDisk():
		return "df -h"
	case kind == "start":
		return "addagent why " + name
	case kind == "service":
		return "addagent status"
	case kind == "items":
		return "addagent why"
	case kind == "look", kind == "tell", kind == "presence", kind == "cloud":
		return "addagent check --live"
	case kind == "config", kind == "nodeinfo", kind == "metrics":
		return "addagent check"
	}
	return "addagent log"
}

// OfDisk tells whether the node fails because a disk takes nothing more.
func (t Trouble) OfDisk() bool { return strings.HasSuffix(t.Key, OnDisk) }
