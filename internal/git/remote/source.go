package remote

import (
	"fmt"
	"reflect"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/protocol"
)

// Source says where a repository comes from.
type Source struct {
	URL string // https, http, ssh, git or file URL, scp-style user@host:path, or an absolute path
	// other addresses of the same repository, tried in order when the one before fails
	Mirrors []string
	Branch  string // "" = the remote's HEAD
	Auth    Auth   // for the mirrors too
	Network Network
	// what a rewritten or moved-back branch means: "follow" (or "") with a notice, "refuse" an error, RewindUnasked
	// nothing
	Rewind string
	Agent  string // user agent, "addagent/VERSION"
}

// RewindUnasked is the Rewind of a branch whose history means nothing, only what it holds now. The usual question
// whether the branch went forward costs a few requests when it went more than one commit ahead. No config says it.
const RewindUnasked = "unasked"

type Auth = address.Auth       // who we are there
type Network = address.Network // which way it is reached

// Same says whether two sources say the same in every field.
func (s Source) Same(o Source) bool { return reflect.DeepEqual(s, o) }

// Redacted returns the URL in a form that may be shown and stored: without password, token and query.
func (s Source) Redacted() string { return protocol.Redact(s.URL) }

// String is what logs show of a source; it holds no secret.
func (s Source) String() string { return s.Redacted() }

// Check finds what is wrong with the URL and the branch of a source without asking anything.
func (s Source) Check() error {
	if _, err := s.endpoint(); err != nil || s.Branch == "" {
		return err
	}
	if err := address.CheckBranch(s.Branch); err != nil {
		return fmt.Errorf("branch %q: %w", s.Branch, err)
	}
	return nil
}

func (s Source) endpoint() (address.Endpoint, error) {
	e, err := address.Parse(s.URL)
	if err != nil {
		err = fmt.Errorf("url %q: %w", s.Redacted(), err)
	}
	return e, err
}
