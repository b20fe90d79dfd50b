package work

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
	"github.com/addagent/addagent/service/tree"
)

// Level is where in a repository an item stands.
type Level string

// The levels, in the order in which they are worked.
const (
	Root          Level = "root"           // nodework/work.sh
	Common        Level = "common"         // nodework/common/work.sh
	Part          Level = "part"           // nodework/part/<nodepart>/work.sh
	Stacktype     Level = "stacktype"      // nodework/stacktype/<stacktype>/work.sh
	StacktypePart Level = "stacktype+part" // nodework/stacktype/<stacktype>/part/<nodepart>/work.sh

	// Init is the init of the node: once per instance, before all work. Its item is always named "init".
	Init Level = "init"

	// Service is nodeservice/<name>: a service that this node offers, after all levels.
	Service Level = "service"
)

// Place is where in the grid a node stands. An empty field means that the levels named after it do not exist for this
// node.
type Place struct {
	Nodepart, Stacktype string
	Deployment          string // whose services are meant where a watch does not say it
	Init                string // name of the repository that holds the node's init, while that is not done; "" = do not look for it
}

// Env is what a script is told about the node.
type Env struct {
	NodeID, Nodepart, Stacktype, Deployment, State string
	Fields                                         map[string]string // nodeinfo
}

// Tree is a repository's tree at one version; *objects.Tree is one. Paths are relative to the top, with slashes; what
// is absent has the id "", reads as fs.ErrNotExist and lists as empty; reading a file longer than max is an error.
type Tree interface {
	ID(path string) (string, error)
	Read(path string, max int64) ([]byte, error)
	List(dir string) ([]objects.Entry, error)
}

// Checkout is a repository as it lies on this node.
type Checkout struct {
	Repo    string // its name: the folder below gitrepo/
	Dir     string // absolute path of the clone
	Version string // commit that the tree is at, 40 hex digits
	Tree    Tree
}

// Item is one work script, with what its work.yaml says.
type Item struct {
	Repo       string        // name of its repository
	Level      Level         //
	Name       string        // its name in that repository, fit for a file name: root, common, part.app1, stacktype.lad1.part.app1, common+ntp
	Dir        string        // folder of the script, relative to the repository's root: nodework/part/app1
	Script     string        // the script, relative to the repository's root
	Executable bool          // git has the script as executable: it is run as it is, else by bash
	Watch      []Watch       // what it depends on besides its script and work.yaml; may be empty when work.yaml says so
	WatchFrom  string        // where Watch comes from: work.yaml, override or default
	Always     bool          // run: always
	Timeout    time.Duration // 0 = as the config says
	Service    string        // the service that it belongs to; "" = none
	Port       int           // of that service
	Action     string        // what it does once to that service, one of Actions; "" = it sets it up
	Root       string        // the absolute folder that replaces the clone; "" = none does
	Steps      []Step        // only of the init: what is sourced, in order; it has no Script
	Problem    string        // why it can not be worked although it is there, e.g. a mistake in work.yaml with file, line and column; such an item fails
}

// The values of Item.WatchFrom.
const (
	FromYAML     = "work.yaml"
	FromOverride = "override" // the file work.sh_WATCH_PATH.txt in the item's memory
	FromDefault  = "default"  // the whole repository
)

// ID is the item's name on this node: repository:item.
func (it Item) ID() string { return it.Repo + ":" + it.Name }

func (it Item) yamlPath() string { return path.Join(it.Dir, "work.yaml") }

// Find lists the items of a repository that concern a node, in the order in which they are worked: root, common, part,
// stacktype, stacktype+part, in each its own work.sh and then those of work.d by name. They stand in nodework/, or else
// in bin/nodework/. What looks like an item and is none is told in notices; an error means that the tree could not be
// read.
func Find(c Checkout, p Place) (items []Item, notices []string, err error) {
	base, notices, err := WorkFolder(c.Tree)
	if err == nil && p.Init == c.Repo {
		notices, err = misspeltInit(c.Tree, p, notices)
	}
	if err == nil && base != "" {
		for _, at := range levels(base, p) {
			var found []Item
			var said []string
			if found, said, err = findLevel(c, at); err != nil {
				break
			}
			items, notices = append(items, found...), append(notices, said...)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find work in %s: %w", c.Repo, err)
	}
	slices.Sort(notices) // two levels can lie behind one symlink
	return items, slices.Compact(notices), nil
}

// entryAt looks a path up, name by name. nil means that it is not there; obstacle then says what stands in the way of
// it, if anything does. Without that the work of a whole part would be missing without a word because its folder was
// replaced by a link.
func entryAt(t Tree, at string) (e *objects.Entry, obstacle string, err error) {
	dir := "."
	for name := range strings.SplitSeq(at, "/") {
		if e != nil && !e.Dir {
			break
		}
		entries, err := t.List(dir)
		if err != nil {
			return nil, "", fmt.Errorf("list %s: %w", dir, err)
		}
		if e = named(entries, name); e == nil {
			return nil, "", nil
		}
		dir = path.Join(dir, name)
	}
	switch {
	case e.Symlink:
		obstacle = human.Printable(dir) + ": is a symlink, which is not followed: it may lead outside the repository"
	case dir != at && dir != "bin" && dir != "it": // files of these names are no mistake
		obstacle = human.Printable(dir) + ": is a file, not a folder"
	}
	if obstacle != "" || dir != at {
		return nil, obstacle, nil
	}
	return e, "", nil
}

// meant is what a person means who does not take a name exactly: WORK.yaml, work.yml and work.yaml.txt mean work.yaml.
func meant(name string) string {
	name = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), ".txt")
	for _, ending := range [][2]string{{".yml", ".yaml"}, {".bash", ".sh"}} {
		if stem, ok := strings.CutSuffix(name, ending[0]); ok {
			return stem + ending[1]
		}
	}
	return name
}

// misspelt names what a folder holds that means one of our names and is not: without that a brake or a watch would be
// missing in silence.
func misspelt(dir string, entries []objects.Entry, ours ...string) (notices []string) {
	for _, e := range entries {
		if is := meant(e.Name); is != e.Name && slices.Contains(ours, is) {
			notices = append(notices, fmt.Sprintf("%s: ignored: did you mean %s?", human.Printable(path.Join(dir, e.Name)), is))
		}
	}
	return notices
}

// named is the entry of that name in a folder, nil when there is none.
func named(entries []objects.Entry, name string) *objects.Entry {
	if i := slices.IndexFunc(entries, func(e objects.Entry) bool { return e.Name == name }); i >= 0 {
		return &entries[i]
	}
	return nil
}

// levels gives the items that a place can have, without those of work.d: only Level, Name and Dir are set.
func levels(base string, p Place) []Item {
	all := []Item{{Level: Root, Name: "root", Dir: base}, {Level: Common, Name: "common", Dir: base + "/common"}}
	if p.Nodepart != "" {
		all = append(all, Item{Level: Part, Name: "part." + p.Nodepart, Dir: base + "/part/" + p.Nodepart})
	}
	if p.Stacktype != "" {
		name, dir := "stacktype."+p.Stacktype, base+"/stacktype/"+p.Stacktype
		all = append(all, Item{Level: Stacktype, Name: name, Dir: dir})
		if p.Nodepart != "" {
			all = append(all, Item{Level: StacktypePart, Name: name + ".part." + p.Nodepart, Dir: dir + "/part/" + p.Nodepart})
		}
	}
	return all
}

// plain is what a folder in work.d is called: its name becomes part of file names and of lines that people read.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func findLevel(c Checkout, at Item) (items []Item, notices []string, err error) {
	at.Repo = c.Repo
	dirs := []Item{at}
	parts, obstacle, err := folder(c.Tree, at.Dir+"/work.d")
	if err != nil {
		return nil, nil, err
	}
	if obstacle != "" {
		notices = append(notices, obstacle)
	}
	slices.SortFunc(parts, func(a, b objects.Entry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range parts {
		dir := at.Dir + "/work.d/" + e.Name
		switch {
		case e.Symlink:
			notices = append(notices, human.Printable(dir)+": ignored: is a symlink")
		case !e.Dir: // a README beside the folders is not a mistake
		case !plain.MatchString(e.Name):
			notices = append(notices, human.Printable(dir)+": ignored: the name of an item is made of at most 100 letters, digits, dots, dashes and underscores")
		default:
			dirs = append(dirs, Item{Repo: c.Repo, Level: at.Level, Name: at.Name + "+" + e.Name, Dir: dir})
		}
	}
	for _, it := range dirs {
		entries, err := c.Tree.List(it.Dir)
		if err != nil {
			return nil, nil, fmt.Errorf("list %s: %w", it.Dir, err)
		}
		notices = append(notices, misspelt(it.Dir, entries, "work.sh", "work.yaml", "work.d", tree.ListYAML)...)
		for _, e := range entries {
			switch is := meant(e.Name); {
			case is == tree.ListYAML && it.Dir != at.Dir:
				notices = append(notices, fmt.Sprintf("%s/%s: ignored: it stands beside the work.sh of a level", it.Dir, human.Printable(e.Name)))
			case is == holdName && it.Level != Root:
				notices = append(notices, fmt.Sprintf("%s/%s: ignored: only %s in nodework/ or bin/nodework/ holds", it.Dir, human.Printable(e.Name), holdName))
			}
		}
		script := named(entries, "work.sh")
		switch {
		case script == nil:
			continue
		case script.Dir:
			notices = append(notices, it.Dir+"/work.sh: ignored: is a folder, not a script")
			continue
		}
		it.Script, it.Executable = it.Dir+"/work.sh", script.Executable
		it.settings(c, named(entries, "work.yaml"))
		if script.Symlink {
			// It could lead out of the repository, and a change of what it leads to would not be one of the script.
			it.Problem = it.Script + ": is a symlink: write a script that calls the other one instead"
		}
		items = append(items, it)
	}
	return items, notices, nil
}

// folder lists a folder, or says what stands in the way of it.
func folder(t Tree, dir string) (entries []objects.Entry, obstacle string, err error) {
	e, obstacle, err := entryAt(t, dir)
	if err == nil && e != nil {
		if entries, err = t.List(dir); err != nil {
			err = fmt.Errorf("list %s: %w", dir, err)
		} else if !e.Dir {
			obstacle = human.Printable(dir) + ": is a file, not a folder"
		}
	}
	return entries, obstacle, err
}

// settings reads the work.yaml beside the script and, when that does not say what is watched, the local override.
func (it *Item) settings(c Checkout, yaml *objects.Entry) {
	it.Watch, it.WatchFrom = []Watch{{Path: "."}}, FromDefault
	if it.Level == Service {
		it.Watch[0].Path = it.Dir
	}
	if yaml != nil {
		file := it.yamlPath()
		if yaml.Symlink || yaml.Dir {
			it.Problem = file + ": is not a regular file"
			return
		}
		data, err := c.Tree.Read(file, strictyaml.FileMax)
		if err != nil { // too long, most likely; whatever it is, it stops this item alone
			it.Problem = fmt.Sprintf("%s: cannot be read: %v", file, err)
			return
		}
		y, problems := parseWorkYAML(file, c.Repo, data)
		if len(problems) > 0 {
			it.Problem = strings.Join(problems, "; ")
			return
		}
		it.Always, it.Timeout = y.always, y.timeout
		if y.watch != nil {
			it.Watch, it.WatchFrom = y.watch, FromYAML
			return
		}
	}
	watch, problem := readOverride(c.Dir, it.Name)
	it.Problem = problem
	if watch != nil {
		it.Watch, it.WatchFrom = watch, FromOverride
	}
}

// WorkFolder is nodework or bin/nodework, "" when there is neither; notices name what is misspelt there. A folder
// with nothing but a hold.yaml does not count: a fleet that is stopped by that file in nodework/ must keep the work
// that stands in bin/nodework/.
func WorkFolder(t Tree) (base string, notices []string, err error) {
	for _, dir := range []string{"nodework", "bin/nodework"} {
		entries, obstacle, err := folder(t, dir)
		if err != nil {
			return "", nil, err
		}
		notices = append(notices, misspelt(dir, entries, holdName)...)
		if base != "" {
			break
		}
		if obstacle != "" {
			notices = append(notices, obstacle)
		}
		notices = append(notices, misspelt(dir, entries, "common", "part", "stacktype")...)
		if slices.ContainsFunc(entries, func(e objects.Entry) bool { return meant(e.Name) != holdName }) {
			base = dir
		}
	}
	return base, notices, nil
}
