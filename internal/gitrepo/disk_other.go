//go:build !linux

package gitrepo

import "errors"

func freeDisk(string) (int64, bool) { return 0, false }

func exchange(string, string) error { return errors.ErrUnsupported }
