//go:build !linux

package offer

import "os"

// killHolders needs /proc: elsewhere what leaves the group of a check stays.
func killHolders(*os.File) {}
