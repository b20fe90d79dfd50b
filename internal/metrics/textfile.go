package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"golang.org/x/sys/unix"
)

// Textfile is a file that node_exporter's textfile collector reads, https://github.com/prometheus/node_exporter#textfile-collector. It belongs to one
// goroutine of one process: the holder of beat.lock.
type Textfile struct {
	path  string
	swept bool
}

// NewTextfile checks the path, and nothing on the disk: absolute, and ending in .prom, without which node_exporter does not read it.
func NewTextfile(path string) (*Textfile, error) {
	switch {
	case !filepath.IsAbs(path):
		return nil, fmt.Errorf("metrics.textfile: %q is not an absolute path", path)
	case !strings.HasSuffix(path, ".prom") || filepath.Base(path) == ".prom":
		return nil, fmt.Errorf("metrics.textfile: %q does not end in NAME.prom: node_exporter would not read it", path)
	}
	return &Textfile{path: filepath.Clean(path)}, nil
}

// Write puts the page in place, whole or not at all, readable by all. It is not synced: it only informs. An error says what to do.
func (t *Textfile) Write(page []byte) error {
	if !t.swept {
		t.sweep()
		t.swept = true
	}
	// The temporary name is "." before and digits behind, so it does not end in .prom and node_exporter passes it over.
	err := files.Replace(t.path, page, 0o644)
	if err == nil {
		err = readable(t.path)
	}
	return t.explain(err)
}

// Check tells, without writing, whether Write can be expected to succeed. An error says what to do.
func (t *Textfile) Check() error {
	dir := filepath.Dir(t.path)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("metrics.textfile: %s is no folder", dir)
	}
	if err == nil {
		if err = unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			err = &fs.PathError{Op: "write into", Path: dir, Err: err}
		}
	}
	return t.explain(err)
}

// unwritten is an error and what to do about it, with which its text ends.
type unwritten struct {
	error
	todo string
}

func (u *unwritten) Error() string { return u.error.Error() + ": " + u.todo }
func (u *unwritten) Unwrap() error { return u.error }
func (u *unwritten) Mend() string  { return u.todo }

// explain adds to an error what to do about it.
func (t *Textfile) explain(err error) error {
	if err == nil {
		return nil
	}
	dir := filepath.Dir(t.path)
	named := fmt.Errorf("metrics.textfile: %w", err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &unwritten{named, fmt.Sprintf("make the folder (mkdir -p %s) and start node_exporter with --collector.textfile.directory=%s", dir, dir)}
	case errors.Is(err, fs.ErrPermission):
		return &unwritten{named, fmt.Sprintf("let the user that addagent runs as write into %s, or take metrics.textfile out of the config", dir)}
	}
	return named
}

// readable gives the file its mode, whatever the umask took from it: node_exporter is another user.
func readable(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() == 0o644 {
		return err
	}
	return os.Chmod(path, 0o644)
}

// sweep removes what a killed writer left. The names are ours alone, so their age does not matter. That it fails is no reason not to write.
func (t *Textfile) sweep() {
	dir, base := filepath.Split(t.path)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		digits, ours := strings.CutPrefix(e.Name(), "."+base)
		if ours && digits != "" && strings.Trim(digits, "0123456789") == "" && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
