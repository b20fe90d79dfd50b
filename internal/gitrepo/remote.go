package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/gitwire"
)

// Tip is a branch and the commit it points at.
type Tip struct {
	Branch string // short name
	ID     string // 40 hex digits
}

// remote is a repository somewhere else. Each kind of address has one.
type remote interface {
	// tip asks where a branch is ("" = where HEAD is). Of a branch that is not there the error says which ones are.
	tip(ctx context.Context, branch string) (Tip, error)
	// fetch asks for a pack.
	fetch(ctx context.Context, f gitwire.FetchRequest) (*gitwire.Pack, error)
	close()
}

// newRemote makes the remote of a source. It does no I/O.
func newRemote(s Source) (remote, error) {
	a, err := s.address()
	if err != nil {
		return nil, err
	}
	switch a.kind {
	case kindHTTP:
		c, err := gitwire.NewHTTP(s.URL, gitwire.Options{Auth: s.basic(), Agent: s.Agent})
		if err != nil {
			return nil, err
		}
		return &httpRemote{client: c, source: s}, nil
	case kindSSH:
		return &streamRemote{dial: sshDialer(a, s.Auth), agent: s.Agent}, nil
	case kindGit:
		return &streamRemote{dial: gitDialer(a), agent: s.Agent}, nil
	}
	return &localRemote{path: a.path}, nil
}

// question is what is asked for to learn where a branch is.
func question(branch string) gitwire.LsOptions {
	if branch == "" {
		return gitwire.LsOptions{Prefixes: []string{"HEAD"}, Symrefs: true}
	}
	return gitwire.LsOptions{Prefixes: []string{"refs/heads/" + branch}}
}

// pick finds the tip in an answer to a question.
func pick(refs []gitwire.Ref, branch string) (Tip, bool, error) {
	name := "HEAD"
	if branch != "" {
		name = "refs/heads/" + branch
	}
	for _, r := range refs {
		if r.Name != name {
			continue
		}
		if branch == "" {
			head, ok := strings.CutPrefix(r.Target, "refs/heads/")
			if !ok {
				return Tip{}, false, errors.New("the remote's HEAD is on no branch: set branch")
			}
			if err := checkBranch(head); err != nil {
				return Tip{}, false, fmt.Errorf("the remote's HEAD: %w", err)
			}
			branch = head
		}
		return Tip{Branch: branch, ID: r.ID}, true, nil
	}
	return Tip{}, false, nil
}

// noBranch is the error for a branch that is not there; heads are the first few that are.
func noBranch(branch string, heads []string) error {
	switch {
	case len(heads) == 0:
		return errors.New("the remote repository is empty: push a first commit")
	case branch == "":
		return fmt.Errorf("the remote's HEAD names a branch that is not there: set branch; there are %s", someOf(heads))
	}
	return fmt.Errorf("branch %q is not there; there are %s", branch, someOf(heads))
}

func someOf(names []string) string {
	const some = 5
	if len(names) > some {
		return strings.Join(names[:some], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

// reprobe is how long a server is taken not to speak v2 after it answered otherwise.
const reprobe = time.Hour

// httpRemote speaks v2, and v0 where something does not understand that.
type httpRemote struct {
	client *gitwire.Client
	source Source
	proven bool            // it answered in v2 once
	old    time.Time       // until then it is asked in v0
	advert *gitwire.Advert // v0: what it said last
}

func (h *httpRemote) close() { h.client.Close() }

func (h *httpRemote) tip(ctx context.Context, branch string) (Tip, error) {
	if time.Now().Before(h.old) {
		return h.tipV0(ctx, branch)
	}
	refs, err := h.client.LsRefs(ctx, question(branch))
	if err != nil {
		if !h.perhapsOld(err) || ctx.Err() != nil {
			return Tip{}, h.advise(err)
		}
		tip, v0err := h.tipV0(ctx, branch)
		if h.advert != nil {
			h.old = time.Now().Add(reprobe)
			return tip, v0err
		}
		if errors.Is(err, gitwire.ErrNotV2) {
			return Tip{}, v0err
		}
		return Tip{}, h.advise(err)
	}
	h.proven = true
	tip, ok, err := pick(refs, branch)
	if ok || err != nil {
		return tip, err
	}
	refs, err = h.client.LsRefs(ctx, gitwire.LsOptions{Prefixes: []string{"refs/heads/"}, Max: 6})
	if err != nil {
		return Tip{}, h.advise(err)
	}
	var heads []string
	for _, r := range refs {
		heads = append(heads, strings.TrimPrefix(r.Name, "refs/heads/"))
	}
	return Tip{}, noBranch(branch, heads)
}

// perhapsOld says whether a failure may come from a server that stumbled over a question in v2.
func (h *httpRemote) perhapsOld(err error) bool {
	if errors.Is(err, gitwire.ErrNotV2) {
		return true
	}
	var status *gitwire.StatusError
	if h.proven || !errors.As(err, &status) {
		return false
	}
	switch status.Code {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType,
		http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return false
}

func (h *httpRemote) tipV0(ctx context.Context, branch string) (Tip, error) {
	h.advert = nil
	a, err := h.client.AdvertV0(ctx, question(branch))
	if err != nil {
		return Tip{}, h.advise(err)
	}
	h.advert = a
	return tipOf(a, branch)
}

// tipOf finds a branch in an advertisement.
func tipOf(a *gitwire.Advert, branch string) (Tip, error) {
	tip, ok, err := pick(a.Refs, branch)
	if !ok && err == nil {
		err = noBranch(branch, a.Heads)
	}
	return tip, err
}

func (h *httpRemote) fetch(ctx context.Context, f gitwire.FetchRequest) (*gitwire.Pack, error) {
	if !time.Now().Before(h.old) {
		p, err := h.client.Fetch(ctx, f)
		switch {
		case errors.Is(err, gitwire.ErrNotV2) && h.proven:
			return nil, fmt.Errorf("the server sent an empty answer: %w", io.ErrUnexpectedEOF)
		case !errors.Is(err, gitwire.ErrNotV2):
			return p, h.advise(err)
		}
	}
	if h.advert == nil {
		if _, err := h.tipV0(ctx, ""); h.advert == nil {
			return nil, err
		}
	}
	p, err := h.client.FetchV0(ctx, h.advert, f)
	return p, h.advise(err)
}

// advise adds what a person can do about an HTTP status.
func (h *httpRemote) advise(err error) error {
	var status *gitwire.StatusError
	if !errors.As(err, &status) {
		return err
	}
	a := h.source.Auth
	file := a.TokenFile
	if file == "" {
		file = a.PasswordFile
	}
	var advice string
	switch {
	case status.Code == http.StatusUnauthorized && file == "":
		advice = "it wants credentials: set auth (token_file, or username and password_file)"
	case status.Code == http.StatusUnauthorized:
		advice = "it refuses the credentials of " + file + ": renew them"
	case status.Code == http.StatusForbidden && status.RetryAfter > 0:
		advice = "too many requests"
	case status.Code == http.StatusForbidden && file == "":
		advice = "it does not let everybody read this: set auth (token_file, or username and password_file)"
	case status.Code == http.StatusForbidden:
		advice = "the credentials of " + file + " may not read this: give them read access"
	case status.Code == http.StatusNotFound && file == "":
		advice = "check url; if the repository is private, set auth (token_file, or username and password_file)"
	case status.Code == http.StatusNotFound:
		advice = "check url, and whether the credentials of " + file + " may read it"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}
