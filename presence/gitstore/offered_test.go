package gitstore

import (
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// TestServicesArePushedAtOnce: what becomes available, or ceases to be, waits for no token and is named in the subject.
func TestServicesArePushedAtOnce(t *testing.T) {
	offer := func(code string) presence.Record {
		r := said(node.Idle, 0)
		if code != "" {
			r.Services = []presence.Service{{Name: "db", Code: code, Mode: "db", Role: "na"}}
		}
		return r
	}
	for _, c := range []struct {
		from, to string
		offered  string
	}{
		{"", "ER0021", ""}, {"ER0021", "000000", ", db 000000"}, {"000000", "ER0020", ", db ER0020"}, {"ER0020", "ER0022", ""}, {"000000", "", ", db gone"}, {"ER0024", "", ""},
	} {
		before := offer(c.from)
		queue := enqueue(nil, 0, published{Record: &before}, offer(c.to), pace{time.Hour, 1000, 6})
		if len(queue) != 1 || queue[0].urgent != (c.offered != "") || queue[0].offered != c.offered {
			t.Errorf("%q to %q: %+v", c.from, c.to, queue)
		}
	}
	// one that waits keeps its place before the next
	before, up, down := offer("ER0021"), offer("000000"), offer("ER0003")
	queue := enqueue(nil, 0, published{Record: &before}, up, pace{time.Hour, 1000, 6})
	if queue = enqueue(queue, 0, published{Record: &before}, down, pace{time.Hour, 1000, 6}); len(queue) != 2 || !hurried(queue) {
		t.Errorf("%+v", queue)
	}
}
