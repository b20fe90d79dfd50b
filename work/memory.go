package work

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// The files of one item's memory, in MemoryDir. The first three names are those of the shell scripts that ADD began
// with: people know them.
const (
	versionFile  = "work.sh_VERSION"
	doingFile    = "work.sh_DOING_VERSION"
	overrideFile = "work.sh_WATCH_PATH.txt"
	resultFile   = "work.sh_RESULT.json"
)

// MemoryDir is the folder of one item's memory: <clone>/.temp/add/<item>. It is not tracked, and no move of the tree
// touches it.
func MemoryDir(repoDir, item string) string { return filepath.Join(repoDir, ".temp", "add", item) }

// MemoryOf is that folder for an item of a repository below root. The memory of the init, and of the scripts that
// change a service once (service.db.delete), is the node's, whichever repository they stand in: it survives a wiped
// clone.
func MemoryOf(root, stateDir, repo, item string) string {
	if item == InitName {
		return filepath.Join(stateDir, InitName)
	}
	if name := strings.Split(item, "."); len(name) == 3 && name[0] == string(Service) {
		return filepath.Join(ServiceDir(stateDir, name[1]), name[2])
	}
	return MemoryDir(filepath.Join(root, repo), item)
}

// Actions are the scripts that change a service once: delete.sh and so on.
var Actions = []string{"delete", "start", "stop", "restart"}

// ServiceDir is the folder of what the node keeps of one of its services.
func ServiceDir(stateDir, name string) string { return filepath.Join(stateDir, string(Service), name) }

// OwnMemories are the folders of the memories in stateDir, those of no clone, by the names of their items.
func OwnMemories(stateDir string) map[string]string {
	all := map[string]string{InitName: filepath.Join(stateDir, InitName)}
	for _, action := range Actions {
		for _, dir := range files.Matching(stateDir, string(Service)+"/*/"+action) {
			all[string(Service)+"."+filepath.Base(filepath.Dir(dir))+"."+action] = dir
		}
	}
	return all
}

// Memory is what is remembered of one item between two beats. The zero value is an item that was never worked.
type Memory struct {
	Version  string   // work.sh_VERSION: the commit of the last success, 40 hex digits, "" = none
	Doing    string   // work.sh_DOING_VERSION: a note for people, the work lock is the truth; "" = none
	Done     *Done    // the last success as verdicts compare with it; nil = not known
	Last     *Attempt // the last attempt; nil = none known
	Problems []string // state files that could not be used, each a sentence that names the file
}

// Result is the file work.sh_RESULT.json: JSON, indented by four spaces, a newline at the end. It is a public contract:
// fields are added, never renamed, and readers ignore those they do not know. Times are RFC 3339 in UTC, versions are
// full commit ids (40 hex digits).
type Result struct {
	Done *Done    `json:"done,omitempty"` // absent until the item succeeded once
	Last *Attempt `json:"last,omitempty"` // absent only in a file made by hand
}

// Done is the last success: what verdicts compare with. It outlives a new clone, a rewritten branch and a branch moved
// back, since it names contents, not history.
type Done struct {
	Version string            `json:"version"` // the commit that the repository was at when that work began
	Ids     map[string]string `json:"ids"`     // what each watch was then, see Fingerprints for the keys
}

// Attempt is one run of an item's script, or the promise of one: it is written without Finished before the script
// starts, and again when it ended. Fields that are counted (Attempt, Failures, Waits, Shutdowns) belong to the
// fingerprint and start anew with another one, and after a success.
type Attempt struct {
	RunID       string            `json:"run_id"`                // ADD_RUN_ID in the script's environment: how left-over processes of this run are known
	Verdict     Verdict           `json:"verdict"`               // why it ran: first, changed; with `run: always` also same, unaffected
	Version     string            `json:"version"`               // the commit that the repository was at when it began
	Previous    string            `json:"previous,omitempty"`    // the commit of the last success before it, absent on a first run
	Ids         map[string]string `json:"ids"`                   // what each watch was when it began
	Fingerprint string            `json:"fingerprint"`           // 16 hex digits made of Ids: the same watched contents, the same fingerprint, on every node
	Attempt     int               `json:"attempt"`               // which try of this fingerprint it is, from 1
	Started     time.Time         `json:"started"`               // when the attempt was recorded, just before the script started
	Finished    time.Time         `json:"finished,omitzero"`     // when it had ended and nothing of it was left; absent = still running, or nobody lived to write the end
	Exit        int               `json:"exit"`                  // the script's exit status 0..255; -1 = it did not exit by itself, or not yet
	Reason      Reason            `json:"reason,omitempty"`      // absent = success; else the kind of end, one of the Reason words
	Detail      string            `json:"detail,omitempty"`      // the end in words, one line, for people
	Log         string            `json:"log,omitempty"`         // absolute path of the script's output
	LastLine    string            `json:"last_line,omitempty"`   // the last line of that output, without control characters, at most 200 characters
	BootID      string            `json:"boot_id,omitempty"`     // the boot of the machine that it ran in
	Failures    int               `json:"failures"`              // failures in a row, this one included once it is finished
	Waits       int               `json:"waits,omitempty"`       // exits with 75 ("not now") in a row, this one included
	WaitSince   time.Time         `json:"wait_since,omitzero"`   // end of the first of those; outlives a new fingerprint, else an hour of waiting could hide behind pushes
	Waited      float64           `json:"waited,omitempty"`      // seconds that it has waited, however the clock was set
	Uptime      float64           `json:"uptime,omitempty"`      // seconds since the boot when it began
	Shutdowns   int               `json:"shutdowns,omitempty"`   // ends by a shutdown of the machine in a row, this one included
	WedgedSince time.Time         `json:"wedged_since,omitzero"` // the item is wedged since then; only a success (or a person) ends that, not a new fingerprint
	Unwedged    time.Time         `json:"unwedged,omitzero"`     // a person said "unwedge" then: what is counted starts anew, the verdict stays
	Asked       time.Time         `json:"asked,omitzero"`        // a person asked then to run it again
	AskedBy     string            `json:"asked_by,omitempty"`    // who
}

// InHand is the work that runs now.
type InHand struct {
	Repo    string    `json:"repo"`
	Item    string    `json:"item"`
	RunID   string    `json:"run_id"`
	Version string    `json:"version"`
	Attempt int       `json:"attempt"`
	Started time.Time `json:"started"`
	PID     int       `json:"pid"`               // of the shim
	Adopted bool      `json:"adopted,omitempty"` // started by an earlier agent
	Log     string    `json:"log,omitempty"`
	Wedged  bool      `json:"wedged,omitempty"`  // the item was wedged when this run began, and is until it succeeds
	Failing bool      `json:"failing,omitempty"` // it was failing
	Before  string    `json:"before,omitempty"`  // why
}

// Name is repo:item.
func (h *InHand) Name() string { return h.Repo + ":" + h.Item }

// Standing is how the item stood when this run began.
func (h *InHand) Standing() string {
	switch {
	case h.Wedged:
		return "wedged"
	case h.Failing:
		return "failing"
	}
	return ""
}

// Outcome is the end of work that was in hand. Last is the item's last attempt as the shim left it; nil or of another
// run when the shim was killed before it could write the end.
type Outcome struct {
	Repo, Item, RunID string
	Last              *Attempt
}

// InHand is an attempt without an end as the work that runs, but for the number of its shim. What was wrong with the
// item when it began stays wrong until it succeeds.
func (a Attempt) InHand(repo, item string) InHand {
	h := InHand{Repo: repo, Item: item, RunID: a.RunID, Version: a.Version, Attempt: a.Attempt, Started: a.Started, Log: a.Log,
		Wedged: !a.WedgedSince.IsZero()}
	h.Failing = !h.Wedged && (a.Failures > 0 || a.waitedLong())
	if h.Wedged || h.Failing {
		h.Before = fmt.Sprintf("attempt %d runs", a.Attempt)
	}
	return h
}

// Reason is the kind of end that an attempt had, a word in work.sh_RESULT.json. A success has none.
type Reason string

// The reasons.
const (
	ReasonExit        Reason = "exit"        // the script exited, with neither 0 nor 75
	ReasonSignal      Reason = "signal"      // a signal that was not ours ended the script
	ReasonDeadline    Reason = "deadline"    // it ran longer than its timeout and was ended
	ReasonStart       Reason = "start"       // it could not be started: no such interpreter, unreadable, ...
	ReasonWaiting     Reason = "waiting"     // exit 75: "not now"; not a failure
	ReasonWedged      Reason = "wedged"      // the script said itself that it is wedged
	ReasonShutdown    Reason = "shutdown"    // the machine was shut down meanwhile; a failure only from the second time in a row
	ReasonInterrupted Reason = "interrupted" // found without an end: supervisor killed, power lost, ...
)

// waitedLong tells that the script has said nothing but "not now" for an hour.
func (a Attempt) waitedLong() bool { return a.Waited >= waitMax.Seconds() }

// OK tells whether the attempt ended in success.
func (a Attempt) OK() bool { return !a.Finished.IsZero() && a.Reason == "" }

// ExitTempFail is the exit status by which a script says "not now" (EX_TEMPFAIL of sysexits.h).
const ExitTempFail = 75

// Begin makes the attempt that is about to be made of a judged item. Counters go on from the last attempt when that was
// of the same fingerprint and no success. up is the time since the boot.
func Begin(j Judgement, r Rules, runID, bootID string, now time.Time, up time.Duration) Attempt {
	now = now.UTC()
	a := Attempt{RunID: runID, Verdict: j.Verdict, Version: j.Version, Previous: j.Memory.Version, Ids: j.Ids, Fingerprint: j.Fingerprint,
		Attempt: 1, Started: now, Exit: -1, BootID: bootID, Uptime: up.Seconds()}
	last := unsuccessful(j.Memory)
	if last == nil {
		return a
	}
	if last.Reason == ReasonWaiting {
		a.WaitSince, a.Waited = last.WaitSince, last.Waited
		if last.BootID == bootID {
			a.Waited += max(a.Uptime-last.Uptime, 0)
		}
	}
	if last.Wedged(r) {
		a.WedgedSince = last.WedgedSince
		if a.WedgedSince.IsZero() {
			a.WedgedSince = last.Finished
		}
	}
	if last.Fingerprint == j.Fingerprint && !saidAgain(j.Memory) {
		a.Attempt, a.Failures, a.Waits, a.Shutdowns = last.Attempt+1, last.Failures, last.Waits, last.Shutdowns
	}
	return a
}

// End is the attempt as it ended: finished, counted. The reason is "" for a success; detail and lastLine are cut to one
// clean line each.
func (a Attempt) End(reason Reason, exit int, detail, lastLine string, now time.Time) Attempt {
	a.Finished, a.Exit, a.Reason = now.UTC(), exit, reason
	a.Detail, a.LastLine = oneLine(detail), oneLine(lastLine)
	waits, shutdowns, since, waited := a.Waits, a.Shutdowns, a.WaitSince, a.Waited
	a.Waits, a.Shutdowns, a.WaitSince, a.Waited = 0, 0, time.Time{}, 0
	switch reason {
	case "":
		a.Failures, a.WedgedSince = 0, time.Time{}
	case ReasonWaiting:
		a.Waits, a.WaitSince, a.Waited = waits+1, since, waited
		if since.IsZero() || since.After(a.Finished) { // the clock was set back: how long it has waited is unknown
			a.WaitSince = a.Finished
		}
	case ReasonShutdown:
		// One reboot in the middle of work says nothing about the work; a second one in a row may well be its doing.
		a.Shutdowns = shutdowns + 1
		if a.Shutdowns > 1 {
			a.Failures++
		}
	default:
		a.Failures++
	}
	return a
}

// Forgive is a person's "unwedge": what is counted starts anew, the verdict stays.
func (a *Attempt) Forgive(now time.Time) {
	a.Unwedged = now.UTC()
	a.Failures, a.Waits, a.Shutdowns, a.WaitSince, a.Waited, a.WedgedSince = 0, 0, 0, time.Time{}, 0, time.Time{}
}

// Again is what is remembered of an item that a person wants to be run again: what is counted starts anew. The last
// success stays, so that the script can compare with it.
func (m Memory) Again(by string, now time.Time) Result {
	last := Attempt{Version: m.Version, Fingerprint: "unknown", Started: now.UTC(), Finished: now.UTC()}
	if m.Last != nil {
		last = *m.Last
	}
	last.Forgive(now)
	last.Asked, last.AskedBy = now.UTC(), by
	return Result{Done: m.Done, Last: &last}
}

// ended is the last attempt with an end: one that was found without is counted as interrupted when it started, so that
// what is decided from it needs no clock. nil stays nil.
func ended(last *Attempt) *Attempt {
	if last == nil || !last.Finished.IsZero() {
		return last
	}
	a := last.End(ReasonInterrupted, -1, "", "", last.Started)
	return &a
}

// lineMax is how many characters of a script's last line are kept: it ends up in logs, chat and one-line tables.
const lineMax = 200

// oneLine makes text fit for a line of a log: control characters become blanks, runs of blanks one, and it is cut to
// lineMax characters.
func oneLine(text string) string {
	return human.Truncate(human.Line(text[:min(len(text), 16*lineMax)]), lineMax)
}
