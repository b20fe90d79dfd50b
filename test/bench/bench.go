package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
)

// bench is one run of the whole.
type bench struct {
	options
	self     string // this program: it starts itself for our side and for the stopwatch
	progress io.Writer
	start    time.Time
	whole    *stage                     // lives until the end
	servers  map[string]*gittest.Server // one for each side of each repository, so that counts do not mix
	sources  map[string]*source
	clones   map[string]string // by side and repository: the folder
	extra    []string          // environment of what is measured
	groups   []*tables
	*tables  // of the case that is played
}

func newBench(o options, progress io.Writer) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &bench{
		options: o, self: self, progress: progress, start: time.Now(), whole: &stage{},
		servers: map[string]*gittest.Server{}, sources: map[string]*source{}, clones: map[string]string{},
	}
	for _, g := range groups {
		b.groups = append(b.groups, &tables{group: g})
	}
	for _, dir := range []string{b.path("run"), b.path("repos"), o.profile} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) path(parts ...string) string {
	return filepath.Join(append([]string{b.dir}, parts...)...)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%7.1fs  %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}

// playAll plays the cases in order. One that fails is said and does not stop the next.
func (b *bench) playAll() error {
	if err := os.RemoveAll(b.path("run")); err != nil {
		return err
	}
	defer os.RemoveAll(b.path("run"))
	defer b.whole.end()
	for _, c := range cases {
		if !b.only.MatchString(c.name) || b.quick && c.slow {
			continue
		}
		b.say("%s", c.name)
		b.tables = b.of(c)
		began := time.Now()
		s := &stage{}
		if err := b.play(s, c); err != nil {
			b.say("%s failed: %v", c.name, err)
			b.failed = append(b.failed, fmt.Errorf("%s: %w", c.name, err))
		}
		b.took += time.Since(began)
	}
	var failed []error
	for _, t := range b.groups {
		failed = append(failed, t.failed...)
	}
	return errors.Join(failed...)
}

// of finds the tables that a case belongs to: the first group whose cases begin so.
func (b *bench) of(c benchCase) *tables {
	return b.groups[slices.IndexFunc(b.groups, func(t *tables) bool { return strings.HasPrefix(c.name, t.cases) })]
}

// play plays one case in a goroutine of its own, which a Fatal ends.
func (b *bench) play(s *stage, c benchCase) error {
	b.whole.err = nil // what it made for all cases may fail in any of them
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.end()
		c.play(b, s)
	}()
	<-done
	return errors.Join(s.err, b.whole.err)
}

// server is the server of one side of one repository.
func (b *bench) server(side side, repo string) *gittest.Server {
	key := string(side) + " " + repo
	if b.servers[key] == nil {
		b.servers[key] = gittest.Serve(b.whole, b.path("repos"), gittest.ServerOptions{})
	}
	return b.servers[key]
}

func (b *bench) url(side side, repo string) string {
	return b.server(side, repo).URL + "/" + repo + ".git"
}

// stage is the testing.TB of one case, so that the fixtures of the tests serve here too. A Fatal ends the case.
type stage struct {
	testing.TB // never set: only what is below is called
	err        error
	ends       []func()
}

func (s *stage) end() {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
	s.ends = nil
}

func (s *stage) Helper() {}

func (s *stage) Cleanup(f func()) { s.ends = append(s.ends, f) }

func (s *stage) Fatal(args ...any) {
	s.err = errors.New(fmt.Sprint(args...))
	runtime.Goexit()
}

func (s *stage) Fatalf(format string, args ...any) { s.Fatal(fmt.Sprintf(format, args...)) }

// must ends the case when there is an error.
func (s *stage) must(err error) {
	if err != nil {
		s.Fatal(err)
	}
}
