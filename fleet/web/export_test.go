package web

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/fleettest"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// exported is the data of an export.
type exported struct {
	Note    string
	Grid    told
	History History
}

func readExport(t *testing.T, dir string) (e exported) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, dataFile))
	testkit.Must(t, err)
	text, ok := strings.CutPrefix(string(data), "self.addctlData = ")
	if !ok {
		t.Fatalf("%.100s", data)
	}
	testkit.Must(t, json.Unmarshal([]byte(strings.TrimSuffix(text, ";\n")), &e))
	return e
}

func TestExport(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	w := &world{lines: []Line{{Time: now.Add(-30 * 24 * time.Hour), ID: "i-1", To: "setup"}, {Time: now.Add(-time.Hour), ID: "i-1", To: "idle", Reason: "</script>\u2028"}}}
	w.set(fleettest.Of(now, "2 idle a"), nil)
	source := w.source()
	source.Window = 90 * 24 * time.Hour
	dir := filepath.Join(t.TempDir(), "public", "grid")
	h := NewHub(source)
	n, err := h.Export(t.Context(), dir)
	testkit.Must(t, err)
	e := readExport(t, dir)
	if n != 2 || len(e.Grid.Nodes) != 2 || len(e.History.List) != 1 || !strings.Contains(e.Note, "the last 7 days is here") || e.Grid.Time.IsZero() {
		t.Errorf("%d %+v", n, e)
	}
	html, err := os.ReadFile(filepath.Join(dir, "index.html"))
	testkit.Must(t, err)
	if d, p := strings.Index(string(html), dataFile), strings.Index(string(html), "page.js"); d < 0 || p < d {
		t.Errorf("%s", html)
	}
	data, err := os.ReadFile(filepath.Join(dir, dataFile))
	testkit.Must(t, err)
	if strings.ContainsAny(string(data), "<\u2028") {
		t.Errorf("%s", data)
	}
	// A reading that fails leaves the files.
	w.set(presence.Fleet{}, errors.New("no route to host"))
	if _, err := h.Export(t.Context(), dir); err == nil || err.Error() != "no route to host" {
		t.Errorf("%v", err)
	}
	if again := readExport(t, dir); !again.Grid.Time.Equal(e.Grid.Time) {
		t.Error("it was written")
	}
	w.set(fleettest.Of(now, "1 idle a"), nil)
	if _, err := h.Export(t.Context(), dir); err != nil || len(readExport(t, dir).Grid.Nodes) != 1 {
		t.Errorf("again: %v", err)
	}
	if left, _ := filepath.Glob(dir + "/.new-*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	// What a first export left that was killed is no other file.
	killed := t.TempDir()
	testkit.Must(t, os.WriteFile(killed+"/.new-1", nil, 0o600))
	if _, err := h.Export(t.Context(), killed); err != nil {
		t.Error(err)
	}
	// A folder with other files is left alone.
	other := t.TempDir()
	testkit.Must(t, os.WriteFile(other+"/index.html", []byte("mine"), 0o600))
	if _, err := h.Export(t.Context(), other); err == nil || !strings.Contains(err.Error(), "has other files") {
		t.Errorf("%v", err)
	}
	if mine, _ := os.ReadFile(other + "/index.html"); string(mine) != "mine" {
		t.Errorf("%s", mine)
	}
	// So is one where a file of ours cannot take its place: nothing of the new data is shown with the old page.
	testkit.Must(t, errors.Join(os.Remove(dir+"/page.css"), os.Mkdir(dir+"/page.css", 0o755)))
	before := readExport(t, dir)
	w.set(fleettest.Of(now, "5 idle a"), nil)
	if _, err := h.Export(t.Context(), dir); err == nil {
		t.Error("a folder in the way, and no error")
	}
	if len(readExport(t, dir).Grid.Nodes) != len(before.Grid.Nodes) {
		t.Error("half of it was written")
	}
}
