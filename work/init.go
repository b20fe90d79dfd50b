package work

import (
	"fmt"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/git/objects"
)

// InitName is the name of the item that is the init of a node, and of its script.
const (
	InitName   = "init"
	initScript = "init.sh"
)

// Step is one script that init sources.
type Step struct {
	Script  string `json:"script"`            // relative to the repository's root: nodeinit/common/init.sh
	Missing bool   `json:"missing,omitempty"` // it is not in the tree: named as skipped
}

// FindInit finds the init of a node in the repository that holds it: common, part, stacktype, stacktype+part, in that
// order, sourced in one shell. They stand in nodeinit/, or else in it/nodeinit/: in the first that has a script for
// this node. false when neither has.
//
// It watches the whole folder: whatever is pushed into it, the helpers beside the scripts too, may fix an init
// that fails. And its scripts by name, so that it is tried at once when a person corrects nodepart or stacktype.
//
// A script whose last command fails, or that returns something else than 0, fails the init, which ends there: no later
// one runs on half of what it needs. What a script leaves in the shell is there for the next, `set -e` too; only the
// working directory is the repository's root again.
func FindInit(c Checkout, p Place) (it Item, ok bool, err error) {
	for _, name := range []string{p.Nodepart, p.Stacktype} {
		if !fitsFolder(name) {
			return Item{}, false, fmt.Errorf("find init in %s: %q cannot be the name of a folder", c.Repo, name)
		}
	}
	for _, base := range []string{"nodeinit", "it/nodeinit"} {
		it, ok, err := initIn(c, base, p)
		if err != nil {
			return Item{}, false, fmt.Errorf("find init in %s: %w", c.Repo, err)
		}
		if ok {
			return it, true, nil
		}
	}
	return Item{}, false, nil
}

func initIn(c Checkout, base string, p Place) (it Item, ok bool, err error) {
	it = Item{Repo: c.Repo, Level: Init, Name: InitName, Dir: base, Watch: []Watch{{Path: base}}, WatchFrom: FromDefault}
	for _, at := range levels("", p) {
		if at.Level == Root {
			continue
		}
		rel := strings.TrimPrefix(at.Dir, "/") + "/" + initScript
		there, problem, err := stepThere(c.Tree, base, rel)
		if err != nil {
			return Item{}, false, err
		}
		step := Step{Script: base + "/" + rel, Missing: !there}
		it.Steps = append(it.Steps, step)
		if there {
			it.Watch = append(it.Watch, Watch{Path: step.Script})
		}
		if problem != "" && it.Problem == "" {
			it.Problem = problem
		}
		ok = ok || there
	}
	return it, ok, nil
}

// stepThere looks for a script below base. What stands in its place and is no script is a problem of the init, not an
// absence: a node must not call itself initialised because a folder was replaced by a link.
func stepThere(t Tree, base, rel string) (there bool, problem string, err error) {
	dir := base
	names := strings.Split(rel, "/")
	for i, name := range names {
		entries, err := t.List(dir)
		if err != nil {
			return false, "", fmt.Errorf("list %s: %w", dir, err)
		}
		at := slices.IndexFunc(entries, func(e objects.Entry) bool { return e.Name == name })
		if at < 0 {
			return false, "", nil
		}
		dir += "/" + name
		last := i == len(names)-1
		switch e := entries[at]; {
		case e.Symlink:
			return true, dir + ": is a symlink: init ignores symlinks, which may lead outside the repository", nil
		case last && e.Dir:
			return true, dir + ": is a folder, not a script", nil
		case !last && !e.Dir:
			return true, dir + ": is a file, not a folder", nil
		}
	}
	return true, "", nil
}
