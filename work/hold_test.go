package work

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseHold(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	place := Place{Nodepart: "app1", Stacktype: "lad1"}
	for _, test := range []struct {
		name, in string
		place    Place
		want     *Hold // nil = does not hold
	}{
		{"all", "reason: db migration\nby: ann\nuntil: 2026-03-01T18:00:00+02:00\n", place,
			&Hold{Reason: "db migration", By: "ann", Until: time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC)}},
		{"empty", "", place, &Hold{Reason: "f gives no reason"}},
		{"reason of several lines", "reason: |\n  one\n  two\n", place, &Hold{Reason: "one two"}},
		{"this part", "reason: x\nparts: [db1, app1]\n", place, &Hold{Reason: "x"}},
		{"another part", "reason: x\nparts: [db1]\n", place, nil},
		{"parts are names, not patterns", "reason: x\nparts: [app]\n", place, nil},
		{"one name", "reason: x\nparts: app1\nstacktypes: lad1\n", place, &Hold{Reason: "x"}},
		{"one name of another", "reason: x\nparts: db1\n", place, nil},
		{"one empty name", "reason: x\nparts: ''\n", place, &Hold{Reason: "f:2:1: parts: must be a list, as in [ app1, app2 ], not text; holding every node until it is fixed"}},
		{"this stacktype", "reason: x\nstacktypes: [lad1]\n", place, &Hold{Reason: "x"}},
		{"another stacktype", "reason: x\nstacktypes: [lad2]\n", place, nil},
		{"both match", "reason: x\nstacktypes: [lad1]\nparts: [app1]\n", place, &Hold{Reason: "x"}},
		{"one of both matches", "reason: x\nstacktypes: [lad1]\nparts: [db1]\n", place, nil},
		{"the other of both matches", "reason: x\nstacktypes: [lad2]\nparts: [app1]\n", place, nil},
		{"empty lists are no lists", "reason: x\nstacktypes: []\nparts: []\n", place, &Hold{Reason: "x"}},
		{"a node without a part", "reason: x\nparts: [app1]\n", Place{}, nil},
		{"a node without a part, no lists", "reason: x\n", Place{}, &Hold{Reason: "x"}},
		{"expired", "reason: x\nuntil: 2026-03-01T11:59:59Z\n", place, nil},
		{"expires now", "reason: x\nuntil: 2026-03-01T12:00:00Z\n", place, nil},
		{"expires in a second", "reason: x\nuntil: \"2026-03-01T12:00:01Z\"\n", place, &Hold{Reason: "x", Until: now.Add(time.Second)}},
		{"expired, with a mistake", "raeson: x\nuntil: 2026-03-01T11:59:59Z\n", place, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, on := parseHold("f", []byte(test.in), test.place, now)
			if on != (test.want != nil) {
				t.Fatalf("holds: %v (%+v)", on, got)
			}
			if !on {
				return
			}
			test.want.File = "f"
			if !reflect.DeepEqual(got, *test.want) {
				t.Errorf("got  %+v\nwant %+v", got, *test.want)
			}
		})
	}
}

func TestABadHoldHolds(t *testing.T) {
	for in, want := range map[string]string{
		"until: tomorrow\nparts: [db1]\n":   `f:1:1: until: "tomorrow" is not a time, as in 2026-03-01T18:00:00Z`,
		"until: 2026-03-01\n":               `f:1:1: until: "2026-03-01" has no zone: write 2026-03-01T00:00:00Z if UTC is meant`,
		"until: 2026-03-01 18:00\n":         `until: "2026-03-01 18:00" has no zone: write 2026-03-01T18:00:00Z if UTC is meant`,
		"until: 2026-03-01T18:00:00\n":      `until: "2026-03-01T18:00:00" has no zone: write 2026-03-01T18:00:00Z if UTC is meant`,
		"until: 18:00\n":                    `until: "18:00" is not a time, as in 2026-03-01T18:00:00Z`,
		"part: [db1]\n":                     `f:1:1: unknown key "part", did you mean parts?`,
		"parts: 1\n":                        "f:1:1: parts: must be a list, as in [ app1, app2 ], not 1 (put it in quotes",
		"parts: [{x: y}]\n":                 "parts: must be a list of names, not of keys and values",
		"parts: [1]\n":                      "put it in quotes",
		"reason: [x]\n":                     "reason: must be text, not a list",
		"reason: x\n\tby: y\n":              "f:2:",
		"just stop\n":                       "must be keys and values",
		"reason: \"x\n":                     "f:1:",
		"\xff\xfe":                          "holds bytes that are no UTF-8",
		strings.Repeat("a: [", 4000):        "f:",
		"reason: a\nreason: b\n":            "f:2:1: ",
		"---\nreason: a\n---\nparts: [x]\n": "a second document",
	} {
		h, on := parseHold("f", []byte(in), Place{Nodepart: "app1"}, time.Now())
		if !on || !strings.Contains(h.Reason, want) || !strings.HasSuffix(h.Reason, "holding every node until it is fixed") {
			t.Errorf("%q: holds %v: %q, want %q", in[:min(len(in), 40)], on, h.Reason, want)
		}
		if strings.ContainsAny(h.Reason, "\n\t") {
			t.Errorf("reason of several lines: %q", h.Reason)
		}
	}
}

func TestHoldsOfTrees(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string // "file reason"
	}{
		{"none", map[string]string{"nodework/work.sh": script}, nil},
		{"nodework", map[string]string{"nodework/hold.yaml": "reason: x\n"}, []string{"nodework/hold.yaml x"}},
		{"bin", map[string]string{"bin/nodework/hold.yaml": "reason: y\n"}, []string{"bin/nodework/hold.yaml y"}},
		{"both", map[string]string{"bin/nodework/hold.yaml": "reason: y\n", "nodework/hold.yaml": "reason: x\n", "nodework/work.sh": script},
			[]string{"nodework/hold.yaml x", "bin/nodework/hold.yaml y"}},
		{"symlink", map[string]string{"nodework/hold.yaml": "-> x"}, []string{"nodework/hold.yaml nodework/hold.yaml: is not a regular file; holding until it is fixed"}},
		{"folder", map[string]string{"nodework/hold.yaml/x": "x"}, []string{"nodework/hold.yaml nodework/hold.yaml: is not a regular file; holding until it is fixed"}},
		{"elsewhere", map[string]string{"hold.yaml": "reason: x\n", "nodework/common/hold.yaml": "reason: x\n"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			holds, err := Holds(checkout(t, "ops", test.files), Place{}, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range holds {
				if h.Repo != "ops" {
					t.Errorf("%+v", h)
				}
				got = append(got, h.File+" "+h.Reason)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzHold(f *testing.F) {
	f.Add([]byte("reason: x\nby: ann\nuntil: 2026-03-01T18:00:00Z\nparts: [app1]\nstacktypes: [lad1]\n"))
	f.Add([]byte("parts: [[]]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		h, on := parseHold("f", data, Place{Nodepart: "app1", Stacktype: "lad1"}, now)
		if on && h.Reason == "" {
			t.Error("holds without a reason")
		}
		if strings.ContainsAny(h.Reason, "\n\x00\x1b") || strings.ContainsAny(h.By, "\n\x00\x1b") {
			t.Errorf("%q %q", h.Reason, h.By)
		}
		// It may let go only when the file says so: without a word about whom or until when, it holds.
		text := string(data)
		if !on && !strings.Contains(text, "until") && !strings.Contains(text, "parts") && !strings.Contains(text, "stacktypes") && !strings.Contains(text, "\\") {
			t.Errorf("does not hold: %q", text)
		}
	})
}
