package worktree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
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
	if err := from.handle(); err != nil {
		return err
	}
	root, err := d.top.OpenRoot(path.Dir(target))
	if err != nil {
		return err
	}
	to := folder{root: root}
	defer to.close()
	if err := to.handle(); err != nil {
		return err
	}
	return renameInto(from, name, &to, path.Base(target))
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
