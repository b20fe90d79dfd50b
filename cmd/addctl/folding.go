package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/systemd"
)

// folding is a folder at work, and whom it tells.
type folding struct {
	p         *process
	g         *global
	every     time.Duration  // 0 = it folds once
	cfg       *config.Config // in force
	files     string         // the stamp of those that were read last
	bad       bool           // what lies there is not in force
	folder    *fold.Aggregator
	announcer *announcer // nil = no room
	mute      error      // why there is none though the config has rooms
	options   fold.Options
	timed     bool // lines begin with the time
	notes     []string
	mistake   complaint // in the config
	wrong     complaint // with the fold
	room      complaint // with a room
}

const (
	// flushTime is how long the end waits for rooms that were told something just now, and
	// partTime for how long a service that was told to stop does.
	flushTime, partTime = 15 * time.Second, 3 * time.Second
	// tookLook is how often a service looks whether rooms took their lines. Until that is in
	// the fold, another control node would say them again if this one died.
	tookLook = time.Second
)

// begin makes the folder and the announcer of a config. A room that cannot be opened is no
// reason to let the grid grow stale.
func (l *folding) begin(cfg *config.Config) error {
	o, err := l.p.place(l.g, cfg, "fold")
	if err != nil {
		return err
	}
	folder, err := fold.NewAggregator(fold.AggregatorOptions{Options: o, Every: l.every, Author: author(), Said: l.said})
	if err != nil {
		return cli.Misuse(err)
	}
	if l.folder != nil {
		l.end() // the new ones need its folder and its locks
	}
	l.cfg, l.folder, l.options = cfg, folder, o
	l.openRooms()
	return nil
}

// renew puts the config in force as it is now, when it changed. The error is what is
// wrong with it; then all stays as it was.
func (l *folding) renew() error {
	path := l.g.configPath()
	if path == "" {
		return nil
	}
	// A bad one is read again whatever its stamp: what it names may be there by now.
	stamp := config.Stamp(path)
	if stamp == l.files && !l.bad {
		return nil
	}
	l.files, l.bad = stamp, true
	cfg, err := l.p.settings(l.g)
	if err == nil && len(cfg.Files()) == 0 && len(l.cfg.Files()) > 0 {
		err = fmt.Errorf("%s is gone (write an empty one to mean the defaults)", path)
	}
	if err == nil && !sameFolding(cfg, l.cfg) {
		if err = l.begin(cfg); err == nil {
			l.say("the config changed, and is in force")
		}
	}
	if err != nil {
		return fmt.Errorf("%w; the config as it was before stays in force", err)
	}
	l.cfg, l.bad = cfg, false
	return nil
}

// sameFolding says that two configs mean the same to who folds.
func sameFolding(a, b *config.Config) bool {
	return a.StateDir == b.StateDir && reflect.DeepEqual(a.Presence, b.Presence) && reflect.DeepEqual(a.Network, b.Network) && reflect.DeepEqual(a.Chat, b.Chat)
}

// openRooms makes the announcer.
func (l *folding) openRooms() {
	if l.announcer, l.mute = l.p.newAnnouncer(l.cfg, l.options, l.folder.Promise()); l.mute != nil {
		l.announcer, l.mute = nil, fmt.Errorf("rooms: %w; it folds all the same, and tells no room", l.mute)
	}
}

// end gives up what begin made.
func (l *folding) end() {
	_ = l.folder.Close() // a connection, and a folder that may be deleted
	if l.announcer != nil {
		_ = l.announcer.close() // what it could not say is on disk
	}
}

// said is what the fold keeps of what rooms were told.
func (l *folding) said(data []byte, f presence.Fleet, now time.Time) []byte {
	if l.announcer == nil {
		return data
	}
	return l.announcer.write(data, f, now)
}

// fold folds once. Where another control node was faster, what it left is folded.
func (l *folding) fold(ctx context.Context, now time.Time) (fold.Report, error) {
	r, err := l.folder.Once(ctx, now)
	if errors.Is(err, fold.ErrRace) {
		r, err = l.folder.Once(ctx, now)
	}
	return r, err
}

// once folds, tells the rooms, and waits until they know.
func (l *folding) once(ctx context.Context, now time.Time) error {
	r, err := l.fold(ctx, now)
	if err != nil {
		return ended(ctx, cli.Failed(fmt.Errorf("%s: %w", l.options.Source.Redacted(), err)))
	}
	if err := l.print(r, now, true); err != nil {
		return err
	}
	if l.mute != nil {
		return cli.Failed(l.mute)
	}
	if l.announcer == nil {
		return nil
	}
	err = l.announcer.announce(ctx, r.Said)
	l.part(ctx, flushTime)
	if err := errors.Join(err, l.announcer.troubles()); err != nil {
		return cli.Failed(err)
	}
	return nil
}

// part waits for rooms that were told something, and takes what they heard into the
// fold, so that no other control node says it again.
func (l *folding) part(ctx context.Context, most time.Duration) {
	waiting, stop := context.WithTimeout(ctx, most)
	defer stop()
	l.announcer.wait(waiting)
	if l.announcer.news() {
		_, _ = l.fold(ctx, time.Now()) // it was just folded, and the next one does what this one did not
	}
}

// loop folds until ctx ends, which is no failure: a service was stopped.
func (l *folding) loop(ctx context.Context) error {
	l.timed = l.p.Env("JOURNAL_STREAM") == ""
	notify, err := systemd.New(l.p.Env, os.Getpid())
	if err == nil {
		err = notify.Ready() // before the first fold: a server that is down is no reason not to start
	}
	if err != nil {
		l.say("%v", err)
	}
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	took := time.NewTicker(tookLook)
	defer took.Stop()
	var alive <-chan time.Time
	if watchdog, on := notify.Watchdog(); on {
		t := time.NewTicker(watchdog / 2)
		defer t.Stop()
		alive = t.C
	}
	for ctx.Err() == nil {
		now := time.Now()
		l.mistake = l.complains(l.mistake, l.renew(), now)
		if l.mute != nil {
			l.openRooms() // whoever was in the way may be gone
		}
		r, err := l.fold(ctx, now)
		if ctx.Err() != nil {
			break // what was cut short says nothing about the server
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", l.options.Source.Redacted(), err)
		}
		l.wrong = l.complains(l.wrong, err, now)
		l.room = l.complains(l.room, l.tell(ctx, r, err != nil, now), now)
		if err == nil {
			if err := l.print(r, now, false); err != nil {
				return err
			}
			_ = notify.Status(fmt.Sprintf("%s, folded %s", human.Count(r.Nodes, "node"), human.Clock(now))) // it only informs
		}
		_ = notify.Alive()
		for waits := true; waits; {
			select {
			case <-ctx.Done():
				waits = false
			case <-tick.C:
				waits = false
			case <-took.C:
				waits = err != nil || l.announcer == nil || !l.announcer.news()
			case <-alive:
				_ = notify.Alive() // systemd tells if it hears nothing
			}
		}
	}
	_ = notify.Stopping() // nobody waits for it
	if l.announcer == nil {
		return nil
	}
	parting, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*partTime)
	defer stop()
	l.part(parting, partTime)
	if err := l.announcer.close(); err != nil {
		return cli.Failed(err)
	}
	return nil
}

// complains says what is wrong as complaints are said, and returns the complaint.
func (l *folding) complains(c complaint, err error, now time.Time) complaint {
	text := ""
	if err != nil {
		text = human.Lines(err.Error())
	}
	c, line := c.next(text, now)
	if line != "" {
		l.say("%s", line)
	}
	return c
}

// tell tells the rooms what is new, and returns what is wrong with them.
func (l *folding) tell(ctx context.Context, r fold.Report, failed bool, now time.Time) error {
	if l.announcer == nil {
		return l.mute
	}
	var err error
	if failed {
		err = l.announcer.away(now)
	} else {
		err = l.announcer.announce(ctx, r.Said)
	}
	return errors.Join(err, l.announcer.troubles())
}
