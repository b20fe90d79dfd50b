package status

import (
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work/run"
)

// TestStatusBeginsWithWhatIsWrong: and fits a terminal, whatever the state is.
func TestStatusBeginsWithWhatIsWrong(t *testing.T) {
	now := time.Date(2026, 3, 2, 0, 10, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	idle := journal.Beat{Node: "i-1", State: node.Idle, Since: ago(time.Hour), Start: ago(time.Minute), Next: ago(-time.Minute), By: "run", Seq: 7}
	with := func(change func(*journal.Beat)) *journal.Beat {
		b := idle
		change(&b)
		return &b
	}
	later, earlier := ago(-2*time.Minute), ago(2*time.Minute)
	long := strings.Repeat("ops:part.app1: exit 3 (3 failures in a row); ", 9)
	holder := &run.Holder{PID: 4, Started: ago(time.Hour)}
	for _, c := range []struct {
		what  string
		s     Report
		first string
		rows  []string
		never string
	}{
		{"all is well", Report{Running: true, Holder: holder, Beat: &idle}, "IDLE since 2026-03-01 23:10:00Z (1 h ago)", []string{"next look 00:11:00Z (in 60 s)"}, ""},
		{"a killed agent", Report{Late: true, Beat: &idle}, "NOT RUNNING: the last beat was at 00:09:00Z (60 s ago)", []string{"state     IDLE since 2026-03-01 23:10:00Z (1 h ago)"}, ""},
		{"a stopped agent", Report{Beat: with(func(b *journal.Beat) { b.Stopped = ago(30 * time.Second) })}, "NOT RUNNING: the agent was stopped at 00:09:30Z (30 s ago)", nil, ""},
		{"a late agent", Report{Running: true, Holder: holder, Late: true, Beat: with(func(b *journal.Beat) { b.Next = ago(9 * time.Minute) })},
			"LATE: the beat due 00:01:00Z (9 min ago) has not come", []string{"state     IDLE since"}, ""},
		{"a person's beat beside a dead daemon", Report{Beat: with(func(b *journal.Beat) { b.By, b.Died = "beat", ago(5*time.Minute) })},
			"NOT RUNNING: the agent was killed after its beat at 00:05:00Z (5 min ago)", []string{"state     IDLE since"}, ""},
		{"cron", Report{Beat: with(func(b *journal.Beat) { b.By = "beat" })}, "IDLE since 2026-03-01 23:10:00Z (1 h ago)", []string{"next beat due 00:11:00Z"}, ""},
		{"locks elsewhere", Report{Other: true, Late: true, Beat: &idle}, "IDLE since 2026-03-01 23:10:00Z (1 h ago)", []string{"locks in another run_dir: give its --config"}, ""},
		{"a long reason", Report{Running: true, Holder: holder, Beat: with(func(b *journal.Beat) { b.State, b.Reason = node.Wedged, long })},
			"WEDGED since 2026-03-01 23:10:00Z (1 h ago): ops:part.app1: exit 3", []string{"reason    " + long}, ""},
		{"retries", Report{Running: true, Holder: holder, Beat: with(func(b *journal.Beat) {
			b.Items = []journal.Judged{{Repo: "ops", Item: "a", Standing: "failing", Attempt: 2, NotBefore: &later}, {Repo: "ops", Item: "b", Standing: "failing", Attempt: 3, NotBefore: &earlier}}
		})}, "IDLE", []string{"next attempt (2) at 00:12:00Z (in 2 min)", "next attempt (3) due since 00:08:00Z (2 min ago)"}, "next beat"},
		{"no retries under a hold", Report{Running: true, Holder: holder, Beat: with(func(b *journal.Beat) {
			b.State, b.Items = node.Disabled, []journal.Judged{{Repo: "ops", Item: "a", Standing: "failing", Attempt: 2, NotBefore: &later}}
		})}, "DISABLED", []string{"next look 00:11:00Z", "ops:a FAILING"}, "next attempt"},
		{"no look while disabled", Report{Running: true, Holder: holder, Brakes: node.Brakes{Disabled: &node.Brake{Reason: "x"}}, Beat: &idle}, "IDLE", []string{"next beat 00:11:00Z"}, "next look"},
		{"no retries of a disabled repository", Report{Running: true, Holder: holder, Brakes: node.Brakes{Repos: map[string]node.Brake{"ops": {Reason: "x"}}}, Beat: with(func(b *journal.Beat) {
			b.Items = []journal.Judged{{Repo: "ops", Item: "a", Standing: "failing", Attempt: 2, NotBefore: &later}}
		})}, "IDLE", []string{"next look 00:11:00Z", "ops:a FAILING"}, "next attempt"},
		{"troubles", Report{Running: true, Holder: holder, Beat: with(func(b *journal.Beat) {
			b.Troubles = []journal.Trouble{{Key: "look ops", Text: "refused", Since: ago(time.Hour)}, {Key: "look ops (disk)", Text: "full", Since: ago(time.Hour)}, {Key: "config", Text: "bad", Since: ago(time.Hour)}}
		})}, "IDLE", []string{"for 1 h: refused  -> addagent check --live --home /x", "for 1 h: full  -> df -h\n", "for 1 h: bad  -> addagent check --home /x"}, ""},
	} {
		var out strings.Builder
		c.s.Print(&out, &config.Config{Home: t.TempDir()}, " --home /x", now)
		first, _, _ := strings.Cut(out.String(), "\n")
		if !strings.HasPrefix(first, c.first) || len([]rune(first)) > headline {
			t.Errorf("%s: begins with %q", c.what, first)
		}
		if c.never != "" && strings.Contains(out.String(), c.never) {
			t.Errorf("%s: %q in\n%s", c.what, c.never, out.String())
		}
		for _, row := range c.rows {
			if !strings.Contains(out.String(), row) {
				t.Errorf("%s: no %q in\n%s", c.what, row, out.String())
			}
		}
	}
}
