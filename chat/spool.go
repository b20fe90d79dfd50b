package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
)

// spool is a folder of messages that wait: one small file each, 000000000017.json, numbered in the order they came. It
// is written by rename, so a file is whole or not there, whoever is killed; without fsync, because a power cut may cost
// a line in a room. Nothing here waits for anything but the disk.
type spool struct {
	folder  string
	lock    *files.Lock
	entries []entry // in order
	bytes   int64
	next    uint64
	stale   []uint64 // files of messages that are gone, to be removed
	lost    int      // messages that were dropped, until somebody was told
	noted   int      // lost, as the disk has it
	trouble error    // with the disk, as of the last sync
	odd     error    // files that were set aside
	clock   clock
}

type entry struct {
	id      uint64
	size    int64
	saved   bool          // on disk; else only here, because the disk took nothing
	sending bool          // a try is under way, so it is not dropped
	put     moment        // by this process; zero = by an earlier one
	at      time.Duration // by the clock of the spool
	refused int           // how often the service refused it, perhaps for what it holds
	after   int           // how many messages it had taken when it first did
	Message
}

const (
	// mostEntry is more than a full message of 16,000 characters of four bytes, all escaped.
	mostEntry = 512 << 10
	// mostAside is how many corrupt files are kept for whoever wants to know why.
	mostAside = 8
	lostFile  = "lost"
)

// openSpool takes a folder, which is made, and reads what an earlier process left there. Only one process may hold it.
func openSpool(folder string, now moment, l Limits) (*spool, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("chat spool: %w", err)
	}
	lock, err := files.TryLockFolder(folder)
	if err != nil {
		return nil, fmt.Errorf("chat spool %s: %w", folder, err)
	}
	s := &spool{folder: folder, lock: lock, next: 1}
	if err := s.load(now, l.Age); err != nil {
		lock.Close()
		return nil, err
	}
	s.bound(l)
	s.sync(now)
	return s, nil
}

func (s *spool) load(now moment, age time.Duration) error {
	if _, err := files.Sweep(s.folder, now.wall.Add(-time.Hour)); err != nil {
		s.odd = fmt.Errorf("chat spool: %w", err)
	}
	list, err := os.ReadDir(s.folder)
	if err != nil {
		return fmt.Errorf("chat spool: %w", err)
	}
	for _, f := range list {
		id, ok := entryID(f.Name())
		if !ok {
			continue
		}
		s.next = max(s.next, id+1)
		e, err := readEntry(filepath.Join(s.folder, f.Name()))
		if err != nil {
			s.setAside(f.Name(), err)
			continue
		}
		e.id = id
		s.entries = append(s.entries, e)
		s.bytes += e.size
	}
	s.wind(now, age)
	if data, err := files.ReadSmall(filepath.Join(s.folder, lostFile), 64); err == nil {
		n, _ := strconv.Atoi(strings.TrimSpace(string(data))) // of a garbled one nothing is known
		s.lost, s.noted = max(0, n), n
	}
	s.trimAside()
	return nil
}

func entryName(id uint64) string { return fmt.Sprintf("%012d.json", id) }

func entryID(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".json")
	if !ok || len(digits) != 12 {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, err == nil
}

func readEntry(path string) (entry, error) {
	data, err := files.ReadSmall(path, mostEntry)
	if err != nil {
		return entry{}, err
	}
	var w written
	if err := json.Unmarshal(data, &w); err != nil {
		return entry{}, errors.New("no message in it")
	}
	if empty(w.Message) {
		return entry{}, ErrEmpty
	}
	e := entry{size: int64(len(data)), saved: true, at: unknown, Message: w.Message}
	if w.At != nil && w.At.sane() {
		e.at = w.At.duration()
	}
	return e, nil
}

// written is the form of an entry on disk.
type written struct {
	Message
	At *seconds `json:"at,omitempty"` // by the clock of the spool; agents before this one wrote none
}

func (e entry) encode() ([]byte, error) {
	at := secondsOf(e.at)
	return json.Marshal(written{e.Message, &at})
}

func (s *spool) setAside(name string, why error) {
	path := filepath.Join(s.folder, name)
	if _, err := files.SetAside(path, "corrupt"); err != nil {
		s.odd = fmt.Errorf("chat spool: %w", err)
		return
	}
	s.odd = fmt.Errorf("chat spool: %s was corrupt and is set aside as %s.corrupt: %w", path, name, why)
}

// trimAside keeps the newest corrupt files only, so that a bad disk does not fill itself.
func (s *spool) trimAside() {
	old, err := filepath.Glob(filepath.Join(s.folder, "*.json.corrupt"))
	if err != nil || len(old) <= mostAside {
		return
	}
	slices.Sort(old) // by number
	for _, path := range old[:len(old)-mostAside] {
		if err := os.RemoveAll(path); err != nil {
			s.odd = fmt.Errorf("chat spool: %w", err)
		}
	}
}

// put takes a message in. It cannot fail: what the disk does not take stays in memory.
func (s *spool) put(m Message, now moment, l Limits) {
	e := entry{id: s.next, put: now, at: s.clock.at(now), Message: m}
	if data, err := e.encode(); err == nil {
		e.size = int64(len(data))
	}
	s.next++
	s.entries = append(s.entries, e)
	s.bytes += e.size
	s.bound(l)
	s.sync(now)
}

// sync makes the disk what memory is. What it does not take now is tried again by the next one.
func (s *spool) sync(now moment) {
	s.trouble = errors.Join(s.write(), s.clean(), s.note(), s.noteClock(now))
}

func (s *spool) write() error {
	for i := range s.entries {
		e := &s.entries[i]
		if e.saved {
			continue
		}
		data, err := e.encode()
		if err == nil {
			err = files.Replace(filepath.Join(s.folder, entryName(e.id)), data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("chat spool: kept in memory only: %w", err) // on a full disk each would fail
		}
		e.saved = true
	}
	return nil
}

func (s *spool) clean() error {
	var problem error
	s.stale = slices.DeleteFunc(s.stale, func(id uint64) bool {
		err := os.Remove(filepath.Join(s.folder, entryName(id)))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return true
		}
		problem = fmt.Errorf("chat spool: a restart would say again what was said: %w", err)
		return false
	})
	return problem
}

func (s *spool) note() error {
	if s.noted == s.lost {
		return nil
	}
	path := filepath.Join(s.folder, lostFile)
	var err error
	if s.lost == 0 {
		err = os.Remove(path)
	} else {
		err = files.Replace(path, []byte(strconv.Itoa(s.lost)+"\n"), 0o600)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("chat spool: %w", err)
	}
	s.noted = s.lost
	return nil
}

// bound drops messages until the rest is within its bounds: the oldest chatty one first, critical ones last. One that is
// being said, and the last one that there is, stay.
func (s *spool) bound(l Limits) {
	for len(s.entries) > 1 && (len(s.entries) > l.Messages || s.bytes > l.Bytes) {
		i := slices.IndexFunc(s.entries, func(e entry) bool { return !e.sending && !e.Critical })
		if i < 0 {
			i = slices.IndexFunc(s.entries, func(e entry) bool { return !e.sending })
		}
		if i < 0 {
			return
		}
		s.drop(i)
		s.lost++
	}
}

// expire drops what is too old to be news.
func (s *spool) expire(now moment, age time.Duration) {
	for i := len(s.entries) - 1; i >= 0; i-- {
		if e := s.entries[i]; !e.sending && s.clock.at(now)-e.at > age {
			s.drop(i)
			s.lost++
		}
	}
}

// drop forgets the entry at a place; sync takes it off the disk.
func (s *spool) drop(i int) {
	e := s.entries[i]
	s.entries = slices.Delete(s.entries, i, i+1)
	s.bytes -= e.size
	if e.saved {
		s.stale = append(s.stale, e.id)
	}
}

// close gives the folder to the next process.
func (s *spool) close(now moment) error {
	s.sync(now)
	s.lock.Close() // the lock goes with it
	return s.trouble
}
