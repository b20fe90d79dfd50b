package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/proc"
	"github.com/addagent/addagent/systemd"
)

// people is what persons say to the agent: brakes and requests in files, the
// config, signals.
type people struct {
	stateDir string
	asks     []journal.Ask // of the process itself: beat --again
	woken    chan struct{}
	renew    func(info node.Info) (agent.Settings, bool, []string)
}

func (p *people) Woken() <-chan struct{} { return p.woken }

func (p *people) ShuttingDown() bool { return systemd.ShuttingDown(context.Background()) }

func (p *people) Fresh(info node.Info) (agent.Settings, bool, []string) { return p.renew(info) }

func (p *people) Brakes(now time.Time) (node.Brakes, error) { return node.ReadBrakes(p.stateDir, now) }

func (p *people) Asks() []journal.Ask {
	return append(slices.Clone(p.asks), readAsks(p.stateDir)...)
}

func (p *people) Answered(id string) {
	p.asks = slices.DeleteFunc(p.asks, func(a journal.Ask) bool { return a.ID == id })
	// One that cannot be removed is obeyed again, which repeats work at worst; that
	// the disk cannot be written is said by all else.
	_ = os.Remove(askPath(p.stateDir, id))
}

func askedDir(stateDir string) string    { return filepath.Join(stateDir, "asked") }
func askPath(stateDir, id string) string { return filepath.Join(askedDir(stateDir), id+".json") }

func askFile(stateDir, id string) files.Remembered[journal.Ask] {
	return files.Remembered[journal.Ask]{Path: askPath(stateDir, id), What: "ask", Limit: 64 << 10, Durable: true, Public: true}
}

var askID = regexp.MustCompile(`^[0-9a-z-]{1,60}$`)

// readAsks lists the requests that lie there, oldest first. What is none is
// removed; one that cannot be read just now waits.
func readAsks(stateDir string) []journal.Ask {
	entries, err := os.ReadDir(askedDir(stateDir))
	if err != nil {
		return nil // nobody ever asked
	}
	var asks []journal.Ask
	for _, e := range entries {
		id, isAsk := strings.CutSuffix(e.Name(), ".json")
		if !isAsk || !askID.MatchString(id) {
			continue // a temporary file of a writer
		}
		a, _, err := askFile(stateDir, id).Peek()
		corrupt := errors.As(err, new(*files.Corrupt))
		if err != nil && !corrupt {
			continue // not now: it is somebody's request all the same
		}
		if a.ID = id; corrupt || !slices.Contains([]string{journal.AskBeat, journal.AskAgain, journal.AskUnwedge}, a.What) {
			_ = os.Remove(askPath(stateDir, id))
			continue
		}
		asks = append(asks, a)
	}
	slices.SortStableFunc(asks, func(x, y journal.Ask) int { return x.At.Compare(y.At) })
	return asks
}

// hear takes the signals by which persons reach a living agent: USR1 wants a beat
// now, HUP the config read again, too. stop ends that.
func hear(woken chan<- struct{}, again *atomic.Bool) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGHUP)
	go func() {
		for s := range signals {
			if s == syscall.SIGHUP {
				again.Store(true)
			}
			wake(woken)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// wake asks for a beat now; one that is owed already does.
func wake(woken chan<- struct{}) {
	select {
	case woken <- struct{}{}:
	default:
	}
}

// newAsk is a request of whoever runs this command.
func newAsk(p *cli.Process, what, target string) journal.Ask {
	at := time.Now().UTC()
	return journal.Ask{ID: strconv.FormatInt(at.UnixNano(), 36) + "-" + strconv.Itoa(os.Getpid()), What: what, Target: target, By: userName(p), At: at}
}

// userName is the name of the person behind a command, sudo or not.
func userName(p *cli.Process) string {
	if name := p.Env("SUDO_USER"); name != "" {
		return name
	}
	_, name := p.Account()
	return name
}

// putAsk leaves a request for the next beat.
func putAsk(stateDir string, a journal.Ask) error {
	if err := askFile(stateDir, a.ID).Save(a); err != nil {
		return cli.Failed(err)
	}
	return nil
}

// wakeUp makes a living agent beat now.
func wakeUp(pid int) error {
	if !proc.Catches(pid, syscall.SIGUSR1) {
		return fmt.Errorf("process %d does not understand it: is it an older version?", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return fmt.Errorf("wake process %d: %w", pid, err)
	}
	return nil
}

// gone tells that a request was taken up: its file is not there any more.
func gone(stateDir, id string) bool {
	_, err := os.Lstat(askPath(stateDir, id))
	return errors.Is(err, fs.ErrNotExist)
}
