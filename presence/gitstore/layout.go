package gitstore

import (
	"fmt"
	"strings"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// The refs and folders of the presence repository. They are a contract with people who read it with git alone.
const (
	// RefPrefix is the default prefix of the nodes' refs.
	RefPrefix = "refs/heads/presence/"
	// FoldRef is the branch that holds all records, kept by a control node.
	FoldRef = "refs/heads/main"
	// ServicesRef is the branch that holds the index of services, kept with the fold.
	ServicesRef = "refs/heads/services"
	// Folder holds the records, both in a node's own ref and in the fold.
	Folder = "it/presence/all"
	// HistoryFolder holds a line for each transition, in YYYY/MM/DD.jsonl of the fold.
	HistoryFolder = "history"
)

// RefName is the ref of one node. Prefix ends with a slash.
func RefName(prefix, id string) string { return prefix + id }

// IDOf returns the node that a ref below prefix belongs to; ok is false for any other ref.
func IDOf(prefix, ref string) (id string, ok bool) {
	id, ok = strings.CutPrefix(ref, prefix)
	return id, ok && node.ValidID(id) == nil
}

// PathOf is the path of a node's record in a tree.
func PathOf(id string) string { return Folder + "/" + id + ".json" }

// LeaseRef is the ref of a lease, beside the refs of the nodes so that it is visible or hidden like them. The name says
// what the lease is for and for whom, "kill/fed1/app1".
func LeaseRef(prefix, name string) string {
	parent := strings.TrimSuffix(prefix, "/")
	return parent[:strings.LastIndexByte(parent, '/')+1] + "lease/" + name
}

// CheckPrefix refuses a prefix under which the fold itself would be a node.
func CheckPrefix(prefix string) error {
	if !strings.HasPrefix(prefix, "refs/") || strings.Contains(prefix, "//") || strings.Count(prefix, "/") < 2 ||
		strings.HasPrefix(FoldRef, prefix) || strings.HasPrefix(ServicesRef, prefix) {
		return fmt.Errorf("ref_prefix %q: write refs/heads/NAME/ or refs/NAME/", prefix)
	}
	return nil
}

// Subject is the first line of the commit of a record: what `git log --all` shows.
func Subject(r presence.Record) string {
	return fmt.Sprintf("%s:%s/%s %s", r.InstanceID, r.Deployment, r.Nodepart, r.State)
}
