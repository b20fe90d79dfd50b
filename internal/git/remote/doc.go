// Package remote speaks with a repository elsewhere, without a clone of it.
//
// It asks where a branch is, fetches packs, lists refs, reads commits into memory, and moves refs by compare-and-swap.
// HTTP, SSH, git:// and paths look the same from outside: begin with Repository, which is made from a Source, keeps its
// connection between calls and chooses the version of the protocol. What is spoken is in package protocol, how a server
// is reached in package transport. The package knows no clone and writes nothing on this machine.
package remote
