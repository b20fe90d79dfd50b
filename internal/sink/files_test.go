package sink_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/sink"
	"github.com/addagent/addagent/internal/sink/sinktest"
	"github.com/addagent/addagent/presence"
)

const refresh = 10 * time.Minute

func filesPlace(t *testing.T) sinktest.Place {
	dir := filepath.Join(t.TempDir(), "nodeinfo")
	return sinktest.Place{
		Open: func() sink.Sink { return sink.NewFiles(dir, refresh) },
		Read: func() (presence.Record, bool) {
			data, err := os.ReadFile(filepath.Join(dir, "presence.json"))
			if err != nil {
				return presence.Record{}, false
			}
			r, err := presence.Decode(data)
			return r, err == nil
		},
		Later: refresh, Promises: true,
	}
}

func TestFiles(t *testing.T) { sinktest.Run(t, filesPlace) }

// A quiet beat must not write; the file's own time shows whether one did.
func TestFilesWritesSparingly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "presence.json")
	files := sink.NewFiles(dir, refresh)
	r := sinktest.Record()
	r.BeatNextBy = r.BeatSeen.Add(3 * time.Minute) // as a node says that beats each minute
	long := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	tell := func() (written bool) {
		t.Helper()
		if _, err := os.Stat(path); err == nil {
			if err := os.Chtimes(path, long, long); err != nil {
				t.Fatal(err)
			}
		}
		if err := files.Tell(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return !info.ModTime().Equal(long)
	}
	if !tell() {
		t.Error("the first record was not written")
	}
	beat := func(d time.Duration) { r.BeatSeen, r.BeatNextBy = r.BeatSeen.Add(d), r.BeatNextBy.Add(d) }
	for i := range 9 {
		beat(time.Minute)
		if tell() {
			t.Errorf("quiet beat %d wrote", i+1)
		}
		// What a person reads there is true, at each beat until the next write.
		if data, err := os.ReadFile(path); err != nil {
			t.Error(err)
		} else if said, err := presence.Decode(data); err != nil || !said.BeatNextBy.After(r.BeatSeen.Add(time.Minute)) {
			t.Errorf("at quiet beat %d, of %s, it promises the next by %s, %v", i+1, r.BeatSeen, said.BeatNextBy, err)
		}
	}
	beat(time.Minute)
	if !tell() {
		t.Error("after the refresh time nothing was written")
	}
	beat(time.Minute)
	files = sink.NewFiles(dir, refresh)
	if tell() {
		t.Error("a restart wrote the same record again")
	}
	r.Repos = []presence.Repo{{Name: "ops", Version: strings.Repeat("f", 40)}}
	if !tell() {
		t.Error("a new version was not written")
	}
	beat(-time.Hour)
	if !tell() {
		t.Error("after the clock was set back nothing was written")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !tell() {
		t.Error("a removed file did not come back")
	}
}

func TestFilesSetsACorruptFileAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "presence.json")
	if err := os.WriteFile(path, []byte(`{"filetype":"nodepre`), 0o644); err != nil {
		t.Fatal(err)
	}
	sink := sink.NewFiles(dir, refresh)
	if err := sink.Tell(t.Context(), sinktest.Record()); err == nil || !strings.Contains(err.Error(), "presence.json.corrupt") {
		t.Errorf("error %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := presence.Decode(data); err != nil {
		t.Errorf("the new record: %v", err)
	}
	if err := sink.Tell(t.Context(), sinktest.Record()); err != nil {
		t.Errorf("said again: %v", err)
	}
}

func TestFilesSaysWhatFailed(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "nodeinfo")
	if err := os.WriteFile(taken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sink.NewFiles(taken, refresh).Tell(t.Context(), sinktest.Record()); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("error %v", err)
	}
}
