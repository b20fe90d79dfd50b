package tree

import (
	"fmt"
	"path"
	"slices"

	"github.com/addagent/addagent/internal/git/objects"
)

// Repo is a repository whose services are checked.
type Repo struct {
	Name string
	Tree Tree
	Work string // the folder of its levels, nodework or bin/nodework; "" = it has none
}

// Mistakes are all mistakes in the descriptions of repositories, which are in the order of the config, and in the lists
// of all their levels, whatever node these are for.
func Mistakes(repos []Repo) (all []Problem, err error) {
	var described []Offer
	var lists []Listed
	for _, r := range repos {
		offers, err := Describe(r.Tree, r.Name, "")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		described = append(described, offers...)
		for _, o := range offers {
			for _, text := range o.Problems {
				all = append(all, Problem{r.Name, text})
			}
		}
		dirs, err := r.levels()
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			names, problems, err := ReadList(r.Tree, r.Name, dir)
			if err != nil {
				return nil, fmt.Errorf("%s: list %s: %w", r.Name, dir, err)
			}
			lists = append(lists, names...)
			for _, text := range problems {
				all = append(all, Problem{r.Name, text})
			}
		}
	}
	_, joined := Join(described, lists, false)
	for _, p := range joined {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// levels are the folders of all levels that a repository has.
func (r Repo) levels() (dirs []string, err error) {
	if r.Work == "" {
		return nil, nil
	}
	below := func(dir string) (all []string) {
		var entries []objects.Entry
		if err == nil {
			entries, err = r.Tree.List(dir)
		}
		for _, e := range entries {
			if e.Dir {
				all = append(all, path.Join(dir, e.Name))
			}
		}
		return all
	}
	dirs = append([]string{r.Work, r.Work + "/common"}, below(r.Work+"/part")...)
	for _, dir := range below(r.Work + "/stacktype") {
		dirs = append(dirs, dir)
		dirs = append(dirs, below(dir+"/part")...)
	}
	if err != nil {
		err = fmt.Errorf("%s: list the levels: %w", r.Name, err)
	}
	return dirs, err
}
