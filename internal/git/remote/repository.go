package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/transport"
)

// Repository is a repository elsewhere. Tip and Fetch are what a clone needs of it; without a clone its refs are
// listed, commits are read into memory, and refs are moved by compare-and-swap. It keeps its connection between
// calls. Use it from one goroutine at a time. Every call ends with its context; it sets no time of its own.
//
// Errors are of four kinds. *Rejected: the server says no to this update of this ref. ErrAccess: it does not let us,
// until a person fixes what the error names. ErrUnclear: a push may or may not have landed. All others are temporary,
// such as a server that is down; RetryAfter tells how long it wants to be left alone.
//
// Over the wire a push of one record of 1.2 KB with its four folders and its commit is one request of some 1.25 KB,
// headers included, and an answer of 0.3 KB. Over SSH and git:// the server first lists all its refs, unasked, 70
// bytes each.
type Repository struct {
	source Source
	at     server
}

// Ref is a name and the object it points at.
type Ref = protocol.Ref

// Update is one change of a ref, which happens only if the ref is where we think it is. (Of git's making: to delete a
// ref that is not there is a success when the server does not know the object of Old either.)
type Update struct {
	Ref     string           // full name
	Old     string           // where it is now; "" = it must not exist yet
	New     string           // where it goes; "" = it is deleted
	Objects *objects.Builder // what the server has not yet; nil = nothing
}

// Rejected is a server's no to one update: the ref is not where we thought, another client is moving it just now, a
// rule or a hook forbids it. The others of the same push may have landed.
type Rejected struct {
	Ref string
	Why string // the server's words, on one line
}

func (r *Rejected) Error() string { return r.Ref + " was rejected: " + r.Why }

// ErrAccess is in errors of a server that does not let us do what was asked. They stay until a person fixes that, and
// name what to do.
var ErrAccess = transport.ErrAccess

// ErrUnclear is in errors of a push that was sent and got no whole answer: ask for the ref to learn what became of it.
var ErrUnclear = protocol.ErrUnclear

// RetryAfter returns how long the server behind an error wants to be left alone; zero when it does not say.
func RetryAfter(err error) time.Duration {
	if status, ok := errors.AsType[*protocol.StatusError](err); ok {
		return status.RetryAfter
	}
	return 0
}

// Busy tells whether a server answered "not now": 429, a rate-limited 403, 5xx.
func Busy(err error) bool {
	status, ok := errors.AsType[*protocol.StatusError](err)
	return ok && (status.Code == http.StatusTooManyRequests || status.Code >= 500 ||
		status.Code == http.StatusForbidden && status.RetryAfter > 0)
}

// New returns the repository at a source's URL. Its branch and rewind mean nothing here. It does no I/O.
func New(s Source) (*Repository, error) {
	if len(s.Mirrors) > 0 {
		return nil, errors.New("mirrors: what is written to has one address and no mirrors")
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	at, err := newServer(s)
	if err != nil {
		return nil, err
	}
	return &Repository{source: s, at: at}, nil
}

// Close gives up the connection. The repository can be used again.
func (s *Repository) Close() error {
	s.at.Close()
	return nil
}

// Tip asks where a branch is ("" = where HEAD is). Of a branch that is not there the error is a *NoBranchError, which
// says which ones are.
func (s *Repository) Tip(ctx context.Context, branch string) (Tip, error) {
	refs, err := s.at.refs(ctx, question(branch))
	if err == nil {
		var tip Tip
		var there bool
		if tip, there, err = pick(refs, branch); there || err != nil {
			return tip, err
		}
		refs, err = s.at.refs(ctx, protocol.LsOptions{Prefixes: []string{"refs/heads/"}, Max: 6})
	}
	var tags []Ref
	if err == nil {
		tag := branch
		if len(refs) == 0 {
			tag = ""
		}
		tags, err = s.at.refs(ctx, protocol.LsOptions{Prefixes: []string{"refs/tags/" + tag}, Max: 1})
	}
	if err != nil {
		return Tip{}, s.classed(ctx, "read", err)
	}
	return Tip{}, noBranch(branch, refs, tags)
}

// Fetch asks for a pack.
func (s *Repository) Fetch(ctx context.Context, f protocol.FetchRequest) (*protocol.Pack, error) {
	p, err := s.at.fetch(ctx, f)
	return p, s.classed(ctx, "read", err)
}

// Refs lists the refs whose full names begin with one of the prefixes (no prefix: all), sorted by name, in one
// request. No ref at all is an empty list.
func (s *Repository) Refs(ctx context.Context, prefixes ...string) ([]Ref, error) {
	for _, p := range prefixes {
		if strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("list refs: %q begins no name of a ref", p)
		}
	}
	found, err := s.at.refs(ctx, protocol.LsOptions{Prefixes: prefixes})
	if err != nil {
		return nil, fmt.Errorf("list refs: %w", s.classed(ctx, "read", err))
	}
	// HEAD is a pointer to one of them.
	list := slices.DeleteFunc(found, func(r Ref) bool { return !strings.HasPrefix(r.Name, "refs/") })
	byName := func(a, b Ref) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(list, byName) {
		slices.SortFunc(list, byName)
	}
	return list, nil
}

// Push makes updates, each for itself. A nil error means that all landed. It is sent once: the only repetitions are
// those before a byte of it went out, and with other credentials after a server that refused the first.
func (s *Repository) Push(ctx context.Context, updates ...Update) error {
	lines, pack, err := prepare(updates)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	report, err := s.at.push(ctx, lines, pack)
	if err != nil {
		return fmt.Errorf("push: %w", s.classed(ctx, "write", err))
	}
	var errs []error
	for i, why := range report.Why {
		if why == "" {
			continue
		}
		for _, more := range []string{report.Unpack, report.Said} { // "failed to update ref" alone does not say why
			if more != "" {
				why += ": " + more
			}
		}
		errs = append(errs, &Rejected{Ref: lines[i].Name, Why: why})
	}
	if err = transport.OneLine(errs...); err == nil {
		return nil
	}
	if denies(report.Unpack) {
		err = transport.Denied(err, "the server may not write into the repository: see who owns it there, and whether its disk is read-only")
	}
	return fmt.Errorf("push: %w", err)
}

// prepare checks updates, and packs what is to be sent with them: nothing when all of them delete.
func prepare(updates []Update) (lines []protocol.RefUpdate, pack []byte, err error) {
	if len(updates) == 0 {
		return nil, nil, errors.New("no update")
	}
	deletes := true
	var store []*objects.Builder
	for i, u := range updates {
		if err := u.check(); err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(updates[:i], func(o Update) bool { return o.Ref == u.Ref }) {
			return nil, nil, fmt.Errorf("ref %q: two updates", u.Ref)
		}
		lines = append(lines, protocol.RefUpdate{Name: u.Ref, Old: u.Old, New: u.New})
		deletes = deletes && u.New == ""
		if u.Objects != nil && !slices.Contains(store, u.Objects) {
			store = append(store, u.Objects)
		}
	}
	if !deletes {
		pack, err = objects.Pack(store...)
	}
	return lines, pack, err
}

func (u Update) check() error {
	name, ok := strings.CutPrefix(u.Ref, "refs/")
	if !ok || !strings.Contains(name, "/") {
		return fmt.Errorf("ref %q: write its full name, as refs/heads/x", u.Ref)
	}
	if err := address.CheckRef(name); err != nil {
		return fmt.Errorf("ref %q: %w", u.Ref, err)
	}
	for _, id := range []string{u.Old, u.New} {
		if h, ok := objects.ParseID(id); id != "" && (!ok || h.IsZero() || h.String() != id) {
			return fmt.Errorf("ref %q: %q is no id of an object", u.Ref, id)
		}
	}
	if u.Old == "" && u.New == "" {
		return fmt.Errorf("ref %q: neither an old nor a new id", u.Ref)
	}
	return nil
}

// classed marks an error that stays until a person fixes its cause, and says which deadline a cut connection was.
func (s *Repository) classed(ctx context.Context, do string, err error) error {
	if err = s.at.Advise(do, err); err == nil {
		return nil
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	status, isStatus := errors.AsType[*protocol.StatusError](err)
	said, isSaid := errors.AsType[*protocol.RemoteError](err)
	switch {
	case errors.Is(err, ErrUnclear):
	case isStatus:
		if slices.Contains([]int{http.StatusUnauthorized, http.StatusNotFound, http.StatusProxyAuthRequired}, status.Code) ||
			status.Code == http.StatusForbidden && status.RetryAfter == 0 {
			return transport.Denied(err, "")
		}
	case errors.Is(err, protocol.ErrDumb):
		return transport.Denied(err, "have git http-backend answer there, or use ssh")
	case isSaid && denies(said.Text):
		return transport.Denied(err, "check url, and give the key (or the account) of auth "+do+" access there")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return transport.Denied(err, "let this account "+do+" there")
	}
	return err
}

// denies recognises in what a server says for people that waiting does not help. There is no other sign of it outside
// HTTP.
func denies(text string) bool {
	text = strings.ToLower(text)
	for _, words := range []string{
		"denied", "read-only", "read only", "not permitted", "not allowed", "not authorized", "unauthorized", "not exported",
		"not enabled", "may not be run", "does not appear to be a git repository", "not found", "unable to create temporary object directory",
	} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}
