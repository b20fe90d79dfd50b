package chat

import (
	"bufio"
	"context"
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
	s, err := openSpool(folder, time.Now(), l.orDefault())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.lock.Close() })
	return s
}

func texts(s *spool) []string {
	var all []string
	for _, e := range s.waiting {
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
				m.Time = time.Date(2026, 3, 1, 9, 30, 8, 0, time.UTC)
				s.put(m, time.Now(), c.limit.orDefault())
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
	at := time.Date(2026, 3, 1, 9, 30, 8, 0, time.UTC)
	s.put(Message{Text: "lost"}, at, l)
	s.put(Message{Text: "größe\n<b>", Colour: "red", Critical: true, Time: at.Add(-500 * time.Millisecond)}, at, l)
	s.changed = true
	s.save(at.Add(71 * time.Second))
	want := `{"written":"2026-03-01T09:31:19Z","lost":1,"messages":[{"text":"größe\n\u003cb\u003e","colour":"red","critical":true,"time":"2026-03-01T09:30:07.5Z","age":71}]}` + "\n"
	path := filepath.Join(folder, spoolName)
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	for path, perm := range map[string]os.FileMode{path: 0o600, folder: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != perm {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if n, since := Waiting(folder); n != 1 || !since.Equal(at.Add(-500*time.Millisecond)) {
		t.Errorf("%d wait since %s", n, since)
	}
}

// What is being said is neither dropped nor counted as lost.
func TestSpoolKeepsWhatIsBeingSaid(t *testing.T) {
	l := Limits{Messages: 2}.orDefault()
	s, now := newSpool(t, t.TempDir(), l), time.Now()
	s.put(Message{Text: "a"}, now, l)
	s.waiting[0].sending = true
	s.put(Message{Text: "b"}, now, l)
	s.put(Message{Text: "c"}, now, l)
	s.expire(now.Add(1000*time.Hour), time.Hour)
	if got := texts(s); !slices.Equal(got, []string{"a"}) || s.lost != 2 {
		t.Errorf("kept %q, lost %d", got, s.lost)
	}
}

// TestSpoolLivesThroughClockJumps lets time pass between several processes, in each of which time goes on: what the
// wall clock says decides neither that a message is lost nor that it stays forever.
func TestSpoolLivesThroughClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	type step struct {
		wall, run time.Duration // between the last process and this one, and within this one
		waits     bool          // it still waits after that
	}
	for name, steps := range map[string][]step{
		"no jump":                       {{0, 23 * time.Hour, true}, {0, 2 * time.Hour, false}},
		"a year ahead at a restart":     {{0, time.Minute, true}, {year, 17 * time.Hour, true}, {0, 2 * time.Hour, false}},
		"a year back at a restart":      {{0, time.Minute, true}, {-year, 23 * time.Hour, true}, {0, 2 * time.Hour, false}},
		"restarts, some hours apart":    {{0, 0, true}, {5 * time.Hour, 0, true}, {5 * time.Hour, 0, true}, {5 * time.Hour, 0, true}, {5 * time.Hour, 0, true}, {5 * time.Hour, 0, false}},
		"a clock that jumps every time": {{0, 0, true}, {year, 0, true}, {year, 0, true}, {year, 0, true}, {year, time.Minute, false}},
		"off over the weekend":          {{0, 0, true}, {60 * time.Hour, 0, true}, {0, 19 * time.Hour, false}},
	} {
		t.Run(name, func(t *testing.T) {
			folder, l := t.TempDir(), Limits{}.orDefault()
			now := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
			for i, step := range steps {
				now = now.Add(step.wall)
				s, err := openSpool(folder, now, l)
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					s.put(Message{Text: "a", Time: now}, now, l)
				}
				now = now.Add(step.run)
				s.expire(now, l.Age)
				if waits := len(s.waiting) == 1; waits != step.waits {
					t.Fatalf("after step %d it waits: %v", i, waits)
				}
				if err := s.close(now); err != nil || !step.waits && s.lost != 1 {
					t.Errorf("%v, %d lost", err, s.lost)
				}
			}
		})
	}
}

// A message that was put before NTP set the clock has its true age, and is sent with its time by the clock as it is
// now. A test cannot set the clock of this machine. It checks that the times of a message have a reading of the
// monotonic clock, which String ends with m=.
func TestSpoolGoesByTheMonotonicClock(t *testing.T) {
	s := newSpool(t, t.TempDir(), Limits{})
	o := &Outbox{limits: Limits{}.orDefault(), spool: s, changed: make(chan struct{})}
	for _, m := range []Message{{Text: "a"}, {Text: "b", Time: time.Now().Add(-time.Hour)}} {
		put(t, o, m)
	}
	for _, e := range s.waiting {
		for _, at := range []time.Time{e.put, e.Time} {
			if !strings.Contains(at.String(), " m=") {
				t.Errorf("%s: %s is by the wall clock alone", e.Text, at)
			}
		}
	}
	// A message that is tried again, also by another process, has the time that it had.
	e := &entry{Message: Message{Time: time.Now()}}
	data, err := e.when(time.Now()).MarshalText()
	if err != nil || string(data) != e.Time.UTC().Format(time.RFC3339Nano) {
		t.Errorf("%s, %v; put at %s", data, err, e.Time)
	}
	if m := (turn{entry: e}).text(time.Now(), time.Hour); m.Time != e.when(time.Now()) {
		t.Errorf("said with %s", m.Time)
	}
}

// Whatever a full disk, a bad one or a person makes of the file: it is set aside and named, and the room goes on.
func TestSpoolIsCorrupt(t *testing.T) {
	for name, content := range map[string]string{
		"cut": `{"written":"2026-03-01T09:31:19Z","messages":[{"te`, "empty": "", "not ours": `{"messages":17}`, "too large": strings.Repeat(" ", spoolLimit+1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				folder := t.TempDir()
				if err := os.WriteFile(filepath.Join(folder, spoolName), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				p := &parrot{}
				o := newOutbox(t, p, folder, Limits{})
				if err := o.Trouble(); err == nil || !strings.Contains(err.Error(), spoolName+".corrupt") {
					t.Errorf("nothing tells of the corrupt file: %v", err)
				}
				put(t, o, Message{Text: "new"})
				flushed(t, o)
				if got := p.texts(); !slices.Equal(got, []string{"new"}) || o.Trouble() != nil {
					t.Errorf("heard %q, %v", got, o.Trouble())
				}
				if got := names(t, folder); !slices.Equal(got, []string{spoolName + ".corrupt"}) {
					t.Errorf("left on disk: %q", got)
				}
			})
		})
	}
	s := newSpool(t, t.TempDir(), Limits{})
	for _, text := range []string{"null", "{}", `{"lost":-1,"messages":[{"text":" "},{"text":"a","age":-7},{"text":"b","age":9223372036854775807}]}`} {
		if err := os.WriteFile(filepath.Join(s.folder, spoolName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.load(time.Now(), 24*time.Hour)
	}
	if got := texts(s); !slices.Equal(got, []string{"a", "b"}) || s.corrupt != nil || s.lost != 0 {
		t.Errorf("%q, %v, %d lost", got, s.corrupt, s.lost)
	}
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
		if err := o.Say(context.Background(), Message{Text: text}); err != nil {
			return 1
		}
		fmt.Println(text)
	}
}

// What Say took is said by a later process, whenever the first one is killed.
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
