package run

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/addagent/addagent/work"
)

// Order is everything a shim must know to do one piece of work. It crosses to the shim as JSON on its stdin, never as
// arguments or environment: Env may hold secrets, and everybody can read a process's arguments. All paths are absolute.
type Order struct {
	Repo       string        `json:"repo"`            // folder name of the clone
	Item       string        `json:"item"`            // name of the item in file names
	RepoDir    string        `json:"repo_dir"`        // the clone: working directory of the script
	Memory     string        `json:"memory"`          // folder of the item's memory
	Script     string        `json:"script"`          // the file to run; "" with Steps
	Steps      []work.Step   `json:"steps,omitempty"` // of the init: the files to source, one after the other in one bash
	Executable bool          `json:"executable"`      // run it as it is; else give it to bash
	Attempt    work.Attempt  `json:"attempt"`         // made by Begin
	Logs       string        `json:"logs"`            // the folder log/work
	Env        []string      `json:"env"`             // made by environ; holds ADD_RUN_ID=<Attempt.RunID>
	Timeout    time.Duration `json:"timeout"`         // nanoseconds; 0 = no deadline
	Grace      time.Duration `json:"grace"`           // nanoseconds between TERM and KILL
	Notes      []string      `json:"notes,omitempty"` // for people, at the beginning of the log
	// Files are written before the script starts, by path: the list of what changed (see changedList; ChangedFile is ""
	// when it is not known), and the sets of services (see work.Judgement.SetsFile).
	Files                 map[string][]byte `json:"-"`
	ChangedFile, Services string            `json:"-"`

	LockPath string `json:"lock_path"` // set by Start
}

// runEntry is how the processes of a run are known.
func runEntry(runID string) string { return "ADD_RUN_ID=" + runID }

// name is a script as people know it: below the repository.
func (o Order) name(script string) string {
	if name, err := filepath.Rel(o.RepoDir, script); err == nil && filepath.IsLocal(name) {
		return name
	}
	return script
}

// changedList is the file that ADD_CHANGED_FILE names: a path a line. A path with control characters, a double quote or
// a backslash in it is quoted as git does with core.quotePath=false: in double quotes, with \n, \t, \", \\ and the
// like, else \ooo in octal. All others stand as they are.
func changedList(paths []string) []byte {
	var b bytes.Buffer
	for _, p := range paths {
		b.WriteString(gitQuoted(p))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func gitQuoted(path string) string {
	special := func(c byte) bool { return c < ' ' || c == 0x7f || c == '"' || c == '\\' }
	if !slices.ContainsFunc([]byte(path), special) {
		return path
	}
	names := map[byte]byte{'\a': 'a', '\b': 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r', '"': '"', '\\': '\\'}
	quoted := []byte{'"'}
	for _, c := range []byte(path) {
		switch {
		case !special(c):
			quoted = append(quoted, c)
		case names[c] != 0:
			quoted = append(quoted, '\\', names[c])
		default:
			quoted = fmt.Appendf(quoted, "\\%03o", c)
		}
	}
	return string(append(quoted, '"'))
}
