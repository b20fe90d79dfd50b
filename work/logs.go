package work

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// logsKept is how many logs of one item are kept: enough to see when a thing began to fail, bounded at about 100 MB.
const logsKept = 20

// logStamp is the beginning of a log's name.
const logStamp = "20060102-150405"

// latestLog is the link beside an item's logs that names the newest.
const latestLog = "latest.log"

// LogDir is the folder of one item's logs below log/work.
func LogDir(logs, repo, item string) string {
	return filepath.Join(logs, repo+"_"+item)
}

// newLog makes the empty log file of a run that starts now. Its name is the time in UTC, with a number behind it when two runs start in one second.
func newLog(dir string, now time.Time) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
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

// showLog points latest.log at a log and removes all but the newest. It only informs: the attempt names its log, whatever the link says.
func showLog(path string) error {
	dir := filepath.Dir(path)
	return errors.Join(linkLatest(dir, filepath.Base(path)), pruneLogs(dir, logsKept))
}

func linkLatest(dir, name string) error {
	temp := filepath.Join(dir, "."+latestLog)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(name, temp); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, latestLog))
}

// pruneLogs removes the oldest logs. Only names that newLog gives are touched: people put notes beside logs.
func pruneLogs(dir string, keep int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var logs []string
	for _, e := range entries {
		if e.Type().IsRegular() && isLogName(e.Name()) {
			logs = append(logs, e.Name())
		}
	}
	slices.SortFunc(logs, compareLogs)
	var all []error
	for len(logs) > keep {
		all = append(all, os.Remove(filepath.Join(dir, logs[0])))
		logs = logs[1:]
	}
	return errors.Join(all...)
}

func isLogName(name string) bool {
	stem, ok := strings.CutSuffix(name, ".log")
	if !ok || len(stem) < len(logStamp) {
		return false
	}
	stamp, number := stem[:len(logStamp)], stem[len(logStamp):]
	_, err := time.Parse(logStamp, stamp)
	return err == nil && (number == "" || number[0] == '_' && strings.Trim(number[1:], "0123456789") == "")
}

// compareLogs orders log names by age: by stamp, then by number, where 2 comes before 10.
func compareLogs(a, b string) int {
	n := len(logStamp)
	return cmp.Or(strings.Compare(a[:n], b[:n]), len(a)-len(b), strings.Compare(a, b))
}

// notePrefix begins every line that the shim itself writes into a script's log.
const notePrefix = "addagent: "

// lastLineMax bounds what is kept of a script's last line, in bytes.
const lastLineMax = 200

// lastLine is the last line of a script's output that says anything, cut to lastLineMax bytes that can be printed. The shim's own notes are not output.
func lastLine(file io.ReaderAt, size int64) string {
	const window = 64 << 10
	from := max(0, size-window)
	data := make([]byte, size-from)
	n, err := file.ReadAt(data, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	data = data[:n]
	for len(data) > 0 {
		at := bytes.LastIndexByte(data, '\n')
		line := printable(string(data[at+1:]), lastLineMax)
		if line != "" && !strings.HasPrefix(line, notePrefix) {
			return line
		}
		data = data[:max(at, 0)]
	}
	return ""
}

// printable is what a person saw of a line: without terminal escapes, of a progress bar its last state, without control characters, at most limit bytes.
func printable(line string, limit int) string {
	// Colours and cursor moves (ECMA-48 CSI), titles (OSC), and the two-byte ones.
	escapes := regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[^[\]])`)
	parts := strings.Split(escapes.ReplaceAllString(line, ""), "\r")
	for i := len(parts) - 1; i >= 0; i-- {
		text := oneLine(parts[i])
		if text == "" {
			continue
		}
		for len(text) > limit {
			_, n := utf8.DecodeLastRuneInString(text)
			text = text[:len(text)-n]
		}
		return text
	}
	return ""
}
