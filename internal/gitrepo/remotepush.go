package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/addagent/addagent/internal/gitaccess"
	"github.com/addagent/addagent/internal/gitwire"
)

// What httpRemote and streamRemote do for a Store.

func (h *httpRemote) refs(ctx context.Context, o gitwire.LsOptions) ([]gitwire.Ref, error) {
	if err := h.connect(); err != nil {
		return nil, err
	}
	if !time.Now().Before(h.old) {
		refs, err := h.client.LsRefs(ctx, o)
		if err == nil {
			h.proven = true
			return refs, nil
		}
		if !h.perhapsOld(err) || ctx.Err() != nil {
			return nil, h.advise(err)
		}
	}
	a, err := h.client.AdvertV0(ctx, o)
	if err != nil {
		return nil, h.advise(err)
	}
	refs := a.Refs
	a.Refs = nil // of the rest a fetch needs what the server can do
	h.advert, h.old = a, time.Now().Add(reprobe)
	return refs, nil
}

func (h *httpRemote) read(ctx context.Context, f gitwire.FetchRequest, into *Content) error {
	if err := h.connect(); err != nil {
		return err
	}
	if f.Filter != "" && !time.Now().Before(h.old) {
		// Only the greeting tells whether it can be left out, and one who cannot ends without an answer.
		if h.filter == "" {
			can, err := h.client.CanFilter(ctx)
			if err != nil && !errors.Is(err, gitwire.ErrNotV2) {
				return h.advise(err)
			}
			if h.filter = "no"; can {
				h.filter = "yes"
			}
		}
		if h.filter == "no" {
			f.Filter = ""
		}
	}
	return takeIn(ctx, into, f, h.fetch)
}

func (h *httpRemote) push(ctx context.Context, updates []gitwire.RefUpdate, objects *Objects) (gitwire.Report, error) {
	if err := h.connect(); err != nil {
		return gitwire.Report{}, err
	}
	pack, err := packFor(updates, objects)
	if err != nil {
		return gitwire.Report{}, err
	}
	r, err := h.client.Push(ctx, updates, pack)
	return r, h.adviseTo("write", err)
}

func (s *streamRemote) refs(ctx context.Context, o gitwire.LsOptions) ([]gitwire.Ref, error) {
	var refs []gitwire.Ref
	end, err := s.hold(ctx, talk{keep: o, ahead: true, say: func(g *gitwire.Stream, _ gitaccess.Stream) error {
		if a := g.Advert(); a != nil {
			refs = a.Refs
			g.HangUp()
			return nil
		}
		var err error
		refs, err = g.LsRefs(o)
		return err
	}})
	if err != nil {
		return nil, err
	}
	end()
	return refs, nil
}

func (s *streamRemote) read(ctx context.Context, f gitwire.FetchRequest, into *Content) error {
	return takeIn(ctx, into, f, s.fetch)
}

func (s *streamRemote) push(ctx context.Context, updates []gitwire.RefUpdate, objects *Objects) (gitwire.Report, error) {
	pack, err := packFor(updates, objects)
	if err != nil {
		return gitwire.Report{}, err
	}
	var report gitwire.Report
	// Of the list of refs, which comes by itself, nothing is kept: no ref has an empty line in its name.
	nothing := gitwire.LsOptions{Prefixes: []string{"\n"}}
	end, err := s.hold(ctx, talk{keep: nothing, push: true, say: func(g *gitwire.Stream, c gitaccess.Stream) (err error) {
		report, err = g.Push(updates, pack)
		for i, why := range report.Why {
			// The report says "failed to update ref"; what git here writes for people says why, and does not ramble.
			if _, here := s.line.(gitaccess.Program); here && why != "" && c.Complaint() != "" {
				report.Why[i] = why + ": " + c.Complaint()
			}
		}
		return err
	}})
	if err != nil {
		return report, err
	}
	end()
	return report, nil
}

// packFor is the pack that goes with updates: none when all of them delete.
func packFor(updates []gitwire.RefUpdate, objects *Objects) ([]byte, error) {
	for _, u := range updates {
		if u.New != "" {
			return objects.pack()
		}
	}
	return nil, nil
}

// takeIn reads the answer to a fetch into memory.
func takeIn(ctx context.Context, into *Content, f gitwire.FetchRequest,
	fetch func(context.Context, gitwire.FetchRequest) (*gitwire.Pack, error)) error {
	pack, err := fetch(ctx, f)
	if err != nil {
		return err
	}
	if err = into.objects.Unpack(ctx, pack); err == nil {
		_, err = io.Copy(io.Discard, pack) // nothing is left, and it must be read for the connection to be used again
	}
	if cerr := pack.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return nil
}
