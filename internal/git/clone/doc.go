// Package clone keeps clones of repositories up to date. Look asks where a branch is, fetches what is missing, and
// has the work tree moved; it finishes what a crash interrupted, and rebuilds a clone that is damaged.
//
// A clone is a real git repository, shallow at the commit that its tree is at (a clone that a person made with all
// history keeps that); `git status`, `git log` and `git fsck` work in it. What is below its .git and .temp belongs to
// the agent, tracked files are put back when the repository moves, and everything else is people's and never deleted.
//
// The package knows nothing of how a server is reached (package remote) or how files are written (package worktree).
// The two meet in the objects below .git: the one puts a whole pack there or nothing, the other reads from there.
package clone
