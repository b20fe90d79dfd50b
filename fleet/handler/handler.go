// Package handler runs the handlers of events: scripts of a repository, nodeevent/<type>/*.sh, from a clone of its own.
//
// Begin with Repository. Each script runs under a shim, a process of its own (Supervise in shim_linux.go), which ends
// the script at its deadline, when the doctor ends, and when the doctor no longer says that it may go on.
package handler

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/clone"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// The layout of the repository, a contract.
const (
	folder     = "nodeevent"
	configFile = "handler.yaml"
	suffix     = ".sh"
)

const (
	defaultDeadline = 5 * time.Minute
	mostDeadline    = 24 * time.Hour
	defaultGrace    = 10 * time.Second // between TERM and KILL
	logsKept        = 100              // of all handlers
	fileLimit       = 64 << 10         // of a handler.yaml
)

// Options are what a Repository needs.
type Options struct {
	Source remote.Source
	Dir    string   // private to the doctor: the clone, the logs
	Shim   string   // the argument with which this program calls Supervise
	Env    []string // of the doctor: scripts get PATH, HOME, USER and the proxies of it
}

// Repository is the doctor's own clone of the repository with the handlers. Run may be called by several goroutines at
// a time, Look by none while a Run goes on.
type Repository struct {
	Options
	clone *clone.Repo
	lock  *files.Lock
}

// Open takes the folder. It asks no server. Another doctor on this machine may have it; then the error is
// files.ErrHeld.
func Open(o Options) (*Repository, error) {
	if err := o.Source.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "log"), 0o700); err != nil {
		return nil, err
	}
	lock, err := files.TryLock(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("handlers in %s: %w: a doctor with the same account and repository runs here", o.Dir, err)
	}
	return &Repository{o, clone.New(filepath.Join(o.Dir, "repo"), o.Source, clone.Limits{}), lock}, nil
}

// Close gives up the connection and the folder.
func (r *Repository) Close() error { return errors.Join(r.clone.Close(), r.lock.Close()) }

func (r *Repository) path(name ...string) string {
	return filepath.Join(append([]string{r.Dir, "repo"}, name...)...)
}

// Look moves the clone to the newest version, and returns the types of events that have a handler there. After an error
// the version of before stays, and its types are returned.
func (r *Repository) Look(ctx context.Context) (types []string, err error) {
	_, err = r.clone.Look(ctx, nil)
	for _, t := range event.Types() {
		if scripts, listed := r.scripts(t); listed != nil {
			err = errors.Join(err, listed)
		} else if len(scripts) > 0 {
			types = append(types, t)
		}
	}
	if err != nil {
		err = fmt.Errorf("handlers: %w", err)
	}
	return types, err
}

// scripts are the handlers of a type, as paths in the repository, in their order.
func (r *Repository) scripts(kind string) (list []string, err error) {
	entries, err := os.ReadDir(r.path(folder, kind))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && e.Type().IsRegular() {
			list = append(list, strings.Join([]string{folder, kind, e.Name()}, "/"))
		}
	}
	return list, err
}

// deadline is that of the handlers of a type.
func (r *Repository) deadline(kind string) (time.Duration, error) {
	name := strings.Join([]string{folder, kind, configFile}, "/")
	data, err := files.ReadSmall(r.path(folder, kind, configFile), fileLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return defaultDeadline, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	deadline := defaultDeadline
	problems := strictyaml.ReadFile(name, data, []string{"deadline"}, func(y *strictyaml.File, f strictyaml.Field) {
		if deadline = y.Duration(f); deadline != 0 && (deadline < time.Second || deadline > mostDeadline) {
			y.Wrong(f.Value, "deadline must be between a second and a day")
		}
	})
	if len(problems) > 0 {
		return 0, errors.New(strings.Join(problems, "; "))
	}
	return deadline, nil
}

// order is what a shim must know. It crosses on standard input: no one else can read it there.
type order struct {
	Script  string        `json:"script"` // an absolute path
	Dir     string        `json:"dir"`    // the clone
	Env     []string      `json:"env"`
	Input   []byte        `json:"input"`
	Log     string        `json:"log"`
	Timeout time.Duration `json:"timeout"` // nanoseconds
	Grace   time.Duration `json:"grace"`   // nanoseconds
}

// result is a line that a shim prints: the session once the script runs, and how it ended once it has.
type result struct {
	Session int    `json:"session,omitempty"`
	Ended   bool   `json:"ended,omitempty"`
	Failure string `json:"failure,omitempty"` // "" = success
	Last    string `json:"last,omitempty"`    // line of its output
}

// Run runs the handlers of an event one after the other, but for those that are done already, and returns those that
// are done now. One that fails does not stop the others. left is for how long the doctor may still act on this event;
// a script that cannot be told in time that this was renewed is ended, and so is one when ctx ends.
func (r *Repository) Run(ctx context.Context, e event.Event, done []string, left func() time.Duration) ([]string, error) {
	return r.run(ctx, e, done, left, defaultGrace)
}

func (r *Repository) run(ctx context.Context, e event.Event, done []string, left func() time.Duration, grace time.Duration) ([]string, error) {
	deadline, err := r.deadline(e.Type)
	if err != nil {
		return done, err
	}
	scripts, err := r.scripts(e.Type)
	if err != nil {
		return done, err
	}
	input, err := json.Marshal(e)
	if err != nil {
		return done, err
	}
	done = slices.Clone(done)
	var failed []error
	for _, script := range scripts {
		if slices.Contains(done, script) {
			continue
		}
		log := filepath.Join(r.Dir, "log", logName(e, script))
		o := order{Script: r.path(filepath.FromSlash(script)), Dir: r.path(), Env: environ(r.Env, e), Input: append(input, '\n'),
			Log: log, Timeout: deadline, Grace: grace}
		got, err := r.shim(ctx, o, left)
		switch {
		case ctx.Err() != nil:
			return done, context.Cause(ctx)
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", script, err))
		case got.Failure != "":
			text := script + ": " + got.Failure
			if got.Last != "" {
				text += ": " + got.Last
			}
			failed = append(failed, errors.New(text+" (log "+log+")"))
		default:
			done = append(done, script)
		}
	}
	r.prune()
	return done, errors.Join(failed...)
}

// logName is that of the log of a script for an event: a second try appends to the log of the first.
func logName(e event.Event, script string) string {
	name := strings.TrimSuffix(script[strings.LastIndexByte(script, '/')+1:], suffix)
	return strings.ReplaceAll(e.Time, ":", "") + "_" + e.Type + "_" + name + "_" + e.ID + ".log"
}

// prune keeps the newest logs.
func (r *Repository) prune() {
	dir := filepath.Join(r.Dir, "log")
	entries, err := os.ReadDir(dir) // by name, which begins with the time
	if err != nil {
		return
	}
	for _, e := range entries[:max(len(entries)-logsKept, 0)] {
		_ = os.Remove(filepath.Join(dir, e.Name())) // the next one tries again
	}
}

// environ is the environment of a handler, built from nothing: no secret of the doctor is in it.
func environ(of []string, e event.Event) []string {
	env := []string{"LANG=C.UTF-8", "SHELL=/bin/bash"}
	path := ""
	for _, entry := range of {
		switch name, value, _ := strings.Cut(entry, "="); strings.ToLower(name) {
		case "home", "user", "logname", "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy":
			env = append(env, entry)
		case "path":
			path = value
		}
	}
	env = append(env, "PATH="+cmp.Or(path, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
	for _, field := range [][2]string{{"ID", e.ID}, {"TYPE", e.Type}, {"NAME", e.Name}, {"NODE", e.Node}, {"IP", e.IP}, {"STATE", e.State},
		{"CODE", e.Code}, {"PREVIOUS_STATE", e.PreviousState}, {"PREVIOUS_CODE", e.PreviousCode}, {"TIME", e.Time}} {
		env = append(env, "ADD_EVENT_"+field[0]+"="+human.Line(field[1]))
	}
	return env
}
