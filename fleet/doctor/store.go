// Package doctor makes what waits for a change happen: it keeps the queue of actions in a branch, claims what is due,
// and does it.
//
// Begin with Store in store.go. What is due, and what follows from it, is decided by package event.
package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/retry"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// The branch of the queue, and what it holds. They are a contract with people who read it with git alone.
const (
	Ref       = "refs/heads/doctor"
	queueFile = "queue.json"
	queueType = "doctorqueue"
	logFolder = "log"
)

const (
	logDay = "2006/01/02.jsonl"
	// logKept is for how long files of the log are kept; the commits of the branch have the older ones.
	logKept = 30 * 24 * time.Hour
	// races is how often a change is tried again when another writer was faster.
	races = 10
	// raceFirst and raceMost bound the delays between these tries.
	raceFirst, raceMost = 100 * time.Millisecond, 2 * time.Second
)

// Store is the queue in the branch. Use it from one goroutine at a time.
type Store struct {
	repo   gitstore.Remote
	close  func() error
	name   string // of the repository, without secrets
	who    string // who commits
	branch gitstore.Branch
	landed []event.Line // with the last change
}

// Open asks no server.
func Open(source remote.Source, who string) (*Store, error) {
	repo, err := remote.New(source)
	if err != nil {
		return nil, err
	}
	return &Store{repo: repo, close: repo.Close, name: source.Redacted(), who: who}, nil
}

// Close gives up the connection.
func (s *Store) Close() error { return s.close() }

// Read reads the queue. Without a branch it is empty. A branch that holds something else is an error, and stays.
func (s *Store) Read(ctx context.Context) (event.Queue, error) {
	var q event.Queue
	var err error
	if s.branch, err = gitstore.ReadBranch(ctx, s.repo, Ref, s.branch); err != nil {
		return q, fmt.Errorf("queue in %s: %w", s.name, err)
	}
	data, err := s.branch.File(queueFile)
	if errors.Is(err, fs.ErrNotExist) {
		return q, nil
	}
	if err == nil {
		err = presence.DecodeDocument(data, queueType, &q)
	}
	if err != nil {
		return q, fmt.Errorf("queue in %s: %s of %s: %w; correct it, or delete the branch to begin anew", s.name, queueFile, Ref, err)
	}
	return q.Clean(), nil
}

// Await reads the queue each so often, until an action has ended or is not in it any more.
func (s *Store) Await(ctx context.Context, id string, each time.Duration) (e event.Entry, there bool, err error) {
	for {
		q, err := s.Read(ctx)
		if e, there = q.Find(id); err != nil || !there || e.Over() {
			return e, there, err
		}
		if !retry.Wait(ctx, each) {
			return e, there, ctx.Err()
		}
	}
}

// Change replaces the queue by what change makes of it, with the lines of the log, in one compare-and-swap. When
// another writer was faster, change is called again with what that one wrote. An unchanged queue is not pushed.
func (s *Store) Change(ctx context.Context, now time.Time, change func(event.Queue) (next event.Queue, more []event.Line, err error)) (event.Queue, error) {
	return s.change(ctx, now, false, change)
}

func (s *Store) change(ctx context.Context, now time.Time, dry bool, change func(event.Queue) (event.Queue, []event.Line, error)) (event.Queue, error) {
	for try := 1; ; try++ {
		q, err := s.Read(ctx)
		if err != nil {
			return q, err
		}
		next, more, err := change(q)
		if err != nil {
			return q, err
		}
		was, err1 := presence.EncodeDocument(queueType, q)
		data, err2 := presence.EncodeDocument(queueType, next)
		if err := errors.Join(err1, err2); err != nil {
			return q, err
		}
		if dry || bytes.Equal(was, data) {
			return next, nil
		}
		lines := append(q.Lines(next, now), more...)
		changed, err := s.logged(lines, now)
		if err != nil {
			return q, err
		}
		changed[queueFile] = data
		tip := s.branch.Tip
		if s.branch, err = s.branch.Push(ctx, s.repo, changed, s.who, subject(lines), now); err == nil {
			s.landed = lines
			return next, nil
		}
		var asked error
		s.branch, asked = gitstore.ReadBranch(ctx, s.repo, Ref, s.branch)
		if raced := asked == nil && s.branch.Tip != tip; !raced || try == races || !pause(ctx, try) {
			return q, fmt.Errorf("queue in %s: %w", s.name, err)
		}
	}
}

// Events are those in the log since a time: the changes of instances and sets that doctors saw. What another machine
// wrote and is no event is left out.
func (s *Store) Events(ctx context.Context, since time.Time) (all []event.Event, err error) {
	if s.branch, err = gitstore.ReadBranch(ctx, s.repo, Ref, s.branch); err != nil {
		return nil, fmt.Errorf("queue in %s: %w", s.name, err)
	}
	for _, name := range s.branch.Names(logFolder) {
		day, err := time.Parse(logDay, strings.TrimPrefix(name, logFolder+"/"))
		if err != nil || since.Sub(day) > 48*time.Hour { // the day is that of the push, by another clock
			continue
		}
		data, _ := s.branch.File(name) // it is one of the names
		for line := range bytes.Lines(data) {
			var l event.Line
			if json.Unmarshal(line, &l) != nil || l.Event == nil {
				continue
			}
			if e, ok := l.Event.Clean(); ok && !e.At.Before(since) {
				all = append(all, e)
			}
		}
	}
	return all, nil
}

// pause waits before a change that another writer was faster than is tried again; false = ctx ended.
func pause(ctx context.Context, try int) bool {
	return retry.Wait(ctx, retry.Backoff{First: raceFirst, Most: raceMost, High: 1}.Delay(try, rand.Float64()))
}

// logged adds lines to the file of the day, and removes the files of days that are long past.
func (s *Store) logged(lines []event.Line, now time.Time) (map[string][]byte, error) {
	changed := map[string][]byte{}
	if len(lines) == 0 {
		return changed, nil
	}
	name := path.Join(logFolder, now.UTC().Format(logDay))
	data, _ := s.branch.File(name) // none yet
	b := bytes.NewBuffer(slices.Clone(data))
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	for _, l := range lines {
		if err := e.Encode(l); err != nil {
			return nil, err
		}
	}
	changed[name] = b.Bytes()
	for _, old := range s.branch.Names(logFolder) {
		day, err := time.Parse(logDay, strings.TrimPrefix(old, logFolder+"/"))
		if err == nil && now.Sub(day) > logKept {
			changed[old] = nil
		}
	}
	return changed, nil
}

// subject says what changed: `git log` of the branch is the audit.
func subject(lines []event.Line) string {
	switch {
	case len(lines) == 0:
		return "doctor: seen"
	case len(lines) == 1 && lines[0].ID != "":
		return strings.TrimSpace("doctor: " + lines[0].ID + " " + string(lines[0].Phase) + " " + lines[0].Action)
	}
	return "doctor: " + human.Count(len(lines), "line")
}
