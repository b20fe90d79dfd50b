package work

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/addagent/addagent/service"
	"github.com/addagent/addagent/service/tree"
)

// findServices finds what a repository describes, and what its lists name for the node. Broken tells that a list cannot
// be used: it may name whatever this node offers.
func findServices(c Checkout, p Place) (described []tree.Offer, lists []tree.Listed, problems []string, broken bool, err error) {
	base, _, err := WorkFolder(c.Tree)
	for _, at := range levels(base, p) {
		if err != nil || base == "" {
			break
		}
		var names []tree.Listed
		var wrong []string
		names, wrong, err = tree.ReadList(c.Tree, c.Repo, at.Dir)
		lists, problems, broken = append(lists, names...), append(problems, wrong...), broken || len(wrong) > 0
	}
	if err == nil {
		described, err = tree.Describe(c.Tree, c.Repo, c.Version)
	}
	if err != nil {
		err = fmt.Errorf("find services in %s: %w", c.Repo, err)
	}
	return described, lists, problems, broken || err != nil, err
}

// setUp is the item that sets a service up; false when it has none, or is not wanted.
func setUp(o tree.Offer, c Checkout) (it Item, ok bool, err error) {
	if o.Wish != service.Wanted || o.Scripts["work.sh"] == "" {
		return it, false, nil
	}
	it = ServiceItem(o, "")
	entries, err := c.Tree.List(o.Dir)
	it.settings(c, named(entries, "work.yaml"))
	if it.WatchFrom != FromYAML {
		for _, name := range o.Description.Requires {
			it.Watch = append(it.Watch, Watch{Service: service.Watch{Service: name, Required: true}})
		}
	}
	return it, true, err
}

// ServiceItem is the item that sets a service up, or with one of Actions that runs that script.
func ServiceItem(o tree.Offer, action string) Item {
	it := Item{Repo: o.Repo, Level: Service, Name: string(Service) + "." + o.Description.Name, Dir: o.Dir, Script: o.Dir + "/work.sh",
		Service: o.Description.Name, Port: o.Description.Port, Action: action}
	if action != "" {
		it.Name, it.Script = it.Name+"."+action, o.Dir+"/"+action+".sh"
	}
	it.Executable = strings.HasSuffix(o.Scripts[strings.TrimPrefix(it.Script, o.Dir+"/")], "+x")
	return it
}

// PortText is where the item's service is reached; "" = nowhere, or it has none.
func (it Item) PortText() string { return strings.TrimPrefix(strconv.Itoa(it.Port), "0") }
