package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// Moved is what a move did. Commit ends it.
type Moved struct {
	Files   int      // written and deleted
	Notices []string // what a person should know: edits put back, files set aside, submodules and pointers left

	dir   string
	tree  plumbing.Hash
	dirty *DirtySet
}

// Options say how a tree is moved. The zero value is fine.
type Options struct {
	// Verify compares every tracked file by its content with the commit to move to: for when the index is lost, and
	// after a crash of the machine.
	Verify bool
	// Dirty, when there is one, tells which files were touched since the last move, so that the others need no look.
	Dirty *DirtySet
	// Progress, when set, is called whenever a file, or some part of a big one, is done.
	Progress func(files int)
}

// Move moves the work tree in dir from one commit to another (from is zero when there is nothing yet) and leaves the
// new index ready for Moved.Commit, which must follow. It writes only what differs, each file whole by a rename, and
// puts back every tracked file that was edited, anywhere in the tree. Untracked files stay; one that stands
// where a tracked file belongs is adopted when it is the same, else set aside.
//
// Before the first change a marker is written. When the move does not end, by a crash or an error, it is finished by
// calling Move with the same commits again. Nothing is changed when the tree is unsafe (objects.ErrUnsafe) or an
// object is missing (pack.ErrMissing); a damaged object may be found only when it is written.
//
// What was tracked before is known from the index, as long as that is the record of one tree; from serves when it is
// not. So a clone whose objects are new but whose index was kept can be moved from a commit that it does not have.
func Move(ctx context.Context, dir string, from, to plumbing.Hash, o Options) (Moved, error) {
	m := &mover{ctx: ctx, dir: dir, git: filepath.Join(dir, ".git"), dirty: o.Dirty}
	m.progress = func() {
		if o.Progress != nil {
			o.Progress(m.done.Files)
		}
	}
	m.hash.progress = m.progress
	m.displaced.now = time.Now
	if o.Verify {
		from = to
	}
	defer m.close()
	mark, found, err := ReadMarker(dir)
	if err != nil {
		return Moved{}, err
	}
	if err := m.open(); err != nil {
		return Moved{}, err
	}
	if err := m.begin(from, to, !o.Verify && (!found || mark.sameBoot)); err != nil {
		return Moved{}, err
	}
	if err := m.plan(); err != nil {
		return Moved{}, err
	}
	if m.grown { // new folders are not watched yet
		m.dirty.Forget()
	}
	if err := writeMarker(m.git, from, to); err != nil {
		return Moved{}, err
	}
	if err := m.apply(); err != nil {
		return Moved{}, err
	}
	return m.end()
}

// mover is one move of one tree.
type mover struct {
	ctx      context.Context
	dir, git string
	progress func()

	objects *objects.Reader
	folders *folders
	temp    folder
	hash    hasher
	content []byte // of the file in hand
	serial  int

	held        []string // names in temp of files that were replaced
	heldBytes   int64    // that they have, about
	plainRename bool     // the filesystem cannot exchange files
	named       bool     // the filesystem cannot make files without a name

	was       plumbing.Hash // tree that was, zero when it cannot be read
	is        plumbing.Hash // tree to be
	dirty     *DirtySet
	index     *indexState // nil: none, or none to be believed
	indexFile *indexFile
	looked    bool           // the files were compared with the index
	count     int            // entries of the new index
	grown     bool           // there are new folders
	gone      []objects.Line // no longer tracked, by their whole paths

	before *indexReader // all files that were tracked; nil without an index
	next   *indexEntry  // of before; nil after the last
	out    *indexWriter

	done       Moved
	displaced  displaced
	putBack    names
	submodules names
	pointers   names
	attributes names // files of attributes that ask for a conversion
}

func (m *mover) open() (err error) {
	if m.folders, err = openFolders(m.dir); err != nil {
		return err
	}
	m.folders.inWay = func(parent *folder, name string, path []byte) error {
		return m.displaced.quarantine(parent, name, path)
	}
	root := m.folders.top().root
	m.displaced.top = root
	temp := filepath.Join(".git", objects.TempFolder)
	if err := root.RemoveAll(temp); err != nil { // of a move that was killed
		return fmt.Errorf("clean up after an earlier move: %w", err)
	}
	if err := root.Mkdir(temp, 0o755); err != nil {
		return err
	}
	if m.temp.root, err = root.OpenRoot(temp); err != nil {
		return err
	}
	if err = m.temp.handle(); err != nil {
		return err
	}
	m.objects, err = objects.Open(m.git)
	return err
}

func (m *mover) close() {
	if m.indexFile != nil {
		_ = m.indexFile.Close() // only read from
	}
	if m.objects != nil {
		_ = m.objects.Close() // only read from
	}
	if m.temp.root != nil {
		m.drop()
		m.temp.close()
	}
	if m.folders != nil {
		m.folders.close()
	}
}

// begin finds out what was tracked, and what of it was edited. With look false every file is to be compared by
// content.
func (m *mover) begin(from, to plumbing.Hash, look bool) (err error) {
	if m.is, err = m.objects.TreeOf(to); err != nil {
		return err
	}
	if m.indexFile, err = openIndex(filepath.Join(m.git, "index")); err == nil {
		if touched, tree, ok := m.dirty.recall(m.indexFile); ok && look {
			m.index, err = checkPaths(m.ctx, m.indexFile, m.dir, touched, tree, m.progress)
		} else {
			m.index, err = scan(m.ctx, m.indexFile, m.dir, look, m.dirty, m.progress)
		}
	}
	if err != nil || !look {
		m.dirty.Forget()
	}
	switch {
	case err == nil:
		m.looked, m.was = look, m.index.tree
		if has, err := m.objects.Has(m.was); err != nil {
			return err
		} else if !has {
			m.was = plumbing.ZeroHash
		}
		return nil
	case !errors.Is(err, errIndex):
		return err
	}
	m.index = nil
	if from.IsZero() {
		return nil
	}
	if m.was, err = m.objects.TreeOf(from); errors.Is(err, pack.ErrMissing) {
		return nil // then all that stands there counts as a person's
	}
	return err
}

// differences visits each path that was tracked before or is to be, and is not the same; without an index it visits
// all of them, since nothing tells which files are as they should be.
func (m *mover) differences(folder func([]byte, objects.Lines) error, visit func(objects.Change) error) error {
	d := objects.Differ{Objects: m.objects, All: m.index == nil, Folder: folder, Visit: visit}
	if m.index == nil || !m.was.IsZero() {
		err := d.Walk(m.was, m.is)
		m.grown = m.grown || d.Grown
		return err
	}
	// The clone has new objects: the index alone knows what was.
	m.grown = true // for all that is known
	all, err := m.indexFile.read(false)
	if err != nil {
		return err
	}
	old, err := all.next()
	// take takes the next of the old paths.
	take := func() *objects.Line {
		line := &objects.Line{Mode: old.mode, ID: old.id}
		old, err = all.next()
		return line
	}
	goneBefore := func(path []byte) error {
		for err == nil && old != nil && (path == nil || bytes.Compare(old.path, path) < 0) {
			gone := bytes.Clone(old.path)
			if err := visit(objects.Change{Path: gone, Was: take()}); err != nil {
				return err
			}
		}
		return err
	}
	d.Visit = func(c objects.Change) error {
		if err := goneBefore(c.Path); err != nil {
			return err
		}
		if old != nil && bytes.Equal(old.path, c.Path) {
			if c.Was = take(); c.Same() {
				return nil
			}
		}
		return visit(c)
	}
	if err := d.Walk(plumbing.ZeroHash, m.is); err != nil {
		return err
	}
	return goneBefore(nil)
}

// plan looks at all that is to change and changes nothing: unsafe names, missing objects, what is to be deleted.
func (m *mover) plan() error {
	if m.index != nil {
		m.count = m.index.count
	}
	return m.differences(checkFolder, func(c objects.Change) error {
		if c.Is == nil {
			if m.index != nil {
				m.count--
			}
			m.gone = append(m.gone, objects.Line{Name: bytes.Clone(c.Path), Mode: c.Was.Mode, ID: c.Was.ID})
			return m.step()
		}
		if c.Was == nil || m.index == nil {
			m.count++
		}
		if !c.Same() && c.Is.Mode != objects.ModeSubmodule {
			err := m.objects.Present(c.Is.ID)
			if err == nil && c.Is.Mode == objects.ModeSymlink {
				err = m.checkLink(c.Is.ID)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", objects.QuotePath(c.Path), err)
			}
		}
		return m.step()
	})
}

// apply deletes first (a file may become a folder, or a folder a file), then writes, and makes the new index on the
// way.
func (m *mover) apply() (err error) {
	for _, g := range slices.Backward(m.gone) {
		if err := m.remove(g, m.looked && !m.index.isTouched(g.Name)); err != nil {
			return fmt.Errorf("delete %s: %w", objects.QuotePath(g.Name), err)
		}
		if err := m.step(); err != nil {
			return err
		}
	}
	if _, err := m.folders.enter(nil, false); err != nil { // leaves all, and with them empty ones
		return err
	}
	f, err := m.temp.root.OpenFile(readyIndex, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if m.out, err = newIndexWriter(f, m.count); err == nil {
		err = m.writeAll()
	}
	if err == nil {
		err = m.out.finish(m.is)
	}
	return errors.Join(err, f.Close())
}

func (m *mover) writeAll() (err error) {
	if m.index != nil {
		if m.before, err = m.indexFile.read(false); err != nil {
			return err
		}
		if m.next, err = m.before.next(); err != nil {
			return err
		}
	}
	err = m.differences(nil, func(c objects.Change) error {
		if err := m.keep(c.Path); err != nil {
			return err
		}
		if m.next != nil && bytes.Equal(m.next.path, c.Path) {
			if m.next, err = m.before.next(); err != nil {
				return err
			}
		}
		if c.Is == nil {
			return nil
		}
		w := wanted{path: c.Path, mode: c.Is.Mode, id: c.Is.ID, tracked: c.Was != nil, restore: c.Same()}
		touched := m.looked && m.index.isTouched(c.Path)
		w.compare = !w.tracked || !m.looked || touched
		if w.tracked && touched && c.Was.Mode != objects.ModeSubmodule {
			w.was = c.Was
		}
		stat, err := m.ensure(w)
		if err != nil {
			return err
		}
		if err := m.out.add(c.Path, c.Is.Mode, &c.Is.ID, &stat); err != nil {
			return err
		}
		return m.step()
	})
	if err != nil {
		return err
	}
	return m.keep(nil)
}

func (m *mover) step() error {
	m.progress()
	return m.ctx.Err()
}

// end makes everything durable and collects what there is to say.
func (m *mover) end() (Moved, error) {
	m.drop()
	top := m.folders.top()
	if err := top.handle(); err != nil {
		return Moved{}, err
	}
	if err := syncFilesystem(top); err != nil {
		return Moved{}, err
	}
	m.done.dir, m.done.tree, m.done.dirty = m.dir, m.is, m.dirty
	n := m.putBack.notice(nil, "put back ", "edited file", "edited files", "")
	n = m.displaced.names.notice(n, "set aside ", "untracked file in the way", "untracked files in the way",
		" (now in "+DisplacedFolder+"/"+m.displaced.stamp+")")
	n = m.submodules.notice(n, "left ", "submodule as it is", "submodules as they are", "")
	n = m.pointers.notice(n, "left ", "Git LFS pointer as it is", "Git LFS pointers as they are", "")
	m.done.Notices = m.attributes.notice(n, "content is not converted (eol, ident, encoding, filter), though ", "file asks for it", "files ask for it", "")
	return m.done, nil
}
