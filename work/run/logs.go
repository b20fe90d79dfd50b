package run

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/files"
)

// What is kept of one item's logs: the newest, so many that one sees when a thing began to fail, and at most the bytes
// of four of the largest, since a node may have dozens of items. And always the newest, which may still be written,
// and that of the last failure: what runs at every beat would have pushed it out before anybody is awake.
const (
	logsKept = 20
	logsMost = 64 << 20
)

// logStamp is the beginning of a log's name.
const logStamp = "20060102-150405"

// The links beside an item's logs: to the newest, and to that of the last failure.
const (
	latestLog = "latest.log"
	failedLog = "failed.log"
)

// LogDir is the folder of one item's logs below log/work.
func LogDir(logs, repo, item string) string {
	return filepath.Join(logs, repo+"_"+item)
}

// newLog makes the empty log file of a run that starts now. Its name is the time in UTC, with a number behind it when
// two runs start in one second.
func newLog(dir string, now time.Time) (string, error) {
	if _, err := files.MakeFolder(dir, 0o755); err != nil {
		return "", fmt.Errorf("make log: %w", err)
	}
	stamp := now.UTC().Format(logStamp)
	for n := 1; ; n++ {
		name := stamp + ".log"
		if n > 1 {
			name = fmt.Sprintf("%s_%d.log", stamp, n)
		}
		path := filepath.Join(dir, name)
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) && n < 1000 {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("make log: %w", err)
		}
		return path, file.Close()
	}
}

// showLog points latest.log at a log and removes all that is not kept. It only informs: the attempt names its log,
// whatever the link says.
func showLog(path string) error {
	return errors.Join(linkLog(path, latestLog), pruneLogs(path, logsKept, logsMost))
}

// linkLog makes a link of that name, beside a log, to it.
func linkLog(path, name string) error {
	link := filepath.Join(filepath.Dir(path), name)
	temp := filepath.Join(filepath.Dir(path), "."+name)
	if err := remove(temp); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Base(path), temp); err != nil {
		return err
	}
	return os.Rename(temp, link)
}

// pruneLogs keeps the newest logs beside one, no more than keep with no more than most bytes, and that one in any case:
// it need not be the newest by name when the clock was set back. Only names that newLog gives are touched: people put
// notes beside logs.
func pruneLogs(path string, keep int, most int64) error {
	dir, current := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	failed, _ := os.Readlink(filepath.Join(dir, failedLog)) // "" without one
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !e.Type().IsRegular() || !logName.MatchString(e.Name()) })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return compareLogs(b.Name(), a.Name()) })
	var all []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		keep, most = keep-1, most-info.Size()
		if (keep < 0 || most < 0) && e.Name() != current && e.Name() != failed {
			all = append(all, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(all...)
}

// logName is what newLog calls its files.
var logName = regexp.MustCompile(`^\d{8}-\d{6}(_\d+)?\.log$`)

// compareLogs orders log names by age: by stamp, then by number, where 2 comes before 10.
func compareLogs(a, b string) int {
	n := len(logStamp)
	return cmp.Or(strings.Compare(a[:n], b[:n]), len(a)-len(b), strings.Compare(a, b))
}
