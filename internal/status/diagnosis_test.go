package status

import (
	"fmt"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work/run"
)

func TestSilent(t *testing.T) {
	now := time.Now()
	holder := func(since time.Duration) *run.Holder { return &run.Holder{PID: 1, Started: now.Add(-since)} }
	for _, c := range []struct {
		what string
		s    Report
		want bool
	}{
		{"nobody ever beat", Report{}, false},
		{"the first beat goes on", Report{Running: true, Holder: holder(10 * time.Second)}, false},
		{"the first beat does not end", Report{Running: true, Holder: holder(2 * time.Minute)}, true},
		{"all is well", Report{Running: true, Holder: holder(time.Hour), Beat: &journal.Beat{By: "run"}}, false},
		{"late", Report{Running: true, Holder: holder(time.Hour), Late: true, Beat: &journal.Beat{By: "run"}}, true},
		{"not running", Report{Beat: &journal.Beat{By: "run"}}, true},
		{"a cron in good time", Report{Beat: &journal.Beat{By: "beat"}}, false},
		{"a cron that is late", Report{Late: true, Beat: &journal.Beat{By: "beat"}}, true},
	} {
		if got := c.s.silent(now); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

func TestWhatToRunNext(t *testing.T) {
	full := journal.Trouble{Key: "look ops (disk)", Text: "pull ops: no space left on device"}
	away := journal.Trouble{Key: "look ops", Text: "connection refused"}
	failing := journal.Judged{Repo: "ops", Item: "common", Standing: "failing"}
	for _, c := range []struct {
		what string
		b    journal.Beat
		want string
	}{
		{"all is well", journal.Beat{State: node.Idle, Looks: []journal.Look{{Repo: "ops"}}}, ""},
		{"it has no repository", journal.Beat{State: node.Idle}, "add some repositories to the config (repos:)"},
		{"a work fails", journal.Beat{State: node.Failing, Items: []journal.Judged{failing}, Troubles: []journal.Trouble{full}}, "addagent why ops:common"},
		{"the disk is full", journal.Beat{State: node.Failing, Troubles: []journal.Trouble{away, full}}, "df -h /r"},
		{"nothing is here", journal.Beat{State: node.Failing, Troubles: []journal.Trouble{away}}, "addagent check --live"},
	} {
		if got := (Report{Beat: &c.b}).then("/r"); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestWhyAFolderTakesNothing(t *testing.T) {
	for _, c := range []struct {
		err        error
		inodes     bool
		text, next string
	}{
		{syscall.ENOSPC, false, "no space left on device", "df -h /r"},
		{syscall.ENOSPC, true, "no space left on device", "df -i /r"},
		{syscall.EDQUOT, false, "disk quota exceeded", "quota -v"},
		{syscall.EROFS, false, "read-only file system", "findmnt --target /r"},
		{syscall.EIO, false, "input/output error", "findmnt --target /r"},
	} {
		err := fmt.Errorf("write /r/try: %w", &fs.PathError{Op: "write", Path: "/r/.try17", Err: c.err})
		if got := unwritable("/r", err); got != "/r cannot be written: "+c.text {
			t.Errorf("%v: %q", c.err, got)
		}
		if got := roomCommand("/r", err, c.inodes); got != c.next {
			t.Errorf("%v: %q, want %q", c.err, got, c.next)
		}
	}
}
