package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/transport"
	"github.com/addagent/addagent/internal/human"
)

// Tip is a branch and the commit it points at.
type Tip struct {
	Branch string // short name
	ID     string // 40 hex digits
}

// server is a repository somewhere else. Each kind of address has one.
type server interface {
	refs(ctx context.Context, o protocol.LsOptions) ([]protocol.Ref, error)
	fetch(ctx context.Context, f protocol.FetchRequest) (*protocol.Pack, error)
	push(ctx context.Context, updates []protocol.RefUpdate, pack []byte) (protocol.Report, error)
	// Advise adds what a person can do about a failure at what was to be done: read or write.
	Advise(do string, err error) error
	Close()
}

// newServer makes the server of a source. It does no I/O.
func newServer(s Source) (server, error) {
	e, err := s.endpoint()
	if err != nil {
		return nil, err
	}
	agent := cmp.Or(s.Agent, "addagent")
	switch e.Kind {
	case address.HTTP:
		return &httpRemote{HTTP: transport.NewHTTP(s.URL, agent, s.Auth, s.Network)}, nil
	case address.SSH:
		return newStreamRemote(&transport.SSH{User: e.User, Host: e.Host, Path: e.Path, Auth: s.Auth}, agent), nil
	case address.Git:
		return newStreamRemote(transport.Daemon{Host: e.Host, Path: e.Path}, agent), nil
	}
	return newStreamRemote(transport.Program{Path: e.Path}, agent), nil
}

// question is what is asked for to learn where a branch is.
func question(branch string) protocol.LsOptions {
	if branch == "" {
		return protocol.LsOptions{Prefixes: []string{"HEAD"}, Symrefs: true}
	}
	return protocol.LsOptions{Prefixes: []string{"refs/heads/" + branch}}
}

// noRefs keeps nothing of a list of refs that comes by itself: no ref has an empty line in its name.
func noRefs() protocol.LsOptions { return protocol.LsOptions{Prefixes: []string{"\n"}} }

// pick finds the tip in an answer to a question.
func pick(refs []protocol.Ref, branch string) (Tip, bool, error) {
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
			if err := address.CheckBranch(head); err != nil {
				return Tip{}, false, fmt.Errorf("the remote's HEAD: branch %q: %w", head, err)
			}
			branch = head
		}
		return Tip{Branch: branch, ID: r.ID}, true, nil
	}
	return Tip{}, false, nil
}

// NoBranchError is the answer of a remote that does not have the branch.
type NoBranchError struct{ text, advice string }

func (e *NoBranchError) Error() string { return e.text + ": " + e.advice }

// Hint says what a person can do.
func (e *NoBranchError) Hint() string { return e.advice }

// noBranch is the error for a branch that is not there; refs are the first few that are, tags a tag whose name begins
// so.
func noBranch(branch string, refs, tags []Ref) error {
	var heads []string
	for _, r := range refs {
		heads = append(heads, strings.TrimPrefix(r.Name, "refs/heads/"))
	}
	switch {
	case len(heads) == 0 && len(tags) > 0:
		return &NoBranchError{"the remote has tags and no branch", "push a branch: the agent follows one, because a tag does not move"}
	case len(heads) == 0:
		return &NoBranchError{"the remote repository is empty", "push a first commit"}
	case branch == "":
		return &NoBranchError{"the remote's HEAD names a branch that is not there", "set branch; there are " + human.Examples(heads, 5)}
	}
	if len(tags) > 0 && tags[0].Name == "refs/tags/"+branch {
		return &NoBranchError{fmt.Sprintf("%q is a tag; the remote has the branches %s", branch, human.Examples(heads, 5)),
			"set branch to one of them, or push a branch: a tag does not move"}
	}
	return &NoBranchError{fmt.Sprintf("branch %q is not there; the remote has %s", branch, human.Examples(heads, 5)), "push it, or set branch"}
}

// reprobe is how long a server is taken not to speak v2 after it answered otherwise.
const reprobe = time.Hour
