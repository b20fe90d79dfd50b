package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/work"
	"github.com/rs/zerolog"
	"gopkg.in/natefinch/lumberjack.v2"
)

// HumanLog is what people read: log/addagent.log, and systemd's journal or the terminal.
// It is the one place that knows zerolog.
type HumanLog struct {
	mu   sync.Mutex // an attempt to end this machine speaks beside the beats
	o    LogOptions
	log  config.Log // as in force
	outs []func(at time.Time, l zerolog.Level, text string)
	file *lumberjack.Logger
	seen fs.FileInfo // of file
	min  zerolog.Level
}

// levels maps the agent's levels to zerolog's. A notice is information that the journal shows in bold.
var levels = map[Level]zerolog.Level{
	Info: zerolog.InfoLevel, Notice: zerolog.InfoLevel,
	Warning: zerolog.WarnLevel, Critical: zerolog.ErrorLevel,
}

// LogOptions say where a HumanLog writes.
type LogOptions struct {
	Path     string    // of addagent.log
	Screen   io.Writer // nil = none
	Flags    string    // what a command to run next must repeat
	Journald bool      // screen is the journal: no times, priorities instead
}

// NewHumanLog is silent until Configure tells it how to speak.
func NewHumanLog(o LogOptions) *HumanLog { return &HumanLog{o: o} }

// Configure takes what the config says of the log.
func (v *HumanLog) Configure(l config.Log) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.log == l {
		return
	}
	v.close()
	v.log, v.min, v.outs, v.file = l, zerolog.InfoLevel, nil, nil
	if min, err := zerolog.ParseLevel(l.Level); err == nil {
		v.min = min
	}
	asJSON := l.Format == "json"
	if l.File {
		v.file = &lumberjack.Logger{Filename: v.o.Path, MaxSize: l.MaxSizeMB, MaxBackups: l.Keep}
		v.seen = currentFile(v.file, nil)
		v.outs = append(v.outs, form(ignoreErrors{v.file}, asJSON, false))
	}
	if v.o.Screen != nil {
		v.outs = append(v.outs, form(v.o.Screen, asJSON, v.o.Journald))
	}
}

// form chooses between JSON lines and the text that `tail -F` should show: time, a mark for what is bad, the words.
func form(w io.Writer, asJSON, journald bool) func(at time.Time, l zerolog.Level, text string) {
	if asJSON {
		log := zerolog.New(w)
		return func(at time.Time, l zerolog.Level, text string) {
			log.WithLevel(l).Str(zerolog.TimestampFieldName, human.Stamp(at)).Msg(text)
		}
	}
	marks := map[zerolog.Level]string{zerolog.WarnLevel: "WARNING ", zerolog.ErrorLevel: "CRITICAL "}
	// By these a line on standard error gets its priority in the journal, which stamps its own times: sd-daemon(3).
	priorities := map[zerolog.Level]string{zerolog.InfoLevel: "<6>", zerolog.WarnLevel: "<4>", zerolog.ErrorLevel: "<2>"}
	return func(at time.Time, l zerolog.Level, text string) {
		begin := human.Stamp(at) + " "
		if journald {
			begin = priorities[l]
		}
		_, _ = w.Write([]byte(begin + marks[l] + text + "\n"))
	}
}

// ignoreErrors loses lines when the disk is full: that it is full is said elsewhere,
// and zerolog would complain about each line.
type ignoreErrors struct{ io.Writer }

func (l ignoreErrors) Write(p []byte) (int, error) {
	_, _ = l.Writer.Write(p)
	return len(p), nil
}

func (v *HumanLog) line(at time.Time, l zerolog.Level, text, next string) {
	if l < v.min {
		return
	}
	if next != "" {
		if text += "  -> " + next; strings.HasPrefix(next, "addagent") {
			text += v.o.Flags
		}
	}
	text = human.Safe(text)
	for _, out := range v.outs {
		out(at.UTC(), l, text)
	}
}

// Say writes one piece of news.
func (v *HumanLog) Say(n News) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.line(n.At, levels[n.Level], n.Text, n.Next)
}

// Beat writes the one line of a beat.
func (v *HumanLog) Beat(b Beat) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file != nil {
		v.seen = currentFile(v.file, v.seen)
	}
	v.line(b.Start.Add(time.Duration(b.Ms*float64(time.Millisecond))), zerolog.InfoLevel, beatLine(b), "")
}

// currentFile makes sure that a log goes on in the file that has its name. A person may have removed it, moved it away
// and made a new one (logrotate), or put something else there, a pipe without a reader: lumberjack would write into a
// file without a name, or hang. Any local user may read a new log; a rotated one keeps the mode of
// the one before. was is what it answered the last time; nil when it was never asked.
func currentFile(l *lumberjack.Logger, was fs.FileInfo) fs.FileInfo {
	info, err := os.Stat(l.Filename)
	if errors.Is(err, syscall.ELOOP) || err == nil && info.Mode()&(fs.ModeDir|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		_, _ = files.SetAside(l.Filename, "corrupt")
		info, err = nil, fs.ErrNotExist
	}
	if err == nil && (was == nil || os.SameFile(was, info)) {
		return info
	}
	_ = l.Close() // the next line opens what is there
	if errors.Is(err, fs.ErrNotExist) {
		_ = os.MkdirAll(filepath.Dir(l.Filename), 0o755)
		if f, err := os.OpenFile(l.Filename, os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
			_ = f.Close()
		}
		info, _ = os.Stat(l.Filename)
	}
	return info
}

func (v *HumanLog) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.close()
}

func (v *HumanLog) close() {
	if v.file != nil {
		v.file.Close()
	}
}

// longLine is how many repositories a line names one by one; of more it names those only that have something to say.
const longLine = 6

// beatLine is what one beat looks like: a person sees that it lives, what each
// repository is at, and when it looks next.
func beatLine(b Beat) string {
	var parts []string
	state := string(b.State)
	switch {
	case b.InHand != nil:
		if state != "working" {
			state += " | working" // another item is at fault, or this one runs in every beat
		}
		parts = append(parts, fmt.Sprintf("%s for %s (attempt %d, pid %d)", b.InHand.Name(), human.Duration(b.Start.Sub(b.InHand.Started)), b.InHand.Attempt, b.InHand.PID))
	case len(b.Looks) == 0:
		parts = append(parts, "no repositories: add some to the config (repos:)")
	}
	quiet := 0
	for _, l := range b.Looks {
		if l.Old {
			continue
		}
		if v := verdictsOf(l.Repo, b.Items); len(b.Looks) > longLine && !l.Moved && l.Trouble == "" && (v == "" || v == string(work.Same) || v == string(work.Unaffected)) {
			quiet++
			continue
		}
		part := l.Repo
		if l.Version != "" {
			part += " " + human.ID(l.Version)
		}
		if l.Trouble != "" {
			part += " not reached"
		}
		if v := verdictsOf(l.Repo, b.Items); v != "" {
			part += " " + v
		} else if l.Version != "" {
			part += " (no item)"
		}
		parts = append(parts, part)
	}
	if quiet > 0 {
		parts = append(parts, human.Count(quiet, "repository")+" quiet")
	}
	if len(parts) == 0 {
		parts = append(parts, cmp.Or(b.Reason, "all repositories disabled")) // no server was asked
	}
	line := fmt.Sprintf("%-7s %s | %s", state, strings.Join(parts, ", "), human.Duration(time.Duration(b.Ms*float64(time.Millisecond))))
	if n := len(b.Troubles); n > 0 {
		line += " | " + human.Count(n, "trouble")
	}
	return line + " | next " + human.Moment(b.Next, b.Start)
}

// verdictsOf sums up a repository's items: "same", or "2 same, 1 unaffected".
func verdictsOf(repo string, items []Judged) string {
	counts := map[string]int{}
	var order []string
	for _, i := range items {
		if i.Repo != repo {
			continue
		}
		word := string(i.Verdict)
		if i.Standing != "" {
			word = i.Standing
		} else if i.Held != "" {
			word += " held" // `addagent why` says by what
		}
		if counts[word] == 0 {
			order = append(order, word)
		}
		counts[word]++
	}
	if len(order) == 1 {
		return order[0]
	}
	for i, w := range order {
		order[i] = fmt.Sprintf("%d %s", counts[w], w)
	}
	return strings.Join(order, ", ")
}

// UnderJournald tells whether standard error goes to the journal.
func UnderJournald(env func(string) string) bool { return env("JOURNAL_STREAM") != "" }

// LogPath is the file of the agent's log.
func LogPath(home string) string { return filepath.Join(home, "log", "addagent.log") }
