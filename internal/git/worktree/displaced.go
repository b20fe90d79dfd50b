package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
)

// DisplacedFolder is where untracked files go that stand where a tracked file belongs, below .temp.
const DisplacedFolder = OwnFolder + "/displaced"

// displaced moves people's files aside, for one move of a tree. All of one move share a folder with a name of its own,
// so nothing set aside earlier is ever touched.
type displaced struct {
	top   *os.Root // of the work tree
	stamp string   // the folder of this move, once there is one
	now   func() time.Time
	names names
}

// SetAside moves what stands at a name at the top of a work tree to .temp/displaced/<UTC time>/<as>, and returns where
// that is, below the tree.
func SetAside(dir, name, as string) (string, error) {
	folders, err := openFolders(dir)
	if err != nil {
		return "", err
	}
	defer folders.close()
	d := displaced{top: folders.top().root, now: time.Now}
	err = d.quarantine(folders.top(), name, []byte(as))
	return path.Join(DisplacedFolder, d.stamp, as), err
}

// quarantine moves what is at name in a folder to .temp/displaced/<UTC time>/<path>.
func (d *displaced) quarantine(from *folder, name string, at []byte) error {
	if err := d.begin(); err != nil {
		return fmt.Errorf("set aside %s: %w", objects.QuotePath(at), err)
	}
	target := path.Join(DisplacedFolder, d.stamp, string(at))
	err := d.top.MkdirAll(path.Dir(target), 0o755)
	if err == nil {
		err = d.rename(from, name, target)
	}
	if err != nil {
		return fmt.Errorf("set aside %s: %w", objects.QuotePath(at), err)
	}
	d.names.add(at)
	return nil
}

func (d *displaced) rename(from *folder, name, target string) error {
	root, err := d.top.OpenRoot(path.Dir(target))
	if err != nil {
		return err
	}
	to := folder{root: root}
	defer to.close()
	return moveInto(from, name, &to, path.Base(target))
}

// MoveFolder renames a folder, also where only the files in it can be renamed.
func MoveFolder(dir, name, target string) error {
	folders, err := openFolders(dir)
	if err != nil {
		return err
	}
	defer folders.close()
	return moveInto(folders.top(), name, folders.top(), target)
}

// moveInto renames what is at a name into another folder. A folder that came with the lower layer of an overlay cannot
// be renamed (EXDEV), but all in it can: then it is made anew, and they are moved one by one.
func moveInto(from *folder, name string, to *folder, target string) error {
	if err := errors.Join(from.handle(), to.handle()); err != nil {
		return err
	}
	err := renameInto(from, name, to, target)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	info, lost := from.root.Lstat(name)
	if lost != nil || !info.IsDir() {
		return mounted(err)
	}
	inner, outer := folder{}, folder{}
	if inner.root, err = from.root.OpenRoot(name); err != nil {
		return err
	}
	defer inner.close()
	if err := to.root.Mkdir(target, info.Mode().Perm()); err != nil {
		return err
	}
	if outer.root, err = to.root.OpenRoot(target); err != nil {
		return err
	}
	defer outer.close()
	entries, err := fs.ReadDir(inner.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := moveInto(&inner, e.Name(), &outer, e.Name()); err != nil {
			return err
		}
	}
	return from.root.Remove(name)
}

func (d *displaced) begin() error {
	if d.stamp != "" {
		return nil
	}
	if err := d.top.MkdirAll(DisplacedFolder, 0o755); err != nil {
		return err
	}
	stamp := d.now().UTC().Format("20060102-150405")
	for i := 1; ; i++ {
		try := stamp
		if i > 1 {
			try += "-" + strconv.Itoa(i)
		}
		err := d.top.Mkdir(path.Join(DisplacedFolder, try), 0o755)
		if err == nil {
			d.stamp = try
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// names counts paths for a notice, and keeps the first few.
type names struct {
	count int
	first []string
}

func (n *names) add(path []byte) {
	if n.count++; len(n.first) < 5 {
		n.first = append(n.first, objects.QuotePath(path))
	}
}

// notice appends "<count> <things>: a, b, ..." to a list, unless there is nothing to say.
func (n *names) notice(list []string, before, one, many, after string) []string {
	if n.count == 0 {
		return list
	}
	things, more := many, ""
	if n.count == 1 {
		things = one
	}
	if n.count > len(n.first) {
		more = ", ..."
	}
	return append(list, fmt.Sprintf("%s%d %s: %s%s%s", before, n.count, things, strings.Join(n.first, ", "), more, after))
}
