package agent

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// What a script wrote stays on the node, unless the config lets it out. During a retry, too.
func TestOutputStaysOnTheNode(t *testing.T) {
	for _, test := range []struct {
		exit                  int
		output                bool
		inside, outside, last string
	}{
		{3, false, "ops:common: exit 3", "ops:common: exit 3", "ops:common: exit 3 (3 failures in a row)"},
		{3, true, "ops:common: exit 3", "ops:common: exit 3: password=x", "ops:common: exit 3 (3 failures in a row): password=x"},
		{75, false, "ops:common: waiting: password=x", "ops:common: waiting: exit 75", "ops:common: waiting: exit 75"},
		{75, true, "ops:common: waiting: password=x", "ops:common: waiting: password=x", "ops:common: waiting: password=x"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "common")
			b.output, b.Output = "password=x", test.output
			b.results["common"] = func(int) (int, time.Duration) { return test.exit, 90 * time.Second }
			var told []string
			b.Record = func(r *presence.Record) {
				if r.Reason != "" && r.State != node.Working && (len(told) == 0 || told[len(told)-1] != r.Reason) {
					told = append(told, r.Reason)
				}
			}
			inside := ""
			b.Told = func(bt journal.Beat) {
				if inside == "" && bt.State != node.Working {
					inside = bt.Reason
				}
			}
			b.live(100*time.Minute, nil)
			if inside != test.inside || len(told) == 0 || told[0] != test.outside || !slices.Contains(told, test.last) {
				t.Errorf("exit %d, output %v: inside %q, outside %q", test.exit, test.output, inside, told)
			}
			if all := strings.Join(told, "\n"); !test.output && strings.Contains(all, "password") {
				t.Errorf("told %q", all)
			}
		})
	}
}
