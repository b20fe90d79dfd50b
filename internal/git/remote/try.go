package remote

import (
	"context"

	"github.com/addagent/addagent/internal/git/transport"
)

// Answer is what a repository says to one question.
type Answer struct {
	Tip      Tip
	Protocol string // git's, "v2" or "v0"; "" = it is a path, where that costs nothing
	With     string // what holds the credentials that it may ask for; "" = there are none
}

// Try asks a source's URL once where the branch is, as a look does, without a clone. Mirrors mean nothing here.
// Errors are of the kinds of a Repository's.
func Try(ctx context.Context, s Source) (Answer, error) {
	s.Mirrors = nil
	at, err := New(s)
	if err != nil {
		return Answer{}, err
	}
	defer at.Close()
	tip, err := at.Tip(ctx, s.Branch)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Tip: tip}
	proven := false
	switch r := at.at.(type) {
	case *httpRemote:
		proven, a.With = r.proven, s.Auth.Holder()
	case *streamRemote:
		proven = r.proven
		switch l := r.line.(type) {
		case *transport.SSH:
			a.With = l.Keys()
		case transport.Program:
			return a, nil
		}
	}
	if a.Protocol = "v0"; proven {
		a.Protocol = "v2"
	}
	return a, nil
}
