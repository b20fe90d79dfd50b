package work

import "fmt"

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
	for _, base := range []string{"nodeinit", "it/nodeinit"} {
		it = Item{Repo: c.Repo, Level: Init, Name: InitName, Dir: base, Watch: []Watch{{Path: base}}, WatchFrom: FromDefault}
		for _, at := range levels(base, p)[1:] { // no script stands in the base folder itself
			script := at.Dir + "/" + initScript
			e, obstacle, err := entryAt(c.Tree, script)
			if err != nil {
				return Item{}, false, fmt.Errorf("find init in %s: %w", c.Repo, err)
			}
			if e != nil && e.Dir {
				obstacle = script + ": is a folder, not a script"
			}
			// What stands in the place of a script and is none is a problem of the init, not an absence: a node must
			// not call itself initialised because a folder was replaced by a link.
			there := e != nil || obstacle != ""
			it.Steps = append(it.Steps, Step{Script: script, Missing: !there})
			if there {
				it.Watch = append(it.Watch, Watch{Path: script})
			}
			if obstacle != "" && it.Problem == "" {
				it.Problem = obstacle
			}
			ok = ok || there
		}
		if ok {
			return it, true, nil
		}
	}
	return Item{}, false, nil
}

// misspeltInit adds the names in a repository that mean an init script of the node and are none.
func misspeltInit(t Tree, p Place, notices []string) ([]string, error) {
	for _, base := range []string{"nodeinit", "it/nodeinit"} {
		for _, at := range levels(base, p) {
			entries, err := t.List(at.Dir)
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", at.Dir, err)
			}
			notices = append(notices, misspelt(at.Dir, entries, initScript)...)
		}
	}
	return notices, nil
}
