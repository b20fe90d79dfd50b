package work

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

// resultMax bounds the result file that is read. Ours have some hundred bytes; ten thousand watches would still fit.
const resultMax = 4 << 20

// recall reads what the folder of an item remembers. It never fails: a file that is not what it should be is set aside
// as *.corrupt, one that cannot be read stays where it is; both are told in Problems and count as absent, which at
// worst repeats work. Without write nothing is set aside.
func recall(dir string, write bool) Memory {
	var m Memory
	m.Version = remember(&m, VersionIn(dir), write)
	m.Doing = remember(&m, DoingIn(dir), write)
	r := remember(&m, ResultIn(dir), write)
	m.Done, m.Last = r.Done, r.Last
	return m
}

// Peek reads what the folder of an item remembers, for those who hold no lock: nothing is set aside.
func Peek(dir string) Memory { return recall(dir, false) }

// remember is the content of a file; what is wrong with it is one of the problems of m.
func remember[T any](m *Memory, file files.Remembered[T], write bool) T {
	read := file.Peek
	if write {
		read = file.Recall
	}
	v, _, err := read()
	var corrupt *files.Corrupt
	switch {
	case err == nil:
		return v
	case !errors.As(err, &corrupt):
		err = fmt.Errorf("cannot be read: %w", err)
	case errors.Is(err, files.ErrTooLarge):
		err = fmt.Errorf("larger than %d bytes", file.Limit)
	case errors.Is(err, files.ErrIrregular):
		err = errors.New("not a regular file")
	default:
		err = corrupt.Err
	}
	then := "treated as absent"
	if corrupt != nil && corrupt.Aside != "" {
		then = human.List([]string{"set aside as " + filepath.Base(corrupt.Aside), then}, "and")
	}
	m.Problems = append(m.Problems, fmt.Sprintf("%s: %v: %s", file.Path, err, then))
	return v
}

// VersionIn is work.sh_VERSION: the commit of the last success.
func VersionIn(dir string) files.Remembered[string] { return commitFile(dir, versionFile) }

// AdoptOld copies what the script of the item common remembers from before there was a folder for each item, so that it
// finds it where ADD_TEMP leads now.
func AdoptOld(repoDir string) error {
	to := MemoryDir(repoDir, "common")
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	version, known, err := VersionIn(filepath.Dir(to)).Peek()
	if err != nil || !known {
		return nil // there is none that could be read
	}
	if data, err := files.ReadSmall(filepath.Join(filepath.Dir(to), overrideFile), overrideMax); err == nil {
		watched := files.Remembered[string]{Path: filepath.Join(to, overrideFile), Durable: true, Public: true}
		if err := watched.Put(data); err != nil {
			return err
		}
	}
	return VersionIn(to).Put([]byte(version + "\n"))
}

// DoingIn is work.sh_DOING_VERSION: the commit that is being worked, for people.
func DoingIn(dir string) files.Remembered[string] { return commitFile(dir, doingFile) }

// commitFile holds one full commit id. Absent and empty are both "": emptying the file is an old way of saying "again".
func commitFile(dir, name string) files.Remembered[string] {
	return files.Remembered[string]{Path: filepath.Join(dir, name), Limit: 4096, Durable: true, Public: true, Parse: func(data []byte) (string, error) {
		id := strings.TrimSpace(string(data))
		if id != "" && !isCommit(id) {
			return "", errors.New("not a full commit id of 40 hex digits")
		}
		return id, nil
	}}
}

// ResultIn is work.sh_RESULT.json. Absent is the zero Result.
func ResultIn(dir string) files.Remembered[Result] {
	return files.Remembered[Result]{Path: filepath.Join(dir, resultFile), Limit: resultMax, Parse: parseResult, Durable: true, Public: true, Indent: "    "}
}

// parseResult is strict about what decides and lenient about fields it does not know: a newer agent may have written
// them.
func parseResult(data []byte) (r Result, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return Result{}, fmt.Errorf("not the JSON of a result: %w", err)
	}
	if r.Done != nil && !isCommit(r.Done.Version) {
		return Result{}, errors.New("done.version is not a full commit id")
	}
	if a := r.Last; a != nil {
		switch {
		case !isCommit(a.Version):
			return Result{}, errors.New("last.version is not a full commit id")
		case a.Fingerprint == "":
			return Result{}, errors.New("last.fingerprint is missing")
		case a.Attempt < 0 || a.Failures < 0 || a.Waits < 0 || a.Shutdowns < 0:
			return Result{}, errors.New("a count in last is negative")
		}
	}
	return r, nil
}

func isCommit(id string) bool { return len(id) == 40 && strings.Trim(id, "0123456789abcdef") == "" }
