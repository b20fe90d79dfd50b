package gitstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
)

// These checks run beside a running agent: they change nothing in the repository or on the node.

// ReadOwnRef reads the record at a node's own ref; tip is "" when that does not exist. Memory is the StateFile of the
// node's sink. The error is a *Clash when another machine pushes there.
func ReadOwnRef(ctx context.Context, s Remote, ref string, ours presence.Record, memory string) (tip string, said presence.Record, err error) {
	tip, err = refID(ctx, s, ref)
	if err != nil || tip == "" {
		return "", presence.Record{}, err
	}
	var before *presence.Record
	if m, ok, _ := stateFile(memory).Peek(); ok && m.Ref == ref {
		before = m.Told.Record
	}
	said, _, err = recognise(ctx, s, ref, tip, ours, before)
	return tip, said, err
}

const (
	// nowhere is a commit that no ref is ever at, so the compare of a compare-and-swap from there fails.
	nowhere = "0123456789012345678901234567890123456789"
	// nothing is the id of an object that does not exist.
	nothing = "9876543210987654321098765432109876543210"
)

// blocked is the error of a ref that cannot be made.
type blocked struct{ ref, by string }

func (e *blocked) Error() string { return e.by + " blocks " + e.ref + ": " + e.Hint() }

// Hint says what a person can do.
func (e *blocked) Hint() string {
	return "git cannot have both: delete or rename the former, or set presence.ref_prefix"
}

// CanPush finds out whether the server would let this node move its ref, which is at tip ("" = there is none), without
// moving it: the compare of its compare-and-swap fails. Refused is the server's message about that, in which a hook or
// a rule may speak as well. The errors are those of a push, or a ref that blocks this one; remote.ErrAccess means no.
func CanPush(ctx context.Context, s Remote, ref, tip string) (refused string, err error) {
	refs, err := s.Refs(ctx)
	if err != nil {
		return "", err
	}
	to := tip
	for _, r := range refs {
		if strings.HasPrefix(ref, r.Name+"/") || strings.HasPrefix(r.Name, ref+"/") {
			return "", &blocked{ref, r.Name}
		}
		to = cmp.Or(to, r.ID) // hooks are asked only about an object that is there
	}
	to = cmp.Or(to, nothing)
	err = s.Push(ctx, remote.Update{Ref: ref, Old: nowhere, New: to})
	var no *remote.Rejected
	switch {
	case err == nil:
		if tip == "" { // it did what must not happen
			_ = s.Push(ctx, remote.Update{Ref: ref, Old: to})
		}
		return "", fmt.Errorf("push: the server accepted %s as the position of %s: nodes cannot share this git server", nowhere, ref)
	case errors.Is(err, remote.ErrAccess) || !errors.As(err, &no):
		return "", err
	}
	return no.Why, nil
}
