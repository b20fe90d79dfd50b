package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/chat"
	"github.com/addagent/addagent/config"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/presence/fleet"
)

// roomOf is a room by its address, or by the file or variable that holds it.
func (p *process) roomOf(name, url, file string, through http.RoundTripper) chat.Room {
	return &cli.Room{Name: name, URL: url, URLFile: file, Env: p.Env, Options: chat.Options{UserAgent: "addctl/" + version, Transport: through}}
}

// speaker is one control node as it tells rooms of the fleet. What is said, and by whom,
// is in said.json of the fold; a line that is this one's goes into a spool for each
// room, and out of said.json when they took it.
type speaker struct {
	rooms  []room
	good   time.Duration // as in voice
	file   string        // of memory
	lock   *files.Lock   // nobody else on this machine speaks for it
	prefix string        // of the names of spools
	memory
	mine     map[string]owed // the lines of ours, as of the last push
	finished map[string]bool // those that the next push takes out
}

// memory is what a speaker knows of itself after a restart.
type memory struct {
	Me     string   `json:"me"`     // names it in said.json
	Handed []string `json:"handed"` // the lines that are in the spools, or were
	Spools []string `json:"spools"` // those that they were handed to, by the names of their folders
}

// room is a room that wants to hear of the fleet.
type room struct {
	name   string
	room   chat.Room
	only   string
	folder string       // of its spool
	box    *chat.Outbox // nil = closed
}

// newSpeaker makes the speaker of a config whose rooms want to be told by who folds;
// nil when there is none. No room hears anything before hear.
func (p *process) newSpeaker(cfg *config.Config, o fleet.Options, good time.Duration) (*speaker, error) {
	through, err := cli.NetworkOf(cfg.Network).Transport()
	if err != nil {
		return nil, err
	}
	dir, repo := filepath.Join(cfg.StateDir, "addctl"), hash(o.Source.Redacted(), o.Prefix)
	s := &speaker{good: min(good, owedAge/2), file: filepath.Join(dir, "voice-"+repo+".json"), prefix: "chat-" + repo + "-", finished: map[string]bool{}}
	for i, r := range cfg.Chat {
		if r.From == "fleet" {
			name := cli.RoomName(i, r)
			s.rooms = append(s.rooms, room{name: name, room: p.roomOf(name, r.URL, r.URLFile, through), only: r.Only,
				folder: filepath.Join(dir, s.prefix+hash(r.URL, r.URLFile))})
		}
	}
	if len(s.rooms) == 0 {
		return nil, nil
	}
	if err := s.recall(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func hash(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	return hex.EncodeToString(sum[:6])
}

// flushLook is how often it is looked whether a room took a line, or has a trouble.
const flushLook = 100 * time.Millisecond

// recall takes the lock, and what an earlier process knew.
func (s *speaker) recall() error {
	if err := os.MkdirAll(filepath.Dir(s.file), 0o700); err != nil {
		return err
	}
	lock, err := files.TryLock(strings.TrimSuffix(s.file, ".json")+".lock", 0o600)
	if errors.Is(err, files.ErrHeld) {
		return errors.New("another process of this machine tells the rooms")
	}
	if err != nil {
		return err
	}
	s.lock = lock
	data, err := files.ReadSmall(s.file, 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && json.Unmarshal(data, &s.memory) == nil && s.Me != "" {
		return s.discard()
	}
	// A broken file is as none: who it was falls silent, and this one takes over.
	s.memory = memory{Me: author() + "-" + strings.ToLower(rand.Text()[:8])}
	return errors.Join(s.discard(), s.remember())
}

// discard removes the spools of rooms that are no more, or are there again: the lines were not handed to those.
func (s *speaker) discard() error {
	dir := filepath.Dir(s.file)
	all, err := os.ReadDir(dir)
	errs := []error{err}
	for _, f := range all {
		is := func(r room) bool { return filepath.Base(r.folder) == f.Name() && s.knows(r) }
		if strings.HasPrefix(f.Name(), s.prefix) && !slices.ContainsFunc(s.rooms, is) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, f.Name())))
		}
	}
	return errors.Join(errs...)
}

// knows says that a room was handed what others were.
func (s *speaker) knows(r room) bool { return slices.Contains(s.Spools, filepath.Base(r.folder)) }

func (s *speaker) remember() error {
	data, err := json.MarshalIndent(s.memory, "", "    ")
	if err != nil {
		return err
	}
	return files.Replace(s.file, append(data, '\n'), 0o600)
}

// write is said.json as it is to be after a fold of a fleet; the same slice when that is
// not worth a push.
func (s *speaker) write(data []byte, f fleet.Fleet, now time.Time) []byte {
	v := voice{me: s.Me, heard: s.heard, good: s.good}
	for _, r := range s.rooms {
		v.rooms = append(v.rooms, r.name)
	}
	before := parseSaid(data)
	next, ok := before.next(f, now, v)
	clear(s.finished)
	if !ok {
		return data
	}
	after, err := next.encode()
	if err != nil {
		return data // it is made of texts and times, so this cannot be
	}
	left := next.mine(s.Me)
	for id := range before.mine(s.Me) {
		if _, stays := left[id]; !stays {
			s.finished[id] = true
		}
	}
	return after
}

// heard are the rooms that took a line: those that have it, and have nothing left to say.
func (s *speaker) heard(id string) []string {
	var names []string
	for _, r := range s.rooms {
		if r.idle() && slices.Contains(s.Handed, id) {
			names = append(names, r.name)
		}
	}
	return names
}

// idle says that a room has taken, or its spool has given up, all that was put in.
func (r room) idle() bool {
	if r.box == nil {
		return false
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return r.box.Flush(ctx) == nil
}

// hear takes in said.json as it was pushed, or found: what is this one's to say goes
// to the rooms. The error is about the disk; troubles tells how the rooms are.
func (s *speaker) hear(ctx context.Context, data []byte) (err error) {
	defer func() { err = ofRooms(err) }()
	s.mine = parseSaid(data).mine(s.Me)
	var errs []error
	var left []string
	lost := false
	for _, id := range s.Handed {
		switch _, ours := s.mine[id]; {
		case ours:
			left = append(left, id)
		case !s.finished[id]:
			lost = true // another one says it, or has
		}
	}
	clear(s.finished)
	if lost {
		left = nil
		errs = append(errs, s.rest())
		for _, r := range s.rooms {
			errs = append(errs, os.RemoveAll(r.folder))
		}
	}
	changed := len(left) != len(s.Handed)
	s.Handed = left
	if err := s.open(); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, o := range parseSaid(data).Owed {
		if o.By != s.Me {
			continue
		}
		handed := slices.Contains(s.Handed, o.ID)
		for _, r := range s.rooms {
			// A room that is new in the config may be one whose address was mended.
			if !(handed && s.knows(r)) && !slices.Contains(o.Heard, r.name) {
				errs = append(errs, r.say(ctx, o.Message)) // an outbox: it waits for nobody
			}
		}
		if !handed {
			s.Handed, changed = append(s.Handed, o.ID), true
		}
	}
	var spools []string
	for _, r := range s.rooms {
		spools = append(spools, filepath.Base(r.folder))
	}
	if changed || !slices.Equal(spools, s.Spools) {
		s.Spools = spools
		errs = append(errs, s.remember())
	}
	return errors.Join(errs...)
}

func (r room) say(ctx context.Context, m chat.Message) error {
	if r.only == "critical" {
		return chat.Critical{Room: r.box}.Say(ctx, m)
	}
	return r.box.Say(ctx, m)
}

// open opens the spools.
func (s *speaker) open() error {
	for i := range s.rooms {
		r := &s.rooms[i]
		if r.box != nil {
			continue
		}
		box, err := chat.NewOutbox(r.room, r.folder, chat.Limits{})
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		r.box = box
	}
	return nil
}

// rest closes the spools; what is in them stays.
func (s *speaker) rest() error {
	var errs []error
	for i := range s.rooms {
		if r := &s.rooms[i]; r.box != nil {
			errs = append(errs, r.box.Close())
			r.box = nil
		}
	}
	return errors.Join(errs...)
}

// away says that the presence repository could not be asked. A line whose time is over
// may be said by another one by now, so this one is silent until it knows.
func (s *speaker) away(now time.Time) error {
	for _, o := range s.mine {
		if now.After(o.Until) {
			return ofRooms(s.rest())
		}
	}
	return nil
}

// ofRooms names what an error is about.
func ofRooms(err error) error {
	if err != nil {
		return fmt.Errorf("rooms: %w", err)
	}
	return nil
}

// news says that a room took a line, and that said.json does not have that yet.
func (s *speaker) news() bool {
	for id, o := range s.mine {
		for _, room := range s.heard(id) {
			if !slices.Contains(o.Heard, room) {
				return true
			}
		}
	}
	return false
}

// troubles are those that the rooms have now. Each names its room.
func (s *speaker) troubles() error {
	var errs []error
	for _, r := range s.rooms {
		if r.box != nil {
			errs = append(errs, r.box.Trouble())
		}
	}
	return errors.Join(errs...)
}

// wait waits until ctx ends for what is in the spools. Nobody waits for a room that has
// a trouble; what it was not told is on disk.
func (s *speaker) wait(ctx context.Context) {
	look := time.NewTicker(flushLook)
	defer look.Stop()
	for {
		busy := false
		for _, r := range s.rooms {
			busy = busy || r.box != nil && r.box.Trouble() == nil && !r.idle()
		}
		if !busy {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// close gives up the rooms and the lock.
func (s *speaker) close() error {
	err := s.rest()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return ofRooms(err)
}

// author is who commits the fold.
func author() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
