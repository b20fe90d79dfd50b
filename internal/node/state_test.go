package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStatesTable(t *testing.T) {
	all := []State{Presetup, Setup, InitDone, Idle, Working, Failing, Wedged, Disabled, Leaving}
	var words []State
	for _, row := range States() {
		words = append(words, row.State)
		if row.Meaning == "" || strings.HasSuffix(row.Meaning, ".") {
			t.Errorf("%s: meaning %q", row.State, row.Meaning)
		}
		if !slices.Contains([]string{"gray", "yellow", "green", "red"}, row.Colour) {
			t.Errorf("%s: colour %q", row.State, row.Colour)
		}
		if row.Logged != (row.State == Setup || row.State == InitDone) {
			t.Errorf("%s: logged %v", row.State, row.Logged)
		}
		if row.Critical != (row.State == Wedged) {
			t.Errorf("%s: critical %v", row.State, row.Critical)
		}
	}
	if !slices.Equal(words, all) {
		t.Errorf("states %q", words)
	}
}

var birth = time.Date(2015, 10, 8, 17, 46, 11, 900, time.UTC)

func TestStateLog(t *testing.T) {
	var log StateLog
	if log.String() != "" || log.Stamp() != "" {
		t.Errorf("empty log: %q %q", log, log.Stamp())
	}
	log = log.Add(Presetup, birth)
	log = log.Add(Setup, birth)
	log = log.Add(Failing, birth)
	first := log
	log = log.Add(InitDone, birth.Add(22*time.Second))
	for _, s := range []State{Idle, Working, Wedged, Leaving, Setup, InitDone} {
		log = log.Add(s, birth.Add(time.Hour)) // a reboot
	}
	if want := "setup:20151008-174611;initdone:20151008-174633;"; log.String() != want {
		t.Errorf("log %q, want %q", log, want)
	}
	if log.Stamp() != "20151008-174633" {
		t.Errorf("stamp %q", log.Stamp())
	}
	if first.String() != "setup:20151008-174611;" {
		t.Errorf("an older value changed to %q", first)
	}
	local := birth.In(time.FixedZone("CEST", 2*3600))
	if got := (StateLog{}).Add(Setup, local).String(); got != "setup:20151008-174611;" {
		t.Errorf("from local time: %q", got)
	}
	back, err := ParseStateLog("\n" + log.String() + "\r\n")
	if err != nil || back.String() != log.String() {
		t.Errorf("read back %q, %v", back, err)
	}
}

func TestStateLogIsCut(t *testing.T) {
	var log StateLog
	for i := range 12 {
		log = append(log, Transition{State: Setup, At: birth.Add(time.Duration(i) * time.Second)})
	}
	text := log.String()
	// "setup:YYYYMMDD-HHMMSS;" has 22 characters: eleven fit into 256.
	if len(text) != 242 || !strings.HasPrefix(text, "setup:20151008-174612;") || !strings.HasSuffix(text, "setup:20151008-174622;") {
		t.Errorf("%d characters: %s", len(text), text)
	}
}

func TestParseStateLogRefuses(t *testing.T) {
	for _, text := range []string{
		"setup", "setup;", "setup:;", "setup:20151008-174611", "setup:20151008 174611;", "setup:20151399-174611;",
		"gone:20151008-174611;", ":20151008-174611;", "setup:20151008-174611;;", "setup:20151008-174611.5;",
		"setup:20151008-174611;\x00", strings.Repeat("setup:20151008-174611;", 1000),
	} {
		if log, err := ParseStateLog(text); err == nil {
			t.Errorf("%.40q gave %q", text, log)
		}
	}
}

func FuzzParseStateLog(f *testing.F) {
	f.Add("setup:20151008-174611;initdone:20151008-174633;")
	f.Add("setup:20151008-174611")
	f.Add(";:;")
	f.Fuzz(func(t *testing.T, text string) {
		log, err := ParseStateLog(text)
		if err != nil {
			return
		}
		again, err := ParseStateLog(log.String())
		if err != nil || again.String() != log.String() || len(log.String()) > 256 {
			t.Errorf("%q gave %q and then %q, %v", text, log, again, err)
		}
	})
}

func TestWriteState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nodeinfo")
	log := StateLog{}.Add(Setup, birth)
	if err := WriteState(dir, Setup, log); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, "state.txt", "setup\n")
	holds(t, dir, "statetss.txt", "20151008-174611\n")
	holds(t, dir, "statelog.txt", "setup:20151008-174611;\n")

	// Nothing new: no file is written. What changed by another hand is put right.
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, name := range []string{"state.txt", "statetss.txt", "statelog.txt"} {
		if err := os.Chtimes(filepath.Join(dir, name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteState(dir, Idle, log); err != nil {
		t.Fatal(err)
	}
	for name, same := range map[string]bool{"state.txt": false, "statetss.txt": true, "statelog.txt": true} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.ModTime().Equal(long) != same {
			t.Errorf("%s: written at %v, %v", name, info.ModTime(), err)
		}
	}
	holds(t, dir, "state.txt", "idle\n")
	if err := os.WriteFile(filepath.Join(dir, "state.txt"), []byte("working"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteState(dir, Idle, log); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, "state.txt", "idle\n")
}

// TestWriteStateInPlaceOfAnything: whatever stands in place of an output goes aside.
func TestWriteStateInPlaceOfAnything(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "statetss.txt"), "mine", "x")
	if err := os.Symlink("statelog.txt", filepath.Join(dir, "statelog.txt")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "state.txt"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteState(dir, Idle, nil); err != nil {
		t.Error(err)
	}
	holds(t, dir, "state.txt", "idle\n")
	holds(t, dir, "statetss.txt", "\n")
	holds(t, dir, "statelog.txt", "\n")
	holds(t, filepath.Join(dir, "statetss.txt.corrupt"), "mine", "x")
}

func TestReadStateLog(t *testing.T) {
	dir := t.TempDir()
	if log, notice, err := ReadStateLog(dir); len(log) != 0 || notice != "" || err != nil {
		t.Errorf("absent: %q, %q, %v", log, notice, err)
	}
	path := filepath.Join(dir, "statelog.txt")
	if err := os.WriteFile(path, []byte("setup:20151008-174611;"), 0o644); err != nil {
		t.Fatal(err)
	}
	if log, notice, err := ReadStateLog(dir); log.Stamp() != "20151008-174611" || notice != "" || err != nil {
		t.Errorf("good: %q, %q, %v", log, notice, err)
	}
	for _, broken := range []string{"setup:2015", strings.Repeat("x", valueLimit+1)} {
		if err := os.WriteFile(path, []byte(broken), 0o644); err != nil {
			t.Fatal(err)
		}
		log, notice, err := ReadStateLog(dir)
		if len(log) != 0 || err != nil || !strings.Contains(notice, path) || !strings.Contains(notice, "statelog.txt.corrupt") {
			t.Errorf("broken: %q, %q, %v", log, notice, err)
		}
		holds(t, dir, "statelog.txt.corrupt", broken)
	}
}

func holds(t *testing.T, dir, name, want string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || string(data) != want {
		t.Errorf("%s holds %.80q, %v, want %.80q", name, data, err, want)
	}
}
