package clone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/refs"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/internal/git/worktree"
	"github.com/addagent/addagent/internal/human"
)

// Limits bound how long things may take. A zero is the default.
type Limits struct {
	Look  time.Duration // asking; 20 s
	Stall time.Duration // a fetch without a byte, a move without a file; 60 s
	Fetch time.Duration // fetching and moving altogether; 30 min

	Waits string // a file that remembers, for the next process, which addresses are left alone; "" = none
	// shared by all repositories of a process that goes on; nil: each move looks at every tracked file
	Watcher *worktree.Watcher
}

func (l Limits) orDefault() Limits {
	l.Look, l.Stall, l.Fetch = cmp.Or(l.Look, 20*time.Second), cmp.Or(l.Stall, time.Minute), cmp.Or(l.Fetch, 30*time.Minute)
	return l
}

// Applied is what a look saw and did.
type Applied struct {
	Version  string // the commit that the tree is at
	Previous string // the commit that it was at before a move; "" when there was none
	Branch   string
	Moved    bool
	Rebuilt  string   // why the clone was made anew; "" when it was not
	Notices  []string // what a person should know
	Files    int      // written and deleted
	Bytes    int64    // of packs received
}

// Repo is one clone and its remote. It keeps the connection between looks, and with a Watcher the watches on the
// tracked folders; nothing else. Use it from one goroutine at a time.
type Repo struct {
	dir      string
	source   remote.Source
	limits   Limits
	mirrors  *mirrors // made when it is first needed
	judged   judged
	config   configCheck
	dirty    *worktree.DirtySet
	repacked repackState
	refused  refusal
	accepted files.Remembered[string]
}

// New returns the repository in dir, which is made when it is first applied. It does no I/O.
func New(dir string, s remote.Source, l Limits) *Repo {
	return &Repo{dir: dir, source: s, limits: l.orDefault(), dirty: l.Watcher.DirtySet()}
}

func (r *Repo) gitDir() string { return filepath.Join(r.dir, ".git") }

// Close gives up the connection and the watches.
func (r *Repo) Close() error {
	r.dirty.Forget()
	if r.mirrors != nil {
		r.mirrors.close()
	}
	return nil
}

func (r *Repo) dial() (*mirrors, error) {
	if r.mirrors == nil {
		m, err := newMirrors(r.source, r.limits)
		if err != nil {
			return nil, err
		}
		r.mirrors = m
	}
	return r.mirrors, nil
}

// Look asks where the branch is and, when the clone is not there, fetches and moves the tree. Nothing is written when
// nothing moved and nothing is broken. progress is that of Apply.
func (r *Repo) Look(ctx context.Context, progress func(Progress)) (Applied, error) {
	tip, err := r.Ask(ctx)
	if err != nil {
		return Applied{}, err
	}
	at, ok, err := r.Applied()
	if err != nil {
		return Applied{}, err
	}
	if ok && at == tip {
		return Applied{Version: at.ID, Branch: at.Branch, Notices: r.Notices()}, nil
	}
	return r.Apply(ctx, tip, progress)
}

// stays adds to an error what becomes of the clone when the remote is gone or has nothing any more.
func (r *Repo) stays(err error) error {
	var status *protocol.StatusError
	var absent *remote.NoBranchError
	gone := errors.As(err, &absent) || errors.Is(err, fs.ErrNotExist) || errors.As(err, &status) && status.Code == http.StatusNotFound
	if !gone {
		return err
	}
	at, ok, problem := r.Applied()
	if problem != nil || !ok {
		return err
	}
	return fmt.Errorf("%w; the tree stays at %s of %s", err, human.ID(at.ID), at.Branch)
}

// failed puts into an error what failed: "pull ops: ask https://...: dial tcp ..." reads from the caller's word on.
func (r *Repo) failed(what string, err error) error {
	return fmt.Errorf("%s %s: %w", what, r.source.Redacted(), err)
}

// Applied returns what the tree is at. ok is false when there is no clone, when it is broken or of another remote, and
// when a move has not ended; then Apply puts that right. It costs a few small reads.
func (r *Repo) Applied() (remote.Tip, bool, error) {
	found, err := r.inspect()
	if err != nil || found.reason != "" || found.head.ID == "" || found.unfinished || found.drifted() {
		return remote.Tip{}, false, err
	}
	return found.head, true, nil
}

// state is what is found in a folder.
type state struct {
	exists     bool       // there is a .git
	reason     string     // why it cannot be used; "" when it can
	head       remote.Tip // ID is empty when nothing has been applied yet
	unfinished bool       // a move has begun and not ended
	mark       worktree.Marker
	other      string // the remote that a clone of ours names instead of its own
	noTemp     bool   // something else stands where .temp belongs
}

// drifted says that there is something to be put right, though the commit may be the right one.
func (c state) drifted() bool { return c.other != "" || c.noTemp }

// inspect finds out what stands in the clone's folder. An error is trouble with the disk, not with the clone.
func (r *Repo) inspect() (state, error) {
	git := r.gitDir()
	var st syscall.Stat_t // and not os.Lstat, which costs allocations in every look
	err := syscall.Lstat(git, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		return state{}, nil
	case err != nil:
		return state{}, &fs.PathError{Op: "lstat", Path: git, Err: err}
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return state{exists: true, reason: "its .git is not a folder"}, nil
	}
	c := state{exists: true}
	if c.noTemp, err = noFolder(filepath.Join(r.dir, worktree.OwnFolder)); err != nil {
		return c, err
	}
	if c.mark, c.unfinished, err = worktree.ReadMarker(r.dir); err != nil {
		return c, err
	}
	head, err := refs.Head(git)
	if err != nil {
		c.reason = "its HEAD cannot be read"
		return c, nil
	}
	c.reason = r.config.differs(git, r.source)
	c.other = r.config.other
	if c.mark.Damage != "" && c.reason == "" {
		c.reason = "it is damaged: " + c.mark.Damage
	}
	if id, ok := objects.ParseID(head); ok {
		c.head = remote.Tip{ID: id.String()}
		return c, nil
	}
	c.head.Branch = strings.TrimPrefix(head, "refs/heads/")
	if c.head.Branch == head || address.CheckBranch(c.head.Branch) != nil {
		c.head.Branch, c.reason = "", cmp.Or(c.reason, "its HEAD cannot be read")
		return c, nil
	}
	switch id, err := refs.Read(git, head); {
	case err == nil:
		c.head.ID = id.String()
	case !errors.Is(err, fs.ErrNotExist): // a new clone has no commit yet
		c.head.Branch, c.reason = "", cmp.Or(c.reason, "its branch cannot be read")
	}
	return c, nil
}

// Tree opens the tree of a version that the clone has.
func (r *Repo) Tree(version string) (*objects.Tree, error) {
	return objects.OpenTree(version, r.gitDir())
}

// TreeInUse is Tree for work that depends on it: when an object turns out to be missing or damaged, the clone is
// noted as broken, and the next look makes it anew.
func (r *Repo) TreeInUse(version string) (*objects.Tree, error) {
	t, err := r.Tree(version)
	if err != nil {
		r.noteDamage(err)
		return nil, err
	}
	t.OnError = r.noteDamage
	return t, nil
}

func (r *Repo) noteDamage(err error) {
	if errors.Is(err, pack.ErrMissing) {
		_ = worktree.MarkDamaged(r.dir, err.Error()) // else the next beat finds the same
	}
}

// Changed lists the paths that differ between two versions that the clone has, at most limit of them; complete is
// false when there are more.
func (r *Repo) Changed(old, new string, limit int) (paths []string, complete bool, err error) {
	return objects.Changed(r.gitDir(), old, new, limit)
}
