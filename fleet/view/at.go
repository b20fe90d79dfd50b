package view

import (
	"cmp"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// At is how a node stands to a commit.
type At struct {
	ID         string     `json:"id"`
	Deployment string     `json:"deployment"`
	Nodepart   string     `json:"nodepart"`
	State      node.State `json:"state"`
	Repo       string     `json:"repo"`
	Version    string     `json:"version"` // pulled
	Worked     bool       `json:"worked"`  // all items of this node have worked the commit
	Failed     []string   `json:"failed"`  // items that failed at it
	Reason     string     `json:"reason"`
}

// AtCommit lists the nodes of the repository that has a commit, which may be cut short: those that have not worked it
// come first. None is returned where no node has had it.
func AtCommit(nodes []presence.Node, commit string) []At {
	known := map[string]bool{}
	for _, n := range nodes {
		for _, r := range n.Repos {
			has, _ := r.WorkedAt(commit)
			known[r.Name] = known[r.Name] || has
		}
	}
	all := []At{}
	for _, n := range nodes {
		for _, r := range n.Repos {
			if !known[r.Name] {
				continue
			}
			_, worked := r.WorkedAt(commit)
			a := At{n.InstanceID, n.Deployment, n.Nodepart, n.State, r.Name, r.Version, worked, []string{}, reason(n)}
			for item, version := range r.Failed {
				if strings.HasPrefix(version, commit) {
					a.Failed = append(a.Failed, item)
				}
			}
			slices.Sort(a.Failed)
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b At) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

// rank orders the list: what failed, what waits, what is done.
func rank(a At) int {
	switch {
	case a.Worked:
		return 2
	case len(a.Failed) == 0:
		return 1
	}
	return 0
}

// AtTable is a line a node.
func AtTable(all []At) Table {
	t := Table{Head: []string{"ID", "PART", "STATE", "REPO", "WORKED", "REASON"}, shrink: []shrink{{5, 20}, {0, 10}, {1, 8}}}
	for _, a := range all {
		row, _ := node.Row(a.State)
		worked := [...]Cell{{"failed", "red"}, {"no", "yellow"}, {"yes", "green"}}[rank(a)]
		t.Rows = append(t.Rows, []Cell{{Text: a.ID}, {Text: Part(a.Deployment, a.Nodepart)}, {cmp.Or(human.Safe(string(a.State)), "-"), row.Colour},
			{Text: human.Safe(a.Repo + "@" + human.ID(a.Version))}, worked, {Text: human.Safe(a.Reason)}})
	}
	return t
}
