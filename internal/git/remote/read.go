package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/protocol"
)

// ReadOptions say what of the history of commits is read. The zero value: all of it.
type ReadOptions struct {
	Depth int // so many commits of each line; 0 = no limit
	// no commits before it, but those that are asked for; zero = no limit. Not together with Depth
	Since time.Time
	// commits that were read before, wholly: what their folders and files hold does not come again
	Have     []string
	MaxBytes int64 // in memory; 0 = 64 MB
	// of one object: a larger one is passed over, so that it hides no other; 0 = MaxBytes
	MaxObject int64
}

const defaultContent = 64 << 20

// Read gets commits by their ids in one request; with Since in two. What is no commit, and what is too big, is known as
// such. It is an error when there is more than ReadOptions.MaxBytes.
func (s *Repository) Read(ctx context.Context, ids []string, o ReadOptions) (*objects.Content, error) {
	limit := o.MaxBytes
	if limit <= 0 {
		limit = defaultContent
	}
	c := objects.NewContent(limit, cmp.Or(o.MaxObject, limit))
	if len(ids) == 0 {
		return c, nil
	}
	for _, id := range append(ids[:len(ids):len(ids)], o.Have...) {
		if h, ok := objects.ParseID(id); !ok || h.String() != id {
			return nil, fmt.Errorf("read: %q is no id of a commit", id)
		}
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	f := protocol.FetchRequest{
		Want: ids[0], Also: ids[1:], Known: o.Have, Depth: o.Depth, Since: o.Since,
		MaxBytes: 2*limit + 64<<10, // small objects are longer in a pack
	}
	if !o.Since.IsZero() {
		// git answers a time that is after all commits with a failure, and for a wanted commit before it sends all of
		// its history. So the wanted ones come first, and those that are young enough then with what is behind them.
		f.Since, f.Depth = time.Time{}, 1
	}
	err := s.readWhole(ctx, f, c)
	if err == nil && !o.Since.IsZero() {
		young := slices.DeleteFunc(ids, func(id string) bool {
			info, err := c.Commit(id)
			return err != nil || info.Committer.When.Before(o.Since)
		})
		if len(young) > 0 {
			f.Want, f.Also, f.Since, f.Depth = young[0], young[1:], o.Since, 0
			err = s.readWhole(ctx, f, c)
		}
	}
	if errors.Is(err, pack.ErrTooBig) || errors.Is(err, protocol.ErrTooLarge) {
		err = fmt.Errorf("more than %d bytes: %w", limit, pack.ErrTooBig)
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", s.classed(ctx, "read", err))
	}
	return c, nil
}

// readWhole makes one request, and looks whether all came that was wanted.
func (s *Repository) readWhole(ctx context.Context, f protocol.FetchRequest, c *objects.Content) error {
	pack, err := s.at.fetch(ctx, f)
	if err != nil {
		return err
	}
	if err = c.Unpack(ctx, pack); err == nil {
		_, err = io.Copy(io.Discard, pack) // nothing is left, and it must be read for the connection to be used again
	}
	if cerr := pack.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	for _, id := range append([]string{f.Want}, f.Also...) {
		if !c.Has(id) && !slices.Contains(f.Known, id) {
			return fmt.Errorf("%s: %w", id, objects.ErrMissing)
		}
	}
	return nil
}
