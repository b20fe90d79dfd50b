package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
)

// announcer tells the rooms of the config of the fleet, while this control node holds the lease in said.json of the
// fold. What a room is to be told goes into its spool. What it was told goes into memory at once, and into said.json
// when the room has taken it: a control node that takes over says again what it cannot know to be heard.
type announcer struct {
	rooms  []room
	lasts  time.Duration // the lease
	file   files.Remembered[memory]
	lock   *files.Lock // no other process of this machine tells the rooms
	prefix string      // of the names of spools
	memory
	said  said           // as of the last fold
	fleet presence.Fleet // of that fold
	at    time.Time      // of that fold
}

// memory is what an announcer knows after a restart.
type memory struct {
	Me    string                 `json:"me"`    // the holder in said.json
	Taken time.Time              `json:"taken"` // of the lease during which the rooms were told
	Told  map[string][]announced `json:"told"`  // by the name of the spool's folder
}

// room is a room that wants to hear of the fleet.
type room struct {
	name   string // in said.json
	room   chat.Room
	only   string
	folder string       // of its spool
	box    *chat.Outbox // nil = closed
}

// newAnnouncer makes the announcer of a config that has rooms with from: fleet; nil when it has none.
func newAnnouncer(setup *Setup, cfg *config.Config, o fold.Options, lasts time.Duration) (*announcer, error) {
	through, err := transport.Transport(cfg.Network)
	if err != nil {
		return nil, err
	}
	dir, repo := filepath.Join(cfg.StateDir, "addctl"), hash(o.Source.Redacted(), o.Prefix)
	s := &announcer{lasts: min(lasts, longLease), file: keptMemory(filepath.Join(dir, "voice-"+repo+".json")), prefix: "chat-" + repo + "-"}
	for i, r := range cfg.Chat {
		if r.From == "fleet" {
			s.rooms = append(s.rooms, room{name: fmt.Sprintf("room %d", i+1), room: setup.Room(cli.RoomName(i, r), r.URL, r.URLFile, through),
				only: r.Only, folder: filepath.Join(dir, s.prefix+hash(r.URL, r.URLFile))})
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
func (s *announcer) recall() error {
	if err := os.MkdirAll(filepath.Dir(s.file.Path), 0o700); err != nil {
		return err
	}
	lock, err := files.TryLock(strings.TrimSuffix(s.file.Path, ".json")+".lock", 0o600)
	if errors.Is(err, files.ErrHeld) {
		return errors.New("another process of this machine tells the rooms")
	}
	if err != nil {
		return err
	}
	s.lock = lock
	s.memory, _, err = s.file.Recall()
	if err != nil && !errors.As(err, new(*files.Corrupt)) {
		return err
	}
	if s.Me == "" {
		// Under a new name it waits for the lease of the old one to end.
		s.memory = memory{Me: hostname() + "-" + strings.ToLower(rand.Text()[:8])}
	}
	told := map[string][]announced{}
	for _, r := range s.rooms {
		if all, known := s.Told[r.spool()]; known {
			told[r.spool()] = all
		}
	}
	s.Told = told
	return errors.Join(s.discard(), s.file.Save(s.memory))
}

func keptMemory(path string) files.Remembered[memory] {
	return files.Remembered[memory]{Path: path, Limit: 4 << 20, Indent: "    "}
}

// discard removes the spools of rooms that are not known to have been told anything: those of rooms that are no
// longer in the config, and those of an earlier lease.
func (s *announcer) discard() error {
	dir := filepath.Dir(s.file.Path)
	all, err := os.ReadDir(dir)
	errs := []error{err}
	for _, f := range all {
		if _, known := s.Told[f.Name()]; !known && strings.HasPrefix(f.Name(), s.prefix) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, f.Name())))
		}
	}
	return errors.Join(errs...)
}

// write returns said.json as it is to be with a fold of a fleet; the same slice where it stays as it is.
func (s *announcer) write(data []byte, f presence.Fleet, now time.Time) []byte {
	s.said, s.fleet, s.at = parseSaid(data), f, now
	lease, ok := takeLease(s.said.Lease, s.Me, now, s.lasts)
	if !ok {
		return data
	}
	next := said{Lease: lease, Rooms: map[string][]announced{}}
	for _, r := range s.rooms {
		if heard, known := s.said.Rooms[r.name]; known {
			next.Rooms[r.name] = heard
		}
		if lease.Taken.Equal(s.Taken) && s.newsOf(r) {
			next.Rooms[r.name] = s.Told[r.spool()]
		}
	}
	after, err := next.encode()
	if err != nil || bytes.Equal(after, data) {
		return data // an error cannot be: it is made of texts and times
	}
	return after
}

// newsOf says that a room took what it was told, and that said.json does not say so yet.
func (s *announcer) newsOf(r room) bool {
	told, is := s.Told[r.spool()]
	heard, known := s.said.Rooms[r.name]
	return is && r.idle() && (!known || !sameAnnounced(told, heard))
}

// news says the same of any room.
func (s *announcer) news() bool { return slices.ContainsFunc(s.rooms, s.newsOf) }

// idle says that a room has taken, or its spool has given up, all that was put in.
func (r room) idle() bool {
	if r.box == nil {
		return false
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return r.box.Flush(ctx) == nil
}

// announce takes in said.json as it was pushed, or found, and puts what is new in the fleet into the spools. The
// error is about the disk; troubles tells how the rooms are.
func (s *announcer) announce(ctx context.Context, data []byte) (err error) {
	defer func() { err = ofRooms(err) }()
	s.said = parseSaid(data)
	ours := s.said.Lease.Holder == s.Me
	if !ours || !s.said.Lease.Taken.Equal(s.Taken) {
		// What is in the spools another control node says, or has said.
		err := s.rest()
		s.Told = map[string][]announced{}
		if ours {
			s.Taken = s.said.Lease.Taken
		}
		if err := errors.Join(err, s.discard()); err != nil || !ours {
			return err
		}
	}
	if err := s.open(); err != nil {
		return err
	}
	var errs []error
	changed := false
	for _, r := range s.rooms {
		before, known := s.Told[r.spool()]
		if !known {
			before = s.said.Rooms[r.name]
		}
		after, messages := compose(before, s.fleet, s.at)
		for _, m := range messages {
			errs = append(errs, r.say(ctx, m)) // a spool: it waits for nobody
		}
		s.Told[r.spool()] = after
		changed = changed || !known || !slices.Equal(before, after)
	}
	if changed {
		errs = append(errs, s.file.Save(s.memory))
	}
	return errors.Join(errs...)
}

// spool is the name of the folder of its spool.
func (r room) spool() string { return filepath.Base(r.folder) }

func (r room) say(ctx context.Context, m chat.Message) error {
	if r.only == "critical" {
		return chat.Critical{Room: r.box}.Say(ctx, m)
	}
	return r.box.Say(ctx, m)
}

// open opens the spools.
func (s *announcer) open() error {
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
func (s *announcer) rest() error {
	var errs []error
	for i := range s.rooms {
		if r := &s.rooms[i]; r.box != nil {
			errs = append(errs, r.box.Close())
			r.box = nil
		}
	}
	return errors.Join(errs...)
}

// away says that the presence repository could not be asked. When its lease may be over this control node is silent
// until it knows.
func (s *announcer) away(now time.Time) error {
	if now.After(s.said.Lease.Until) {
		return ofRooms(s.rest())
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

// troubles are those that the rooms have now. Each names its room.
func (s *announcer) troubles() error {
	var errs []error
	for _, r := range s.rooms {
		if r.box != nil {
			errs = append(errs, r.box.Trouble())
		}
	}
	return errors.Join(errs...)
}

// wait waits until ctx ends for what is in the spools. Nobody waits for a room that has a trouble; what it was not
// told is on disk.
func (s *announcer) wait(ctx context.Context) {
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
func (s *announcer) close() error {
	err := s.rest()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return ofRooms(err)
}

// hostname is who commits the fold; "" = not known.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
