package work

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	sha1 = "1111111111111111111111111111111111111111"
	sha2 = "2222222222222222222222222222222222222222"
	sha3 = "3333333333333333333333333333333333333333"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The file on disk is a contract: a change of these bytes is a change for every reader.
func TestResultGolden(t *testing.T) {
	ids := map[string]string{"./app": sha1, "app2:war": "", keyScript: sha2 + "+x", keyYAML: ""}
	full := Attempt{
		RunID: "20260301-120000-1", Verdict: Changed, Version: sha2, Previous: sha1, Ids: ids, Fingerprint: Fingerprint(ids), Attempt: 3,
		Started: noon, Finished: noon.Add(1500 * time.Millisecond), Exit: 3, Reason: ReasonExit, Detail: "exit 3", Log: "/root/log/work/ops_part.app1/x.log",
		LastLine: "E: Unable to locate <package> & more", BootID: "b", Failures: 2, Waits: 1, WaitSince: noon, Waited: 12.5, Uptime: 345, Asked: noon, AskedBy: "ann", Shutdowns: 1, WedgedSince: noon, Unwedged: noon,
	}
	for name, r := range map[string]Result{
		"result_full.json":    {Done: &Done{Version: sha1, Ids: map[string]string{".": sha3, keyScript: sha2, keyYAML: ""}}, Last: &full},
		"result_running.json": {Last: &Attempt{RunID: "r", Verdict: First, Version: sha2, Ids: ids, Fingerprint: Fingerprint(ids), Attempt: 1, Started: noon, Exit: -1}},
		"result_empty.json":   {},
	} {
		got, err := ResultIn("").Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			write(t, path, string(got))
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
		back, err := parseResult(want)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%s reads back as %+v, %v", name, back, err)
		}
	}
}

// Every field of Attempt is in the full golden file: one that is added must be thought of there.
func TestGoldenIsComplete(t *testing.T) {
	data, err := os.ReadFile("testdata/result_full.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Result](), reflect.TypeFor[Done](), reflect.TypeFor[Attempt]()} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name == "" || !strings.Contains(string(data), `"`+name+`": `) {
				t.Errorf("%s.%s (%q) is not in the golden file", typ.Name(), typ.Field(i).Name, name)
			}
		}
	}
}

// ends runs attempts of one fingerprint (or, with "new ", of another) that end as named, and gives the last.
func ends(r Rules, sequence ...string) Memory {
	var m Memory
	ids, now := map[string]string{".": sha1}, noon
	for i, end := range sequence {
		if rest, ok := strings.CutPrefix(end, "new "); ok {
			ids, end = map[string]string{".": sha1, "new": string(rune('a' + i))}, rest
		}
		j := Judge(Item{Repo: "ops", Name: "root"}, sha2, ids, m)
		a := Begin(j, r, "run", "boot", now, now.Sub(noon))
		now = now.Add(time.Minute)
		if end == "ok" {
			a = a.End("", 0, "", "", now)
			m.Version, m.Done = a.Version, &Done{a.Version, a.Ids}
		} else if end != "unfinished" {
			a = a.End(Reason(end), 1, map[string]string{"exit": "exit 1"}[end], "last "+end, now)
		}
		m.Last = &a
		if end == "deleted" {
			m.Version = ""
		}
	}
	return m
}

func TestCounting(t *testing.T) {
	type counts struct {
		attempt, failures, waits, shutdowns int
		wedged                              bool // carried: wedged_since is set
	}
	for _, test := range []struct {
		sequence string // ends, separated by commas
		want     counts
	}{
		{"ok", counts{1, 0, 0, 0, false}},
		{"exit", counts{1, 1, 0, 0, false}},
		{"exit,exit", counts{2, 2, 0, 0, false}},
		{"exit,signal,deadline", counts{3, 3, 0, 0, false}},
		{"exit,exit,exit,start", counts{4, 4, 0, 0, true}},
		{"exit,ok", counts{2, 0, 0, 0, false}},
		{"exit,ok,exit", counts{1, 1, 0, 0, false}},
		{"exit,new exit", counts{1, 1, 0, 0, false}},
		{"exit,exit,exit,new exit", counts{1, 1, 0, 0, true}},
		{"exit,exit,exit,new exit,new exit", counts{1, 1, 0, 0, true}},
		{"exit,exit,exit,new ok,exit", counts{1, 1, 0, 0, false}},
		{"wedged", counts{1, 1, 0, 0, false}},
		{"wedged,waiting", counts{2, 1, 1, 0, true}},
		{"waiting", counts{1, 0, 1, 0, false}},
		{"waiting,waiting", counts{2, 0, 2, 0, false}},
		{"waiting,exit,waiting", counts{3, 1, 1, 0, false}},
		{"waiting,new waiting", counts{1, 0, 1, 0, false}},
		{"shutdown", counts{1, 0, 0, 1, false}},
		{"shutdown,shutdown", counts{2, 1, 0, 2, false}},
		{"shutdown,shutdown,shutdown", counts{3, 2, 0, 3, false}},
		{"shutdown,new shutdown", counts{1, 0, 0, 1, false}},
		{"shutdown,exit,shutdown", counts{3, 1, 0, 1, false}},
		{"interrupted,interrupted", counts{2, 2, 0, 0, false}},
		{"unfinished,exit", counts{2, 2, 0, 0, false}},
		{"exit,unfinished", counts{2, 1, 0, 0, false}},
		{"exit,unfinished,unfinished,exit", counts{4, 4, 0, 0, true}},
	} {
		a := ends(Rules{WedgeAfter: 3}, strings.Split(test.sequence, ",")...).Last
		got := counts{a.Attempt, a.Failures, a.Waits, a.Shutdowns, !a.WedgedSince.IsZero()}
		if got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.sequence, got, test.want)
		}
	}
}

func TestWaitSinceOutlivesPushes(t *testing.T) {
	m := ends(Rules{}, "waiting", "new waiting", "new waiting")
	if want := noon.Add(time.Minute); !m.Last.WaitSince.Equal(want) {
		t.Errorf("got %v, want %v", m.Last.WaitSince, want)
	}
	if m = ends(Rules{}, "waiting", "exit", "waiting"); !m.Last.WaitSince.Equal(noon.Add(3 * time.Minute)) {
		t.Errorf("a failure ends the waiting: %v", m.Last.WaitSince)
	}
}

func TestBeginAfterVersionWasDeleted(t *testing.T) {
	m := ends(Rules{WedgeAfter: 2}, "ok", "exit", "exit")
	m.Version = ""
	j := Judge(Item{}, sha2, m.Last.Ids, m)
	if a := Begin(j, Rules{WedgeAfter: 2}, "", "", noon, 0); a.Attempt != 1 || a.Failures != 0 || a.Previous != "" || a.WedgedSince.IsZero() {
		t.Errorf("%+v", a)
	}
}

func TestTimesAreUTC(t *testing.T) {
	there := noon.In(time.FixedZone("x", 7200))
	a := Begin(Judgement{}, Rules{}, "", "", there, 0).End("", 0, "", "", there)
	if a.Started.Location() != time.UTC || a.Finished.Location() != time.UTC || !a.Started.Equal(noon) {
		t.Errorf("%v %v", a.Started, a.Finished)
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"  a\tb\r\nc \x00 d  ":   "a b c d",
		"\x1b[31mred\x1b[0m":     "[31mred [0m",
		"\xff\xfe x":             "x",
		strings.Repeat("ü", 300): strings.Repeat("ü", 199) + "…",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := oneLine(strings.Repeat("\xc3\x28", 1<<20)); !utf8.ValidString(got) || utf8.RuneCountInString(got) > lineMax {
		t.Errorf("%d characters", utf8.RuneCountInString(got))
	}
}

// TestWaitAcrossAClockSetBack: an hour of waiting that begins in the future would never be over.
func TestWaitAcrossAClockSetBack(t *testing.T) {
	a := Attempt{WaitSince: noon.AddDate(1, 0, 0), Waits: 3, Started: noon}.End(ReasonWaiting, ExitTempFail, "", "", noon)
	if !a.WaitSince.Equal(noon) || a.Waits != 4 {
		t.Errorf("%+v", a)
	}
}

// TestOwnMemories: what the sweep looks through is what an item is remembered in.
func TestOwnMemories(t *testing.T) {
	state := t.TempDir()
	for _, item := range []string{"service.db.delete", "service.db-2.restart"} {
		testkit.Must(t, os.MkdirAll(MemoryOf("/root/gitrepo", state, "ops", item), 0o755))
	}
	for _, other := range []string{"service/db/copy-1/delete", "service/db/kept"} {
		testkit.Must(t, os.MkdirAll(filepath.Join(state, other), 0o755))
	}
	want := map[string]string{"init": state + "/init", "service.db.delete": state + "/service/db/delete", "service.db-2.restart": state + "/service/db-2/restart"}
	if all := OwnMemories(state); !maps.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
	for item, want := range map[string]string{
		"service.db": "/root/gitrepo/ops/.temp/add/service.db", "part.a.b": "/root/gitrepo/ops/.temp/add/part.a.b", "init": state + "/init",
	} {
		if dir := MemoryOf("/root/gitrepo", state, "ops", item); dir != want {
			t.Errorf("%s is remembered in %s, want %s", item, dir, want)
		}
	}
}
