//go:build !linux

package work

import "errors"

func mountSmall(string, string) error { return errors.ErrUnsupported }
func unmount(string) error            { return nil }
