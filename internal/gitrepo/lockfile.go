package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fileLock is git's lock of one of its files: FILE.lock, which exactly one process can make, and which becomes the file.
type fileLock struct {
	path string
	file *os.File
	held bool
}

// lockFile makes the lock, with the folders it needs. One of somebody else is waited for so long; then it is a
// *refusedUpdate, as is a file where a folder is needed.
func lockFile(ctx context.Context, path string, wait time.Duration) (*fileLock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wait, errLocked)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		var f *os.File
		if err == nil {
			f, err = os.OpenFile(path+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		}
		switch {
		case err == nil:
			return &fileLock{path: path, file: f, held: true}, nil
		case errors.Is(err, syscall.ENOTDIR):
			return nil, &refusedUpdate{"cannot lock ref: a ref has the name of a folder of it"}
		// It is locked; or the folder went between the two steps, because another process deleted the last ref in it.
		case !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errLocked) {
				return nil, context.Cause(ctx)
			}
			return nil, &refusedUpdate{fmt.Sprintf("cannot lock ref: %s.lock exists: delete it if no git program runs there", path)}
		}
	}
}

var errLocked = errors.New("locked")

// commit writes the content, durably, and makes it the file.
func (l *fileLock) commit(data []byte) error {
	if _, err := l.file.Write(data); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	err := os.Rename(l.path+".lock", l.path)
	if errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		return &refusedUpdate{"cannot lock ref: there are refs below it"}
	}
	if err != nil {
		return err
	}
	l.held = false
	return syncFolder(filepath.Dir(l.path))
}

// drop gives up the lock, if it is still one.
func (l *fileLock) drop() error {
	err := l.file.Close()
	if !l.held {
		return err
	}
	return errors.Join(err, os.Remove(l.path+".lock"))
}

// deleteRef deletes a ref whose lock is held, packed and loose. packed-refs stays locked until both are done: a git that
// packs refs in between would bring it back.
func deleteRef(ctx context.Context, gitDir, name string) (err error) {
	path := filepath.Join(gitDir, "packed-refs")
	lock, err := lockFile(ctx, path, packedLockWait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.drop()) }()
	packed, err := readPackedRefs(gitDir)
	if err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(packed.head)
	there := false
	for _, r := range packed.refs {
		if r.name == name {
			there = true
			continue
		}
		text.WriteString(r.text)
	}
	if there {
		// By way of another file than the lock, which would be gone with it.
		if err := writeDurable(path, []byte(text.String())); err != nil {
			return err
		}
	}
	return dropLoose(gitDir, name)
}
