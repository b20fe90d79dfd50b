//go:build !(linux && (amd64 || arm64))

package gitrepo

import "time"

// noted is never: nothing is noted on this system.
func noted(*Repo) time.Time { return time.Time{} }
