package gitstore

import (
	"fmt"
	"strings"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// The places of the presence repository, all of them contracts with people who look into it with git alone.
const (
	// RefPrefix is where the nodes' refs are when the config says nothing else.
	RefPrefix = "refs/heads/presence/"
	// FoldRef is the branch that holds everybody's record, kept by one folding node.
	FoldRef = "refs/heads/main"
	// Folder holds the records, in a node's own ref as in the fold.
	Folder = "it/presence/all"
	// HistoryFolder holds, in the fold, one line a transition: YYYY/MM/DD.jsonl.
	HistoryFolder = "history"
)

// RefName is the ref of one node. Prefix ends with a slash.
func RefName(prefix, id string) string { return prefix + id }

// IDOf is the node that a ref below prefix belongs to; ok is false for a ref that is no node's.
func IDOf(prefix, ref string) (id string, ok bool) {
	id, ok = strings.CutPrefix(ref, prefix)
	return id, ok && node.ValidID(id) == nil
}

// PathOf is where a node's record lies in a tree.
func PathOf(id string) string { return Folder + "/" + id + ".json" }

// LeaseRef is the ref of a lease that one of many nodes can hold: beside the refs of the nodes, visible or hidden as
// they are. Name holds what the lease is for and for whom, "kill/fed1/app1".
func LeaseRef(prefix, name string) string {
	parent := strings.TrimSuffix(prefix, "/")
	return parent[:strings.LastIndexByte(parent, '/')+1] + "lease/" + name
}

// Subject is the first line of the commit that tells a record: what `git log --all` shows of the grid.
func Subject(r presence.Record) string {
	return fmt.Sprintf("%s:%s/%s %s", r.InstanceID, r.Deployment, r.Nodepart, r.State)
}
