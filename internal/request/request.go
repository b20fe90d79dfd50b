package request

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/proc"
)

// Dir is the folder of the requests, Path the file of one.
func Dir(stateDir string) string { return filepath.Join(stateDir, "asked") }

func Path(stateDir, id string) string { return filepath.Join(Dir(stateDir), id+".json") }

func askFile(stateDir, id string) files.Remembered[journal.Ask] {
	return files.Remembered[journal.Ask]{Path: Path(stateDir, id), What: "ask", Limit: 64 << 10, Durable: true, Public: true}
}

var askID = regexp.MustCompile(`^[0-9a-z-]{1,60}$`)

// Read lists the requests that lie there, oldest first. What is none is
// removed; one that cannot be read just now waits.
func Read(stateDir string) []journal.Ask {
	entries, err := os.ReadDir(Dir(stateDir))
	if err != nil {
		return nil // no request was made
	}
	known := append([]string{journal.AskBeat, journal.AskAgain, journal.AskUnwedge}, journal.ServiceAsks...)
	var asks []journal.Ask
	for _, e := range entries {
		id, isAsk := strings.CutSuffix(e.Name(), ".json")
		if !isAsk || !askID.MatchString(id) {
			continue // a temporary file of a writer
		}
		a, _, err := askFile(stateDir, id).Peek()
		corrupt := errors.As(err, new(*files.Corrupt))
		if err != nil && !corrupt {
			continue // not readable now, but still a request
		}
		if a.ID = id; corrupt || !slices.Contains(known, a.What) {
			_ = os.Remove(Path(stateDir, id))
			continue
		}
		asks = append(asks, a)
	}
	slices.SortStableFunc(asks, func(x, y journal.Ask) int { return x.At.Compare(y.At) })
	return asks
}

// New is a request of the user of this command.
func New(p *cli.Process, what, target string) journal.Ask {
	at := time.Now().UTC()
	return journal.Ask{ID: strconv.FormatInt(at.UnixNano(), 36) + "-" + strconv.Itoa(os.Getpid()), What: what, Target: target, By: UserName(p), At: at}
}

// UserName is the name of the person behind a command, sudo or not.
func UserName(p *cli.Process) string {
	if name := p.Env("SUDO_USER"); name != "" {
		return name
	}
	_, name := p.Account()
	return name
}

// Put leaves a request for the next beat.
func Put(stateDir string, a journal.Ask) error { return askFile(stateDir, a.ID).Save(a) }

// WakeUp makes a living agent beat now.
func WakeUp(pid int) error {
	if !proc.Catches(pid, syscall.SIGUSR1) {
		return fmt.Errorf("process %d does not support this request: is it an older version?", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return fmt.Errorf("wake process %d: %w", pid, err)
	}
	return nil
}

// Stopped says that an agent is stopped, and what to do; nil = it is not.
func Stopped(pid int) error {
	if !proc.Stopped(pid) {
		return nil
	}
	return fmt.Errorf("the agent (process %d) is stopped and does nothing: kill -CONT %[1]d, or restart it", pid)
}
