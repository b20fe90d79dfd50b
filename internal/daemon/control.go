package daemon

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/request"
	"github.com/addagent/addagent/systemd"
)

// controlFiles is what persons say to the agent: brakes and requests in files, the config, signals.
type controlFiles struct {
	stateDir string
	asks     []journal.Ask // of the process itself: beat --again
	woken    chan struct{}
	*reloader
}

func (p *controlFiles) Woken() <-chan struct{} { return p.woken }
func (p *controlFiles) ShuttingDown() bool     { return systemd.ShuttingDown(context.Background()) }

func (p *controlFiles) Brakes(now time.Time) (node.Brakes, error) {
	return node.ReadBrakes(p.stateDir, now)
}

func (p *controlFiles) Asks() []journal.Ask {
	return append(slices.Clone(p.asks), request.Read(p.stateDir)...)
}

func (p *controlFiles) Answered(done journal.Asked, now time.Time) {
	p.asks = slices.DeleteFunc(p.asks, func(a journal.Ask) bool { return a.ID == done.ID })
	if p.app.requests != nil {
		p.app.requests.Answered(done, now)
	}
	// One that cannot be removed is obeyed again, which repeats work at worst; that
	// the disk cannot be written is said by all else.
	_ = os.Remove(request.Path(p.stateDir, done.ID))
}

// HandleSignals takes the signals by which persons reach a living agent: USR1 wants a beat
// now, HUP the config read again, too. stop ends that.
func HandleSignals(woken chan<- struct{}, again *atomic.Bool) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGHUP)
	go func() {
		for s := range signals {
			if s == syscall.SIGHUP {
				again.Store(true)
			}
			signalBeat(woken)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// signalBeat asks for a beat now; one that is owed already does.
func signalBeat(woken chan<- struct{}) {
	select {
	case woken <- struct{}{}:
	default:
	}
}
