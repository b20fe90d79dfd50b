package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/addagent/addagent/config"
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
			seen := current(l, nil)
			if _, err := l.Write([]byte("one\n")); err != nil {
				t.Fatal(err)
			}
			if err := do(path); err != nil {
				t.Fatal(err)
			}
			current(l, seen)
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

func TestAScheduleThatNeverComesIsAMistake(t *testing.T) {
	for text, good := range map[string]bool{"0 0 30 2 *": false, "0 0 29 2 *": true, "* * * * *": true, "@every 10s": true, "@every 1ms": false, "61 * * * *": false} {
		if _, err := parseSchedule(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestChangesShowNoValueOfTheEnvironment(t *testing.T) {
	load := func(text string) *config.Config {
		path := filepath.Join(t.TempDir(), "addagent.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, config.Options{Root: true})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	before := load("work: { env: { A: hush1 } }\nrepos: [ { url: /a } ]\n")
	after := load("work: { env: { A: hush2, B: hush3 }, wedge_after: 7 }\nrepos: [ { url: /a }, { url: /b } ]\n")
	if got, want := changes(before, after), "repos[1] is new: /b; work.env.A is another; work.env.B is another; work.wedge_after is 7, was 3"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got, want := changes(after, before), "repos[1] is gone: /b; work.env.A is another; work.env.B is gone; work.wedge_after is 3, was 7"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
