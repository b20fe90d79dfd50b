// Package peers is the other nodes as last read: nodeinfo/nodes.json, and the sets of them that items watch.
//
// It reads beside the beats, at most once at a time; what could not be read stands as it was read before.
package peers
