package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/work"
)

// wedgedFile is what a script says of itself by `addagent wedge`, in the item's memory until its run has ended: JSON,
// {"run_id": ..., "reason": ...}. What another run said is not heard.
const wedgedFile = "work.sh_WEDGED"

type saidWedged struct {
	RunID  string `json:"run_id"`
	Reason string `json:"reason"`
}

// SayWedged is what `addagent wedge REASON` does inside a script, which has temp and runID as ADD_TEMP and ADD_RUN_ID:
// when the script has ended, however, its attempt has ended with ReasonWedged and that reason. Said twice, the second
// reason counts.
func SayWedged(temp, runID, reason string) error {
	if !filepath.IsAbs(temp) || runID == "" {
		return errors.New("mark wedged: ADD_TEMP and ADD_RUN_ID do not identify a run: only a script that the agent started can mark itself")
	}
	if reason = shortLine(reason); reason == "" {
		return errors.New("mark wedged: give a reason")
	}
	err := os.MkdirAll(temp, 0o755) // and nothing is set aside for it: who calls this may be anybody
	if err == nil {
		err = wedgedIn(temp).Save(saidWedged{runID, reason})
	}
	if err != nil {
		return fmt.Errorf("mark wedged: %w", plainly(err))
	}
	return nil
}

func wedgedIn(dir string) files.Remembered[saidWedged] {
	return files.Remembered[saidWedged]{Path: filepath.Join(dir, wedgedFile), Limit: 4096, Durable: true, Public: true}
}

// shortLine is a reason as logs and one-line tables take it.
func shortLine(reason string) string { return human.Truncate(human.Line(reason), 200) }

// heardWedged is the reason that this run's script gave for being wedged; "" = it said nothing.
func heardWedged(dir, runID string) string {
	said, _, _ := wedgedIn(dir).Peek()
	if said.RunID != runID {
		return ""
	}
	return shortLine(said.Reason)
}

// Again is a person's "again": the item is due, its failures, wedge and delays are forgotten. The init, and what never
// succeeded, are run as for the first time; with by "" any item is. The lock of Acquire must be held.
func (r *Runner) Again(repo, item, by string) error {
	dir, err := r.asked(repo, item)
	if m := work.Peek(dir); err == nil && (item == work.InitName || by == "" || m.Version == "") {
		err = forget(dir)
	} else if err == nil {
		err = plainly(work.ResultIn(dir).Save(m.Again(by, time.Now())))
	}
	if err != nil {
		return fmt.Errorf("run %s:%s again: %w", repo, item, err)
	}
	return nil
}

// Unwedge is a person's "unwedge": failures, wedge and delays of the item are forgotten, it is due at once, and its
// next attempt is the first. It is no success: the verdict stays changed. The lock of Acquire must be held.
func (r *Runner) Unwedge(repo, item string) error {
	dir, err := r.asked(repo, item)
	if err == nil {
		err = unwedge(dir, time.Now())
	}
	if err != nil {
		return fmt.Errorf("unwedge %s:%s: %w", repo, item, err)
	}
	return nil
}

// asked is the memory of an item that a person named.
func (r *Runner) asked(repo, item string) (dir string, err error) {
	for _, name := range []string{repo, item} {
		if filepath.Base(name) != name || name == "." || name == ".." {
			return "", fmt.Errorf("%q is not the name of a repository or an item", name)
		}
	}
	if r.lock == nil {
		return "", errors.New("the work lock is not held")
	}
	return r.memory(repo, item), nil
}

func unwedge(dir string, now time.Time) error {
	result, _, err := work.ResultIn(dir).Peek()
	last := result.Last
	switch {
	case err != nil || last == nil || last.OK() || !last.Unwedged.IsZero():
		return err
	case last.Finished.IsZero():
		return fmt.Errorf("its run %s has no recorded end", last.RunID)
	}
	last.Forgive(now)
	return plainly(work.ResultIn(dir).Save(result))
}
