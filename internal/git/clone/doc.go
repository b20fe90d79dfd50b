// Package clone keeps clones of repositories up to date.
//
// Begin with Repo in repo.go: Ask (ask.go) asks where a branch is, Apply fetches what is missing (fetch.go) and has the
// work tree moved. What a crash interrupted is finished, and a damaged clone is made anew (repair.go, rebuild.go). A
// clone is a real git repository, shallow at the commit that its tree shows; `git status`, `git log` and `git fsck`
// work in it. Its .git and .temp belong to the agent, tracked files are restored when the repository moves, and
// everything else is people's and never deleted.
//
// The package knows nothing of how a server is reached (package remote) or how files are written (package worktree).
package clone
