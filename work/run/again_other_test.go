//go:build !linux

package run

import (
	"syscall"
	"testing"
)

func again(*testing.T, *syscall.SysProcAttr) bool { return false }
func ownNamespace() *syscall.SysProcAttr          { return nil }
