package cloud_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/cloudtest"
)

const (
	spotPath      = "/latest/meta-data/spot/instance-action"
	lifecyclePath = "/latest/meta-data/autoscaling/target-lifecycle-state"
)

func TestNotices(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, c := range map[string]struct {
		spot, group string
		want        string
	}{
		"neither spot nor in a group": {"", "", ""},
		"in service":                  {"", "InService", ""},
		"spot, to terminate":          {"terminate", "InService", "spot interruption: terminate at 05:06:07Z"},
		"spot, to stop":               {"stop", "", "spot interruption: stop at 05:06:07Z"},
		"spot, to hibernate":          {"hibernate", "", "spot interruption: hibernate at 05:06:07Z"},
		"the group takes it":          {"", "Terminated", "Auto Scaling: Terminated"},
		"the group waits for it":      {"", "Terminating:Wait", "Auto Scaling: Terminating:Wait"},
		"the warm pool takes it":      {"", "Warmed:Terminated", "Auto Scaling: Warmed:Terminated"},
		"both":                        {"terminate", "Terminated", "spot interruption: terminate at 05:06:07Z"},
		"made ready for a warm pool":  {"", "Warmed:Stopped", ""},
		"taken out of service":        {"", "Standby", ""},
		"taken out of the group":      {"", "Detached", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, server := session(t)
			server.SetSpot(c.spot, at)
			server.SetLifecycle(c.group)
			if n, err := m.Notice(t.Context()); n != c.want || err != nil {
				t.Errorf("Notice = %q, %v, want %q", n, err, c.want)
			}
		})
	}
}

func TestASpotNoticeComesAndGoes(t *testing.T) {
	m, server := session(t)
	for _, leaving := range []bool{false, true, false} {
		server.ExpireTokens()
		server.SetSpot(map[bool]string{true: "stop"}[leaving], time.Now())
		if n, err := m.Notice(t.Context()); (n != "") != leaving || err != nil {
			t.Errorf("Notice = %q, %v, want leaving %v", n, err, leaving)
		}
	}
	if n := server.Asked(tokenPath); n != 3 {
		t.Errorf("%d tokens, want one each time they expired", n)
	}
	// One for each of the two questions, and perhaps some that were begun while another became free.
	if n := server.Connections(); n > 5 {
		t.Errorf("%d connections for more than nine requests", n)
	}
}

// TestAGroupNeverGivesAMachineBack: its word stays when a live migration has emptied it, or nothing answers any more.
func TestAGroupNeverGivesAMachineBack(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	m, server := session(t)
	want := func(when string, want string) {
		t.Helper()
		if n, err := m.Notice(t.Context()); n != want || err != nil {
			t.Errorf("%s: Notice = %q, %v, want %q", when, n, err, want)
		}
	}
	server.SetLifecycle("InService")
	want("in service", "")
	server.SetLifecycle("")
	want("nothing heard yet", "")
	server.SetLifecycle("Terminated")
	gone := "Auto Scaling: Terminated"
	want("taken", gone)
	server.SetLifecycle("")
	want("emptied", gone)
	server.SetLifecycle("InService")
	want("an old word", gone)
	server.SetSpot("terminate", at)
	want("spot has the time", "spot interruption: terminate at 05:06:07Z")
	server.SetSpot("", at)
	want("spot withdrawn", gone)
	server.Instead("*", cloudtest.Status(http.StatusInternalServerError))
	want("nothing answers", gone)
	// Another boot, another session.
	server.Instead("*", nil)
	fresh := cloud.NewMetadata(server.URL)
	t.Cleanup(fresh.Close)
	if n, err := fresh.Notice(t.Context()); n != "" || err != nil {
		t.Errorf("another session: %q, %v", n, err)
	}
}

func TestAnAnswerThatCannotBeHadIsNotLeaving(t *testing.T) {
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
	}
	for name, c := range map[string]struct {
		path string
		with http.HandlerFunc
		want string
	}{
		"all hangs":          {"*", cloudtest.Hang, "token: URL/latest/api/token did not answer within 1s"},
		"spot hangs":         {spotPath, cloudtest.Hang, "spot/instance-action did not answer within 1s"},
		"the group hangs":    {lifecyclePath, cloudtest.Hang, "target-lifecycle-state did not answer within 1s"},
		"a portal":           {"*", cloudtest.Redirect, "it redirects"},
		"spot is garbage":    {spotPath, cloudtest.Garbage, "spot/instance-action: unexpected JSON"},
		"spot is cut":        {spotPath, cloudtest.Cut, "the connection broke off"},
		"spot without sense": {spotPath, text(`{"action": "dance", "time": "2026-01-01T00:00:00Z"}`), `spot/instance-action: unknown action "dance"`},
		"spot with nothing":  {spotPath, text(`{}`), `spot/instance-action: unknown action ""`},
		"group is garbage":   {lifecyclePath, cloudtest.Garbage, "autoscaling/target-lifecycle-state: unknown state"},
		"spot fails":         {spotPath, cloudtest.Status(http.StatusInternalServerError), "500 Internal Server Error"},
		"group fails":        {lifecyclePath, cloudtest.Status(http.StatusServiceUnavailable), "503 Service Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, server := session(t)
			server.Instead(c.path, c.with)
			n, err := m.Notice(t.Context())
			if n != ("") || err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), server.URL, "URL"), c.want) {
				t.Errorf("Notice = %q, %v, want %q", n, err, c.want)
			}
			if c.path == "*" {
				return
			}
			// The other one says that the machine goes: that is enough.
			server.SetSpot("stop", time.Now())
			server.SetLifecycle("Terminated")
			if n, err := m.Notice(t.Context()); n == "" || err != nil {
				t.Errorf("with a notice from the other: %q, %v", n, err)
			}
		})
	}
}

func TestASpotTimeThatCannotBeRead(t *testing.T) {
	m, server := session(t)
	server.Set("spot/instance-action", `{"action": "terminate", "time": "soon"}`)
	want := "spot interruption: terminate"
	if n, err := m.Notice(t.Context()); n != want || err != nil {
		t.Errorf("Notice = %q, %v, want %q", n, err, want)
	}
}

func TestNoticesHeedTheirContext(t *testing.T) {
	m, _ := session(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := m.Notice(ctx); !errors.Is(err, context.Canceled) || n != "" {
		t.Errorf("Notice = %q, %v", n, err)
	}
}

// FuzzNotice: whatever the service answers, leaving is only what both sides of the contract know.
func FuzzNotice(f *testing.F) {
	f.Add(`{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`, "Terminated")
	f.Add(`{"action": "hibernate"}`, "InService")
	f.Add(`[]`, "Warmed:Stopped")
	f.Fuzz(func(t *testing.T, spot, group string) {
		if n, err := cloud.ReadSpot(spot); n != "" && (err != nil || !strings.HasPrefix(n, "spot interruption: ")) {
			t.Errorf("spot %q: %q, %v", spot, n, err)
		}
		if n, err := cloud.ReadGroup(group); (n != "") != strings.Contains(n, "Terminat") || n != "" && err != nil {
			t.Errorf("group %q: %q, %v", group, n, err)
		}
	})
}

// BenchmarkNotices is what each beat pays, and more: the service of the test is in the same process and counted too.
func BenchmarkNotices(b *testing.B) {
	server := cloudtest.Metadata(b)
	m := cloud.NewMetadata(server.URL)
	defer m.Close()
	b.ReportAllocs()
	for b.Loop() {
		if n, err := m.Notice(b.Context()); n != "" || err != nil {
			b.Fatal(n, err)
		}
	}
}
