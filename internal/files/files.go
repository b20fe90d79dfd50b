// Package files writes the agent's small files whole or not at all, remembers values in them, and locks.
//
// What decides (which version was worked, which state the node is in) must survive a power cut: Write. What only
// informs a person or another program may be lost but never torn: Replace. Remembered is a value in a file, with either
// of them below it. Lock is every lock that is not handed to another process.
package files

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// Scratch makes a folder for what is read once; the caller removes it.
func Scratch(prefix string) (string, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		err = fmt.Errorf("%w: set TMPDIR to a folder that can be written", err)
	}
	return dir, err
}

// Write puts data at path for what decides: temporary file beside it, fsync, rename, fsync of the folder.
// A new file gets perm (less the umask), an existing one keeps the mode it has. The folder must exist.
// After an error the old content is still there; only when the last step, the fsync of the folder, failed is the new
// one in place and not yet known to survive a power cut.
func Write(path string, data []byte, perm os.FileMode) error {
	return WriteVia(filepath.Dir(path), path, data, perm)
}

// WriteVia is Write with its temporary file in another folder of the same filesystem.
func WriteVia(temp, path string, data []byte, perm os.FileMode) error {
	p, err := pending(path, data, renameio.WithTempDir(temp), renameio.WithPermissions(perm), renameio.WithExistingPermissions())
	if err != nil {
		return err
	}
	if err := overFolder(p.Name(), path, p.CloseAtomicallyReplace()); err != nil {
		_ = p.Cleanup()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncFolder(filepath.Dir(path))
}

// Matching lists the files in a folder whose names, relative to it, match a pattern. The folder's own path may have any
// character, which filepath.Glob would take for a pattern.
func Matching(dir, pattern string) []string {
	all, _ := fs.Glob(os.DirFS(dir), pattern) // fails for a bad pattern alone
	for i, name := range all {
		all[i] = filepath.Join(dir, name)
	}
	return all
}

// MakeFolder makes a folder of the agent's own. A link to a folder that does not exist, as on a disk that is not
// mounted, is followed: the folder is made there. Anything else in its place, or in that of the folder above it, goes
// aside as *.corrupt, so that it stops nothing; said tells what.
func MakeFolder(path string, perm os.FileMode) (said string, err error) {
	if err = os.MkdirAll(path, perm); err == nil {
		return "", nil
	}
	for _, at := range []string{filepath.Dir(path), path} {
		if _, absent := os.Lstat(at); absent != nil {
			continue
		}
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) {
			to, _ := os.Readlink(at)
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(at), to)
			}
			if os.MkdirAll(to, perm) == nil {
				continue
			}
		}
		if err == nil && !info.IsDir() || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
			aside := at + ".corrupt"
			for n := 2; ; n++ {
				if _, err := os.Lstat(aside); err != nil {
					break
				}
				aside = fmt.Sprintf("%s.corrupt-%d", at, n)
			}
			if err := os.Rename(at, aside); err != nil {
				return said, err
			}
			said = at + " was not a folder: set aside as " + filepath.Base(aside)
		}
	}
	return said, os.MkdirAll(path, perm)
}

// overFolder is the end of a rename that ended with err. A link, a pipe and a device are replaced by a rename; a
// folder, which cannot be, is set aside: what Write and Replace write is ours.
func overFolder(temp, path string, err error) error {
	if err == nil {
		return nil
	}
	if info, missing := os.Lstat(path); missing != nil || !info.IsDir() {
		return err
	}
	if _, err := SetAside(path, "corrupt"); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// Replace puts data at path for what only informs: temporary file beside it, rename, no fsync. Readers see the old or
// the new content, never a part; a power cut may leave an empty file. Modes and the folder as with Write.
func Replace(path string, data []byte, perm os.FileMode) error {
	return replace(path, data, true, renameio.WithPermissions(perm), renameio.WithExistingPermissions())
}

// Publish is Replace for a file that other accounts read: its mode is 0644, whatever the umask says and the file before
// it had. The mode is set before the rename: in a folder of another account, the path may be a link afterwards.
func Publish(path string, data []byte) error {
	return replace(path, data, false, renameio.WithStaticPermissions(0o644))
}

func replace(path string, data []byte, ours bool, mode ...renameio.Option) error {
	p, err := pending(path, data, mode...)
	if err != nil {
		return err
	}
	err = p.File.Close()
	if err == nil {
		err = os.Rename(p.Name(), path)
	}
	if ours {
		err = overFolder(p.Name(), path, err)
	}
	if err != nil {
		_ = os.Remove(p.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// pending returns the temporary file with data in it, in path's own folder unless an option says another: renameio
// would otherwise try TMPDIR first, which costs four more system calls a write, and there a rename need not work.
func pending(path string, data []byte, options ...renameio.Option) (*renameio.PendingFile, error) {
	p, err := renameio.NewPendingFile(path, append([]renameio.Option{renameio.WithTempDir(filepath.Dir(path))}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	if _, err := p.Write(data); err != nil {
		_ = p.Cleanup()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return p, nil
}

// Try tells whether a file of so many bytes can be written in dir now: it writes one, syncs it, since some file systems
// find out late that they are full, and takes it away again. The error is that of the file system, as Write's would be.
func Try(dir string, size int) error {
	p, err := pending(filepath.Join(dir, "try"), make([]byte, size))
	if err != nil {
		return err
	}
	if err := errors.Join(p.Sync(), p.Cleanup()); err != nil {
		return fmt.Errorf("write in %s: %w", dir, err)
	}
	return nil
}

// Remove takes a file away, durably. The error wraps fs.ErrNotExist when there is none.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// SetAside renames the file or folder at path to path.suffix ("corrupt", "copied") and returns the new name. What an
// earlier call put there is replaced, so that a file that is broken again and again does not fill the disk. The rename
// survives a power cut. The error wraps fs.ErrNotExist when there is nothing at path.
func SetAside(path, suffix string) (string, error) {
	aside := path + "." + suffix
	err := os.Rename(path, aside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// A folder with something in it, or a file where the other is a folder, is not replaced by a rename.
		if err := os.RemoveAll(aside); err != nil {
			return "", fmt.Errorf("set aside %s: %w", path, err)
		}
		err = os.Rename(path, aside)
	}
	if err != nil {
		return "", fmt.Errorf("set aside %s: %w", path, err)
	}
	return aside, SyncFolder(filepath.Dir(path))
}

// ErrTooLarge is wrapped by the error of ReadSmall for a file above its bound.
var ErrTooLarge = errors.New("too large")

// ReadSmall reads a regular file of at most limit bytes. A pipe or a device, which would block or never end, is an
// error, and so is a larger file (ErrTooLarge): people's folders hold surprises. Errors of the file system are wrapped.
// The byte order mark that some editors write is left out.
func ReadSmall(path string, limit int64) ([]byte, error) {
	fd, size, err := open(path)
	if errors.Is(err, ErrIrregular) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer syscall.Close(fd)
	data := make([]byte, 0, max(min(size, limit)+1, 512)) // a file of the kernel's own says that it is empty
	for {
		n, err := syscall.Read(fd, data[len(data):cap(data)])
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return nil, fmt.Errorf("read: %w", &fs.PathError{Op: "read", Path: path, Err: err})
		}
		if data = data[:len(data)+n]; int64(len(data)) > limit {
			return nil, fmt.Errorf("read %s: %w: more than %d bytes", path, ErrTooLarge, limit)
		}
		if n == 0 || int64(len(data)) == size {
			return bytes.TrimPrefix(data, []byte("\ufeff")), nil
		}
		data = slices.Grow(data, 1)
	}
}

// Cause is an error of a file without the path, which the message around it names already.
func Cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

var errNotText = errors.New("contains a NUL character: save it as UTF-8 text")

// ReadText is ReadSmall for a value that a person wrote: a token, a URL, a name. Space and line ends around it are left
// out. UTF-16 is an error.
func ReadText(path string, limit int64) (string, error) {
	data, err := ReadSmall(path, limit)
	if err == nil && bytes.IndexByte(data, 0) >= 0 {
		err = fmt.Errorf("read %s: %w", path, errNotText)
	}
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(data)), nil
}

// Open opens a regular file for reading. Whatever else has its name is an error and not a wait: a pipe has no end to
// read to.
func Open(path string) (*os.File, error) {
	fd, _, err := open(path)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// open is Open without an os.File, whose making and closing cost more than to read a small file, and its size.
func open(path string) (fd int, size int64, err error) {
	for err = syscall.EINTR; err == syscall.EINTR; {
		fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	}
	if err == syscall.ELOOP || err == syscall.ENXIO { // a link to itself, a socket
		return -1, 0, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w (%w)", ErrIrregular, err)}
	}
	if err != nil {
		return -1, 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var st syscall.Stat_t
	switch err = syscall.Fstat(fd, &st); {
	case err != nil:
	case st.Mode&syscall.S_IFMT == syscall.S_IFREG:
		return fd, st.Size, nil
	case st.Mode&syscall.S_IFMT == syscall.S_IFDIR:
		err = folderError{}
	default:
		err = ErrIrregular
	}
	return -1, 0, errors.Join(&fs.PathError{Op: "read", Path: path, Err: err}, syscall.Close(fd))
}

// ErrIrregular is wrapped by the error for a folder, a pipe or a device where a file should be.
var ErrIrregular = errors.New("is not a regular file")

type folderError struct{}

func (folderError) Error() string   { return "is a folder, not a file" }
func (folderError) Is(e error) bool { return e == ErrIrregular }

// Sweep removes the temporary files that a killed writer left in dir and that were last written before the given time
// (take an hour ago: a younger one may be in use). A missing dir has none.
func Sweep(dir string, before time.Time) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	problems := []error{err}
	for _, e := range entries {
		if !isTemporary(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
			problems = append(problems, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// isTemporary recognises the names that renameio gives: a dot, the name, a random number of up to 19 digits. One in ten
// million has fewer than 12; such a one stays, which is better than taking away a person's ".notes2024".
func isTemporary(name string) bool {
	rest, ok := strings.CutPrefix(name, ".")
	if !ok {
		return false
	}
	base := strings.TrimRight(rest, "0123456789")
	digits := len(rest) - len(base)
	return base != "" && digits >= 12 && digits <= 40
}

// SyncFolder makes the names in a folder survive a power cut.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// DiskFull tells whether an error comes from a disk that takes nothing more.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// Shortage says that the system had no descriptors or no memory left: an error that says nothing about the file.
func Shortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// Unread says that this machine or this user cannot read a file just now, which says nothing about what is in it.
func Unread(err error) bool { return Shortage(err) || errors.Is(err, fs.ErrPermission) }
