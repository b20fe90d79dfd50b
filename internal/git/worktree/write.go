package worktree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/addagent/addagent/internal/git/diskspace"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// lfsPointer is how the text file begins that stands for a large file of Git LFS.
const lfsPointer = "version https://git-lfs.github.com/spec/v1\n"

// write makes a file out of sight and then puts it into place in one step, so that no reader ever sees half of
// it.
func (m *mover) write(in *folder, name string, w wanted) (record, error) {
	b, err := m.objects.Blob(w.id, m.content)
	if err != nil {
		return record{}, err
	}
	if cap(b.Data) > cap(m.content) {
		m.content = b.Data
	}
	if bytes.HasPrefix(b.Data, []byte(lfsPointer)) && w.mode != objects.ModeSymlink && b.Size <= 1024 {
		m.pointers.add(w.path)
	}
	if name == ".gitattributes" && converts(b.Data) {
		m.attributes.add(w.path)
	}
	if err := in.handle(); err != nil {
		return record{}, err
	}
	m.serial++
	temp := strconv.Itoa(m.serial)
	if w.mode == objects.ModeSymlink {
		return m.writeLink(in, name, temp, b)
	}
	return m.writeFile(in, name, temp, b, w)
}

// converts says whether a file of attributes asks for content that git would write differently from how it is stored.
// Filters of Git LFS show by their pointers.
func converts(attributes []byte) bool {
	for line := range strings.Lines(string(attributes)) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			if name == "eol" && value == "crlf" || word == "ident" || name == "working-tree-encoding" && value != "" ||
				name == "filter" && value != "" && value != "lfs" {
				return true
			}
		}
	}
	return false
}

// checkLink refuses a symlink that no filesystem could hold. Where it leads does not matter: it is never followed.
func (m *mover) checkLink(id plumbing.Hash) error {
	target, err := m.objects.Load(id, plumbing.BlobObject, 4095, m.content)
	if errors.Is(err, pack.ErrTooBig) || (err == nil && (len(target) == 0 || bytes.IndexByte(target, 0) >= 0)) {
		return fmt.Errorf("no target for a symlink: %w", objects.ErrUnsafe)
	}
	return err
}

func (m *mover) writeLink(in *folder, name, temp string, b pack.Object) (record, error) {
	if err := m.temp.root.Symlink(string(b.Data), temp); err != nil {
		return record{}, err
	}
	if err := renameInto(&m.temp, temp, in, name); err != nil {
		return record{}, err
	}
	now, err := stateIn(in, name)
	return now.stat, err
}

func (m *mover) writeFile(in *folder, name, temp string, b pack.Object, w wanted) (_ record, err error) {
	perm := fs.FileMode(permOf(w.mode))
	f, fd, err := m.create(in, temp, perm)
	if err != nil {
		return record{}, err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			_ = m.temp.root.Remove(temp) // else the next move does
		}
	}()
	if err := b.CopyTo(f, m.progress); err != nil {
		return record{}, err
	}
	if err := m.install(in, name, temp, fd, w.replaces, b.Size); err != nil {
		return record{}, err
	}
	info, err := f.Stat() // not before: a new name is a new ctime
	if err != nil {
		return record{}, err
	}
	if info.Mode().Perm() != perm { // a umask
		if err := f.Chmod(perm); err != nil {
			return record{}, err
		}
		if info, err = f.Stat(); err != nil {
			return record{}, err
		}
	}
	if info.Size() != b.Size {
		return record{}, io.ErrShortWrite
	}
	return stateOf(info).stat, nil
}

// create makes the file that will be put into place: without a name in the folder where it belongs, so that the
// filesystem keeps it near, or else with a name in the temp folder. fd is -1 for one with a name.
func (m *mover) create(in *folder, temp string, perm fs.FileMode) (*os.File, int, error) {
	if !m.named {
		f, fd, err := createNameless(in, perm)
		if !errors.Is(err, errors.ErrUnsupported) {
			return f, fd, err
		}
		m.named = true
	}
	f, err := m.temp.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	return f, -1, err
}

// heldFiles and heldBytes bound what is kept of the files that were replaced.
const (
	heldFiles = 4096
	heldBytes = diskspace.Replaced
)

// install puts a file into place. Where there is one already the two are exchanged, and the old ones are deleted
// together later. On ext4 a rename onto a file flushes the new one to the disk at once, and each file made after one
// was deleted searches through all that were deleted near it in the last minutes: with a temp folder for all, 500
// changed files cost up to three times as much.
func (m *mover) install(in *folder, name, temp string, fd int, replaces bool, size int64) error {
	if fd >= 0 && !replaces {
		err := nameNameless(fd, in, name)
		if !errors.Is(err, fs.ErrExist) { // a symlink, or something of this moment
			return err
		}
	}
	if fd >= 0 {
		if err := nameNameless(fd, &m.temp, temp); err != nil {
			return mounted(err)
		}
	}
	if replaces && !m.plainRename {
		err := exchangeInto(&m.temp, temp, in, name)
		if err == nil {
			m.held = append(m.held, temp)
			if m.heldBytes += size; len(m.held) >= heldFiles || m.heldBytes >= heldBytes {
				m.drop()
			}
			return nil
		}
		if m.plainRename = errors.Is(err, errors.ErrUnsupported); !m.plainRename && !errors.Is(err, fs.ErrNotExist) {
			return mounted(err)
		}
	}
	return mounted(renameInto(&m.temp, temp, in, name))
}

func mounted(err error) error {
	if errors.Is(err, syscall.EXDEV) {
		return fmt.Errorf("%w: a folder of the repository is a mount of its own", err)
	}
	return err
}

// drop deletes the files that were replaced. What cannot be deleted now is so by the next move.
func (m *mover) drop() {
	for _, temp := range m.held {
		_ = m.temp.root.Remove(temp)
	}
	m.held, m.heldBytes = m.held[:0], 0
}
