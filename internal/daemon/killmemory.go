package daemon

import (
	"context"
	"path/filepath"
	"reflect"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/kill"
	"github.com/addagent/addagent/presence/gitstore"
)

// killMemory is what the next process of this boot must know to end this machine in time, and not sooner.
type killMemory struct {
	BootID string              `json:"boot_id"`
	Killer kill.Memory         `json:"killer"`
	Watch  gitstore.LeaseWatch `json:"watch,omitzero"` // of another node's lease
	Why    string              `json:"why,omitempty"`  // the machine ends for this reason
	Done   float64             `json:"done_up,omitempty"`
}

// killMemoryPath is where it is; it belongs to the hardware.
func killMemoryPath(stateDir string) string { return filepath.Join(stateDir, "kill.json") }

// recall goes on with what an earlier process knew, if that is of this boot and the beats went on since.
func (e *selfKill) recall(before *journal.Beat, up time.Duration) error {
	m, ok, err := e.file.Recall()
	if !ok {
		return err
	}
	e.saved = m
	if before == nil || m.BootID != e.bootID || !before.Lasts(e.bootID, up) {
		return nil
	}
	if e.once {
		e.why, e.done = m.Why, time.Duration(m.Done*float64(time.Second))
	} else { // a daemon that is started again was not meant to end, and asks anew
		m.Killer.Next, m.Killer.Said = 0, ""
	}
	e.killer.Recall(m.Killer)
	e.watch = m.Watch
	return nil
}

// remember keeps it for the next process. Where it cannot be written, that begins anew and ends the machine later.
func (e *selfKill) remember() {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := killMemory{BootID: e.bootID, Killer: e.killer.Known(), Watch: e.watch}
	if e.done > 0 { // what is cut before is tried again
		m.Why, m.Done = e.why, e.done.Seconds()
	}
	if m.Killer.Items == nil && m.Why == "" {
		m = killMemory{}
	}
	if reflect.DeepEqual(m, e.saved) {
		return
	}
	if e.saved = m; m.BootID == "" {
		_ = e.file.Forget()
	} else {
		_ = e.file.Save(m)
	}
}

// pending waits for an attempt to end this machine that a single beat has begun; true when that wants a beat.
func (e *selfKill) pending(ctx context.Context) bool {
	over := make(chan struct{})
	go func() { e.killer.Wait(); close(over) }()
	select {
	case <-e.woken:
		return true
	case <-over:
		e.remember()
	case <-ctx.Done():
	}
	return false
}
