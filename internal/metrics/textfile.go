package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/addagent/addagent/internal/files"
	"golang.org/x/sys/unix"
)

// WriteTextfile replaces a file for node_exporter's textfile collector,
// https://github.com/prometheus/node_exporter#textfile-collector: atomically, readable by all, since node_exporter is
// another user. It does not sync: the file only informs. One goroutine of one process writes it: the holder of
// beat.lock. The config has checked that its path is absolute and ends in .prom. An error says what to do.
func WriteTextfile(path string, page []byte) error {
	// The temporary name begins with a dot and ends in digits, not in .prom, so node_exporter ignores it.
	return explain(path, files.Publish(path, page))
}

// CheckTextfile tells, without writing, whether WriteTextfile can be expected to succeed. An error says what to do.
func CheckTextfile(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("metrics.textfile: %s is not a folder", dir)
	}
	if err == nil {
		if err = unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			err = &fs.PathError{Op: "write into", Path: dir, Err: err}
		}
	}
	return explain(path, err)
}

// unwritten is an error whose text ends with what to do about it.
type unwritten struct {
	error
	todo string
}

func (u *unwritten) Error() string { return u.error.Error() + ": " + u.todo }
func (u *unwritten) Unwrap() error { return u.error }
func (u *unwritten) Hint() string  { return u.todo }

// explain adds to an error what to do about it.
func explain(path string, err error) error {
	if err == nil {
		return nil
	}
	dir := filepath.Dir(path)
	named := fmt.Errorf("metrics.textfile: %w", err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &unwritten{named, fmt.Sprintf("create the folder (mkdir -p %s) and start node_exporter with --collector.textfile.directory=%s", dir, dir)}
	case errors.Is(err, fs.ErrPermission):
		return &unwritten{named, fmt.Sprintf("allow the user that runs addagent to write into %s, or remove metrics.textfile from the config", dir)}
	}
	return named
}
