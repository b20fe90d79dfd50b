package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
)

// spool is the messages that wait, in memory and in one file. The file is written by rename, so it is whole whoever is
// killed, and without fsync, because a power cut may cost a line in a room. It is bounded, so it is small enough to be
// written as a whole.
type spool struct {
	folder  string
	lock    *files.Lock
	waiting []*entry // oldest first
	bytes   int64
	lost    int       // messages that were dropped since the room was last told
	changed bool      // the file is not what memory is
	written time.Time // when it was
	old     []string  // files of an earlier version, to be removed once their messages are in ours
	trouble error     // with the disk, as of the last save
	corrupt error     // the file was set aside
}

// entry is a message that waits. Its times have the reading of the monotonic clock where this process put it: a machine
// without a battery boots in some year of the past and is set right a minute later, and must not take its messages for
// years old.
type entry struct {
	Message
	put     time.Time // where it is loaded from the file, its age as counted there is subtracted from now
	size    int64
	sending bool // a try is under way, so it is not dropped
	refused int  // how often the service refused it, perhaps for what it holds
	after   int  // how many messages it had taken when it first did
}

// spoolFile is the form of the file.
type spoolFile struct {
	Written  time.Time    `json:"written"`
	Lost     int          `json:"lost,omitempty"`
	Messages []savedEntry `json:"messages"`
}

type savedEntry struct {
	Message
	Age int64 `json:"age"` // in seconds, when the file was written
}

const (
	spoolName = "messages.json"
	// spoolLimit is far above what Limits let a file have: what is larger is not ours.
	spoolLimit = 16 << 20
	// saveEach is how often the file is written while something waits, so that a restart knows how old that is.
	saveEach = time.Hour
)

// openSpool takes a folder, which is made, and reads what an earlier process left there. Only one process may hold it.
func openSpool(folder string, now time.Time, l Limits) (*spool, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("chat spool: %w", err)
	}
	lock, err := files.TryLockFolder(folder)
	if err != nil {
		return nil, fmt.Errorf("chat spool %s: %w", folder, err)
	}
	s := &spool{folder: folder, lock: lock}
	s.takeOver(now, l.Age)
	s.load(now, l.Age)
	s.bound(l)
	s.save(now)
	return s, nil
}

// readSpool reads the file of a folder; there may be none.
func readSpool(folder string) (spoolFile, error) {
	var f spoolFile
	data, err := files.ReadSmall(filepath.Join(folder, spoolName), spoolLimit)
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return spoolFile{}, nil
	}
	return f, err
}

// Waiting returns how many messages wait in the folder of an Outbox that another process may hold, and since when.
func Waiting(folder string) (int, time.Time) {
	f, err := readSpool(folder)
	if err != nil || len(f.Messages) == 0 {
		return 0, time.Time{}
	}
	return len(f.Messages), f.Messages[0].Time
}

func (s *spool) load(now time.Time, most time.Duration) {
	_, _ = files.Sweep(s.folder, now.Add(-time.Hour)) // what a killed process left only takes space
	f, err := readSpool(s.folder)
	if err != nil {
		aside, asideErr := files.SetAside(filepath.Join(s.folder, spoolName), "corrupt")
		if s.corrupt = fmt.Errorf("chat spool: it was corrupt and is set aside as %s: %w", aside, err); asideErr != nil {
			s.corrupt = fmt.Errorf("chat spool: %w", asideErr)
		}
		return
	}
	// The wall clock may have been set between two processes. Back counts as no time, and ahead as a part of what a
	// message may live: one jump drops nothing, and no machine keeps a message forever.
	off := clamp(now.Sub(f.Written), most/4)
	for _, m := range f.Messages {
		s.add(m.Message, now.Add(-off-clamp(time.Duration(min(m.Age, int64(most/time.Second)))*time.Second, most)))
	}
	s.lost += max(f.Lost, 0)
	s.changed = s.changed || len(f.Messages) > 0
}

func clamp(d, most time.Duration) time.Duration { return min(max(d, 0), most) }

// takeOver reads the messages of an earlier version, which kept each in a file of its own.
func (s *spool) takeOver(now time.Time, most time.Duration) {
	s.old, _ = filepath.Glob(filepath.Join(s.folder, strings.Repeat("[0-9]", 12)+".json")) // sorted; the pattern is well-formed
	for _, path := range s.old {
		var m Message
		if data, err := files.ReadSmall(path, spoolLimit); err == nil && json.Unmarshal(data, &m) == nil {
			s.add(m, now.Add(-clamp(now.Sub(m.Time), most/4)))
		}
	}
	if len(s.old) > 0 {
		s.old = append(s.old, filepath.Join(s.folder, "clock"), filepath.Join(s.folder, "lost"))
	}
}

// add takes a message in that was put at a time.
func (s *spool) add(m Message, put time.Time) {
	if empty(m) {
		return
	}
	e := &entry{Message: m, put: put}
	if data, err := json.Marshal(m); err == nil {
		e.size = int64(len(data))
	}
	s.waiting = append(s.waiting, e)
	s.bytes += e.size
	s.changed = true
}

// put takes a message in. It cannot fail: what the disk does not take stays in memory.
func (s *spool) put(m Message, now time.Time, l Limits) {
	s.add(m, now)
	s.bound(l)
	s.save(now)
}

// save makes the file what memory is. What the disk does not take now is tried again at the next one.
func (s *spool) save(now time.Time) {
	if len(s.waiting) > 0 && now.Sub(s.written) >= saveEach {
		s.changed = true
	}
	if !s.changed {
		return
	}
	s.trouble = s.write(now)
	if s.trouble == nil {
		s.changed, s.written = false, now
	}
}

func (s *spool) write(now time.Time) error {
	path := filepath.Join(s.folder, spoolName)
	var errs []error
	if len(s.waiting) == 0 && s.lost == 0 {
		errs = append(errs, os.Remove(path))
	} else {
		f := spoolFile{Written: now.UTC(), Lost: s.lost}
		for _, e := range s.waiting {
			m := e.Message
			m.Time = e.when(now)
			f.Messages = append(f.Messages, savedEntry{m, int64(now.Sub(e.put) / time.Second)})
		}
		data, err := json.Marshal(f)
		if err == nil {
			err = files.Replace(path, append(data, '\n'), 0o600)
		}
		if err != nil {
			return fmt.Errorf("chat spool: kept in memory only: %w", err)
		}
	}
	for _, path := range s.old {
		errs = append(errs, os.Remove(path))
	}
	for _, err := range errs {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("chat spool: a restart would say again what was said: %w", err)
		}
	}
	s.old = nil
	return nil
}

// when is the time of a message by the wall clock as it is now. A clock that only drifts changes nothing: Matrix knows
// a message that is tried again by its time.
func (e *entry) when(now time.Time) time.Time {
	put := e.Time.UTC().Round(0)
	if at := now.Add(-now.Sub(e.Time)).UTC().Round(0); at.Sub(put).Abs() >= time.Minute {
		return at
	}
	return put
}

// first is the message to say next. What the service refused for what it holds comes after all others, so that it does
// not keep the room from them.
func (s *spool) first() *entry {
	if len(s.waiting) == 0 {
		return nil
	}
	return slices.MinFunc(s.waiting, func(a, b *entry) int { return a.refused - b.refused })
}

// bound drops messages until the rest is within its bounds: the oldest chatty one first, critical ones last. One that
// is being said, and the last one that there is, stay.
func (s *spool) bound(l Limits) {
	for len(s.waiting) > 1 && (len(s.waiting) > l.Messages || s.bytes > l.Bytes) {
		i := slices.IndexFunc(s.waiting, func(e *entry) bool { return !e.sending && !e.Critical })
		if i < 0 {
			i = slices.IndexFunc(s.waiting, func(e *entry) bool { return !e.sending })
		}
		if i < 0 {
			return
		}
		s.drop(s.waiting[i])
	}
}

// expire drops what is too old to be news.
func (s *spool) expire(now time.Time, age time.Duration) {
	for _, e := range slices.Clone(s.waiting) {
		if !e.sending && now.Sub(e.put) > age {
			s.drop(e)
		}
	}
}

// drop gives up a message.
func (s *spool) drop(e *entry) {
	s.remove(e)
	s.lost++
}

func (s *spool) remove(e *entry) {
	s.waiting = slices.DeleteFunc(s.waiting, func(other *entry) bool { return other == e })
	s.bytes -= e.size
	s.changed = true
}

// close gives the folder to the next process.
func (s *spool) close(now time.Time) error {
	s.save(now)
	s.lock.Close() // the lock goes with it
	return s.trouble
}
