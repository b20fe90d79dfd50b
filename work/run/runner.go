package run

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/work"
	"golang.org/x/sys/unix"
)

// Runner is what the agent holds work with: the work lock while it decides, then the shim that does the work. One piece
// of work is in hand at a time. It belongs to one goroutine; only Done is fed by another.
type Runner struct {
	LockPath  string            // work.lock
	Home      string            // where nodeinfo/, gitrepo/ and log/ are
	Env       map[string]string // work.env of the config
	Inherited []string          // the agent's own environment: only proxy variables are passed on
	Self      string            // folder of the agent's own program; "" = not known
	UserHome  string
	User      string
	Timeout   time.Duration // of items that name none
	Grace     time.Duration
	Rules     work.Rules
	StateDir  string // holds the memories of no clone; the same as the Survey's
	Program   Program
	// Changed lists the paths that differ between two versions of a repository; false when that is not known. Optional.
	Changed func(repo, from, to string) (paths []string, known bool)

	lock *Lock
	done chan work.Outcome
}

// Acquire takes the work lock and puts in order what earlier shims left behind; it says what that was. The error is a
// *Busy when another process has the lock. An item that could not be put in order is an error too, but the lock is held
// then.
func (r *Runner) Acquire() (said []string, err error) {
	// A person who cleans up /run must not stop the work of a living agent.
	folder, err := files.MakeFolder(filepath.Dir(r.LockPath), 0o755)
	if err != nil {
		return nil, err
	}
	l, err := TryLock(r.LockPath, "beat")
	if err != nil {
		return nil, err
	}
	r.lock = l
	for _, aside := range []string{folder, l.aside} {
		if aside != "" {
			said = append(said, aside)
		}
	}
	root := filepath.Join(r.Home, "gitrepo")
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return said, err
	}
	var dirs []string
	for _, e := range entries {
		dirs = append(dirs, filepath.Join(root, e.Name()))
	}
	swept, err := sweepAll(l, dirs, r.StateDir, r.Grace)
	return append(said, swept...), err
}

// Release gives the lock back: nothing was started with it.
func (r *Runner) Release() {
	if r.lock != nil {
		r.lock.Close()
		r.lock = nil
	}
}

// Start records the attempt and starts the shim. The lock goes with it; after an error it is still held.
func (r *Runner) Start(j work.Judgement, s work.NextRun, e work.Env) (work.InHand, error) {
	now := time.Now().UTC()
	o := r.order(j, e, now)
	run, err := Start(r.lock, o, r.Program)
	at := o.Attempt.InHand(j.Item.Repo, j.Item.Name)
	at.Wedged, at.Failing, at.Before = s.Wedged, s.Failing, s.Reason
	if err != nil {
		return at, err
	}
	r.lock = nil
	at.Log, at.PID = run.Log, run.PID
	r.watch(run, at.Repo, at.Item)
	return at, nil
}

// order is everything the shim must know.
func (r *Runner) order(j work.Judgement, e work.Env, now time.Time) Order {
	dir := cmp.Or(j.Item.Root, filepath.Join(r.Home, "gitrepo", j.Item.Repo))
	o := Order{
		Repo: j.Item.Repo, Item: j.Item.Name, RepoDir: dir, Memory: r.memory(j.Item.Repo, j.Item.Name), Steps: j.Item.Steps,
		Executable: j.Item.Executable, Logs: filepath.Join(r.Home, "log", "work"), Timeout: cmp.Or(j.Item.Timeout, r.Timeout), Grace: r.Grace,
		Attempt: work.Begin(j, r.Rules, newRunID(now), bootID(), now, uptime()),
	}
	if len(o.Steps) == 0 {
		o.Script = filepath.Join(dir, filepath.FromSlash(j.Item.Script))
	}
	o.Services, o.Files = j.SetsFile(o.Memory)
	if r.Changed != nil && j.Memory.Version != "" && j.Memory.Version != j.Version {
		if paths, known := r.Changed(j.Item.Repo, j.Memory.Version, j.Version); known {
			o.ChangedFile = filepath.Join(o.Memory, "changed.txt")
			o.Files[o.ChangedFile] = changedList(paths)
		}
	}
	env, left := r.environ(j.Item, e, o)
	o.Env = env
	for _, field := range left {
		o.Notes = append(o.Notes, fmt.Sprintf("nodeinfo/%s.txt is too large for the environment (%d bytes; at most %d, and %d of all fields): not passed to the script",
			human.Printable(field), len(e.Fields[field]), fieldMax, fieldsMax))
	}
	return o
}

// uptime is the time since the boot, whatever the wall clock says.
func uptime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // it cannot fail: the clock exists, and so does t
	return time.Duration(t.Nano())
}

// Found is work that runs though this Runner did not start it: an earlier agent's. Its end comes through Done.
func (r *Runner) Found() (work.InHand, bool) {
	run, ok, err := adopt(r.LockPath)
	if err != nil || !ok {
		return work.InHand{}, false
	}
	repo, item, _ := strings.Cut(run.Item, ":")
	at := work.InHand{Repo: repo, Item: item, RunID: run.RunID, Started: run.started}
	if last := r.peek(repo, item).Last; last != nil && last.RunID == run.RunID {
		at = last.InHand(repo, item)
	}
	at.PID = run.PID
	r.watch(run, repo, item)
	return at, true
}

// Last is the last attempt of an item, as it is remembered; nil = none.
func (r *Runner) Last(repo, item string) *work.Attempt { return r.peek(repo, item).Last }

// memory is the folder of an item's memory.
func (r *Runner) memory(repo, item string) string {
	return work.MemoryOf(filepath.Join(r.Home, "gitrepo"), r.StateDir, repo, item)
}

func (r *Runner) peek(repo, item string) work.Memory { return work.Peek(r.memory(repo, item)) }

// watch waits for the end of a run and hands it to Done. The goroutine lives as long as the work, or this process.
func (r *Runner) watch(run *Shim, repo, item string) {
	done := r.outcomes()
	go func() {
		run.Wait()
		done <- work.Outcome{Repo: repo, Item: item, RunID: run.RunID, Last: r.peek(repo, item).Last}
	}()
}

// Done yields the work that was in hand, when it has ended.
func (r *Runner) Done() <-chan work.Outcome { return r.outcomes() }

func (r *Runner) outcomes() chan work.Outcome {
	if r.done == nil {
		r.done = make(chan work.Outcome, 1)
	}
	return r.done
}

// Succeeded is when an item last ended in success; zero = never, or not known. While a later attempt is on record it
// is when that success began: that much is left of it.
func (r *Runner) Succeeded(repo, item string) time.Time {
	if last := r.Last(repo, item); last != nil && last.OK() {
		return last.Finished
	}
	st, err := os.Stat(work.VersionIn(r.memory(repo, item)).Path)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}
