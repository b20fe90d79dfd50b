package presence_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/sink/sinktest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

func TestEncode(t *testing.T) {
	data, err := presence.Encode(sinktest.Record())
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "testdata/record.json", data)
	least, err := presence.Encode(presence.Record{InstanceID: "n"})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "testdata/least.json", least)

	back, err := presence.Decode(data)
	if err != nil || !reflect.DeepEqual(back, sinktest.Record()) {
		t.Errorf("read back %+v, %v", back, err)
	}
}

// Keys are sorted: what another program writes with sorted keys is the same file, and diffs stay small.
func TestEncodeSortsKeys(t *testing.T) {
	data, err := presence.Encode(sinktest.Record())
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var sorted bytes.Buffer
	e := json.NewEncoder(&sorted) // sorts the keys of maps
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	if err := e.Encode(doc); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, sorted.Bytes()) {
		t.Errorf("sorted it would be:\n%s", sorted.Bytes())
	}
}

func TestEncodeTimes(t *testing.T) {
	r := sinktest.Record()
	r.BeatSeen = r.BeatSeen.Add(987 * time.Millisecond).In(time.FixedZone("CET", 3600))
	data, err := presence.Encode(r)
	if err != nil || !bytes.Contains(data, []byte(`"beat_seen": "2026-03-01T09:30:07Z"`)) {
		t.Errorf("%s, %v", data, err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, change := range map[string]func(*presence.Record){
		"no id":    func(r *presence.Record) { r.InstanceID = "" },
		"bad id":   func(r *presence.Record) { r.InstanceID = "a/b" },
		"bad time": func(r *presence.Record) { r.BeatSeen = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) },
		"huge":     func(r *presence.Record) { r.Reason = strings.Repeat("x", 1<<20) },
	} {
		r := sinktest.Record()
		change(&r)
		if _, err := presence.Encode(r); err == nil || !strings.HasPrefix(err.Error(), "presence record: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeOldRecord(t *testing.T) {
	data, err := os.ReadFile("testdata/old.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := presence.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	want := presence.Record{
		Addresses: []string{}, Repos: []presence.Repo{}, Services: []presence.Service{},
		Deployment: "fed1", InitGitRepo: "repo2_petulant-cyril", InstanceID: "i-4e7cb59a", Nodepart: "app1", Stacktype: "lad1",
		State: "done", StateLog: "setup:20151008-174611;initdone:20151008-174633;", StateTss: "20151008-174633",
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("read %+v", r)
	}
	log, err := node.ParseStateLog(r.StateLog)
	if err != nil || log.Stamp() != r.StateTss {
		t.Errorf("statelog %q, %v", log, err)
	}
}

func TestDecodeIgnoresNewKeys(t *testing.T) {
	r, err := presence.Decode([]byte(`{"filetype":"nodepresence","version":2,"value":{"instance-id":"n","mood":{"is":["good"]},"repos":[{"name":"ops","size":3}]}}`))
	if err != nil || r.InstanceID != "n" || len(r.Repos) != 1 || r.Repos[0].Name != "ops" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            ``,
		"null":             `null`,
		"a list":           `[]`,
		"cut":              `{"filetype":"nodepresence","value":{"instance-id":"n"`,
		"two documents":    `{"filetype":"nodepresence","value":{"instance-id":"n"}} {}`,
		"another filetype": `{"filetype":"nodeevent","value":{"instance-id":"n"}}`,
		"no filetype":      `{"value":{"instance-id":"n"}}`,
		"no value":         `{"filetype":"nodepresence"}`,
		"null value":       `{"filetype":"nodepresence","value":null}`,
		"no id":            `{"filetype":"nodepresence","value":{}}`,
		"bad id":           `{"filetype":"nodepresence","value":{"instance-id":"../n"}}`,
		"wrong type":       `{"filetype":"nodepresence","value":{"instance-id":"n","addresses":"10.0.0.1"}}`,
		"bad time":         `{"filetype":"nodepresence","value":{"instance-id":"n","beat_seen":"yesterday"}}`,
		"huge":             `{"filetype":"nodepresence","value":{"instance-id":"n","reason":"` + strings.Repeat("x", 1<<20) + `"}}`,
	} {
		if r, err := presence.Decode([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "presence record: ") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	data, err := presence.Encode(sinktest.Record())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"filetype":"nodepresence","value":{"instance-id":"n"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := presence.Decode(data)
		if err != nil {
			return
		}
		again, err := presence.Encode(r)
		if err != nil {
			// Escapes grow a text that is just below the bound; that is the one thing that may be refused.
			if len(data) < 16<<10 {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			return
		}
		back, err := presence.Decode(again)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("read %+v, wrote %s, read %+v, %v", r, again, back, err)
		}
	})
}

func TestAddresses(t *testing.T) {
	list, err := presence.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	var ips []netip.Addr
	for _, s := range list {
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
			t.Errorf("%s, %v", s, err)
		}
		ips = append(ips, ip)
	}
	if !slices.IsSortedFunc(ips, netip.Addr.Compare) {
		t.Errorf("not sorted: %q", list)
	}
}

// TestDecodeHostile: what another machine says can draw on no terminal, however it is shown.
func TestDecodeHostile(t *testing.T) {
	r := sinktest.Record()
	evil := "a\u009b31m\x1b]0;x\x07\u202eb\nc"
	r.Reason, r.Hostname, r.State = evil, evil, node.State(evil)
	r.Addresses, r.Troubles = []string{evil}, []string{evil}
	r.Repos = []presence.Repo{{Name: evil, Due: []string{evil}, Done: map[string]string{evil: evil}, Worked: map[string]string{evil: evil}}}
	r.Services = []presence.Service{{Name: "db", State: evil, Mode: evil, Role: evil, Code: evil, IP: evil}}
	r.Uses = []presence.Use{{Service: "db", Item: evil, Deployment: evil, Role: evil, Set: evil}}
	data, err := presence.Encode(r)
	testkit.Must(t, err)
	back, err := presence.Decode(data)
	testkit.Must(t, err)
	list, err := presence.EncodeNodes(presence.Fleet{Nodes: []presence.Node{{Record: back}}}, r.BeatSeen)
	testkit.Must(t, err)
	for _, c := range string(list) {
		if c != '\n' && unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			t.Fatalf("%q in %s", c, list)
		}
	}
	if want := "a?31m?]0;x??b\nc"; back.Reason != want || back.Repos[0].Done[want] != want || len(back.Repos[0].Worked) != 1 {
		t.Errorf("%+v", back)
	}
}
