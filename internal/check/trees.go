package check

import (
	"path/filepath"

	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/service/tree"
	"github.com/addagent/addagent/work"
)

// trees tells what is wrong in the services of the trees that are here, those of other nodes, too. It asks no server.
func (d *Checker) trees() (found []Finding) {
	clones, err := daemon.OpenClones(d.cfg, d.info)
	if err != nil {
		return nil // settle said it
	}
	defer clones.Close()
	broken := func(repo string, err error) {
		found = append(found, note("read the tree of "+repo+": "+err.Error(), "read it as the agent's account; the agent makes a damaged clone anew").named("services"))
	}
	var repos []tree.Repo
	for _, l := range clones.Current() {
		if l.Version == "" { // there is no whole clone yet
			continue
		}
		t, err := clones.Tree(l.Repo, l.Version)
		if err != nil {
			broken(l.Repo, err)
			continue
		}
		defer t.Close()
		base, _, err := work.WorkFolder(t)
		if err != nil {
			broken(l.Repo, err)
			continue
		}
		repos = append(repos, tree.Repo{Name: l.Repo, Tree: t, Work: base})
	}
	wrong, err := tree.Mistakes(repos)
	if err != nil {
		broken("a repository", err)
	}
	for _, p := range wrong {
		text := filepath.Join(d.cfg.Home, "gitrepo", p.Repo) + "/" + p.Text
		found = append(found, fail(text, "").named("services"))
	}
	return found
}
