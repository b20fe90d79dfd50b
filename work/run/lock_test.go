package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

func TestLockHasOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.lock")
	if h, held, err := ReadHolder(path); err != nil || held || h != (Holder{}) {
		t.Fatalf("before: %+v %v %v", h, held, err)
	}
	l, err := TryLock(path, "beat")
	testkit.Must(t, err)
	_, err = TryLock(path, "plan")
	var busy *Busy
	if !errors.As(err, &busy) || busy.Path != path || busy.Holder.PID != os.Getpid() || busy.Holder.Purpose != "beat" {
		t.Fatalf("second: %v", err)
	}
	if !strings.Contains(err.Error(), path+" is held by process ") || !strings.Contains(err.Error(), " (beat) since 20") {
		t.Errorf("message %q", err)
	}
	h, held, err := ReadHolder(path)
	if err != nil || !held || h.PID != os.Getpid() || h.BootID != bootID() || time.Since(h.Started) > time.Hour || h.RunID != "" {
		t.Errorf("holder %+v %v %v", h, held, err)
	}
	testkit.Must(t, l.Close())
	testkit.Must(t, l.Close())
	if h, held, err = ReadHolder(path); err != nil || held || h.PID != os.Getpid() {
		t.Errorf("after: %+v %v %v", h, held, err)
	}
	l, err = TryLock(path, "plan")
	testkit.Must(t, err)
	testkit.Must(t, l.Close())
}

func TestLockFileIsOneLineOfJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.lock")
	testkit.Must(t, os.WriteFile(path, []byte(`{"pid":1,"purpose":"`+strings.Repeat("long ago", 50)+`","run_id":"r1","session":77,"item":"ops:root"}`+"\n"), 0o644))
	l, err := TryLock(path, "beat")
	testkit.Must(t, err)
	defer l.Close()
	data, err := os.ReadFile(path)
	testkit.Must(t, err)
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil || strings.Count(string(data), "\n") != 1 || !strings.HasSuffix(string(data), "\n") {
		t.Fatalf("%q: %v", data, err)
	}
	for _, key := range []string{"pid", "started", "boot_id", "purpose"} {
		if _, ok := m[key]; !ok {
			t.Errorf("%s is missing in %s", key, data)
		}
	}
	// What the last script was stays, for a sweep.
	if m["run_id"] != "r1" || m["session"] != 77.0 || m["item"] != "ops:root" || m["purpose"] != "beat" {
		t.Errorf("content %s", data)
	}
}

func TestLockGarbageInFile(t *testing.T) {
	for _, content := range []string{"", "\n", "{", "{}\n", "[1]\n", "\x00\x00\x00", `{"pid":"x"}`, strings.Repeat("x", 10000)} {
		path := filepath.Join(t.TempDir(), "work.lock")
		testkit.Must(t, os.WriteFile(path, []byte(content), 0o644))
		if h, held, err := ReadHolder(path); err != nil || held || h.PID != 0 {
			t.Errorf("%.20q: %+v %v %v", content, h, held, err)
		}
		l, err := TryLock(path, "beat")
		if err != nil {
			t.Errorf("%.20q: %v", content, err)
			continue
		}
		if h, held, err := ReadHolder(path); err != nil || !held || h.PID != os.Getpid() {
			t.Errorf("%.20q: then %+v %v %v", content, h, held, err)
		}
		l.Close()
	}
}

func TestLockErrors(t *testing.T) {
	dir := t.TempDir()
	var busy *Busy
	if _, err := TryLock(filepath.Join(dir, "none", "work.lock"), "beat"); !errors.Is(err, os.ErrNotExist) || errors.As(err, &busy) {
		t.Errorf("missing folder: %v", err)
	}
	testkit.Must(t, os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")))
	l, err := TryLock(filepath.Join(dir, "link"), "beat")
	if err != nil || l.aside == "" {
		t.Fatalf("a link: %v", err)
	}
	l.Close()
	// Held by a process that left no note: the note that is there is of one that has exited.
	gone := exec.Command("true")
	testkit.Must(t, gone.Run())
	path := filepath.Join(dir, "old.lock")
	testkit.Must(t, os.WriteFile(path, fmt.Appendf(nil, `{"pid":%d,"boot_id":%q,"purpose":"run"}`+"\n", gone.Process.Pid, bootID()), 0o644))
	stranger, err := os.Open(path)
	testkit.Must(t, err)
	defer stranger.Close()
	testkit.Must(t, syscall.Flock(int(stranger.Fd()), syscall.LOCK_SH))
	if _, err := TryLock(path, "beat"); !errors.As(err, &busy) || busy.Error() != fmt.Sprintf("%s is held by process %d", path, os.Getpid()) {
		t.Errorf("a stranger holds it: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("it stays open for others: %v, %v", info.Mode(), err)
	}
}

func TestLockIsHandedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.lock")
	l, err := TryLock(path, "beat")
	testkit.Must(t, err)
	heir := exec.Command("cat")
	in, err := heir.StdinPipe()
	testkit.Must(t, err)
	heir.ExtraFiles = []*os.File{l.file}
	testkit.Must(t, heir.Start())
	testkit.Must(t, l.Close())
	if _, held, err := ReadHolder(path); err != nil || !held {
		t.Errorf("held %v, %v after the giver closed its copy", held, err)
	}
	testkit.Must(t, in.Close())
	testkit.Must(t, heir.Wait())
	if _, held, err := ReadHolder(path); err != nil || held {
		t.Errorf("held %v, %v after the heir ended", held, err)
	}
}

// TestReadersDoNotDisturb: `status` beside a beat must not make the beat say busy.
func TestReadersDoNotDisturb(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.lock")
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, _, err := ReadHolder(path); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 500 {
		l, err := TryLock(path, "beat")
		if err != nil {
			t.Error(err)
			break
		}
		l.Close()
	}
	close(stop)
	readers.Wait()
}
