package worktree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/go-git/go-git/v5/plumbing"
)

// wanted is a file as a tree wants it.
type wanted struct {
	path    []byte
	mode    uint32
	id      plumbing.Hash
	tracked bool // something tracked was at this path before: what stands there now is not a person's own file
	compare bool // what stands there may be the right content already
	restore bool // the tree did not change here: if the file did, a person did it

	was      *objects.Line // what was tracked where the tree and perhaps a person made a change; or nil
	replaces bool          // a plain file stands there and is to be replaced
}

// ensure makes a path what the tree wants it to be, and returns what lstat says of it then.
func (m *mover) ensure(w wanted) (record, error) {
	slash := bytes.LastIndexByte(w.path, '/') + 1
	in, err := m.folders.enter(w.path[:slash], true)
	if err != nil {
		return record{}, err
	}
	name := string(w.path[slash:])
	now, err := stateIn(in, name)
	if err != nil {
		return record{}, err
	}
	if w.mode == objects.ModeSubmodule {
		return m.ensureSubmodule(in, name, now, w)
	}
	if w.compare && (now.kind == regular || now.kind == symlink) {
		same, err := m.sameContent(in, name, now, w)
		if err != nil {
			return record{}, err
		}
		if same {
			stat, err := m.adopt(in, name, now, w)
			if !errors.Is(err, fs.ErrPermission) {
				return stat, err
			}
			// Another user's file, whose mode we may not change: it is replaced.
		}
	}
	edited := w.restore
	if w.was != nil {
		if edited, err = m.isEdited(in, name, now, w); err != nil {
			return record{}, err
		}
	}
	if edited {
		m.putBack.add(w.path)
	}
	if err := m.clear(in, name, now, w); err != nil {
		return record{}, err
	}
	m.done.Files++
	w.replaces = now.kind == regular && w.tracked
	stat, err := m.write(in, name, w)
	if err != nil {
		return record{}, fmt.Errorf("write %s: %w", objects.QuotePath(w.path), err)
	}
	return stat, nil
}

func stateIn(in *folder, name string) (fileState, error) {
	info, err := in.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fileState{}, nil
	}
	if err != nil {
		return fileState{}, err
	}
	return stateOf(info), nil
}

// adopt keeps a file whose content is right, and corrects its mode.
func (m *mover) adopt(in *folder, name string, now fileState, w wanted) (record, error) {
	if w.mode == objects.ModeSymlink || now.perm == permOf(w.mode) {
		return now.stat, nil
	}
	if err := in.root.Chmod(name, fs.FileMode(permOf(w.mode))); err != nil {
		return record{}, err
	}
	if w.restore {
		m.putBack.add(w.path)
		m.done.Files++
	}
	now, err := stateIn(in, name)
	return now.stat, err
}

// sameContent compares what stands at a path with the wanted blob. A file that cannot be read is another.
func (m *mover) sameContent(in *folder, name string, now fileState, w wanted) (bool, error) {
	if (now.kind == symlink) != (w.mode == objects.ModeSymlink) {
		return false, nil
	}
	if now.kind == symlink {
		target, err := in.root.Readlink(name)
		return err == nil && m.hash.bytes([]byte(target)) == w.id, nil
	}
	f, err := in.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false, nil
	}
	id, err := m.hash.reader(f, now.size)
	_ = f.Close() // only read from
	if err != nil {
		return false, fmt.Errorf("read %s: %w", objects.QuotePath(w.path), err)
	}
	return id == w.id, nil
}

// isEdited says whether what stands at a path is something else than what was tracked there.
func (m *mover) isEdited(in *folder, name string, now fileState, w wanted) (bool, error) {
	if now.kind != regular && now.kind != symlink || now.kind == regular && now.perm != permOf(w.was.Mode) {
		return true, nil
	}
	same, err := m.sameContent(in, name, now, wanted{path: w.path, mode: w.was.Mode, id: w.was.ID})
	return !same, err
}

// clear makes room for a file: a tracked one is replaced, anything of a person's goes aside.
func (m *mover) clear(in *folder, name string, now fileState, w wanted) error {
	switch now.kind {
	case absent:
		return nil
	case regular, symlink:
		if w.tracked {
			return nil // the rename replaces it
		}
	case folderKind:
		if in.root.Remove(name) == nil { // it was empty: nothing that git would know of
			return nil
		}
	}
	return m.displaced.quarantine(in, name, w.path)
}

func (m *mover) ensureSubmodule(in *folder, name string, now fileState, w wanted) (record, error) {
	if !w.restore {
		m.submodules.add(w.path)
	}
	if now.kind != folderKind {
		if now.kind != absent {
			if err := m.displaced.quarantine(in, name, w.path); err != nil {
				return record{}, err
			}
		}
		if err := in.root.Mkdir(name, 0o755); err != nil {
			return record{}, err
		}
		now, err := stateIn(in, name)
		return now.stat, err
	}
	return now.stat, nil
}

// remove deletes a path that is no longer tracked. sure says that the file is known to be the tracked one. Else one
// with another content was edited; or, where nothing tells what was tracked, it is perhaps a person's own.
func (m *mover) remove(was objects.Line, sure bool) error {
	path := was.Name
	slash := bytes.LastIndexByte(path, '/') + 1
	in, err := m.folders.enter(path[:slash], false)
	if err != nil || in == nil {
		return err
	}
	name := string(path[slash:])
	now, err := stateIn(in, name)
	if err != nil {
		return err
	}
	switch {
	case now.kind == absent:
		in.thinned = true // by the person or by a move that was cut
		return nil
	case was.Mode == objects.ModeSubmodule:
		if now.kind == folderKind && in.root.Remove(name) == nil {
			in.thinned = true
		} else {
			m.submodules.add(path)
		}
		return nil
	case now.kind != regular && now.kind != symlink:
		return nil // a person's folder or pipe
	case !sure:
		same, err := m.sameContent(in, name, now, wanted{path: path, mode: was.Mode, id: was.ID})
		if err != nil {
			return err
		}
		switch {
		case same:
		case m.looked:
			m.putBack.add(path)
		default:
			in.thinned = true
			return m.displaced.quarantine(in, name, path)
		}
	}
	if err := in.root.Remove(name); err != nil {
		return err
	}
	in.thinned = true
	m.done.Files++
	return nil
}
