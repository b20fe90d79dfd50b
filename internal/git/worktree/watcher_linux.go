//go:build linux && (amd64 || arm64)

package worktree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// Watcher lets the kernel note (inotify) which tracked files are touched between two moves of a tree, so that a move
// looks at those alone and not at every file of the repository. The notes are read when a repository moves and at no
// other time: between two moves they cost nothing. One is shared by all repositories of a process that goes on; it
// keeps them within half of what this machine lets one user watch.
type Watcher struct{ folders, clones atomic.Int64 }

// NewWatcher reads what this machine allows.
func NewWatcher() *Watcher {
	w := &Watcher{}
	w.folders.Store(half("max_user_watches"))
	w.clones.Store(half("max_user_instances"))
	return w
}

func half(limit string) int64 {
	b, err := os.ReadFile("/proc/sys/fs/inotify/" + limit)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // 0 is none
	return n / 2
}

// DirtySet is what the kernel noted of one clone. It is believed only when every tracked folder was watched before its
// files were looked at, nothing happened to the folders themselves since, and the index is the very file that the last
// move put there. Whenever one of these is in doubt all files are looked at again, and the notes begin anew. A nil one
// knows nothing.
type DirtySet struct {
	of    *Watcher
	fd    int    // of inotify; good while whole
	dir   string // as the kernel names it
	whole bool   // every tracked folder is watched
	sure  bool   // and the last move ended well

	// Paths of the watched folders, each with a slash at its end, in one piece: there are thousands. The kernel
	// numbers watches 1, 2, 3; the path of number i ends at ends[i-1]. They are sorted, since the index is.
	paths []byte
	ends  []uint32

	index record        // lstat of the index that the last move left
	tree  plumbing.Hash // that it is of
	since time.Time     // when all files were looked at last
	full  time.Time     // when there was no room for so many folders; zero = never
}

// DirtySet is for one clone. A nil Watcher has none.
func (w *Watcher) DirtySet() *DirtySet {
	if w == nil {
		return nil
	}
	return &DirtySet{of: w}
}

// believed bounds for how long notes are believed, because there are changes that the kernel does not note: through
// a hard link elsewhere, in a mapping that is still there, or by a server of network files.
const believed = time.Hour

// maxNotes bounds the names that one move looks up; with more it looks at all.
const maxNotes = 1 << 15

// Magic numbers of the filesystems that are known to note everything: of a network, a stack or a fuse one, changes may
// come from where this kernel does not see them. See statfs(2).
var noting = []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC}

// watchMask is all that may change a file or a folder. Reading is not among it.
const watchMask = unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE |
	unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// recall returns the paths that were touched since the last move, sorted, and the tree that the index is of. ok is
// false when all files have to be looked at. From here on nothing is believed until settle.
func (n *DirtySet) recall(index *indexFile) (touched []string, tree plumbing.Hash, ok bool) {
	if n == nil || !n.whole {
		return nil, tree, false
	}
	sure := n.sure && n.index == index.stat
	n.sure = false
	if sure {
		touched, sure = n.read()
	}
	if !sure || mountedBelow(n.dir) {
		n.Forget()
		return nil, tree, false
	}
	return touched, n.tree, time.Since(n.since) < believed
}

// watch begins anew with the folders that a statter is going to open, unless they are watched already.
func (n *DirtySet) watch(s *statter) {
	if n == nil {
		return
	}
	n.since = time.Now()
	if n.whole || !n.full.IsZero() && time.Since(n.full) < believed {
		return
	}
	top := s.levels[0].fd
	var fs unix.Statfs_t
	if err := unix.Fstatfs(top, &fs); err != nil || !slices.Contains(noting, fs.Type) {
		return
	}
	dir, err := os.Readlink(fdPath(top))
	if err != nil || !filepath.IsAbs(dir) || n.of.clones.Add(-1) < 0 {
		n.of.clones.Add(1)
		return
	}
	if n.fd, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC); err != nil {
		n.of.clones.Add(1)
		return
	}
	n.dir, n.whole = dir, true
	n.folder(top, nil)
	if mountedBelow(n.dir) {
		n.Forget()
	}
	s.opened = n.folder
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// folder watches an open folder; -1 is one that is not there.
func (n *DirtySet) folder(fd int, path []byte) {
	if !n.whole {
		return
	}
	if fd < 0 {
		n.Forget()
		return
	}
	if n.of.folders.Add(-1) < 0 {
		n.of.folders.Add(1)
		n.full = time.Now()
		n.Forget()
		return
	}
	n.paths = append(n.paths, path...)
	n.ends = append(n.ends, uint32(len(n.paths)))
	// By way of the descriptor: this very folder, whatever its path leads to by now.
	number, err := unix.InotifyAddWatch(n.fd, fdPath(fd), watchMask)
	if err != nil || number != len(n.ends) {
		n.full = time.Now()
		n.Forget()
	}
}

// Forget gives all watches back.
func (n *DirtySet) Forget() {
	if n == nil || !n.whole {
		return
	}
	_ = unix.Close(n.fd)
	n.of.folders.Add(int64(len(n.ends)))
	n.of.clones.Add(1)
	n.whole, n.sure, n.paths, n.ends = false, false, nil, nil
}

// settle says that a move has ended well, and left an index of a tree.
func (n *DirtySet) settle(index string, tree plumbing.Hash) {
	if n == nil || !n.whole {
		return
	}
	if info, err := os.Lstat(index); err == nil {
		n.index, n.tree, n.sure = stateOf(info).stat, tree, true
	}
}

// read takes all notes that there are. ok is false when some were lost, or when a tracked folder is not where it was.
func (n *DirtySet) read() (touched []string, ok bool) {
	names := map[string]bool{}
	buf := make([]byte, 64<<10)
	for {
		length, err := unix.Read(n.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			for name := range names {
				touched = append(touched, name)
			}
			slices.Sort(touched)
			return touched, true
		case err != nil || length <= 0 || len(names) > maxNotes:
			return nil, false
		}
		// Format: inotify(7), struct inotify_event.
		for b := buf[:length]; len(b) >= unix.SizeofInotifyEvent; {
			number, mask := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			if end > len(b) || number == 0 || int64(number) > int64(len(n.ends)) ||
				mask&(unix.IN_Q_OVERFLOW|unix.IN_UNMOUNT|unix.IN_IGNORED|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0 {
				return nil, false
			}
			name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
			b = b[end:]
			if len(name) == 0 {
				continue // the folder's own mode or owner
			}
			path := append(bytes.Clone(n.path(int(number-1))), name...)
			if mask&unix.IN_ISDIR != 0 && mask&unix.IN_ATTRIB == 0 && n.watches(path) {
				return nil, false
			}
			names[string(path)] = true
		}
	}
}

// path is that of the folder with index i.
func (n *DirtySet) path(i int) []byte {
	if i == 0 {
		return n.paths[:n.ends[0]]
	}
	return n.paths[n.ends[i-1]:n.ends[i]]
}

// watches reports whether a path, without a slash at its end, is that of a watched folder.
func (n *DirtySet) watches(path []byte) bool {
	path = append(path, '/')
	i := sort.Search(len(n.ends), func(i int) bool { return bytes.Compare(n.path(i), path) >= 0 })
	return i < len(n.ends) && bytes.Equal(n.path(i), path)
}

// mountedBelow reports whether something is mounted below a folder, which inotify does not report; true when that
// cannot be known. Format: proc_pid_mountinfo(5).
func mountedBelow(dir string) bool {
	all, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return true
	}
	escaped := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(dir) + "/"
	for line := range strings.Lines(string(all)) {
		if f := strings.Fields(line); len(f) < 5 || strings.HasPrefix(f[4], escaped) {
			return true
		}
	}
	return false
}
