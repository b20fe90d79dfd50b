//go:build !linux

package handler

import (
	"context"
	"errors"
	"io"
	"time"
)

// Handlers run on Linux only: sessions are found through /proc.
var errLinuxOnly = errors.New("handlers run on Linux only")

func (r *Repository) shim(context.Context, order, func() time.Duration) (result, error) {
	return result{}, errLinuxOnly
}

// Supervise only refuses on this system.
func Supervise(context.Context, io.Reader, io.Writer) error { return errLinuxOnly }
