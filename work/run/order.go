package run

import (
	"path/filepath"
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
	// Changed is written to ChangedFile (see changedList) before the script starts; nil with ChangedFile "" when it is
	// not known.
	Changed     []string `json:"-"`
	ChangedFile string   `json:"-"`

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
