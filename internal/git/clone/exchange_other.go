//go:build !linux

package clone

import "errors"

func exchange(string, string) error { return errors.ErrUnsupported }
