package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/retry"
)

// spool is the waiting messages, in memory and in one file. The file is replaced atomically, but without fsync: a power
// cut may cost a line in a room. It is small enough to be written as a whole.
type spool struct {
	folder  string
	lock    *files.Lock
	waiting []*entry // oldest first
	bytes   int64
	lost    int       // messages dropped since the room was last told
	changed bool      // memory and the file differ
	written time.Time // when the file was written
	trouble error     // with the disk, at the last save
	corrupt error     // the file was corrupt

	failed error       // of the last try, also by an earlier process
	pause  retry.Pause // no try before it ends
}

// entry is a waiting message. If this process put it, its times have monotonic clock readings: a machine without a
// battery boots in the past and sets its clock a minute later, which must not make its messages years old.
type entry struct {
	Message
	put     time.Time // of a loaded message: when it was loaded, less its age in the file
	size    int64
	sending bool // being sent, so it is not dropped
	refused int  // how often the service refused it, perhaps because of its content
	after   int  // how many messages the service had taken at the first refusal
}

// spoolFile is the content of the file.
type spoolFile struct {
	Written time.Time `json:"written"`
	Lost    int       `json:"lost,omitempty"`
	// Pause follows the last try, if that failed. What only a person can fix is not saved: a new process tries once,
	// and finds out whether it is fixed.
	Pause    retry.Pause  `json:"pause,omitzero"`
	Messages []savedEntry `json:"messages"`
}

type savedEntry struct {
	Message
	Age int64 `json:"age"` // seconds, when the file was written
}

const (
	spoolName = "messages.json"
	// spoolLimit is far above what Limits allow: a larger file is not ours.
	spoolLimit = 16 << 20
	// saveEach is how often the file is written while messages wait, so that a restart knows their age.
	saveEach = time.Hour
)

// openSpool creates and locks a folder, and loads what an earlier process left there.
func openSpool(folder string, now time.Time, l Limits) (*spool, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("chat spool: %w", err)
	}
	lock, err := files.TryLock(filepath.Join(folder, "lock"))
	if err != nil {
		return nil, fmt.Errorf("chat spool %s: %w", folder, err)
	}
	s := &spool{folder: folder, lock: lock}
	s.load(now, l.Age)
	s.bound(l)
	s.save(now)
	return s, nil
}

func spoolAt(folder string) files.Remembered[spoolFile] {
	return files.Remembered[spoolFile]{Path: filepath.Join(folder, spoolName), What: "chat spool", Limit: spoolLimit}
}

// Waiting returns how many messages wait in the folder of an Outbox, and since when. Another process may hold it.
func Waiting(folder string) (int, time.Time) {
	f, _, err := spoolAt(folder).Peek()
	if err != nil || len(f.Messages) == 0 {
		return 0, time.Time{}
	}
	return len(f.Messages), f.Messages[0].Time
}

func (s *spool) load(now time.Time, most time.Duration) {
	_ = files.Sweep(s.folder, now.Add(-time.Hour)) // temporary files of a killed process only take space
	var f spoolFile
	f, _, s.corrupt = spoolAt(s.folder).Recall()
	// The wall clock may have been set between two processes. A jump back counts as no time, a jump ahead as at most a
	// quarter of a message's life: one jump drops nothing, and no machine keeps a message forever.
	off := clamp(now.Sub(f.Written), most/4)
	for _, m := range f.Messages {
		s.add(m.Message, now.Add(-off-clamp(time.Duration(min(m.Age, int64(most/time.Second)))*time.Second, most)))
	}
	s.lost += max(f.Lost, 0)
	if f.Pause.Failures > 0 {
		s.pause, s.failed = f.Pause, &Trouble{Err: f.Pause.Because()}
	}
	s.changed = s.changed || len(f.Messages) > 0
}

func clamp(d, most time.Duration) time.Duration { return min(max(d, 0), most) }

// add takes in a message that was put at a time.
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

// put takes in a message. It cannot fail: without a disk the message stays in memory.
func (s *spool) put(m Message, now time.Time, l Limits) {
	s.add(m, now)
	s.bound(l)
	s.save(now)
}

// save brings the file up to date. After a failure the next save tries again.
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
	file := spoolAt(s.folder)
	if len(s.waiting) == 0 && s.lost == 0 {
		if err := os.Remove(file.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("chat spool: a restart would repeat messages: %w", err)
		}
		return nil
	}
	f := spoolFile{Written: now.UTC(), Lost: s.lost}
	if !Permanent(s.failed) {
		f.Pause = s.pause
	}
	for _, e := range s.waiting {
		m := e.Message
		m.Time = e.when(now)
		f.Messages = append(f.Messages, savedEntry{m, int64(now.Sub(e.put) / time.Second)})
	}
	data, err := json.Marshal(f)
	if err == nil {
		// Not Save, which would make a new folder without our lock.
		err = files.Replace(file.Path, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("chat spool: kept in memory only: %w", err)
	}
	return nil
}

// when is the time of a message by today's wall clock. Small drifts change nothing: Matrix recognises a retried message
// by its time.
func (e *entry) when(now time.Time) time.Time {
	put := e.Time.UTC().Round(0)
	if at := now.Add(-now.Sub(e.Time)).UTC().Round(0); at.Sub(put).Abs() >= time.Minute {
		return at
	}
	return put
}

// first is the message to say next. One that the service refused comes after all others, so as not to hold them up.
func (s *spool) first() *entry {
	if len(s.waiting) == 0 {
		return nil
	}
	return slices.MinFunc(s.waiting, func(a, b *entry) int { return a.refused - b.refused })
}

// bound drops messages until the rest is within the limits: the oldest chatty one first, critical ones last. It keeps
// the last one, and one that is being sent.
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

// expire drops messages that are too old to be news.
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

// close unlocks the folder for the next process.
func (s *spool) close(now time.Time) error {
	s.save(now)
	s.lock.Close()
	return s.trouble
}
