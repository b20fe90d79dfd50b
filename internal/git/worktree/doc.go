// Package worktree moves the files in a folder from one commit to another, and writes only what differs.
//
// Begin with Move in move.go. Each file appears whole, by a rename; tracked files that were edited are restored; what
// is not tracked is never deleted: a file in the way is set aside. A move that was interrupted, by a crash or an error,
// is finished by the next one.
//
// git's own index remembers what each file looked like, a marker in .git names a move that has begun, and on Linux a
// Watcher lets the kernel record which files were touched between two moves. Names that would lead out of the tree are
// refused, and no symbolic link is followed. The package knows no network, no refs and no config: which commit is
// wanted, and what else of .git says so, is the caller's.
package worktree
