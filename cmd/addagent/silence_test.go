package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work"
)

func TestSilent(t *testing.T) {
	now := time.Now()
	holder := func(since time.Duration) *work.Holder { return &work.Holder{PID: 1, Started: now.Add(-since)} }
	for _, c := range []struct {
		what string
		s    standing
		want bool
	}{
		{"nobody ever beat", standing{}, false},
		{"the first beat goes on", standing{Running: true, Holder: holder(10 * time.Second)}, false},
		{"the first beat does not end", standing{Running: true, Holder: holder(2 * time.Minute)}, true},
		{"all is well", standing{Running: true, Holder: holder(time.Hour), Beat: &agent.Beat{By: "run"}}, false},
		{"late", standing{Running: true, Holder: holder(time.Hour), Late: true, Beat: &agent.Beat{By: "run"}}, true},
		{"not running", standing{Beat: &agent.Beat{By: "run"}}, true},
		{"a cron in good time", standing{Beat: &agent.Beat{By: "beat"}}, false},
		{"a cron that is late", standing{Late: true, Beat: &agent.Beat{By: "beat"}}, true},
	} {
		if got := c.s.silent(now); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

func TestWhatToRunNext(t *testing.T) {
	full := agent.Trouble{Key: "look ops (disk)", Text: "pull ops: no space left on device"}
	away := agent.Trouble{Key: "look ops", Text: "connection refused"}
	failing := agent.Judged{Repo: "ops", Item: "common", Standing: "failing"}
	for _, c := range []struct {
		what string
		b    agent.Beat
		want string
	}{
		{"all is well", agent.Beat{State: node.Idle}, ""},
		{"a work fails", agent.Beat{State: node.Failing, Items: []agent.Judged{failing}, Troubles: []agent.Trouble{full}}, "addagent why ops:common"},
		{"the disk is full", agent.Beat{State: node.Failing, Troubles: []agent.Trouble{away, full}}, "df -h /r"},
		{"nothing is here", agent.Beat{State: node.Failing, Troubles: []agent.Trouble{away}}, "addagent check"},
	} {
		if got := (standing{Beat: &c.b}).then("/r"); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestVerdictsInTheLog(t *testing.T) {
	same, first := agent.Judged{Repo: "ops", Verdict: work.Same}, agent.Judged{Repo: "ops", Verdict: work.First}
	held := first
	held.Held = "waits until presence is read and shows this node, too (beat 1 of 5 at most)"
	for want, items := range map[string][]agent.Judged{
		"same":                          {same, same},
		"1 same, 1 first":               {same, first},
		"first held":                    {held},
		"1 same, 1 first, 1 first held": {same, first, held},
	} {
		if got := verdictsOf("ops", items); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestUnitIn(t *testing.T) {
	for cgroup, want := range map[string]string{
		"":                                    "",
		"0::/system.slice/addagent.service\n": "addagent.service",
		"0::/user.slice/user-0.slice/session-2.scope\n":                                         "",
		"12:pids:/system.slice/agent@x.service\n1:name=systemd:/system.slice/agent@x.service\n": "agent@x.service",
	} {
		if got := unitIn(cgroup); got != want {
			t.Errorf("%q: %q, want %q", cgroup, got, want)
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

func TestLastSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "addagent.log")
	if got := lastSaid(path); got != "" {
		t.Errorf("without a log %q", got)
	}
	for content, want := range map[string]string{
		"":                                  "",
		"one\n":                             "one",
		"one\ntwo\n":                        "two",
		"one\ntw":                           "tw",
		"one\n" + strings.Repeat("x", 9000): strings.Repeat("x", 400),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastSaid(path); got != want {
			t.Errorf("%.20q: %.20q, want %.20q", content, got, want)
		}
	}
}
