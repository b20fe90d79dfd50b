package nodegroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/sys/unix"
)

// Want is a file of a group as it should be.
type Want struct {
	Group string
	What  string // role, dna, services
	Path  string // relative to the folder of the file of groups
	Data  []byte
}

// Role is the Chef role of the group, in the order of keys that Chef itself writes.
func (g Group) Role() Want {
	attributes := func(name string) strictyaml.Node {
		if n := g.Value(name); n.Kind == strictyaml.Map {
			return n
		}
		return object()
	}
	return Want{g.Name, "role", g.target("role"), encode(object(
		member("name", text("role-"+g.Name)),
		member("chef_type", text("role")),
		member("json_class", text("Chef::Role")),
		member("description", text(g.Text("description"))),
		member("override_attributes", attributes("override_attributes")),
		member("default_attributes", attributes("default_attributes")),
		member("run_list", listOf(g.RunList()...)),
	), "    ")}
}

// DNA is what tells chef-solo on a node of the Auto Scaling group which role it has.
func (g Group) DNA() Want {
	return Want{g.Name, "dna", g.target("dna"), encode(object(
		member("id", text(g.Name)),
		member("run_list", listOf(text("role[role-"+g.Name+"]"))),
	), "    ")}
}

// ServiceList is services.yaml of the group. ok is false where it has no services, or no place for the list.
func (g Group) ServiceList() (w Want, ok bool) {
	services, ok := g.Services()
	w = Want{Group: g.Name, What: "services", Path: g.target("services")}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Made by addctl role:create and role:update of the run list of group %s.\n", g.Name)
	for _, s := range services {
		b.WriteString("- " + quoted(s.Text) + "\n")
	}
	if len(services) == 0 {
		b.WriteString("[]\n")
	}
	w.Data = b.Bytes()
	return w, ok && w.Path != ""
}

// Mode says what may happen to a file.
type Mode int

// The modes.
const (
	Create Mode = iota // a file that is there must be as it should be
	Update             // only files that are there
	Always             // make it or change it
)

// What is done with a file.
const (
	Made    = "made"
	Changed = "changed"
	Kept    = "kept"
	Skipped = "skipped"
	Differs = "differs"
)

// Step is what is to be done with one file, or was done.
type Step struct {
	Group  string `json:"group"`
	What   string `json:"what"` // role, dna, services
	File   string `json:"file"`
	Action string `json:"action"` // made, changed, kept, skipped or differs
	Reason string `json:"reason,omitempty"`
	Diff   string `json:"diff,omitempty"` // unified
	data   []byte
}

// Plan compares files with what they should be, and writes nothing. The errors are all that stands in the way.
func (f *File) Plan(wants []Want, mode Mode) (steps []Step, wrong []error) {
	for _, w := range wants {
		path := filepath.Join(f.Dir, w.Path)
		s := Step{Group: w.Group, What: w.What, File: path, Action: Made, data: w.Data}
		old, there, err := current(path)
		switch {
		case err != nil:
			wrong = append(wrong, err)
			continue
		case !there && mode == Update:
			s.Action, s.Reason = Skipped, "it is not there, and only files that are there are updated"
		case !there:
			s.Diff = unified("/dev/null", path, nil, w.Data)
		case bytes.Equal(old, w.Data):
			s.Action, s.Reason = Kept, "it is as it should be"
		default:
			s.Action, s.Diff = Changed, unified(path, path, old, w.Data)
			if mode == Create {
				s.Action, s.Reason = Differs, "it is not what "+f.Path+" says"
			}
		}
		steps = append(steps, s)
	}
	return steps, wrong
}

// Write does what a plan says, and returns the steps that it has done.
func Write(steps []Step) (done []Step, err error) {
	for i, s := range steps {
		if s.Action == Made || s.Action == Changed {
			if err := os.MkdirAll(filepath.Dir(s.File), 0o755); err != nil {
				return steps[:i], err
			}
			if err := files.Write(s.File, s.data, 0o644); err != nil {
				return steps[:i], err
			}
		}
	}
	return steps, nil
}

// unified is a diff without the line that names both files once more.
func unified(before, after string, old, now []byte) string {
	_, text, _ := strings.Cut(string(diff.Diff(before, old, after, now)), "\n")
	return text
}

// current reads what is at the place of a file. Whatever else is there, or keeps the file from being written, is an
// error: a link and a file that is read-only are so on purpose.
func current(path string) (data []byte, there bool, err error) {
	at, err := os.Lstat(path)
	switch {
	case notThere(err):
		return nil, false, writable(path)
	case err != nil:
		return nil, false, fmt.Errorf("%s: cannot be read: %w", path, files.Cause(err))
	case at.Mode().Type() == fs.ModeSymlink:
		return nil, true, fmt.Errorf("%s: is a symlink, and the file that it names may not be ours: remove it, or write another path into files", path)
	case at.IsDir():
		return nil, true, fmt.Errorf("%s: is a folder: move it away, or write another path into files", path)
	case !at.Mode().IsRegular():
		return nil, true, fmt.Errorf("%s: is not a file: move it away, or write another path into files", path)
	case at.Mode().Perm()&0o222 == 0:
		return nil, true, fmt.Errorf("%s: is read-only: make it writable (chmod u+w), or write another path into files", path)
	}
	if data, err = os.ReadFile(path); err != nil {
		return nil, true, fmt.Errorf("%s: cannot be read: %w", path, files.Cause(err))
	}
	return data, true, writable(path)
}

// notThere tells whether there is nothing at a path, also because a folder above it is a file.
func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// writable says why a file could not be made in its folder, or in the nearest one above that is there.
func writable(path string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		at, err := os.Stat(dir)
		_, linked := os.Lstat(dir)
		switch {
		case notThere(err) && linked != nil && dir != filepath.Dir(dir):
			continue
		case errors.Is(err, fs.ErrNotExist) && linked == nil:
			return fmt.Errorf("%s: %s is a symlink to what is not there: make it, or remove the link", path, dir)
		case err != nil:
			return fmt.Errorf("%s: cannot be written: %w", path, files.Cause(err))
		case !at.IsDir():
			return fmt.Errorf("%s: %s is a file where a folder should be: move it away, or write another path into files", path, dir)
		case unix.Access(dir, unix.W_OK|unix.X_OK) != nil:
			return fmt.Errorf("%s: the folder %s cannot be written: give yourself the permission (chmod u+w)", path, dir)
		}
		return nil
	}
}

// Files are those of a group: the role and the list of services, and before them, with dna, the DNA file.
func (g Group) Files(dna bool) (wants []Want) {
	if dna {
		wants = append(wants, g.DNA())
	}
	wants = append(wants, g.Role())
	if list, ok := g.ServiceList(); ok {
		wants = append(wants, list)
	}
	return wants
}
