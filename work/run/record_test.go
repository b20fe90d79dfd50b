package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/addagent/addagent/work"
)

// begun is a new attempt at sha2, recorded in the memory of item root of a new repository.
func begun(t *testing.T, repo string) (dir string, a work.Attempt) {
	t.Helper()
	dir = work.MemoryDir(repo, "root")
	j := work.Judge(work.Item{Repo: "ops", Name: "root"}, sha2, map[string]string{".": sha2}, work.Peek(work.MemoryDir(repo, "root")))
	a = work.Begin(j, work.Rules{}, "r", "b", noon, 0)
	if err := recordAttempt(dir, j.Memory.Done, a); err != nil {
		t.Fatal(err)
	}
	return dir, a
}

func inDir(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestAttemptAndSuccess(t *testing.T) {
	repo := t.TempDir()
	dir, a := begun(t, repo)
	if got := inDir(t, dir); got != "work.sh_DOING_VERSION work.sh_RESULT.json work.sh_RESULT.json.room" {
		t.Error(got)
	}
	m := work.Peek(work.MemoryDir(repo, "root"))
	if m.Version != "" || m.Doing != sha2 || m.Done != nil || !reflect.DeepEqual(*m.Last, a) || m.Last.OK() {
		t.Errorf("%+v", m)
	}
	a = a.End("", 0, "", "done", noon.Add(time.Second))
	if err := recordEnd(dir, a); err != nil {
		t.Fatal(err)
	}
	if got := inDir(t, dir); got != "work.sh_RESULT.json work.sh_VERSION" {
		t.Error(got)
	}
	m = work.Peek(work.MemoryDir(repo, "root"))
	if m.Version != sha2 || m.Doing != "" || m.Done.Version != sha2 || !reflect.DeepEqual(m.Done.Ids, a.Ids) || !m.Last.OK() || len(m.Problems) > 0 {
		t.Errorf("%+v", m)
	}
	if got := read(t, work.VersionIn(dir).Path); got != sha2+"\n" {
		t.Errorf("%q", got)
	}
}

func TestAttemptAndFailureKeepsTheLastSuccess(t *testing.T) {
	repo := t.TempDir()
	dir, a := begun(t, repo)
	if err := recordEnd(dir, a.End("", 0, "", "", noon)); err != nil {
		t.Fatal(err)
	}
	before := work.Peek(work.MemoryDir(repo, "root"))
	a = work.Begin(work.Judge(work.Item{}, sha3, map[string]string{".": sha3}, before), work.Rules{}, "r2", "b", noon, 0)
	if a.Previous != sha2 {
		t.Errorf("previous %q", a.Previous)
	}
	if err := recordAttempt(dir, before.Done, a); err != nil {
		t.Fatal(err)
	}
	if m := work.Peek(work.MemoryDir(repo, "root")); m.Version != sha2 || m.Doing != sha3 || !reflect.DeepEqual(m.Done, before.Done) {
		t.Errorf("while it runs: %+v", m)
	}
	a = a.End(work.ReasonExit, 3, "exit 3", "", noon)
	if err := recordEnd(dir, a); err != nil {
		t.Fatal(err)
	}
	m := work.Peek(work.MemoryDir(repo, "root"))
	if m.Version != sha2 || m.Doing != "" || !reflect.DeepEqual(m.Done, before.Done) || !reflect.DeepEqual(*m.Last, a) {
		t.Errorf("%+v", m)
	}
	if got := inDir(t, dir); got != "work.sh_RESULT.json work.sh_VERSION" {
		t.Error(got)
	}
}

func TestTheRoomIsReallyThere(t *testing.T) {
	dir, _ := begun(t, t.TempDir())
	info, err := os.Stat(filepath.Join(dir, roomFile))
	if err != nil {
		t.Fatal(err)
	}
	if blocks := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() < roomMin || blocks < roomMin {
		t.Errorf("%d bytes, %d allocated", info.Size(), blocks)
	}
}

func TestFillWithZeros(t *testing.T) {
	for _, size := range []int64{0, 1, 65536, 100000} {
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		if err := fillWithZeros(f, size); err != nil {
			t.Fatal(err)
		}
		if info, _ := f.Stat(); info.Size() != size {
			t.Errorf("%d, want %d", info.Size(), size)
		}
		f.Close()
	}
}

// A result with many watches needs more than the least room, and gets it.
func TestManyWatches(t *testing.T) {
	repo := t.TempDir()
	dir := work.MemoryDir(repo, "root")
	ids := map[string]string{}
	for i := range 5000 {
		ids[fmt.Sprintf("./some/folder/number/%d", i)] = sha1
	}
	a := work.Begin(work.Judge(work.Item{}, sha2, ids, work.Memory{}), work.Rules{}, "r", "b", noon, 0)
	if err := recordAttempt(dir, nil, a); err != nil {
		t.Fatal(err)
	}
	room, err := os.Stat(filepath.Join(dir, roomFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := recordEnd(dir, a.End("", 0, strings.Repeat("\\", 500), strings.Repeat("\"", 500), noon)); err != nil {
		t.Fatal(err)
	}
	result, err := os.Stat(work.ResultIn(dir).Path)
	if err != nil || !os.SameFile(room, result) || result.Size() > room.Size() {
		t.Errorf("%v: result of %d bytes in a room of %d", err, result.Size(), room.Size())
	}
	if m := work.Peek(work.MemoryDir(repo, "root")); len(m.Done.Ids) != 5000 {
		t.Errorf("%+v", m)
	}
}

// TestAttemptBesideOddFiles: what stands where a file should be does not hinder the attempt that follows.
func TestAttemptBesideOddFiles(t *testing.T) {
	dir := work.MemoryDir(t.TempDir(), "root")
	write(t, filepath.Join(dir, "work.sh_VERSION.corrupt", "x"), "a folder that was set aside")
	if err := os.Symlink("nowhere", work.DoingIn(dir).Path); err != nil {
		t.Fatal(err)
	}
	m := work.Peek(dir)
	a := work.Begin(work.Judge(work.Item{}, sha2, map[string]string{".": "x"}, m), work.Rules{}, "r", "b", noon, 0)
	if err := recordAttempt(dir, m.Done, a); err != nil {
		t.Fatal(err)
	}
	if err := recordEnd(dir, a.End("", 0, "", "", noon)); err != nil {
		t.Fatal(err)
	}
	if m := work.Peek(dir); m.Version != sha2 || m.Doing != "" || len(m.Problems) != 0 {
		t.Errorf("%+v", m)
	}
}

// What a kill at every point between two system calls leaves is either finished by the next process, or repeated.
func TestCutAnywhere(t *testing.T) {
	for _, test := range []struct {
		name    string
		cut     func(dir string, a work.Attempt) error // from the state after recordAttempt
		success bool                                   // the success is known afterwards, else the item is due
	}{
		{"before the end", func(string, work.Attempt) error { return nil }, false},
		{"while the room is filled", func(dir string, a work.Attempt) error {
			return os.WriteFile(filepath.Join(dir, roomFile), []byte(`{"done":{"version":"22`), 0o644)
		}, false},
		{"after the result, before the commit", func(dir string, a work.Attempt) error {
			data, err := work.ResultIn(dir).Encode(work.Result{Done: &work.Done{Version: a.Version, Ids: a.Ids}, Last: &a})
			return errors.Join(err, fillRoom(filepath.Join(dir, roomFile), work.ResultIn(dir).Path, data))
		}, true},
		{"after the commit", recordEnd, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			repo := t.TempDir()
			dir, a := begun(t, repo)
			if err := test.cut(dir, a.End("", 0, "", "", noon)); err != nil {
				t.Fatal(err)
			}
			m := work.Peek(work.MemoryDir(repo, "root"))
			if err := finishCommit(dir, m); err != nil {
				t.Fatal(err)
			}
			m = work.Peek(work.MemoryDir(repo, "root"))
			j := work.Judge(work.Item{}, sha2, a.Ids, m)
			if test.success != (j.Verdict == work.Same) || test.success != (m.Doing == "") || len(m.Problems) > 0 {
				t.Errorf("%s: %+v", j.Verdict, m)
			}
			if !test.success {
				if err := recordEnd(dir, m.Last.End(work.ReasonInterrupted, -1, "", "", noon)); err != nil {
					t.Fatal(err)
				}
			}
			if got := inDir(t, dir); strings.Contains(got, "DOING") || strings.Contains(got, "room") {
				t.Errorf("left over: %s", got)
			}
		})
	}
}

// A crash in recordAttempt leaves a DOING that no attempt stands behind: it is no success, not even when it names the
// version of the last one.
func TestCutWhileRecording(t *testing.T) {
	for _, next := range []string{sha2, sha3} {
		repo := t.TempDir()
		dir, a := begun(t, repo)
		if err := recordEnd(dir, a.End("", 0, "", "", noon)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(work.VersionIn(dir).Path); err != nil { // a person says "again"
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, roomFile), "")
		write(t, work.DoingIn(dir).Path, next)
		if err := finishCommit(dir, work.Peek(work.MemoryDir(repo, "root"))); err != nil {
			t.Fatal(err)
		}
		if got := inDir(t, dir); got != "work.sh_RESULT.json" {
			t.Error(got)
		}
	}
	// After a failure there is nothing to commit.
	repo := t.TempDir()
	dir, a := begun(t, repo)
	if err := recordEnd(dir, a.End(work.ReasonExit, 1, "", "", noon)); err != nil {
		t.Fatal(err)
	}
	write(t, work.DoingIn(dir).Path, sha2)
	if err := finishCommit(dir, work.Peek(work.MemoryDir(repo, "root"))); err != nil {
		t.Fatal(err)
	}
	if got := inDir(t, dir); got != "work.sh_RESULT.json" {
		t.Error(got)
	}
}

func TestRecordEndWithoutItsFiles(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(dir string) error
	}{
		{"room is gone", func(dir string) error { return os.Remove(filepath.Join(dir, roomFile)) }},
		{"room is a symlink", func(dir string) error {
			at := filepath.Join(dir, roomFile)
			return errors.Join(os.Remove(at), os.Symlink("/etc/passwd", at))
		}},
		{"doing is gone", func(dir string) error { return os.Remove(work.DoingIn(dir).Path) }},
		{"doing says something else", func(dir string) error { return os.WriteFile(work.DoingIn(dir).Path, []byte(sha3), 0o644) }},
		{"doing is garbage", func(dir string) error { return os.WriteFile(work.DoingIn(dir).Path, []byte("x"), 0o644) }},
		{"result is gone", func(dir string) error { return os.Remove(work.ResultIn(dir).Path) }},
		{"result is garbage", func(dir string) error { return os.WriteFile(work.ResultIn(dir).Path, []byte("{"), 0o644) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			repo := t.TempDir()
			dir, a := begun(t, repo)
			if err := test.do(dir); err != nil {
				t.Fatal(err)
			}
			if err := recordEnd(dir, a.End("", 0, "", "", noon)); err != nil {
				t.Fatal(err)
			}
			m := work.Peek(work.MemoryDir(repo, "root"))
			if m.Version != sha2 || m.Doing != "" || m.Done == nil || !m.Last.OK() || len(m.Problems) > 0 {
				t.Errorf("%+v", m)
			}
			if got := inDir(t, dir); got != "work.sh_RESULT.json work.sh_VERSION" {
				t.Error(got)
			}
		})
	}
}

// A file system of its own, of so many bytes. "" means that the test ran in a child that may make one: the caller
// returns.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := mountSmall(dir, size); err != nil {
		if errors.Is(err, syscall.EPERM) && again(t, ownNamespace()) {
			return ""
		}
		t.Fatalf("no small file system here: %v", err)
	}
	t.Cleanup(func() { _ = unmount(dir) })
	return dir
}

func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestFullDiskPromisesNothing(t *testing.T) {
	repo := smallDisk(t, "256k")
	if repo == "" {
		return
	}
	dir, a := begun(t, repo)
	if err := recordEnd(dir, a.End("", 0, "", "", noon)); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	fill(t, repo)
	m := work.Peek(work.MemoryDir(repo, "root"))
	next := work.Begin(work.Judge(work.Item{}, sha3, map[string]string{".": sha3}, m), work.Rules{}, "r2", "b", noon, 0)
	err := recordAttempt(dir, m.Done, next)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "record the attempt: disk full: ") {
		t.Errorf("error %v", err)
	}
	if after := listing(t, dir); !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	if err := os.Remove(filepath.Join(repo, "ballast")); err != nil {
		t.Fatal(err)
	}
	if err := recordAttempt(dir, m.Done, next); err != nil {
		t.Errorf("it does not heal: %v", err)
	}
}

func TestFullDiskForgetsNoResult(t *testing.T) {
	for _, reason := range []work.Reason{"", work.ReasonExit} {
		repo := smallDisk(t, "256k")
		if repo == "" {
			return
		}
		dir, a := begun(t, repo)
		fill(t, repo)
		a = a.End(reason, 0, strings.Repeat("x", 300), strings.Repeat("y", 300), noon)
		if err := recordEnd(dir, a); err != nil {
			t.Fatal(err)
		}
		m := work.Peek(work.MemoryDir(repo, "root"))
		if !reflect.DeepEqual(*m.Last, a) || m.Doing != "" || (m.Version == sha2) != (reason == "") || len(m.Problems) > 0 {
			t.Errorf("%+v", m)
		}
	}
}

func TestLeftOversOfKilledWritersGo(t *testing.T) {
	repo := t.TempDir()
	left := filepath.Join(work.MemoryDir(repo, "root"), ".work.sh_RESULT.json1234567890123456")
	write(t, left, "{")
	if err := os.Chtimes(left, noon, noon.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	dir, _ := begun(t, repo)
	if got := inDir(t, dir); strings.Contains(got, "1234") {
		t.Error(got)
	}
}

func TestForget(t *testing.T) {
	repo := t.TempDir()
	if err := forget(work.MemoryDir(repo, "root")); err != nil {
		t.Errorf("nothing to forget: %v", err)
	}
	dir, a := begun(t, repo)
	write(t, filepath.Join(dir, "work.sh_WATCH_PATH.txt"), "app\n")
	if err := recordEnd(dir, a.End(work.ReasonWedged, 1, "", "", noon)); err != nil {
		t.Fatal(err)
	}
	if err := forget(work.MemoryDir(repo, "root")); err != nil {
		t.Fatal(err)
	}
	m := work.Peek(work.MemoryDir(repo, "root"))
	j := work.Judge(work.Item{}, sha2, a.Ids, m)
	if s := work.PlanRun(j, work.Rules{RetryFirst: time.Hour, RetryMax: time.Hour}, noon); j.Verdict != work.First || !s.Due || s.Wedged {
		t.Errorf("%s %+v", j.Verdict, s)
	}
	if got := inDir(t, dir); got != "work.sh_WATCH_PATH.txt" {
		t.Error(got)
	}
}
