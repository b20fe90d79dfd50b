// Package peers reads who else is there, beside the beats: it keeps nodeinfo/nodes.json, and answers which set of nodes
// agrees with a filter, for items that watch one.
package peers
