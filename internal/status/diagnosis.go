package status

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/proc"
	"github.com/addagent/addagent/work/run"
	"golang.org/x/sys/unix"
)

// Diagnosis is what other signs tell of a node whose last beat is too old: beat.json cannot say why it was not written.
type Diagnosis struct {
	Process    string `json:"process,omitempty"`    // what is with the process that holds the beat lock, or held it last
	Unwritable string `json:"unwritable,omitempty"` // which folder of the agent's cannot be written, and why
	Said       string `json:"said,omitempty"`       // the newest line of the log
	Next       string `json:"next"`                 // the command to run next
}

// silent tells whether other signs are worth a look: a beat is late or missing, or the first one takes long.
func (s Report) silent(now time.Time) bool {
	if s.Beat == nil {
		return s.Running && now.Sub(s.Holder.Started) > lateMost
	}
	return s.Late || !s.Alive()
}

// diagnose looks for those signs. It tries to write where the agent must, and leaves nothing.
func diagnose(cfg *config.Config, s Report, h run.Holder) *Diagnosis {
	f := &Diagnosis{Next: "addagent run", Said: journal.LastLine(journal.LogPath(cfg.Home))}
	if s.Running {
		f.Next = "addagent log"
		if unit := proc.UnitIn(proc.File(h.PID, "cgroup")); unit != "" {
			f.Next = "journalctl -u " + unit + " -n 20" // it has what a full disk did not take
		}
	}
	switch {
	case h.PID == 0:
	case s.Running && proc.Stopped(h.PID):
		f.Process, f.Next = fmt.Sprintf("process %d is stopped and does nothing until it is resumed", h.PID), "kill -CONT "+strconv.Itoa(h.PID)
	case s.Running && proc.Lives(h.PID):
		f.Process = strings.TrimSpace(fmt.Sprintf("process %d is alive: %s", h.PID, proc.Status(h.PID, "State")))
	case s.Running: // the note is of a process that this one cannot see, in another container
		f.Process = fmt.Sprintf("process %d holds the beat lock but is not visible from here", h.PID)
	default:
		f.Process = fmt.Sprintf("process %d held the beat lock last and has exited", h.PID)
	}
	size := 4096
	if st, err := os.Stat(journal.BeatPath(cfg.Home)); err == nil {
		size += int(min(st.Size(), 1<<20))
	}
	for _, dir := range []string{cfg.Nodeinfo(), cfg.StateDir} {
		err := files.Try(dir, size)
		if err == nil || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			continue // another account cannot try, and what is not there is made at the start
		}
		f.Unwritable, f.Next = unwritable(dir, err), roomCommand(dir, err, outOfInodes(dir))
		break
	}
	return f
}

// unwritable says what the file system said, without the name of the file that was only a try.
func unwritable(dir string, err error) string {
	var why syscall.Errno
	if errors.As(err, &why) {
		err = why
	}
	return fmt.Sprintf("%s cannot be written: %v", dir, err)
}

// roomCommand is what shows a person why a folder takes nothing.
func roomCommand(dir string, err error, inodes bool) string {
	switch {
	case errors.Is(err, syscall.EDQUOT):
		return "quota -v"
	case errors.Is(err, syscall.ENOSPC) && inodes:
		return "df -i " + dir
	case files.DiskFull(err) && !errors.Is(err, syscall.EROFS):
		return "df -h " + dir
	}
	return "findmnt --target " + dir
}

func outOfInodes(dir string) bool {
	var disk unix.Statfs_t
	return unix.Statfs(dir, &disk) == nil && disk.Files > 0 && disk.Ffree == 0
}
