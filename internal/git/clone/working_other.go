//go:build !linux

package clone

// gitWorksIn cannot be found out here: what is an hour old is taken for a left-over.
func gitWorksIn(string) bool { return false }
