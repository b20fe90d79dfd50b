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
	"github.com/addagent/addagent/internal/chat/chatroom"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// announcer tells chat rooms about the fleet while this control node holds the lease in said.json of the fold. A
// message goes into the spool of its room. It counts as told in state at once, and in said.json when the room took
// it: a control node that takes over repeats messages of which it cannot know that they arrived.
type announcer struct {
	rooms  []*room
	lasts  time.Duration // the lease
	file   files.Remembered[state]
	lock   *files.Lock // no other process of this machine tells the rooms
	prefix string      // of the names of spools
	state
	said  said           // as of the last fold
	fleet presence.Fleet // of that fold
	offer []presence.ServiceStatus
	at    time.Time      // of that fold
	seen  gitstore.Lease // last
	since time.Time      // it is unchanged, for this process
}

// state is what an announcer knows after a restart.
type state struct {
	Me    string                 `json:"me"`    // the holder in said.json
	Taken time.Time              `json:"taken"` // of the lease during which the rooms were told
	Told  map[string][]announced `json:"told"`  // by the name of the spool
}

// room is a room of the config with from: fleet.
type room struct {
	name         string // in said.json
	room         chat.Room
	onlyCritical bool
	spool        string       // name of the folder
	box          *chat.Outbox // nil = closed
}

// newAnnouncer makes the announcer of a config; nil without a room with from: fleet.
func newAnnouncer(setup *Setup, cfg *config.Config, o fold.Options, lasts time.Duration) (*announcer, error) {
	through, err := transport.Transport(cfg.Network)
	if err != nil {
		return nil, err
	}
	dir, repo := filepath.Join(cfg.StateDir, "addctl"), hash(o.Source.Redacted(), o.Prefix)
	s := &announcer{lasts: min(lasts, longLease), file: stateFile(filepath.Join(dir, "voice-"+repo+".json")), prefix: "chat-" + repo + "-"}
	for i, r := range cfg.Chat {
		if r.From == "fleet" {
			s.rooms = append(s.rooms, &room{name: fmt.Sprintf("room %d", i+1), room: setup.Room(chatroom.Name(i, r), r.URL, r.URLFile, through),
				onlyCritical: r.Only == "critical", spool: s.prefix + hash(r.URL, r.URLFile)})
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

// recall takes the lock, and reads the state of an earlier process.
func (s *announcer) recall() error {
	if err := os.MkdirAll(filepath.Dir(s.file.Path), 0o700); err != nil {
		return err
	}
	lock, err := files.TryLock(strings.TrimSuffix(s.file.Path, ".json") + ".lock")
	if errors.Is(err, files.ErrHeld) {
		return errors.New("another process on this machine sends the messages")
	}
	if err != nil {
		return err
	}
	s.lock = lock
	s.state, _, err = s.file.Recall()
	if err != nil && !errors.As(err, new(*files.Corrupt)) {
		return err
	}
	if s.Me == "" {
		// Under a new name it waits until the lease of the old one ends.
		host, _ := os.Hostname() // "" where that is not known
		s.state = state{Me: host + "-" + strings.ToLower(rand.Text()[:8])}
	}
	told := map[string][]announced{}
	for _, r := range s.rooms {
		if all, known := s.Told[r.spool]; known {
			told[r.spool] = all
		}
	}
	s.Told = told
	return errors.Join(s.discard(), s.file.Save(s.state))
}

func stateFile(path string) files.Remembered[state] {
	return files.Remembered[state]{Path: path, Limit: 4 << 20, Indent: "    "}
}

// discard removes the spools without an entry in Told: those of rooms that left the config, and of an earlier lease.
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

// publish returns said.json for a fold of a fleet; the same slice if nothing changes.
func (s *announcer) publish(data []byte, f presence.Fleet, offered presence.Endpoints, now time.Time) []byte {
	s.said, s.fleet, s.offer, s.at = parseSaid(data), f, presence.ServicesOf(offered, f, now), now
	if s.said.Lease != s.seen || now.Before(s.since) {
		s.seen, s.since = s.said.Lease, now
	}
	lease, ok := takeLease(s.said.Lease, s.Me, now, s.lasts, now.Sub(s.since))
	if !ok {
		return data
	}
	next := said{Lease: lease, Rooms: map[string][]announced{}}
	for _, r := range s.rooms {
		if heard, known := s.said.Rooms[r.name]; known {
			next.Rooms[r.name] = heard
		}
		if lease.Taken.Equal(s.Taken) && s.unpublishedOf(r) {
			next.Rooms[r.name] = s.Told[r.spool]
		}
	}
	after, err := next.encode()
	if err != nil || bytes.Equal(after, data) {
		return data // texts and times can always be encoded
	}
	return after
}

// unpublishedOf tells whether a room took messages of which said.json does not know.
func (s *announcer) unpublishedOf(r *room) bool {
	told, is := s.Told[r.spool]
	heard, known := s.said.Rooms[r.name]
	return is && r.idle() && (!known || !sameAnnounced(told, heard))
}

// unpublished tells the same of any room.
func (s *announcer) unpublished() bool { return slices.ContainsFunc(s.rooms, s.unpublishedOf) }

// idle tells whether the spool is open and empty.
func (r *room) idle() bool {
	if r.box == nil {
		return false
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return r.box.Flush(ctx) == nil
}

// announce takes said.json as it was pushed, or found, and puts messages about what is new into the spools. The error
// is about the disk; troubles are those of the rooms.
func (s *announcer) announce(ctx context.Context, data []byte) (err error) {
	defer func() { err = ofRooms(err) }()
	s.said = parseSaid(data)
	ours := s.said.Lease.Holder == s.Me
	if !ours || !s.said.Lease.Taken.Equal(s.Taken) {
		// Another control node says, or has said, what is in the spools.
		err := s.closeSpools()
		s.Told = map[string][]announced{}
		if ours {
			s.Taken = s.said.Lease.Taken
		}
		if err := errors.Join(err, s.discard()); err != nil || !ours {
			return err
		}
	}
	if err := s.openSpools(); err != nil {
		return err
	}
	var errs []error
	changed := false
	for _, r := range s.rooms {
		before, known := s.Told[r.spool]
		if !known {
			before = s.said.Rooms[r.name]
		}
		after, messages := compose(before, s.fleet, s.offer, r.onlyCritical, s.at)
		for _, m := range messages {
			errs = append(errs, r.box.Say(ctx, m)) // it waits for the disk only
		}
		s.Told[r.spool] = after
		changed = changed || !known || !slices.Equal(before, after)
	}
	if changed {
		errs = append(errs, s.file.Save(s.state))
	}
	return errors.Join(errs...)
}

func (s *announcer) openSpools() error {
	for _, r := range s.rooms {
		if r.box != nil {
			continue
		}
		box, err := chat.NewOutbox(r.room, filepath.Join(filepath.Dir(s.file.Path), r.spool), chat.Limits{})
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		r.box = box
	}
	return nil
}

// closeSpools keeps what is in them.
func (s *announcer) closeSpools() error {
	var errs []error
	for _, r := range s.rooms {
		if r.box != nil {
			errs = append(errs, r.box.Close())
			r.box = nil
		}
	}
	return errors.Join(errs...)
}

// unreachable is called when the presence repository cannot be asked. From the end of its lease on this control node
// is silent until it can: another one may hold the lease.
func (s *announcer) unreachable(now time.Time) error {
	if now.After(s.said.Lease.Until) {
		return ofRooms(s.closeSpools())
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

// troubles are those of the rooms. Each names its room.
func (s *announcer) troubles() error {
	var errs []error
	for _, r := range s.rooms {
		if r.box != nil {
			errs = append(errs, r.box.Trouble())
		}
	}
	return errors.Join(errs...)
}

// flushInterval is how often wait looks at the spools.
const flushInterval = 100 * time.Millisecond

// wait waits until the spools are empty, or ctx ends. It does not wait for a room in trouble, whose messages are on
// disk.
func (s *announcer) wait(ctx context.Context) {
	look := time.NewTicker(flushInterval)
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

// close releases the spools and the lock.
func (s *announcer) close() error {
	err := s.closeSpools()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return ofRooms(err)
}

const (
	// longLease bounds the lease: a longer one was made by a wrong clock, or by people who push to the branch.
	longLease = 12 * time.Hour
	saidType  = "nodefoldsaid"
)

// said is said.json of the fold: which control node tells the rooms, and what each room was told. It is pushed with
// the fold in one compare-and-swap, so only one of several control nodes can take the lease.
type said struct {
	Lease gitstore.Lease         `json:"lease"`
	Rooms map[string][]announced `json:"rooms"` // by "room N", as in the config
}

// parseSaid reads said.json. A broken one was made by people who push to the branch; it counts as empty.
func parseSaid(data []byte) said {
	var s said
	if presence.DecodeDocument(data, saidType, &s) != nil {
		return said{}
	}
	return s
}

func (s said) encode() ([]byte, error) { return presence.EncodeDocument(saidType, s) }

// takeLease returns the lease as a control node holds it from now on; ok is false if another one holds it. The holder
// renews it when half of it is over, which is as often as a quiet fold is pushed. So one that was seen unchanged for
// twice its length has no holder, whatever its clock said.
func takeLease(l gitstore.Lease, me string, now time.Time, lasts, unchanged time.Duration) (_ gitstore.Lease, ok bool) {
	left := l.Until.Sub(now)
	switch {
	case l.Holder != me && !l.Ended(now) && left <= longLease && unchanged < 2*lasts:
		return l, false
	case l.Holder != me:
		l = gitstore.Lease{Holder: me, Purpose: "tells the rooms of the fleet", Taken: now}
	case left >= lasts/2 && left <= lasts:
		return l, true
	}
	l.Until = now.Add(lasts)
	return l, true
}

// sameAnnounced compares what a room was told, without the groups of which no node is left.
func sameAnnounced(a, b []announced) bool {
	left := func(all []announced) []announced {
		return slices.DeleteFunc(slices.Clone(all), func(s announced) bool { return s.N == 0 })
	}
	return slices.EqualFunc(left(a), left(b), func(a, b announced) bool { return a.group == b.group && a.N == b.N && a.Said.Equal(b.Said) })
}
