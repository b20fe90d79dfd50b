package fold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold/page"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/addagent/addagent/presence/history"
)

func TestTransitionLine(t *testing.T) {
	r := record("a", node.Failing, noon())
	r.Reason = "exit 100: <no> \"file\"\n\u2028größe"
	line, err := history.Append(nil, []Transition{history.New(r, noon().Add(987*time.Millisecond).In(time.FixedZone("CET", 3600)), "idle", "failing", r.Reason)})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "testdata/transition.jsonl", line)
	back := history.Parse(line)
	if len(back) != 1 || back[0] != history.New(r, noon(), "idle", "failing", r.Reason) {
		t.Errorf("read back %+v", back)
	}
	huge := strings.Repeat("\u2028", 100_000)
	r.Deployment, r.Nodepart, r.Repos[0].Version = huge, huge, huge
	long := history.New(r, noon(), huge, "idle", huge)
	if line, err = history.Append(nil, []Transition{long}); err != nil || len(line) > history.LineLimit || len(history.Parse(line)) != 1 {
		t.Errorf("huge words make %d bytes, %v", len(line), err)
	}
}

func TestParseLinesLeavesOutWhatIsNone(t *testing.T) {
	good := `{"time":"2026-03-01T12:00:00Z","id":"a","deployment":"d","nodepart":"p","from":"","to":"idle","reason":"","version":""}`
	text := strings.Join([]string{good, "", "null", "[]", "{}", `{"time":"2026-03-01T12:00:00Z","id":"../a","to":"idle"}`, "nonsense",
		`{"time":"yesterday","id":"a","to":"idle"}`, `{"id":"a","to":"idle"}`, `{"time":"2026-03-01T12:00:00Z","id":"a"}`,
		strings.Repeat(" ", history.LineLimit) + good, strings.Replace(good, `"id"`, `"more":1,"id"`, 1), good[:50]}, "\n")
	if got := history.Parse([]byte(text)); len(got) != 2 {
		t.Errorf("read %+v", got)
	}
}

func TestSteps(t *testing.T) {
	var chain []statement
	for i, s := range []node.State{"setup", "setup", "idle", "idle", "working", "idle"} {
		chain = append(chain, statement{at: noon().Add(time.Duration(i) * time.Minute), record: record("a", s, noon())})
	}
	for from, want := range map[string]string{
		"":      ">setup0 setup>idle2 idle>working4 working>idle5 ",
		"setup": "setup>idle2 idle>working4 working>idle5 ",
		"idle":  "idle>setup0 setup>idle2 idle>working4 working>idle5 ",
	} {
		got := ""
		for _, s := range steps(presence.Record{State: node.State(from)}, chain) {
			got += fmt.Sprintf("%s>%s%d ", s.From, s.To, int(s.Time.Sub(noon()).Minutes()))
		}
		if got != want {
			t.Errorf("from %q: %s", from, got)
		}
	}
}

// What is not folded yet is found whatever became of a ref's history.
func TestSince(t *testing.T) {
	at := func(commit, blob string, minute int) statement {
		return statement{commit: commit, blob: blob, at: noon().Add(time.Duration(minute) * time.Minute)}
	}
	folded := at("c2", "b2", 2)
	for _, c := range []struct {
		what   string
		newest []statement
		known  bool
		want   string
	}{
		{"all of it is new", []statement{at("c3", "b3", 3), at("c2", "b2", 2), at("c1", "b1", 1)}, false, "c1 c2 c3"},
		{"one more", []statement{at("c3", "b3", 3), at("c2", "b2", 2)}, true, "c3"},
		{"three more", []statement{at("c5", "b5", 5), at("c4", "b4", 4), at("c3", "b3", 3), at("c2", "b2", 2)}, true, "c3 c4 c5"},
		{"the same record again", []statement{at("c4", "b2", 4), at("c3", "b3", 3), at("c2", "b2", 2)}, true, "c3 c4"},
		{"history was rewritten", []statement{at("d4", "b4", 4), at("d3", "b3", 3), at("d2", "b2", 2), at("d1", "b1", 1)}, true, "d3 d4"},
		{"history was cut", []statement{at("d4", "b4", 4), at("d3", "b3", 3)}, true, "d3 d4"},
		{"and the folded record is not there", []statement{at("d4", "b4", 4), at("d3", "b3", 3), at("d1", "b1", 1)}, true, "d3 d4"},
		{"a clock was set back", []statement{at("d4", "b4", 0)}, true, "d4"},
		{"a clock was set back, twice", []statement{at("c4", "b4", 0), at("c3", "b3", 1), at("c2", "b2", 2)}, true, "c3 c4"},
		{"nothing", nil, true, ""},
	} {
		var got []string
		for _, one := range since(c.newest, folded, c.known) {
			got = append(got, one.commit)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, not %q", c.what, strings.Join(got, " "), c.want)
		}
	}
}

func TestInOrder(t *testing.T) {
	tr := func(minute int, id, to string) Transition {
		return Transition{Time: noon().Add(time.Duration(minute) * time.Minute), ID: id, To: to}
	}
	list := []Transition{tr(2, "b", "x"), tr(1, "b", "y"), tr(1, "a", "z"), tr(1, "a", "w"), tr(2, "b", "x")}
	want := []Transition{tr(1, "a", "z"), tr(1, "a", "w"), tr(1, "b", "y"), tr(2, "b", "x")}
	if got := history.InOrder(list); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestAppended(t *testing.T) {
	one := []Transition{{Time: noon(), ID: "a", To: "idle"}}
	for _, before := range []string{"", "x\n", "cut off"} {
		got, err := history.Append([]byte(before), one)
		if err != nil || len(history.Parse(got)) != 1 {
			t.Errorf("after %q: %q, %v", before, got, err)
		}
	}
}

func FuzzParseLines(f *testing.F) {
	f.Add([]byte(`{"time":"2026-03-01T12:00:00Z","id":"a","deployment":"d","nodepart":"p","from":"","to":"idle","reason":"","version":""}` + "\n"))
	f.Add([]byte("null\n{}\n[]\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list := history.Parse(data)
		var again []byte
		for _, tr := range list {
			var err error
			if again, err = history.Append(again, []Transition{tr}); err != nil {
				return // a time that was read cannot be written: year 10000 in UTC
			}
		}
		for _, line := range bytes.SplitAfter(again, []byte("\n")) {
			if len(line) > history.LineLimit {
				return // what was read escaped may grow
			}
		}
		if back := history.Parse(again); !slices.Equal(back, list) {
			t.Errorf("read %+v, wrote %s, read %+v", list, again, back)
		}
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("a|b\\|c`<script>\n\r\t\x00 [x](http://y) **z** \u202e&amp;")
	f.Fuzz(func(t *testing.T, s string) {
		got := page.Escape(s)
		bare := strings.NewReplacer(`\\`, "", `\|`, "", `\<`, "", "\\`", "", `\[`, "", `\*`, "", `\&`, "").Replace(got)
		if strings.ContainsAny(bare, "\n\r|<`[*&\x00") {
			t.Errorf("%q gives %q", s, got)
		}
	})
}

// FuzzReadFold: whatever people push to the fold's branch, a reader survives it.
func FuzzReadFold(f *testing.F) {
	note, err := presence.EncodeDocument(infoType, foldInfo{Commits: 1, Folded: noon(), NextBy: noon().Add(time.Minute), Prefix: gitstore.RefPrefix})
	if err != nil {
		f.Fatal(err)
	}
	seats, err := encodeRefs(map[string]refState{"a": {Commit: strings.Repeat("a", 40), Since: noon(), Told: noon()}})
	if err != nil {
		f.Fatal(err)
	}
	data, err := presence.Encode(record("a", node.Idle, noon()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(note, seats, data)
	f.Add([]byte("{}"), []byte(`{"filetype":"nodefoldrefs","value":null}`), []byte("x"))
	f.Add([]byte(`{"filetype":"nodefold","value":{"notes":[1]}}`), []byte(`{"filetype":"nodefoldrefs","value":{"a":7}}`), []byte("{}"))
	f.Fuzz(func(t *testing.T, note, seats, record []byte) {
		fl, err := readFold(paper{infoFile: note, refsFile: seats, gitstore.PathOf("a"): record}, "c", fold{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := presence.EncodeNodes(fl.fleet(), noon()); err != nil {
			t.Error(err)
		}
		if _, _, news := fl.advance(observation{tips: map[string]string{}}, noon()); len(fl.nodes) > 0 && !news {
			t.Error("a node went, and that is no news")
		}
		if !json.Valid(note) && fl.info.fresh(gitstore.RefPrefix, noon()) {
			t.Error("nonsense is fresh")
		}
	})
}

// TestUnfolded: whatever was folded, however the history of the ref was rewritten since and whatever refreshes are left
// out of what is read, the transitions are those of what came after.
func TestUnfolded(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	states := []node.State{node.Idle, node.Working, node.Failing}
	for range 2000 {
		var all []statement // oldest first
		for i := range 1 + rnd.IntN(12) {
			all = append(all, statement{commit: fmt.Sprint("c", i), blob: fmt.Sprint("b", i), raw: []byte{'x'}, at: noon().Add(time.Duration(i) * time.Minute),
				record: record("a", states[rnd.IntN(len(states))], noon())})
		}
		k := rnd.IntN(len(all)) // what is folded
		known := all[k]
		rewritten, kept := rnd.IntN(2) == 0, 0
		if rewritten {
			kept = rnd.IntN(k + 2) // the first of those that the ref still has
		}
		var chain []statement // newest first, as chainOf makes it
		for i := len(all) - 1; i >= kept; i-- {
			one := all[i]
			if rewritten {
				one.commit = fmt.Sprint("d", i)
			} else if i == k {
				chain = append(chain, known)
				break
			}
			chain = lengthened(chain, one)
		}
		if len(chain) == 0 {
			continue
		}
		got := steps(known.record, since(chain, known, true))
		want := steps(known.record, all[k+1:])
		if !slices.Equal(got, want) {
			t.Fatalf("folded %d of %d, rewritten %v from %d: %v\nnot %v", k, len(all), rewritten, kept, got, want)
		}
	}
}
