package offer

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/work"
)

// copyMost bounds what is kept of a service: its folder, with delete.sh and what that needs.
const copyMost = 1 << 20

// copyDir is the folder of a copy, which stands for the clone.
func (o *Offers) copyDir(name, id string) string {
	return filepath.Join(work.ServiceDir(o.StateDir, name), "copy-"+human.Prefix(id, 12))
}

// save writes down what is remembered of a service, if that has changed.
func (o *Offers) save(k *kept) error {
	name := k.Description.Name
	if before, there := o.saved[name]; there && reflect.DeepEqual(before, *k) {
		return nil
	}
	if err := o.file(name).Save(*k); err != nil {
		return err
	}
	o.saved[name] = *k
	return nil
}

// is says whether a published service is what this one was announced as last, and not an earlier announcement of the
// same code.
func (k *kept) is(s presence.Service) bool {
	return s.Name == k.Description.Name && s.Code == string(k.Code) && s.Time.Equal(presence.WholeSecond(k.Since))
}

// unkept is why a folder is not kept, whose id is the same for as long as its content is.
type unkept struct {
	folder string
	err    error
}

// keep copies the folder of a service as it is at the version of the clone. One that is too large is read once.
func (o *Offers) keep(k *kept) error {
	name := k.Description.Name
	if before := o.refused[name]; before.folder == k.Folder {
		return before.err
	}
	err := o.copy(k)
	if errors.Is(err, objects.ErrTooBig) {
		o.refused[name] = unkept{k.Folder, err}
	}
	return err
}

func (o *Offers) copy(k *kept) error {
	tree, err := o.Open(k.Repo, k.Version)
	if err != nil {
		return err
	}
	defer tree.Close()
	name := k.Description.Name
	to := o.copyDir(name, k.Folder)
	temp := to + ".new"
	left := int64(copyMost)
	err = errors.Join(os.RemoveAll(temp), os.RemoveAll(to))
	if err == nil {
		err = copyFolder(tree, k.Dir, filepath.Join(temp, filepath.FromSlash(k.Dir)), &left)
	}
	if err == nil {
		err = os.Rename(temp, to)
	}
	if err == nil {
		err = files.SyncFolder(filepath.Dir(to))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	before := *k
	k.Copy, k.CopyOf = k.Folder, k.Version
	if err := o.save(k); err != nil {
		*k = before
		return err
	}
	for _, old := range files.Matching(filepath.Dir(to), "copy-*") {
		if old != to {
			_ = os.RemoveAll(old) // it goes with the next copy, or with the service
		}
	}
	return nil
}

// copyFolder writes the files of a folder of a tree; links are left out.
func copyFolder(tree *objects.Tree, from, to string, left *int64) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := tree.List(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		target := filepath.Join(to, e.Name)
		switch {
		case e.Symlink:
		case e.Dir:
			err = copyFolder(tree, path.Join(from, e.Name), target, left)
		default:
			var data []byte
			if data, err = tree.Read(path.Join(from, e.Name), *left); err != nil {
				err = fmt.Errorf("%w (at most %s are kept)", err, human.Size(copyMost))
				break
			}
			*left -= int64(len(data))
			mode := os.FileMode(0o644)
			if e.Executable {
				mode = 0o755
			}
			err = files.Write(target, data, mode)
		}
		if err != nil {
			return err
		}
	}
	return files.SyncFolder(to)
}

// forget removes all that is remembered of a service. The memories of its scripts go first: one that outlived the rest
// would say that the next removal is done.
func (o *Offers) forget(name string) error {
	dir := work.ServiceDir(o.StateDir, name)
	for _, action := range work.Actions {
		if err := os.RemoveAll(filepath.Join(dir, action)); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	delete(o.all, name)
	delete(o.saved, name)
	return files.SyncFolder(filepath.Dir(dir))
}
