// Package tree is what the trees of repositories say of services: which they describe, and which a node is to offer.
package tree

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/service"
)

// The names of the files that describe services.
const (
	ServiceYAML = "service.yaml"
	ListYAML    = "services.yaml"
)

// Tree is a repository's tree at one version; *objects.Tree is one.
type Tree interface {
	ID(path string) (string, error)
	Read(path string, max int64) ([]byte, error)
	List(dir string) ([]objects.Entry, error)
}

// Offer is a service as the trees have it: a repository describes it, or a list names it.
type Offer struct {
	Description service.Description `json:"description"`
	Repo        string              `json:"repo"`
	Dir         string              `json:"dir"`
	Version     string              `json:"version"` // commit that Repo is at
	Folder      string              `json:"folder"`  // git id of Dir
	// Scripts are work.sh, delete.sh and so on: the git id, with "+x" where it is executable.
	Scripts map[string]string `json:"scripts"`
	Wish    service.Wish      `json:"-"`
	// ListedIn are the repositories whose lists name it.
	ListedIn []string `json:"listed_in,omitempty"`
	Problems []string `json:"-"` // why the description cannot be used
}

// Listed is a name in a services.yaml, and the repository of that.
type Listed struct {
	service.Listed
	Repo string
}

// ReadList reads the services.yaml of a folder of a repository, if it has one.
func ReadList(t Tree, repo, dir string) (names []Listed, problems []string, err error) {
	entries, err := t.List(dir)
	for _, e := range entries {
		if e.Name != ListYAML {
			continue
		}
		file := path.Join(dir, ListYAML)
		list, wrong := readEntry(t, e, file, service.ParseList)
		for _, name := range list {
			names = append(names, Listed{name, repo})
		}
		problems = append(problems, wrong...)
	}
	return names, problems, err
}

// readEntry reads a YAML file that a folder lists.
func readEntry[T any](t Tree, e objects.Entry, file string, parse func(string, []byte) (T, []string)) (value T, problems []string) {
	if e.Dir || e.Symlink {
		return value, []string{file + ": is not a regular file"}
	}
	data, err := t.Read(file, strictyaml.FileMax)
	if err != nil {
		return value, []string{fmt.Sprintf("%s: cannot be read: %v", file, err)}
	}
	return parse(file, data)
}

// Describe reads what a repository describes: in nodeservice/, or else in it/nodeservice/.
func Describe(t Tree, repo, version string) (all []Offer, err error) {
	for _, base := range []string{"nodeservice", "it/nodeservice"} {
		folders, err := t.List(base)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", base, err)
		}
		for _, e := range folders {
			if !e.Dir && !e.Symlink { // a README beside the folders is not a mistake
				continue
			}
			o := Offer{Description: service.Description{Name: e.Name}, Repo: repo, Dir: path.Join(base, e.Name), Version: version, Scripts: map[string]string{}}
			if err := o.read(t, e); err != nil {
				return nil, err
			}
			all = append(all, o)
		}
		if len(all) > 0 {
			break
		}
	}
	return all, nil
}

// read completes an offer by what its folder has. What is wrong with it is its problem; an error means that the tree
// cannot be read.
func (o *Offer) read(t Tree, folder objects.Entry) (err error) {
	if folder.Symlink {
		o.Problems = []string{human.Printable(o.Dir) + ": is a symlink, which is not followed"}
		return nil
	}
	o.Folder = folder.ID
	entries, err := t.List(o.Dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", o.Dir, err)
	}
	var yaml *objects.Entry
	for _, e := range entries {
		switch {
		case e.Name == ServiceYAML:
			yaml = &e
		case !e.Dir && !e.Symlink:
			o.Scripts[e.Name] = e.ID
			if e.Executable {
				o.Scripts[e.Name] += "+x"
			}
		}
	}
	switch {
	case !service.ValidName(folder.Name):
		o.Problems = []string{human.Printable(o.Dir) + ": the name of a service is made of at most 63 small letters, digits and -"}
	case yaml == nil:
		o.Problems = []string{o.Dir + ": has no " + ServiceYAML}
	default:
		o.Description, o.Problems = readEntry(t, *yaml, path.Join(o.Dir, ServiceYAML), func(file string, data []byte) (service.Description, []string) {
			return service.Parse(file, folder.Name, slices.Collect(maps.Keys(o.Scripts)), data)
		})
	}
	if o.Scripts["work.sh"] != "" && o.Scripts["delete.sh"] == "" {
		o.Problems = append(o.Problems, human.Printable(o.Dir)+": delete.sh is missing: it undoes work.sh")
	}
	maps.DeleteFunc(o.Scripts, func(name, _ string) bool {
		return !strings.HasSuffix(name, ".sh") && name != o.Description.Check.Target
	})
	return nil
}

// Problem is what is wrong with a description or a list. Its text begins with the path in its repository, and with line
// and column where it has them.
type Problem struct{ Repo, Text string }

// Join joins what all repositories say, in the order of the config. What cannot be used changes nothing: its wish is
// unknown. Unread tells that there may be lists that were not read.
func Join(described []Offer, lists []Listed, unread bool) (all map[string]Offer, problems []Problem) {
	all = map[string]Offer{}
	wrong := func(repo, text string) {
		if p := (Problem{repo, text}); !slices.Contains(problems, p) {
			problems = append(problems, p)
		}
	}
	for _, o := range described {
		name := o.Description.Name
		if first, twice := all[name]; twice {
			wrong(o.Repo, fmt.Sprintf("%s of %s: ignored: %s describes the service %s, too, and comes first", o.Dir, o.Repo, first.Repo, name))
			continue
		}
		if o.Wish = service.Unwanted; unread {
			o.Wish = service.Unknown
		}
		all[name] = o
	}
	names := slices.Sorted(maps.Keys(all))
	for _, l := range lists {
		if !service.ValidName(l.Name) {
			continue // a mistake of its list
		}
		o := all[l.Name]
		o.Description.Name = l.Name
		if o.Repo == "" {
			text := fmt.Sprintf("%s: no repository describes %s in nodeservice/%[2]s/", l.At, l.Name)
			if near := strictyaml.Nearest(l.Name, names); near != "" {
				text += ", did you mean " + near + "?"
			}
			o.Problems = []string{text}
		}
		o.ListedIn = append(o.ListedIn, l.Repo)
		if o.Wish = service.Wanted; len(o.Problems) > 0 {
			o.Wish = service.Unknown
		}
		for _, text := range o.Problems {
			wrong(cmp.Or(o.Repo, l.Repo), text)
		}
		all[l.Name] = o
	}
	return all, problems
}

// InOrder sorts services so that each comes after those that it requires; those in a circle by name.
func InOrder(all map[string]Offer) []Offer {
	var sorted []Offer
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		o, known := all[name]
		if seen[name] || !known {
			return
		}
		seen[name] = true
		for _, other := range o.Description.Requires {
			visit(other)
		}
		sorted = append(sorted, o)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		visit(name)
	}
	return sorted
}
