package chat

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newSpool(t *testing.T, folder string, l Limits) *spool {
	t.Helper()
	s, err := openSpool(folder, moment{wall: time.Now()}, l.orDefault())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.lock.Close() })
	return s
}

func texts(s *spool) []string {
	var all []string
	for _, e := range s.entries {
		all = append(all, e.Text)
	}
	return all
}

func TestSpoolBounds(t *testing.T) {
	crit := func(text string) Message { return Message{Text: text, Critical: true} }
	chatty := func(text string) Message { return Message{Text: text} }
	for _, c := range []struct {
		name  string
		limit Limits
		put   []Message
		want  []string
	}{
		{"the oldest chatty one goes first", Limits{Messages: 3}, []Message{crit("A"), chatty("b"), chatty("c"), crit("D")}, []string{"A", "c", "D"}},
		{"also when it is the new one", Limits{Messages: 2}, []Message{crit("A"), crit("B"), chatty("c")}, []string{"A", "B"}},
		{"critical ones at last, the oldest first", Limits{Messages: 2}, []Message{crit("A"), crit("B"), crit("C")}, []string{"B", "C"}},
		{"by bytes", Limits{Bytes: 400}, []Message{chatty(strings.Repeat("a", 100)), crit(strings.Repeat("B", 100)), chatty(strings.Repeat("c", 100))},
			[]string{strings.Repeat("B", 100), strings.Repeat("c", 100)}},
		{"the only one stays", Limits{Bytes: 10}, []Message{chatty("a"), chatty("b")}, []string{"b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			s := newSpool(t, folder, c.limit)
			for _, m := range c.put {
				s.put(m, moment{wall: time.Now()}, c.limit.orDefault())
			}
			if got := texts(s); !slices.Equal(got, c.want) {
				t.Errorf("kept %q, want %q", got, c.want)
			}
			if lost := len(c.put) - len(c.want); s.lost != lost {
				t.Errorf("%d lost, want %d", s.lost, lost)
			}
			s.lock.Close()
			again := newSpool(t, folder, c.limit)
			if got := texts(again); !slices.Equal(got, c.want) || again.lost != s.lost || again.bytes != s.bytes {
				t.Errorf("on disk: %q, %d lost, %d bytes, not %d", got, again.lost, again.bytes, s.bytes)
			}
		})
	}
}

// What an agent writes the next version must read.
func TestSpoolFormat(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "deep", "spool")
	s := newSpool(t, folder, Limits{})
	l := Limits{Messages: 1}.orDefault()
	at := moment{time.Date(2026, 3, 1, 9, 30, 8, 0, time.UTC), 71 * time.Second}
	s.put(Message{Text: "lost"}, at, l)
	s.put(Message{Text: "größe\n<b>", Colour: "red", Critical: true, Time: time.Date(2026, 3, 1, 9, 30, 7, 5e8, time.UTC)}, at, l)
	for name, want := range map[string]string{
		"000000000002.json": `{"text":"größe\n\u003cb\u003e","colour":"red","critical":true,"time":"2026-03-01T09:30:07.5Z","at":71}`,
		"lost":              "1\n",
		"clock":             `{"at":71,"wall":"2026-03-01T09:30:08Z"}` + "\n",
	} {
		path := filepath.Join(folder, name)
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
}

// What is being said is neither dropped nor counted as lost.
func TestSpoolKeepsWhatIsBeingSaid(t *testing.T) {
	l := Limits{Messages: 2}.orDefault()
	s := newSpool(t, t.TempDir(), l)
	s.put(Message{Text: "a"}, moment{}, l)
	s.entries[0].sending = true
	s.put(Message{Text: "b"}, moment{}, l)
	s.put(Message{Text: "c"}, moment{}, l)
	s.expire(moment{run: 1000 * time.Hour}, time.Hour)
	if got := texts(s); !slices.Equal(got, []string{"a"}) || s.lost != 2 {
		t.Errorf("kept %q, lost %d", got, s.lost)
	}
}

// Whatever a killed writer, a full disk, a bad one or a person leaves in the folder: the good messages are said, the
// corrupt ones are set aside and named, and the numbers go on.
func TestSpoolTorture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		whole, err := json.Marshal(Message{Text: "whole", Time: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{
			"000000000003.json":                     string(whole),
			"000000000004.json":                     string(whole[:len(whole)/2]),                    // power cut
			"000000000005.json":                     "",                                              // power cut before the data
			"000000000006.json":                     `{"text":" ","time":"2000-01-01T00:00:00Z"}`,    // nothing to say
			"000000000007.json":                     `{"text":17}`,                                   // not ours
			"000000000008.json":                     "null",                                          //
			"000000000009.json":                     strings.Repeat("x", mostEntry+1),                // too large
			"000000000010.json":                     strings.Replace(string(whole), "whole", "w", 1), //
			".000000000011.json4611686018427387904": string(whole[:7]),                               // killed between write and rename
			"12.json":                               string(whole),                                   // no name of ours
			"README":                                "a person's",
			"lost":                                  "many",
		} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(folder, "000000000012.json", "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%012d.json.corrupt", 100+i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p := &parrot{}
		var first bool
		p.answer = func(int, Message) error {
			if !first {
				first = true
				return &Trouble{Room: "parrot", Err: errors.New("not yet")}
			}
			return nil
		}
		o := newOutbox(t, p, folder, Limits{Late: time.Hour})
		if err := o.Trouble(); err == nil || !strings.Contains(err.Error(), "000000000012.json.corrupt") {
			t.Errorf("nothing tells of the corrupt files: %v", err)
		}
		put(t, o, Message{Text: "new"})
		if _, err := os.Stat(filepath.Join(folder, "000000000013.json")); err != nil {
			t.Errorf("the numbers do not go on: %v", err)
		}
		flushed(t, o)
		if got := p.texts(); !slices.Equal(got, []string{"whole", "w", "new"}) {
			t.Errorf("heard %q", got)
		}
		if err := o.Trouble(); err != nil {
			t.Error(err)
		}
		left := names(t, folder)
		if n := len(slices.DeleteFunc(slices.Clone(left), func(s string) bool { return !strings.HasSuffix(s, ".corrupt") })); n != mostAside {
			t.Errorf("%d corrupt files are kept: %q", n, left)
		}
		for _, name := range []string{"README", "12.json"} {
			if !slices.Contains(left, name) {
				t.Errorf("%s is gone", name)
			}
		}
	})
}

// TestMain is the test, or a process for TestKilledWhilePutting.
func TestMain(m *testing.M) {
	if folder := os.Getenv("CHAT_TEST_PUTS"); folder != "" {
		os.Exit(puts(folder))
	}
	os.Exit(m.Run())
}

// puts puts messages until it is killed, and prints each that was taken.
func puts(folder string) int {
	o, err := NewOutbox(&parrot{hangs: true}, folder, Limits{Messages: 1 << 20, Bytes: 1 << 30})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := 0; ; i++ {
		text := fmt.Sprintf("%d-%d %s", os.Getpid(), i, strings.Repeat("x", i%3000))
		if err := o.Put(Message{Text: text}); err != nil {
			return 1
		}
		fmt.Println(text)
	}
}

// What Put took is said by a later process, whenever the first one is killed.
func TestKilledWhilePutting(t *testing.T) {
	folder := t.TempDir()
	var taken []string
	for round := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "CHAT_TEST_PUTS="+folder)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(out)
		for n := 0; ; n++ {
			text, err := in.ReadString('\n')
			if err != nil {
				break // killed; a line that was cut was taken all the same, or not
			}
			taken = append(taken, strings.TrimSuffix(text, "\n"))
			if n == 5+7*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // the signal that we sent
	}
	p := &parrot{}
	o := newOutbox(t, p, folder, Limits{Messages: 1 << 20, Bytes: 1 << 30, Burst: 1 << 20, Late: time.Hour})
	if err := o.Trouble(); err != nil {
		t.Error(err)
	}
	flushed(t, o)
	heard := strings.Split(strings.Join(p.texts(), "\n"), "\n")
	if len(taken) < 8*5 {
		t.Fatalf("only %d were taken", len(taken))
	}
	at := 0
	for _, text := range taken {
		i := slices.Index(heard[at:], text)
		if i < 0 {
			t.Fatalf("%.20q was taken and not said, in its order", text)
		}
		at += i + 1
	}
}
