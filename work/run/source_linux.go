package run

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/addagent/addagent/work"
	"github.com/addagent/addagent/work/session"
)

// Init is sourced: all its scripts share one bash, so that one can set values for the next, and each of them can do to
// that bash what it likes. Where it is, and that it came to its end, is therefore written by that bash into a file of
// the shim's own, opened anew for each line through /proc: it has no name that a script could clean up, no variable
// that one could unset, no descriptor that one could close or leave to a server, and needs no space on a full disk.

// trail is that file: a line with the number of the step before each, and trailEnd after the last.
type trail struct{ file *os.File }

const trailEnd = "end"

func newTrail() (*trail, error) {
	file, err := session.MemoryFile("addagent-init", nil)
	return &trail{file}, err
}

// read tells which step came last, -1 when none was begun, and whether the end was reached.
func (t *trail) read() (step int, end bool) {
	data, err := io.ReadAll(io.NewSectionReader(t.file, 0, 64<<10))
	if err != nil {
		return -1, false
	}
	step = -1
	for line := range bytes.Lines(data) {
		word := string(bytes.TrimSpace(line))
		end = word == trailEnd
		if n, err := strconv.Atoi(word); err == nil {
			step = n
		}
	}
	return step, end
}

// ownFile is how another process opens a file that this one has open.
func ownFile(f *os.File) string { return session.ProcPath(os.Getpid(), fmt.Sprintf("fd/%d", f.Fd())) }

// include is a function that scripts of the old kind call: their bootstrap defined it.
const include = "include() { if [ -e \"$1\" ]; then builtin source \"$@\"; else builtin echo \"Skipped missing: $1\"; fi; }\n"

// initProgram is what bash runs for an init. Every word in it is a literal and every command a builtin that a function
// of the same name does not hide, so that it does not depend on what the scripts leave of IFS, PATH, options and
// variables. A script is not sourced in a condition: that would switch its `set -e` off.
func (o Order) initProgram(trail, log *os.File) string {
	var b strings.Builder
	b.WriteString(include)
	for i, s := range o.Steps {
		say := "sourcing " + s.Script
		if s.Missing {
			say = "Skipped missing: " + s.Script
		}
		fmt.Fprintf(&b, "builtin printf '%%s\\n' %s >>%s || builtin :\n", shellQuoted(session.NotePrefix+say), ownFile(log))
		if s.Missing {
			continue
		}
		fmt.Fprintf(&b, "builtin printf '%d\\n' >>%s || builtin :\n", i, ownFile(trail))
		fmt.Fprintf(&b, "builtin cd -- %s\n", shellQuoted(o.RepoDir))
		fmt.Fprintf(&b, "builtin source %s\n", shellQuoted(o.step(s)))
		b.WriteString("case $? in (0) ;; (*) builtin exit ;; esac\n")
	}
	fmt.Fprintf(&b, "builtin printf '%s\\n' >>%s\n", trailEnd, ownFile(trail))
	return b.String()
}

func (o Order) step(s work.Step) string {
	return filepath.Join(o.RepoDir, filepath.FromSlash(s.Script))
}

func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// initEnding is how an init ended whose bash ended like e: where, and whether exit 0 was the end of it.
func (o Order) initEnding(e ending, t *trail) ending {
	step, end := t.read()
	switch {
	case end && e.reason != "":
		e.detail += " after the last init script (a trap on EXIT?)"
	case end || step < 0 || step >= len(o.Steps):
	case e.reason == "":
		return ending{work.ReasonExit, e.exit, fmt.Sprintf("exit 0 by %s before init finished: a sourced script must return, not call exit or exec", o.Steps[step].Script)}
	default:
		e.detail += " in " + o.Steps[step].Script
	}
	if !end && e.reason == "" {
		return ending{work.ReasonExit, e.exit, "exit 0 before init finished"}
	}
	return e
}

// regular says why a script cannot be run; nil = it can. It must not block on what stands in its place: a pipe has no
// end to read to.
func (o Order) regular(path string) error {
	script, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return o.scriptError(path, err)
	}
	defer script.Close()
	if info, err := script.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", o.name(path))
	}
	return nil
}
