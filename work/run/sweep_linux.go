package run

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/session"
)

// sweepAll puts in order what a killed agent or shim, or a power cut, left in the clones at repoDirs. The taker of the
// work lock calls it before a tree moves or anything starts. The memories of no clone, in stateDir, count with
// them. For every item with an attempt that has no end, those too that the tree does not have any more:
//
//   - of this boot: what is left of the script's session is ended (TERM, grace, KILL), and the attempt is ended as
//     interrupted. A session counts as the script's when one of its processes carries the run's ADD_RUN_ID. What the
//     script put into a session of its own on purpose lives on.
//   - of an earlier boot: nothing can be left, the attempt is ended as interrupted.
//
// And a success that was written but not yet committed is committed. One item that cannot be put in order does not stop
// the others; errors are joined.
func sweepAll(l *Lock, repoDirs []string, stateDir string, grace time.Duration) (said []string, err error) {
	var problems []error
	one := func(item, dir string) {
		detail, err := sweepItem(l, dir, grace)
		if err != nil {
			problems = append(problems, fmt.Errorf("sweep %s: %w", dir, err))
		}
		if detail != "" {
			said = append(said, item+" "+detail)
		}
	}
	for item, dir := range work.OwnMemories(stateDir) {
		one(item+":", dir)
	}
	for _, repoDir := range repoDirs {
		problems = append(problems, work.AdoptOld(repoDir))
		items, err := os.ReadDir(filepath.Dir(work.MemoryDir(repoDir, "x")))
		stray := errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) // no clone: nothing was worked
		if err != nil && !stray && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, fmt.Errorf("sweep: %w", err))
		}
		for _, item := range items {
			if item.IsDir() {
				one(filepath.Base(repoDir)+":"+item.Name(), work.MemoryDir(repoDir, item.Name()))
			}
		}
	}
	return said, errors.Join(problems...)
}

// sweepItem puts one item in order, whose memory is in dir, and says what was done, in one line for people.
func sweepItem(l *Lock, dir string, grace time.Duration) (detail string, err error) {
	if _, _, err := work.ResultIn(dir).Peek(); files.Shortage(err) {
		return "", err
	}
	m := work.Peek(dir) // what is corrupt is left for the survey, which tells it
	if m.Last == nil {
		return "", nil
	}
	if !m.Last.Finished.IsZero() {
		if m.Last.OK() && m.Doing == m.Last.Version {
			detail = "its success was recorded but not committed: committed now"
		}
		return detail, finishCommit(dir, m)
	}
	how, more := "interrupted: the machine shut down", ""
	if m.Last.BootID == "" || m.Last.BootID == bootID() {
		how = "interrupted: its supervisor was killed"
		ended, stuck, err := session.End(leftOf(*m.Last, l.holder), grace)
		if err != nil {
			return "", err // never two at once: without knowing what still runs the attempt keeps having no end
		}
		if len(ended) > 0 {
			more += "; ended what was left: " + session.Listed(ended)
		}
		if len(stuck) > 0 {
			more += "; could not be ended: " + session.Listed(stuck)
		}
	}
	detail = how + more
	last := endLog(m.Last.Log, detail)
	reason := work.ReasonInterrupted
	if why := heardWedged(dir, m.Last.RunID); why != "" {
		reason, how = work.ReasonWedged, "wedged: "+why
	}
	return detail, recordEnd(dir, m.Last.End(reason, -1, how, last, time.Now()))
}

// leftOf lists what is left of a run's session. Which session that is stands in the lock, if the last script started
// under it was this run's. Else the run's oldest process must be its script, from which all others descend, and it must
// still lead its session.
//
// The number alone proves nothing, it may have been given to another process since. But a session that a process of the
// run is in is the run's: no process can join one from outside, so what a script started with another environment
// (sudo, env -i) is ended with it, and nothing else ever is.
func leftOf(a work.Attempt, h Holder) func() ([]session.Process, error) {
	sid, proven := 0, false
	if h.RunID == a.RunID {
		sid = h.Session
	}
	// The shim notes the session as soon as there is one: that it has not means that it was killed in that very moment.
	justBegun := h.RunID == a.RunID && h.Session == 0
	return func() ([]session.Process, error) {
		if a.RunID == "" {
			return nil, nil
		}
		if !proven {
			var err error
			if sid, err = provenSession(sid, justBegun, runEntry(a.RunID), a.Log); err != nil || sid == 0 {
				return nil, err
			}
			proven = true
		}
		return session.Of(sid)
	}
}

// proofTries is how often, endPoll apart, a session is looked at that shows no environment to know it by: an exec takes
// a millisecond, on a busy machine more.
const proofTries = 50

// provenSession is the session of the run that has this entry in its environment, 0 when nothing is left of it. In the
// session that the lock names, a process that writes into the run's log is proof as well: `env -i` and `sudo` drop the
// environment, not the output. When the number of the session is not known (0), its leader must still live, else it may
// be one that the script made on purpose; a script that had just begun when its shim was killed, and was told to die
// then, has made none, but its first child may have outlived it.
func provenSession(sid int, justBegun bool, entry, log string) (int, error) {
	tick := time.NewTicker(session.Poll)
	defer tick.Stop()
	for try := 1; ; try++ {
		var ours []session.Process
		unsure, before := false, session.Youngest()
		_, err := session.Processes(sid, func(p session.Process) bool {
			yes, sure := session.Carries(p.PID, entry)
			if !yes && sid != 0 && session.WritesTo(p.PID, log) {
				yes, sure = true, true
			}
			if yes {
				ours = append(ours, p)
			}
			unsure = unsure || !sure
			return false
		})
		if err != nil {
			return 0, err
		}
		if len(ours) > 0 {
			oldest := slices.MinFunc(ours, func(a, b session.Process) int { return cmp.Or(cmp.Compare(a.Start, b.Start), a.PID-b.PID) })
			if sid == 0 && !justBegun && oldest.PID != oldest.Session {
				return 0, nil
			}
			return oldest.Session, nil
		}
		if again := unsure || session.Youngest() != before; try > 1 && !again || try == proofTries { // see session.Of
			return 0, nil
		}
		<-tick.C
	}
}

// endLog shortens the log of a killed run, writes into it how it ended, and returns the script's last line. Without a
// log the run has ended all the same.
func endLog(path, detail string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	out, err := session.OpenLog(path, session.DefaultBounds())
	if err != nil {
		return ""
	}
	defer out.Close()
	last, _ := out.Finish()
	out.Say("%s", detail)
	return last
}
