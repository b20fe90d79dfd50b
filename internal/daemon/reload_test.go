package daemon

import "testing"

func TestAScheduleThatNeverComesIsAMistake(t *testing.T) {
	for text, good := range map[string]bool{"0 0 30 2 *": false, "0 0 29 2 *": true, "* * * * *": true, "@every 10s": true, "@every 1ms": false, "61 * * * *": false} {
		if _, err := ParseSchedule(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
