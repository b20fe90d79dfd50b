// Package sinktest is the contract of sink.Sink as a test suite, which each sink runs.
package sinktest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/presence"
)

// Place is one place where records are told, empty at first.
type Place struct {
	// Open returns a sink on the place; opened again it is what a restarted agent has.
	Open func() sink.Sink
	// Read returns the record as others read it there; ok is false when there is none.
	Read func() (r presence.Record, ok bool)
	// Arrived waits until all that was told is there; nil = that is when Tell returns.
	Arrived func(s sink.Sink) error
	// Promises says that the sink itself knows when it tells again at the latest: beat_next_by is moved, by Later at
	// most.
	Promises bool
	// Later is how much later a beat must be for an unchanged record to be told again; 0 = it never is.
	Later time.Duration
}

// Record is a full record, the kind of thing that a sink is told, odd characters included.
func Record() presence.Record {
	beat := time.Date(2026, 3, 1, 9, 30, 7, 0, time.UTC)
	return presence.Record{
		Addresses:   []string{"10.0.0.7", "fd00::7"},
		Agent:       "addagent/1.2.3",
		BeatNextBy:  beat.Add(12 * time.Minute),
		BeatSeen:    beat,
		BootID:      "5f4cf0d6-6f0b-4a3a-8f3c-0d6c6bb1d7a5",
		Deployment:  "fed1",
		Hardware:    "ec2:i-0123456789abcdef0",
		Hostname:    "web1.example.org",
		InitGitRepo: "ops",
		InstanceID:  "i-0123456789abcdef0",
		IP:          "10.0.0.7",
		Nodepart:    "app1",
		Reason:      "ops part.app1: exit 100: \"no <such> file & dir\"\n\u2028größe",
		Repos: []presence.Repo{{Branch: "main", Name: "ops", Version: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d", Due: []string{"common"},
			Done: map[string]string{"common": "0123456789abcdef"}, Worked: map[string]string{"common": "6942aad4d5e6f708192a3b4c5d6e7f8091a2b3c4"}}},
		Troubles: []string{"config: addagent.yaml:3:1: unknown key wrok; the previous config stays in force"},
		Services: []presence.Service{{Code: "000000", IP: "10.0.0.7", Mode: "http", Name: "api-workers", Port: 8080,
			Role: "standalone", State: "running", Time: beat.Add(-time.Hour)}},
		Stacktype: "lad1",
		State:     node.Failing,
		StateLog:  "setup:20260301-080000;initdone:20260301-080022;",
		StateTss:  "20260301-080022",
		Uses:      []presence.Use{{Item: "ops:part.app1", Role: "master", Service: "db", Set: "0123456789abcdef"}},
	}
}

// Run checks a sink against the contract. Each sub-test gets a new place from the factory.
func Run(t *testing.T, factory func(t *testing.T) Place) {
	t.Helper()
	sub := func(name string, check func(t *testing.T, p Place)) {
		t.Run(name, func(t *testing.T) { check(t, factory(t)) })
	}
	sub("nothing is there before the first telling", func(t *testing.T, p Place) {
		p.Open()
		if r, ok := p.Read(); ok {
			t.Errorf("read %+v", r)
		}
	})
	sub("what is told can be read, every character of it", func(t *testing.T, p Place) {
		tell(t, p, p.Open(), Record())
		reads(t, p, Record())
	})
	sub("a record with the least in it", func(t *testing.T, p Place) {
		least := presence.Record{InstanceID: "n", State: node.Setup}
		tell(t, p, p.Open(), least)
		least.Addresses, least.Repos, least.Services = []string{}, []presence.Repo{}, []presence.Service{}
		reads(t, p, least)
	})
	sub("every transition is told", func(t *testing.T, p Place) {
		s := p.Open()
		r := Record()
		for _, row := range node.States() {
			r.State, r.Reason = row.State, row.Meaning
			tell(t, p, s, r)
			reads(t, p, r)
		}
	})
	sub("an unchanged record is taken", func(t *testing.T, p Place) {
		s := p.Open()
		r := Record()
		for range 3 {
			tell(t, p, s, r)
		}
		reads(t, p, r)
	})
	sub("an unchanged record is told again in time", func(t *testing.T, p Place) {
		if p.Later == 0 {
			return // this sink tells changes only
		}
		s := p.Open()
		r := Record()
		tell(t, p, s, r)
		r.BeatSeen = r.BeatSeen.Add(p.Later)
		r.BeatNextBy = r.BeatNextBy.Add(p.Later)
		tell(t, p, s, r)
		reads(t, p, r)
	})
	sub("a restarted agent goes on", func(t *testing.T, p Place) {
		r := Record()
		tell(t, p, p.Open(), r)
		tell(t, p, p.Open(), r)
		reads(t, p, r)
		r.State = node.Wedged
		tell(t, p, p.Open(), r)
		reads(t, p, r)
	})
	sub("the record that was given stays as it was", func(t *testing.T, p Place) {
		r := Record()
		tell(t, p, p.Open(), r)
		if !reflect.DeepEqual(r, Record()) {
			t.Errorf("it became %+v", r)
		}
	})
	sub("a record without a valid id is refused", func(t *testing.T, p Place) {
		s := p.Open()
		tell(t, p, s, Record())
		bad := Record()
		bad.InstanceID = "../other"
		if err := s.Tell(t.Context(), bad); err == nil {
			t.Error("it was taken")
		}
		reads(t, p, Record())
	})
	sub("after a call that was cut the next one tells", func(t *testing.T, p Place) {
		s := p.Open()
		tell(t, p, s, Record())
		cut, cancel := context.WithCancel(t.Context())
		cancel()
		changed := Record()
		changed.State = node.Leaving
		if err := s.Tell(cut, changed); err == nil {
			arrived(t, p, s)
			reads(t, p, changed) // no error means told
		} else if r, ok := p.Read(); !ok || r.InstanceID != changed.InstanceID {
			t.Errorf("nothing whole is left: %+v, %v", r, ok)
		}
		tell(t, p, s, changed)
		reads(t, p, changed)
	})
}

func tell(t *testing.T, p Place, s sink.Sink, r presence.Record) {
	t.Helper()
	if err := s.Tell(t.Context(), r); err != nil {
		t.Fatalf("tell: %v", err)
	}
	arrived(t, p, s)
}

func arrived(t *testing.T, p Place, s sink.Sink) {
	t.Helper()
	if p.Arrived == nil {
		return
	}
	if err := p.Arrived(s); err != nil {
		t.Fatalf("it did not arrive: %v", err)
	}
}

func reads(t *testing.T, p Place, want presence.Record) {
	t.Helper()
	got, ok := p.Read()
	if p.Promises && !got.BeatNextBy.Before(want.BeatNextBy) && !got.BeatNextBy.After(want.BeatNextBy.Add(p.Later)) {
		want.BeatNextBy = got.BeatNextBy
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v\nwant %+v", got, ok, want)
	}
}
