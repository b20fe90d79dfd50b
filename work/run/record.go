package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/work"
)

// roomFile is where the space for a result is reserved, beside it.
const roomFile = "work.sh_RESULT.json.room"

// roomMin is how much is reserved at least for a result; what the result is known to need may raise it.
const roomMin = 16 << 10

// recordAttempt promises an attempt in dir (MemoryDir) before its script starts: the room for its result is really
// allocated, DOING names its version, and work.sh_RESULT.json gets it as `last` without an end, beside done, which is
// kept. An error means that the item must not start; nothing is promised then. A full disk is named as such. Only the
// holder of the work lock may call it.
func recordAttempt(dir string, done *work.Done, a work.Attempt) (err error) {
	defer func() {
		if err != nil {
			// Without these a later look would take the attempt for one that was cut. Removing needs no space.
			_ = remove(filepath.Join(dir, roomFile), work.DoingIn(dir).Path)
			err = fmt.Errorf("record the attempt: %w", plainly(err))
		}
	}()
	if _, err := files.MakeFolder(dir, 0o755); err != nil {
		return err
	}
	// Only this writes here: what is an hour old was left by a killed writer. That it cannot be removed is no reason
	// not to work.
	_ = files.Sweep(dir, a.Started.Add(-time.Hour))
	data, err := work.ResultIn(dir).Encode(work.Result{Done: done, Last: &a})
	if err != nil {
		return err
	}
	// The result of a success holds the ids twice, and the end in words: twice what there is now, and some.
	if err := reserve(filepath.Join(dir, roomFile), max(roomMin, 2*int64(len(data))+roomMin/2)); err != nil {
		return err
	}
	if err := work.DoingIn(dir).Put([]byte(a.Version + "\n")); err != nil {
		return err
	}
	// Last, since this is what counts: an attempt without an end is a failure to the process that finds it.
	return work.ResultIn(dir).Put(data)
}

// recordEnd writes how an attempt ended, made by its End. It needs no new space when recordAttempt left its room: the
// result is written into it and renamed. After a success DOING is then renamed to VERSION, the commit point; else DOING
// goes. Errors leave the attempt as it was, to be found by a Sweep. Only the holder of the work lock may call it.
func recordEnd(dir string, a work.Attempt) error {
	// A script that cleans up with `git clean -fdx` takes its own memory away.
	if _, err := files.MakeFolder(dir, 0o755); err != nil {
		return fmt.Errorf("record the end: %w", plainly(err))
	}
	// The last success is taken from the file and not handed round: a person may have taken it away meanwhile to say
	// "again".
	r, _, _ := work.ResultIn(dir).Peek() // what cannot be read counts as absent
	r.Last = &a
	if a.OK() {
		r.Done = &work.Done{Version: a.Version, Ids: a.Ids}
	}
	data, err := work.ResultIn(dir).Encode(r)
	if err != nil {
		return fmt.Errorf("record the end: %w", err)
	}
	path := work.ResultIn(dir).Path
	if err := fillRoom(filepath.Join(dir, roomFile), path, data); err != nil {
		if err := work.ResultIn(dir).Put(data); err != nil {
			return fmt.Errorf("record the end: %w", plainly(err))
		}
		_ = os.Remove(filepath.Join(dir, roomFile))
	}
	if err := files.SyncFolder(dir); err != nil {
		return fmt.Errorf("record the end: %w", plainly(err))
	}
	if !a.OK() && a.Reason != work.ReasonWaiting && a.Log != "" {
		_ = linkLog(a.Log, failedLog) // it only informs, and keeps that log
	}
	return settleDoing(dir, a)
}

// settleDoing ends the note of what is being done: after a success it becomes VERSION, else it goes. It finishes what a
// crash left between the two steps of recordEnd, and does nothing when there is nothing to finish.
func settleDoing(dir string, last work.Attempt) error {
	doing, version := work.DoingIn(dir), work.VersionIn(dir)
	noted, _, err := doing.Peek()
	if !last.OK() {
		if err := remove(doing.Path); err != nil {
			return fmt.Errorf("record the end: %w", err)
		}
		return nil
	}
	if err == nil && noted == last.Version {
		if err = os.Rename(doing.Path, version.Path); err == nil {
			err = files.SyncFolder(dir)
		}
	} else if err = version.Put([]byte(last.Version + "\n")); err == nil {
		// The note was taken away or changed. The success is true all the same; it only needs a little space now.
		err = remove(doing.Path)
	}
	if err != nil {
		return fmt.Errorf("record the success: %w", plainly(err))
	}
	return nil
}

// finishCommit puts a DOING in order that a crash left beside an attempt with an end: a success that was written
// becomes VERSION, any other note goes. That the room is gone is what tells a success whose commit was cut from a next
// attempt that was cut before it was recorded. Only the holder of the work lock may call it.
func finishCommit(dir string, m work.Memory) error {
	if m.Doing == "" || m.Last == nil || m.Last.Finished.IsZero() {
		return nil
	}
	_, err := os.Lstat(filepath.Join(dir, roomFile))
	if m.Last.OK() && m.Doing == m.Last.Version && errors.Is(err, fs.ErrNotExist) {
		return settleDoing(dir, *m.Last)
	}
	return remove(work.DoingIn(dir).Path, filepath.Join(dir, roomFile))
}

// forget removes all that is remembered of an item. Only the holder of the work lock may call it.
func forget(dir string) error {
	// VERSION first: whatever a crash leaves of the rest, the item is due.
	err := remove(work.VersionIn(dir).Path, work.ResultIn(dir).Path, work.DoingIn(dir).Path, filepath.Join(dir, roomFile))
	if sync := files.SyncFolder(dir); !errors.Is(sync, fs.ErrNotExist) {
		err = errors.Join(err, sync)
	}
	return err
}

// remove removes files, all that it can; one that is not there is no error.
func remove(paths ...string) error {
	var problems []error
	for _, path := range paths {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// reserve makes a new file of size bytes that are really there.
func reserve(path string, size int64) error {
	if err := remove(path); err != nil {
		if _, err := files.SetAside(path, "corrupt"); err != nil { // a folder
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := allocate(f, size); err != nil {
		return fmt.Errorf("reserve %d bytes at %s: %w", size, path, err)
	}
	return nil
}

// fillWithZeros is allocate where the system has nothing better. The sync is what makes a delayed allocation fail now
// rather than later.
func fillWithZeros(f *os.File, size int64) error {
	zeros := make([]byte, min(size, 64<<10))
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}

// fillRoom writes data into the reserved file and renames it to path. The caller syncs the folder.
func fillRoom(room, path string, data []byte) error {
	if info, err := os.Lstat(room); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s: no space was reserved", room)
	}
	f, err := os.OpenFile(room, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(room, path)
}

// plainly puts the words that a person looks for before what the system calls it.
func plainly(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("disk full: %w", err)
	}
	return err
}
