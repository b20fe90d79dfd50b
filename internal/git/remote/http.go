package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/transport"
)

// httpRemote speaks v2, and v0 where something does not understand that.
type httpRemote struct {
	way    *transport.HTTP
	client *protocol.Client // set by connect
	proven bool             // it answered in v2 once
	old    time.Time        // until then it is asked in v0
	advert *protocol.Advert // v0: what it said last
	filter string           // "yes" or "no": v2, whether it can leave things out; "" = it was not asked yet
}

func (h *httpRemote) close() { h.way.Close() }

func (h *httpRemote) connect() (err error) {
	h.client, err = h.way.Client()
	return err
}

func (h *httpRemote) tip(ctx context.Context, branch string) (Tip, error) {
	if err := h.connect(); err != nil {
		return Tip{}, err
	}
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
		if errors.Is(err, protocol.ErrNotV2) {
			return Tip{}, v0err
		}
		return Tip{}, h.advise(err)
	}
	h.proven = true
	tip, ok, err := pick(refs, branch)
	if ok || err != nil {
		return tip, err
	}
	refs, err = h.client.LsRefs(ctx, someHeads())
	if err != nil {
		return Tip{}, h.advise(err)
	}
	return Tip{}, noBranch(branch, headsOf(refs))
}

// perhapsOld says whether a failure may come from a server that stumbled over a question in v2.
func (h *httpRemote) perhapsOld(err error) bool {
	if errors.Is(err, protocol.ErrNotV2) {
		return true
	}
	var status *protocol.StatusError
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

func (h *httpRemote) fetch(ctx context.Context, f protocol.FetchRequest) (*protocol.Pack, error) {
	if err := h.connect(); err != nil {
		return nil, err
	}
	if !time.Now().Before(h.old) {
		if err := h.askFilter(ctx, &f); err != nil {
			return nil, err
		}
		p, err := h.client.Fetch(ctx, f)
		switch {
		case errors.Is(err, protocol.ErrNotV2) && h.proven:
			return nil, fmt.Errorf("the server sent an empty answer: %w", io.ErrUnexpectedEOF)
		case !errors.Is(err, protocol.ErrNotV2):
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

// askFilter asks once whether the server can leave things out. Only its greeting tells that, and one that cannot ends
// a conversation without an answer.
func (h *httpRemote) askFilter(ctx context.Context, f *protocol.FetchRequest) error {
	if f.Filter == "" {
		return nil
	}
	if h.filter == "" {
		can, err := h.client.CanFilter(ctx)
		if err != nil && !errors.Is(err, protocol.ErrNotV2) {
			return h.advise(err)
		}
		if h.filter = "no"; can {
			h.filter = "yes"
		}
	}
	if h.filter == "no" {
		f.Filter = ""
	}
	return nil
}

// advise adds what a person can do about a failure to read.
func (h *httpRemote) advise(err error) error { return h.adviseTo("read", err) }

// adviseTo is advise for what was to be done: read or write.
func (h *httpRemote) adviseTo(do string, err error) error { return h.way.Advise(do, err) }

// someHeads asks for the first few branches, for an error.
func someHeads() protocol.LsOptions {
	return protocol.LsOptions{Prefixes: []string{"refs/heads/"}, Max: 6}
}

func headsOf(refs []protocol.Ref) []string {
	var heads []string
	for _, r := range refs {
		heads = append(heads, strings.TrimPrefix(r.Name, "refs/heads/"))
	}
	return heads
}
