package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/kill"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/peers"
)

// selfKill is the end of this machine by its own hand (package kill), with the means that it has here. Its settings are
// set between two beats; an attempt runs beside them with those that it began with.
type selfKill struct {
	id      string
	sinks   *sinks
	machine *Machine
	wake    func() // a beat now
	say     func(journal.News)
	killer  *kill.Killer
	bootID  string
	once    bool          // this process is one beat
	woken   chan struct{} // wake wants a beat
	file    files.Remembered[killMemory]
	saved   killMemory // as it is there

	mu    sync.Mutex
	watch gitstore.LeaseWatch
	cfg   *config.Config
	why   string        // it is about to end, for this reason; "" = it is not
	told  chan struct{} // closed when the record says that it leaves
	noted bool          // told is closed
	up    time.Duration // how long the machine had run at the last beat
	done  time.Duration // and when what ends it was done; 0 = it was not
}

func newSelfKill(e *selfKill, stateDir string) *selfKill {
	e.file = files.Remembered[killMemory]{Path: killMemoryPath(stateDir), What: "memory of wedged.kill"}
	e.killer = &kill.Killer{Path: endedPath(stateDir), Means: kill.Means{
		Peers: e.peers, Lease: e.lease, Tell: e.tell, Do: e.do,
		Say: func(text string) { e.say(journal.News{At: time.Now().UTC(), Level: journal.Notice, Text: text}) },
	}}
	return e
}

// endedPath is where it is remembered that this instance ended itself.
func endedPath(stateDir string) string { return filepath.Join(stateDir, "ended.json") }

func (e *selfKill) configure(cfg *config.Config) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cfg = cfg
}

func (e *selfKill) config() *config.Config {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cfg
}

// consider is what the agent asks at each beat, after it was told.
func (e *selfKill) consider(at time.Time, up time.Duration, w *agent.Wedge) error {
	defer e.remember()
	cfg := e.config()
	e.mu.Lock()
	e.up = up
	e.mu.Unlock()
	why, done := e.attempt()
	switch {
	case why != "" && done > 0:
		e.outlived(at, up-done)
		return nil
	case why != "" && (w == nil || kill.Way(cfg.Wedged.Kill) == kill.None):
		e.stay() // it is well again or disabled, or the config no longer lets machines end themselves
		w = nil
	case why != "":
		if w.Leaving && w.Reason == why {
			e.announced()
		}
		return nil // it is on its way
	}
	var c *kill.Case
	if w != nil && !w.Leaving {
		info, err := node.ReadInfo(cfg.Nodeinfo())
		if err != nil {
			return nil // the beat reports it already, and the peers of such a node are unknown
		}
		c = &kill.Case{ID: e.id, Deployment: info.Deployment, Nodepart: info.Nodepart, Items: w.Items}
	}
	return e.killer.Consider(kill.Rules{Way: kill.Way(cfg.Wedged.Kill), After: cfg.Wedged.After, Grid: cfg.Presence.URL != ""}, c, at, up)
}

// attempt is why it is about to end, and since when that is done.
func (e *selfKill) attempt() (why string, done time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why, e.done
}

// announced takes note that a beat has told that this machine leaves.
func (e *selfKill) announced() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.noted {
		e.noted = true
		close(e.told)
	}
}

// notice says who takes this machine away: the node itself, or the cloud; nil = there is no cloud to ask.
func (e *selfKill) notice(cloud func(context.Context) (string, error)) func(context.Context) (string, error) {
	ours := false
	return func(ctx context.Context) (string, error) {
		if why, _ := e.attempt(); why != "" || cloud == nil {
			ours = why != ""
			return why, nil
		}
		why, err := cloud(ctx)
		was := ours
		if ours = false; err != nil && was {
			return "", nil // an error keeps the last answer, but that was our own reason, not the cloud's
		}
		return why, err
	}
}

// enough is how long a machine may live on after what ends it was done: a group takes its minutes to notice.
const enough = time.Hour

// outlived cancels the end of a node that lives on, as in a group whose processes are suspended: a node that leaves
// forever would not even try the commit that fixes it.
func (e *selfKill) outlived(at time.Time, lived time.Duration) {
	if lived > enough {
		e.stay()
		e.say(journal.News{At: at, Level: journal.Critical, Text: fmt.Sprintf("still running %s after this machine terminated itself: it stays in service", human.Duration(enough))})
	}
}

func (e *selfKill) peers(ctx context.Context, at time.Time) ([]kill.Peer, error) {
	cfg := e.config()
	f, err := peers.ReadNow(ctx, PresenceSource(cfg), cfg.Presence.RefPrefix, true, at)
	if err != nil {
		return nil, err
	}
	var all []kill.Peer
	for _, n := range f.Nodes {
		all = append(all, kill.Peer{ID: n.InstanceID, Deployment: n.Deployment, Nodepart: n.Nodepart,
			Present: n.Age(at) == presence.Present, Well: n.State == node.Idle || n.State == node.Working, Done: n.Finished()})
	}
	return all, nil
}

func (e *selfKill) lease(ctx context.Context, c kill.Case, until, at time.Time) (won bool, holder string, err error) {
	cfg := e.config()
	store, err := remote.New(PresenceSource(cfg))
	if err != nil {
		return false, "", err
	}
	defer store.Close()
	name := "kill/" + gitstore.RefPart(c.Deployment) + "/" + gitstore.RefPart(c.Nodepart)
	e.mu.Lock()
	watch, up := e.watch, e.up
	e.mu.Unlock()
	won, held, err := gitstore.TakeLease(ctx, store, &watch, cfg.Presence.RefPrefix, name, c.ID, "terminating itself: "+cfg.Wedged.Kill, until, at, up)
	e.mu.Lock()
	e.watch = watch
	e.mu.Unlock()
	// A lease held since an earlier attempt may expire during this one, and another node could then take it.
	if won && held.Until.Sub(at) < until.Sub(at)/2 {
		return false, "an earlier attempt of this machine until " + human.Moment(held.Until, at), nil
	}
	return won, held.Holder, err
}

// hearing is how long everybody has to hear that the node ends.
const hearing = time.Minute

// tell makes the node leave, for all to see, and returns when presence has it and the others have had their time.
func (e *selfKill) tell(ctx context.Context, why string) error {
	ctx, cancel := context.WithTimeout(ctx, hearing)
	defer cancel()
	e.mu.Lock()
	e.why, e.told, e.noted = why, make(chan struct{}), false
	told := e.told
	e.mu.Unlock()
	e.say(journal.News{At: time.Now().UTC(), Level: journal.Critical, Text: "this machine is " + why})
	e.wake()
	err := fmt.Errorf("no beat reported it within %s", human.Setting(hearing))
	select {
	case <-told:
		err = e.sinks.flush(ctx)
	case <-ctx.Done():
	}
	if err != nil {
		e.stay()
	}
	return err
}

// stay takes back that the node ends.
func (e *selfKill) stay() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.why, e.done = "", 0
}

func (e *selfKill) do(ctx context.Context, way kill.Way) (err error) {
	cfg := e.config()
	switch way {
	case kill.Poweroff:
		err = kill.Run(ctx, []string{"systemctl", "poweroff"})
		if err != nil {
			err = kill.Run(ctx, []string{"/sbin/poweroff"})
		}
	case kill.Command:
		err = kill.Run(ctx, cfg.Wedged.Command)
	case kill.Unhealthy, kill.Terminate:
		if e.machine == nil {
			err = fmt.Errorf("not a cloud instance")
			break
		}
		err = e.machine.End(ctx, cfg, way)
	default:
		err = fmt.Errorf("unknown way to terminate: %s", way)
	}
	if err != nil {
		e.stay()
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = max(e.up, 1)
	return nil
}
