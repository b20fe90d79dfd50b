package event

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
)

// NodesOf are the nodes that a group means: a service, a node, an address, a deployment, or all; sorted by id. Only
// nodes that can hear are meant.
func (s Status) NodesOf(group string, local []string) []string {
	var all []string
	for _, n := range s.Nodes {
		if hears(n, s) && (isNode(n, group, local) || slices.ContainsFunc(n.Services, func(o presence.Service) bool { return o.Name == group })) {
			all = append(all, n.InstanceID)
		}
	}
	return all
}

// hears says that a node takes requests now.
func hears(n presence.Node, s Status) bool {
	age := n.Age(s.At)
	return age == presence.Present || age == presence.Late
}

// isNode says whether a group means a node, whatever it offers.
func isNode(n presence.Node, group string, local []string) bool {
	return group == All || group == n.InstanceID || group == n.Deployment || slices.Contains(n.Addresses, group) || group == Address(n.Record) ||
		group == Local && slices.ContainsFunc(local, func(ip string) bool { return slices.Contains(n.Addresses, ip) })
}

// ServicesOf are the offers that a group (a service, or all of a node, an address or a deployment) and a type (a mode,
// or a section of the ancestor's configuration) mean. An absent type is all.
func (s Status) ServicesOf(group, kind string, local []string) []Service {
	nodes := map[string]presence.Node{}
	for _, n := range s.Nodes {
		nodes[n.InstanceID] = n
	}
	return slices.DeleteFunc(slices.Clone(s.Services), func(o Service) bool {
		return group != o.Name && group != o.IP && !isNode(nodes[o.Node], group, local) || !anything(kind) && !isType(o.Mode, kind)
	})
}

// isType says whether a mode is of a type.
func isType(mode, kind string) bool {
	return kind == All || kind == mode || slices.Contains(sections()[kind], mode)
}

// InstancesOf are the instances that a group means: an id, an address, or all.
func (s Status) InstancesOf(group string) []string {
	var all []string
	for _, i := range s.Instances {
		if group == All || group == i.ID || group == i.IP {
			all = append(all, i.ID)
		}
	}
	return all
}

// Targets are whom an action asks: "NODE", or "NODE SERVICE" for one service of a node. They are the keys of
// Entry.Nodes.
func (a Action) Targets(s Status, local []string) []string {
	if a.DoLevel != Services {
		return s.NodesOf(a.DoGroup, local)
	}
	heard := map[string]bool{}
	for _, n := range s.Nodes {
		heard[n.InstanceID] = hears(n, s)
	}
	var all []string
	for _, o := range s.ServicesOf(a.DoGroup, a.DoType, local) {
		if heard[o.Node] {
			all = append(all, o.Node+" "+o.Name)
		}
	}
	return all
}

// Target is a key of Entry.Nodes in its parts; service "" = the node as a whole.
func Target(key string) (node, service string) {
	node, service, _ = strings.Cut(key, " ")
	return node, service
}

// RequestID is the id of the request to one of the targets of an action that asks under an id: the same whenever that
// is repeated.
func RequestID(id, target string) string {
	_, service := Target(target)
	if service == "" {
		return id
	}
	sum := sha256.Sum256([]byte(service))
	return id + "-" + hex.EncodeToString(sum[:])[:5]
}

// asked words how many were asked.
func asked(nodes map[string]string) string {
	for key := range nodes {
		if _, service := Target(key); service != "" {
			return human.Count(len(nodes), "service")
		}
	}
	return human.Count(len(nodes), "node")
}
