package gitstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
)

// What is tried here is tried beside a living agent: it changes nothing in the repository and nothing on the node.

// ReadOwnRef reads what a node's own ref says. tip is "" when there is no such ref. Memory is the file where the
// node's sink remembers its ref, which is only read. The error is a *Clash when another machine tells there.
func ReadOwnRef(ctx context.Context, s Remote, ref string, ours presence.Record, memory string) (tip string, said presence.Record, err error) {
	tip, err = refID(ctx, s, ref)
	if err != nil || tip == "" {
		return "", presence.Record{}, err
	}
	var before *presence.Record
	if data, err := files.ReadSmall(memory, stateLimit); err == nil {
		if m, err := parseState(data); err == nil && m.Ref == ref {
			before = m.Told.Record
		}
	}
	said, _, err = recognise(ctx, s, ref, tip, ours, before)
	return tip, said, err
}

const (
	// nowhere is where no ref ever is: of a compare-and-swap from there the compare fails.
	nowhere = "0123456789012345678901234567890123456789"
	// nothing is an object that nobody has.
	nothing = "9876543210987654321098765432109876543210"
)

// CanPush asks whether the server would let this node move its ref, which is at tip ("" = nowhere), and moves
// nothing: it is a compare-and-swap whose compare fails. Refused holds the server's words for that, where a hook or a
// rule may have had its say as well. The errors are those of a push; remote.ErrAccess: it would not.
func CanPush(ctx context.Context, s Remote, ref, tip string) (refused string, err error) {
	to := tip
	if to == "" {
		to = nothing
	}
	err = s.Push(ctx, remote.Update{Ref: ref, Old: nowhere, New: to})
	var no *remote.Rejected
	switch {
	case err == nil:
		return "", fmt.Errorf("push: the server took %s for where %s is: it is no git server that nodes can share", nowhere, ref)
	case errors.Is(err, remote.ErrAccess) || !errors.As(err, &no):
		return "", err
	}
	return no.Why, nil
}
