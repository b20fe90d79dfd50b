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
)

// Place is where in the grid a node stands. An empty field means that the levels named after it do not exist for this
// node.
type Place struct {
	Nodepart, Stacktype string
	Init                string // name of the repository that holds the node's init, while that is not done; "" = do not look for it
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
	Branch  string
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
	Steps      []Step        // only of the init: what is sourced, in order; it has no Script
	Memory     string        // absolute folder of its memory; "" = MemoryDir of its repository and name
	Problem    string        // why it can not be worked although it is there, e.g. a mistake in work.yaml with file, line and column; such an item fails
}

// The values of Item.WatchFrom.
const (
	FromYAML     = "work.yaml"
	FromOverride = "override" // the file work.sh_WATCH_PATH.txt in the item's memory
	FromDefault  = "default"  // the whole repository
)

// memoryDir is the folder of the item's memory; repoDir is its clone.
func (it Item) memoryDir(repoDir string) string {
	if it.Memory != "" {
		return it.Memory
	}
	return MemoryDir(repoDir, it.Name)
}

// ID is the item's name on this node: repository:item.
func (it Item) ID() string { return it.Repo + ":" + it.Name }

func (it Item) yamlPath() string { return path.Join(it.Dir, "work.yaml") }

// Find lists the items of a repository that concern a node, in the order in which they are worked: root, common, part,
// stacktype, stacktype+part, in each its own work.sh and then those of work.d by name. They stand in nodework/, or else
// in bin/nodework/. What looks like an item and is none is told in notices; an error means that the tree could not be
// read.
func Find(c Checkout, p Place) (items []Item, notices []string, err error) {
	for _, name := range []string{p.Nodepart, p.Stacktype} {
		if !fitsFolder(name) {
			return nil, nil, fmt.Errorf("find work in %s: %q cannot be the name of a folder", c.Repo, name)
		}
	}
	base, err := workFolder(c.Tree)
	if err != nil {
		return nil, nil, fmt.Errorf("find work in %s: %w", c.Repo, err)
	}
	if base == "" {
		return nil, nil, nil
	}
	for _, at := range levels(base, p) {
		found, said, err := findLevel(c, at)
		if err != nil {
			return nil, nil, fmt.Errorf("find work in %s: %w", c.Repo, err)
		}
		items = append(items, found...)
		for _, s := range said {
			if !slices.Contains(notices, s) { // two levels can lie behind one symlink
				notices = append(notices, s)
			}
		}
	}
	return items, notices, nil
}

// noFolder says what stands in the way of a folder that is not there; nothing when nothing does. Without it the work of
// a whole part would be missing without a word because its folder was replaced by a link.
func noFolder(t Tree, dir string) (notices []string, err error) {
	at := ""
	for _, name := range strings.Split(dir, "/") {
		at = path.Join(at, name)
		id, err := t.ID(at)
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", at, err)
		}
		if id == "" {
			return nil, nil
		}
		entries, err := t.List(at)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", at, err)
		}
		if len(entries) == 0 {
			return []string{human.Printable(at) + ": ignored: is not a folder (a symlink to one is not followed)"}, nil
		}
	}
	return nil, nil
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
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func findLevel(c Checkout, at Item) (items []Item, notices []string, err error) {
	entries, err := c.Tree.List(at.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list %s: %w", at.Dir, err)
	}
	at.Repo = c.Repo
	if len(entries) == 0 {
		notices, err := noFolder(c.Tree, at.Dir)
		return nil, notices, err
	}
	items, notices = withScript(c, at, entries)
	if !slices.ContainsFunc(entries, func(e objects.Entry) bool { return e.Name == "work.d" && e.Dir }) {
		return items, notices, nil
	}
	parts, err := c.Tree.List(at.Dir + "/work.d")
	if err != nil {
		return nil, nil, fmt.Errorf("list %s/work.d: %w", at.Dir, err)
	}
	slices.SortFunc(parts, func(a, b objects.Entry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range parts {
		dir := at.Dir + "/work.d/" + e.Name
		if e.Symlink {
			notices = append(notices, human.Printable(dir)+": ignored: is a symlink")
		}
		if !e.Dir {
			continue // a README beside the folders is not a mistake
		}
		if !plain.MatchString(e.Name) {
			notices = append(notices, fmt.Sprintf("%s: ignored: the name of an item is made of letters, digits, dot, dash and underscore", human.Printable(dir)))
			continue
		}
		inside, err := c.Tree.List(dir)
		if err != nil {
			return nil, nil, fmt.Errorf("list %s: %w", dir, err)
		}
		more, said := withScript(c, Item{Repo: c.Repo, Level: at.Level, Name: at.Name + "+" + e.Name, Dir: dir}, inside)
		items, notices = append(items, more...), append(notices, said...)
	}
	return items, notices, nil
}

// withScript completes an item from what its folder holds; none when there is no work.sh.
func withScript(c Checkout, it Item, entries []objects.Entry) (items []Item, notices []string) {
	i := slices.IndexFunc(entries, func(e objects.Entry) bool { return e.Name == "work.sh" })
	if i < 0 {
		return nil, nil
	}
	it.Script = it.Dir + "/work.sh"
	if entries[i].Dir {
		return nil, []string{it.Script + ": ignored: is a folder, not a script"}
	}
	it.Executable = entries[i].Executable
	it.settings(c, entries)
	if entries[i].Symlink {
		// It could lead out of the repository, and a change of what it leads to would not be a change of the script.
		it.Problem = it.Script + ": is a symlink: write a script that calls the other one instead"
	}
	return []Item{it}, nil
}

// settings reads the work.yaml beside the script and, when that does not say what is watched, the local override.
func (it *Item) settings(c Checkout, entries []objects.Entry) {
	it.Watch, it.WatchFrom = []Watch{{Path: "."}}, FromDefault
	said := false
	if i := slices.IndexFunc(entries, func(e objects.Entry) bool { return e.Name == "work.yaml" }); i >= 0 {
		file := it.yamlPath()
		if entries[i].Symlink || entries[i].Dir {
			it.Problem = file + ": is not a regular file"
			return
		}
		data, err := c.Tree.Read(file, yamlMax)
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
		if said = y.watch != nil; said {
			it.Watch, it.WatchFrom = y.watch, FromYAML
		}
	}
	if said {
		return
	}
	watch, problem := readOverride(c.Dir, it.Name)
	if problem != "" {
		it.Problem = problem
	}
	if watch != nil {
		it.Watch, it.WatchFrom = watch, FromOverride
	}
}

// workFolder is nodework or bin/nodework, "" when there is neither. A folder with nothing but a hold.yaml does not
// count: a fleet that is stopped by that file in nodework/ must keep the work that stands in bin/nodework/.
func workFolder(t Tree) (string, error) {
	for _, dir := range []string{"nodework", "bin/nodework"} {
		entries, err := t.List(dir)
		if err != nil {
			return "", fmt.Errorf("list %s: %w", dir, err)
		}
		if slices.ContainsFunc(entries, func(e objects.Entry) bool { return e.Name != holdName }) {
			return dir, nil
		}
	}
	return "", nil
}

// fitsFolder tells whether a name can be one folder of a path; the empty one stands for none.
func fitsFolder(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/\\") && human.Printable(name) == name
}
