package work

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

func TestRecall(t *testing.T) {
	const resultOK = `{"done":{"version":"` + sha1 + `","ids":{".":"x"}},"last":{"version":"` + sha1 + `","fingerprint":"f","finished":"2026-03-01T12:00:00Z","newer":[1]}}`
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string   // version/doing/done/last
		aside []string // files that are set aside
	}{
		{"nothing", nil, "/ / / ", nil},
		{"all", map[string]string{versionFile: sha1 + "\n", doingFile: " " + sha2 + "  ", resultFile: resultOK}, sha1 + "/ " + sha2 + "/ " + sha1 + "/ " + sha1, nil},
		{"old scripts: no newline, no result", map[string]string{versionFile: sha1}, sha1 + "/ / / ", nil},
		{"empty files say again", map[string]string{versionFile: "", doingFile: "\n"}, "/ / / ", nil},
		{"short id", map[string]string{versionFile: "1a2b3c4\n"}, "/ / / ", []string{versionFile}},
		{"capitals", map[string]string{versionFile: strings.Repeat("A", 40)}, "/ / / ", []string{versionFile}},
		{"words", map[string]string{versionFile: "HEAD", doingFile: "main", resultFile: resultOK}, "/ / " + sha1 + "/ " + sha1, []string{versionFile, doingFile}},
		{"two ids", map[string]string{versionFile: sha1 + "\n" + sha2}, "/ / / ", []string{versionFile}},
		{"huge", map[string]string{versionFile: strings.Repeat("a", 5000)}, "/ / / ", []string{versionFile}},
		{"zeros after a power cut", map[string]string{versionFile: sha1, resultFile: strings.Repeat("\x00", 300)}, sha1 + "/ / / ", []string{resultFile}},
		{"empty result", map[string]string{versionFile: sha1, resultFile: ""}, sha1 + "/ / / ", []string{resultFile}},
		{"truncated result", map[string]string{resultFile: resultOK[:100]}, "/ / / ", []string{resultFile}},
		{"two results", map[string]string{resultFile: resultOK + resultOK}, "/ / / ", []string{resultFile}},
		{"a list", map[string]string{resultFile: "[]"}, "/ / / ", []string{resultFile}},
		{"null", map[string]string{resultFile: "null"}, "/ / / ", nil},
		{"an empty object", map[string]string{resultFile: "{}"}, "/ / / ", nil},
		{"done without a version", map[string]string{resultFile: `{"done":{}}`}, "/ / / ", []string{resultFile}},
		{"last without a version", map[string]string{resultFile: `{"last":{"fingerprint":"f"}}`}, "/ / / ", []string{resultFile}},
		{"last without a fingerprint", map[string]string{resultFile: `{"last":{"version":"` + sha1 + `"}}`}, "/ / / ", []string{resultFile}},
		{"negative", map[string]string{resultFile: `{"last":{"version":"` + sha1 + `","fingerprint":"f","failures":-1}}`}, "/ / / ", []string{resultFile}},
		{"huge count", map[string]string{resultFile: `{"last":{"version":"` + sha1 + `","fingerprint":"f","failures":1e99}}`}, "/ / / ", []string{resultFile}},
		{"a bad time", map[string]string{resultFile: `{"last":{"version":"` + sha1 + `","fingerprint":"f","finished":"noon"}}`}, "/ / / ", []string{resultFile}},
	} {
		t.Run(test.name, func(t *testing.T) {
			repo := t.TempDir()
			dir := MemoryDir(repo, "common+ntp")
			for name, content := range test.files {
				write(t, filepath.Join(dir, name), content)
			}
			say := func(m Memory) string {
				done, last := "", ""
				if m.Done != nil {
					done = m.Done.Version
				}
				if m.Last != nil {
					last = m.Last.Version
				}
				return fmt.Sprintf("%s/ %s/ %s/ %s", m.Version, m.Doing, done, last)
			}
			before := listing(t, repo)
			peeked := Peek(dir)
			if after := listing(t, repo); !reflect.DeepEqual(before, after) {
				t.Errorf("a peek changed %v to %v", before, after)
			}
			m := recall(dir, true)
			if got := say(m); got != test.want || say(peeked) != got {
				t.Errorf("got %s, peeked %s, want %s", got, say(peeked), test.want)
			}
			if len(m.Problems) != len(test.aside) || len(peeked.Problems) != len(test.aside) {
				t.Errorf("problems %q, peeked %q", m.Problems, peeked.Problems)
			}
			for i, name := range test.aside {
				if !strings.Contains(m.Problems[i], filepath.Join(dir, name)) || !strings.Contains(m.Problems[i], "set aside as "+name+".corrupt") {
					t.Errorf("problem %q", m.Problems[i])
				}
				if strings.Contains(m.Problems[i], "\n") || strings.Contains(m.Problems[i], "corrupt: ") {
					t.Errorf("problem %q", m.Problems[i])
				}
				if got := read(t, filepath.Join(dir, name+".corrupt")); got != test.files[name] {
					t.Errorf("set aside: %q", got)
				}
				if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
					t.Errorf("%s is still there: %v", name, err)
				}
			}
			if again := recall(dir, true); len(again.Problems) != 0 || say(again) != test.want {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

func TestRecallOddFiles(t *testing.T) {
	repo := t.TempDir()
	dir := MemoryDir(repo, "root")
	write(t, filepath.Join(dir, versionFile, "x"), "a folder where a file should be")
	if err := os.Symlink("nowhere", filepath.Join(dir, doingFile)); err != nil {
		t.Fatal(err)
	}
	m := recall(dir, true)
	if m.Version != "" || m.Doing != "" || len(m.Problems) != 1 || !strings.Contains(m.Problems[0], "not a regular file: set aside") {
		t.Errorf("%+v", m)
	}
}

func TestRecallOfWhatCannotBeReadStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, []byte("x"), 0o644); err != nil { // not even root reads what is below it
		t.Fatal(err)
	}
	m := recall(dir, true)
	if m.Version != "" || len(m.Problems) != 3 || !strings.Contains(m.Problems[0], "cannot be read") {
		t.Errorf("%+v", m)
	}
	if data, err := os.ReadFile(dir); err != nil || string(data) != "x" {
		t.Errorf("%q %v", data, err)
	}
}

// remembered is what a run leaves that ended like this.
func remembered(t testing.TB, dir string, last Attempt) {
	t.Helper()
	r := Result{Last: &last}
	if last.OK() {
		r.Done = &Done{Version: last.Version, Ids: last.Ids}
		testkit.Must(t, VersionIn(dir).Put([]byte(last.Version+"\n")))
	}
	testkit.Must(t, ResultIn(dir).Save(r))
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// listing is every file below dir with its content.
func listing(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func FuzzResult(f *testing.F) {
	f.Add([]byte(`{"done":{"version":"` + sha1 + `","ids":{".":"x"}},"last":{"version":"` + sha1 + `","fingerprint":"f","attempt":1}}`))
	f.Add([]byte(`{"last":{"version":"` + sha1 + `","fingerprint":"f","finished":"2026-03-01T12:00:00Z","reason":"exit","failures":99999999}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseResult(data)
		if err != nil {
			return
		}
		// Whatever can be read can be judged, and written again.
		m := Memory{Version: sha1, Done: r.Done, Last: r.Last}
		j := Judge(Item{Name: "root"}, sha2, map[string]string{".": "y"}, m)
		s := PlanRun(j, Rules{RetryFirst: 1, RetryMax: 9, WedgeAfter: 3}, noon)
		if j.Verdict.Wanted() && !s.Due && s.At.IsZero() {
			t.Errorf("wanted, and never due: %+v %+v", j, s)
		}
		if _, err := ResultIn("").Encode(r); err != nil {
			t.Error(err)
		}
	})
}

// TestAdoptOld: what a script of the old kind remembers, in .temp/add itself, is found where ADD_TEMP leads now, once.
func TestAdoptOld(t *testing.T) {
	repo := t.TempDir()
	old, id := filepath.Join(repo, ".temp", "add"), strings.Repeat("a", 40)
	if err := AdoptOld(repo); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{versionFile: id + "\n", overrideFile: "app\n"} {
		if err := os.MkdirAll(old, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(old, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := AdoptOld(repo); err != nil {
			t.Fatal(err)
		}
		watch, problem := readOverride(repo, "common")
		if m := Peek(MemoryDir(repo, "common")); m.Version != id || problem != "" || len(watch) != 1 || watch[0].Path != "app" {
			t.Errorf("%+v %+v %s", m, watch, problem)
		}
		if err := os.WriteFile(filepath.Join(old, versionFile), []byte(strings.Repeat("b", 40)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
