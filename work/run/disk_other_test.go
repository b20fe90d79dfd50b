//go:build !linux

package run

import "errors"

func mountSmall(string, string) error { return errors.ErrUnsupported }
func unmount(string) error            { return nil }
