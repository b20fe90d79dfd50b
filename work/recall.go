package work

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/addagent/addagent/internal/files"
)

// resultMax bounds the result file that is read. Ours have some hundred bytes; ten thousand watches would still fit.
const resultMax = 4 << 20

// errCorrupt marks content that no version of the agent wrote.
var errCorrupt = errors.New("corrupt")

// momentary tells that the machine could not read just now, whatever there is to read: no memory of a run may be taken
// for absent by that, it may still go on.
func momentary(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// recall reads what the folder of an item remembers. It never fails: a file that is not what it should be is set aside as
// *.corrupt, one that cannot be read stays where it is; both are told in Problems and count as absent, which at worst
// repeats work. Without write nothing is set aside, for those who hold no lock and must not write.
func recall(dir string, write bool) Memory {
	var m Memory
	say := func(path string, err error) {
		switch {
		case err == nil:
		case write && errors.Is(err, errCorrupt):
			what := strings.TrimPrefix(err.Error(), errCorrupt.Error()+": ")
			aside, failed := files.SetAside(path, "corrupt")
			if failed != nil {
				m.Problems = append(m.Problems, fmt.Sprintf("%s: %s: treated as absent, and %v", path, what, failed))
				return
			}
			m.Problems = append(m.Problems, fmt.Sprintf("%s: %s: set aside as %s and treated as absent", path, what, filepath.Base(aside)))
		default:
			m.Problems = append(m.Problems, fmt.Sprintf("%s: %s: treated as absent", path, strings.TrimPrefix(err.Error(), errCorrupt.Error()+": ")))
		}
	}
	var err error
	path := filepath.Join(dir, versionFile)
	m.Version, err = readCommit(path)
	say(path, err)
	path = filepath.Join(dir, doingFile)
	m.Doing, err = readCommit(path)
	say(path, err)
	path = filepath.Join(dir, resultFile)
	r, err := readResult(path)
	say(path, err)
	m.Done, m.Last = r.Done, r.Last
	return m
}

// readCommit reads a file that holds one full commit id. Absent and empty are both "": emptying the file is an old way of saying "again".
func readCommit(path string) (string, error) {
	data, err := readState(path, 4096)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(data))
	if id != "" && !isCommit(id) {
		return "", fmt.Errorf("%w: not a full commit id of 40 hex digits", errCorrupt)
	}
	return id, nil
}

// readResult reads work.sh_RESULT.json. Absent is the zero Result.
func readResult(path string) (Result, error) {
	data, err := readState(path, resultMax)
	if err != nil || data == nil {
		return Result{}, err
	}
	return parseResult(data)
}

// parseResult is strict about what decides and lenient about fields it does not know: a newer agent may have written them.
func parseResult(data []byte) (Result, error) {
	var r Result
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&r); err != nil {
		return Result{}, fmt.Errorf("%w: not the JSON of a result: %v", errCorrupt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Result{}, fmt.Errorf("%w: not the JSON of a result: more after its end", errCorrupt)
	}
	if r.Done != nil && !isCommit(r.Done.Version) {
		return Result{}, fmt.Errorf("%w: done.version is not a full commit id", errCorrupt)
	}
	if a := r.Last; a != nil {
		switch {
		case !isCommit(a.Version):
			return Result{}, fmt.Errorf("%w: last.version is not a full commit id", errCorrupt)
		case a.Fingerprint == "":
			return Result{}, fmt.Errorf("%w: last.fingerprint is missing", errCorrupt)
		case a.Attempt < 0 || a.Failures < 0 || a.Waits < 0 || a.Shutdowns < 0:
			return Result{}, fmt.Errorf("%w: a count in last is negative", errCorrupt)
		}
	}
	return r, nil
}

// readState is the content of a state file, nil when there is none. What is no regular file, or far too large, is corrupt like wrong content.
func readState(path string, limit int64) ([]byte, error) {
	data, err := files.ReadSmall(path, limit)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, files.ErrTooLarge):
		return nil, fmt.Errorf("%w: larger than %d bytes", errCorrupt, limit)
	}
	if info, serr := os.Stat(path); serr == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", errCorrupt)
	}
	return nil, fmt.Errorf("cannot be read: %w", err)
}

func isCommit(id string) bool {
	if len(id) != 40 {
		return false
	}
	return strings.Trim(id, "0123456789abcdef") == ""
}
