package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/trouble"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/systemd"
)

// Output is where a service reports.
type Output interface {
	// Folded takes what a fold did. An error ends the service.
	Folded(r fold.Report, now time.Time) error
	// Say takes a line for people.
	Say(text string)
}

// Service folds the presence repository, and tells the rooms of the config about the fleet.
type Service struct {
	setup     *Setup
	output    Output
	every     time.Duration  // 0 = it folds once
	cfg       *config.Config // in force
	stamp     string         // of the config's files as read last
	rejected  bool           // what is in those files is not in force
	folder    *fold.Aggregator
	options   fold.Options
	announcer *announcer // nil = no room

	// Round is done after each fold, which may take minutes, with the time then; nil = nothing is.
	Round func(ctx context.Context, now time.Time) error
	muted error // why there is none although the config has rooms
}

const (
	// flushTime is how long a single fold waits for the rooms; stopTime is how long a service that is stopped does.
	flushTime, stopTime = 15 * time.Second, 3 * time.Second
	// takenInterval is how often a service looks whether rooms took their lines. Until the fold says so, another
	// control node would repeat them if this one died.
	takenInterval = time.Second
)

// NewService makes a service that folds every so often; 0 = once. It asks no server.
func NewService(s *Setup, every time.Duration, output Output) (*Service, error) {
	cfg, err := s.ReadConfig()
	if err != nil {
		return nil, err
	}
	l := &Service{setup: s, output: output, every: every, stamp: cfg.Stamp()}
	return l, l.apply(cfg)
}

// apply makes the folder and the announcer of a config. A room that cannot be opened does not stop the folding.
func (s *Service) apply(cfg *config.Config) error {
	o, err := s.setup.options(cfg, "fold")
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // who commits the fold; "" where that is not known
	folder, err := fold.NewAggregator(fold.AggregatorOptions{Options: o, Every: s.every, Author: host, Said: s.said})
	if err != nil {
		return err
	}
	if s.folder != nil {
		s.Close() // the new ones need its folder and its locks
	}
	s.cfg, s.folder, s.options = cfg, folder, o
	s.openRooms()
	return nil
}

// reload applies the config when it changed. After an error the config from before stays in force.
func (s *Service) reload() error {
	path := s.setup.configPath()
	if path == "" {
		return nil
	}
	// A rejected one is read again whatever its stamp: a file that it names may exist by now.
	stamp := config.Stamp(path)
	if stamp == s.stamp && !s.rejected {
		return nil
	}
	s.stamp, s.rejected = stamp, true
	cfg, err := s.setup.ReadConfig()
	if err == nil && len(cfg.Files()) == 0 && len(s.cfg.Files()) > 0 {
		err = fmt.Errorf("%s is missing (create an empty file to use the defaults)", path)
	}
	if err == nil && !sameService(cfg, s.cfg) {
		if err = s.apply(cfg); err == nil {
			s.output.Say("the changed config is in force")
		}
	}
	if err != nil {
		return fmt.Errorf("%w; the previous config stays in force", err)
	}
	s.cfg, s.rejected = cfg, false
	return nil
}

// sameService compares what a service takes from two configs.
func sameService(a, b *config.Config) bool {
	return a.StateDir == b.StateDir && reflect.DeepEqual(a.Presence, b.Presence) && reflect.DeepEqual(a.Network, b.Network) && reflect.DeepEqual(a.Chat, b.Chat)
}

func (s *Service) openRooms() {
	if s.announcer, s.muted = newAnnouncer(s.setup, s.cfg, s.options, s.folder.Promise()); s.muted != nil {
		s.announcer, s.muted = nil, fmt.Errorf("rooms: %w; folding continues without messages", s.muted)
	}
}

// Close releases the connection, the rooms and the locks.
func (s *Service) Close() {
	_ = s.folder.Close() // a connection, and a folder that may be deleted
	if s.announcer != nil {
		_ = s.announcer.close() // unsaid messages are on disk
	}
}

// said returns said.json for a fold of a fleet.
func (s *Service) said(data []byte, f presence.Fleet, offered presence.Endpoints, now time.Time) []byte {
	if s.announcer == nil {
		return data
	}
	return s.announcer.publish(data, f, offered, now)
}

// fold folds. When another control node was faster, it folds again on top of that.
func (s *Service) fold(ctx context.Context, now time.Time) (fold.Report, error) {
	r, err := s.folder.Once(ctx, now)
	if errors.Is(err, fold.ErrRace) {
		r, err = s.folder.Once(ctx, now)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", s.options.Source.Redacted(), err)
	}
	return r, nil
}

// Once folds, tells the rooms, and waits until they took it.
func (s *Service) Once(ctx context.Context, now time.Time) error {
	r, err := s.fold(ctx, now)
	if err != nil {
		return err
	}
	if err := s.output.Folded(r, now); err != nil {
		return err
	}
	if s.Round != nil {
		if err := s.Round(ctx, time.Now()); err != nil {
			return err
		}
	}
	if s.announcer == nil {
		return s.muted
	}
	err = s.announcer.announce(ctx, r.Said)
	s.flush(ctx, flushTime)
	return errors.Join(err, s.announcer.troubles())
}

// flush waits for the rooms, and writes what they took into the fold, so that no other control node repeats it.
func (s *Service) flush(ctx context.Context, most time.Duration) {
	waiting, stop := context.WithTimeout(ctx, most)
	defer stop()
	s.announcer.wait(waiting)
	if s.announcer.unpublished() {
		_, _ = s.fold(ctx, time.Now()) // the next fold does what this one did not
	}
}

// Run folds until ctx ends, which is how a service is stopped, and no failure.
func (s *Service) Run(ctx context.Context) error {
	notify, err := systemd.New(s.setup.Env, os.Getpid())
	if err == nil {
		err = notify.Ready() // before the first fold: a server that is down is no reason not to start
	}
	if err != nil {
		s.output.Say(err.Error())
	}
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	taken := time.NewTicker(takenInterval)
	defer taken.Stop()
	var alive <-chan time.Time
	if each := notify.AliveEach(); each > 0 {
		t := time.NewTicker(each)
		defer t.Stop()
		alive = t.C
	}
	var ofConfig, ofFold, ofRooms, ofRound trouble.Trouble
	for ctx.Err() == nil {
		now := time.Now()
		ofConfig = s.report(ofConfig, s.reload(), now)
		if s.muted != nil {
			s.openRooms() // what was in the way may be gone
		}
		r, err := s.fold(ctx, now)
		if ctx.Err() != nil {
			break // what was cut short says nothing about the server
		}
		ofFold = s.report(ofFold, err, now)
		ofRooms = s.report(ofRooms, s.tell(ctx, r, err != nil, now), now)
		if err == nil {
			if err := s.output.Folded(r, now); err != nil {
				return err
			}
			_ = notify.Status(fmt.Sprintf("%s, folded %s", human.Count(r.Nodes, "node"), human.Clock(now))) // it only informs
		}
		if _ = notify.Alive(); s.Round != nil && err == nil {
			if err := s.Round(ctx, time.Now()); ctx.Err() == nil {
				ofRound = s.report(ofRound, err, now)
			}
			_ = notify.Alive()
		}
		for waits := true; waits; {
			select {
			case <-ctx.Done():
				waits = false
			case <-tick.C:
				waits = false
			case <-taken.C:
				waits = err != nil || s.announcer == nil || !s.announcer.unpublished()
			case <-alive:
				_ = notify.Alive() // systemd kills a service that is silent
			}
		}
	}
	_ = notify.Stopping() // nothing waits for it
	if s.announcer == nil {
		return nil
	}
	stopping, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*stopTime)
	defer stop()
	s.flush(stopping, stopTime)
	return s.announcer.close()
}

// report says what there is to say about an error, and returns the trouble as it is now.
func (s *Service) report(t trouble.Trouble, err error, now time.Time) trouble.Trouble {
	t, text := t.NextOf(err, now)
	if text != "" {
		s.output.Say(text)
	}
	return t
}

// tell tells the rooms what is new, and returns what is wrong with them.
func (s *Service) tell(ctx context.Context, r fold.Report, failed bool, now time.Time) error {
	if s.announcer == nil {
		return s.muted
	}
	var err error
	if failed {
		err = s.announcer.unreachable(now)
	} else {
		err = s.announcer.announce(ctx, r.Said)
	}
	return errors.Join(err, s.announcer.troubles())
}
