package journal

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/work"
	"gopkg.in/natefinch/lumberjack.v2"
)

// TestALogGoesOnInTheFileThatHasItsName: whatever people and their tools do to it.
func TestALogGoesOnInTheFileThatHasItsName(t *testing.T) {
	for name, do := range map[string]func(path string) error{
		"nothing":                func(string) error { return nil },
		"removed":                os.Remove,
		"its folder removed":     func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"moved and made anew":    func(path string) error { return move(path, func() error { return os.WriteFile(path, nil, 0o640) }) },
		"a pipe that nobody has": func(path string) error { return move(path, func() error { return syscall.Mkfifo(path, 0o600) }) },
		"a folder":               func(path string) error { return move(path, func() error { return os.Mkdir(path, 0o700) }) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log", "addagent.log")
			l := &lumberjack.Logger{Filename: path}
			defer l.Close()
			seen := currentFile(l, nil)
			if _, err := l.Write([]byte("one\n")); err != nil {
				t.Fatal(err)
			}
			if err := do(path); err != nil {
				t.Fatal(err)
			}
			currentFile(l, seen)
			if _, err := l.Write([]byte("two\n")); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o040 == 0 {
				t.Fatalf("%v %v", info, err)
			}
			if data, _ := os.ReadFile(path); !strings.HasSuffix(string(data), "two\n") {
				t.Errorf("the file holds %q", data)
			}
		})
	}
}

func move(path string, anew func() error) error {
	if err := os.Rename(path, path+".1"); err != nil {
		return err
	}
	return anew()
}

func TestVerdictsInTheLog(t *testing.T) {
	same, first := Judged{Repo: "ops", Verdict: work.Same}, Judged{Repo: "ops", Verdict: work.First}
	held := first
	held.Held = "waiting until presence shows this node (beat 1 of at most 5)"
	for want, items := range map[string][]Judged{
		"same":                          {same, same},
		"1 same, 1 first":               {same, first},
		"first held":                    {held},
		"1 same, 1 first, 1 first held": {same, first, held},
	} {
		if got := verdictsOf("ops", items); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLastSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "addagent.log")
	if got := LastLine(path); got != "" {
		t.Errorf("without a log %q", got)
	}
	for content, want := range map[string]string{
		"":                                  "",
		"one\n":                             "one",
		"one\ntwo\n":                        "two",
		"one\ntw":                           "tw",
		"one\n" + strings.Repeat("x", 9000): strings.Repeat("x", 400),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := LastLine(path); got != want {
			t.Errorf("%.20q: %.20q, want %.20q", content, got, want)
		}
	}
}
