// Package clone keeps clones of repositories up to date: it asks where a branch is, fetches what is missing, and moves
// the work tree. It is the one door to go-git (of which internal/gitpack has the names of objects), and needs no git program but for repositories given as a path.
// Packs are read and written by internal/gitpack, connections are made by internal/gitaccess.
//
// A clone is a real git repository, shallow at the commit that its tree is at (a person's clone with all history keeps
// that); `git status`, `git log` and `git fsck` work in it. What is below its .git and .temp belongs to the agent, the tracked files are put back when the
// repository moves, and everything else is people's and never deleted.
//
// The network side (ask, fetch, packs, rebuild) and the tree side (move, index, tree) meet in the objects below .git:
// the one puts a whole pack there or nothing, the other reads from there.
//
// A Store is a repository elsewhere without a clone: refs are listed and moved, commits are read into memory.
package clone
