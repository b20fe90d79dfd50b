package remote

import (
	"context"
	"time"

	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/transport"
)

func (h *httpRemote) refs(ctx context.Context, o protocol.LsOptions) ([]protocol.Ref, error) {
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

func (h *httpRemote) push(ctx context.Context, updates []protocol.RefUpdate, pack []byte) (protocol.Report, error) {
	if err := h.connect(); err != nil {
		return protocol.Report{}, err
	}
	r, err := h.client.Push(ctx, updates, pack)
	return r, h.adviseTo("write", err)
}

func (s *streamRemote) refs(ctx context.Context, o protocol.LsOptions) ([]protocol.Ref, error) {
	var refs []protocol.Ref
	end, err := s.hold(ctx, talk{keep: o, ahead: true, say: func(g *protocol.Stream, _ transport.Stream) error {
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

func (s *streamRemote) push(ctx context.Context, updates []protocol.RefUpdate, pack []byte) (protocol.Report, error) {
	var report protocol.Report
	// Of the list of refs, which comes by itself, nothing is kept: no ref has an empty line in its name.
	nothing := protocol.LsOptions{Prefixes: []string{"\n"}}
	end, err := s.hold(ctx, talk{keep: nothing, push: true, say: func(g *protocol.Stream, c transport.Stream) (err error) {
		report, err = g.Push(updates, pack)
		for i, why := range report.Why {
			// The report says "failed to update ref"; what git here writes for people says why, and does not ramble.
			if _, here := s.line.(transport.Program); here && why != "" && c.Complaint() != "" {
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
