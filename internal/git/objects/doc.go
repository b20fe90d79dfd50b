// Package objects reads what a git directory holds: commits, trees, and the paths that differ between two trees.
//
// Reader reads from a directory, Content what was fetched into memory, Builder makes new objects; Files writes the
// small files of a git directory whole or not at all. It is the door to go-git, which has the loose objects and the
// alternates; packs are read by package pack. It knows no branch, no server and no work tree.
package objects
