package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/git/transport"
)

// httpRemote speaks v2, and v0 where something does not understand that.
type httpRemote struct {
	*transport.HTTP
	proven   bool               // it answered in v2 once
	old      time.Time          // until then it is asked in v0
	greeting *protocol.Greeting // nil: it speaks v2
}

func (h *httpRemote) refs(ctx context.Context, o protocol.LsOptions) ([]protocol.Ref, error) {
	client, err := h.Client()
	if err != nil {
		return nil, err
	}
	old := time.Now().Before(h.old)
	if !old {
		var refs []protocol.Ref
		if refs, err = client.LsRefs(ctx, o); err == nil {
			h.proven, h.greeting = true, nil
			return refs, nil
		}
		if !h.perhapsOld(err) || ctx.Err() != nil {
			return nil, err
		}
	}
	g, v0err := client.Greet(ctx, o)
	if v0err != nil {
		if old || errors.Is(err, protocol.ErrNotV2) {
			err = v0err
		}
		return nil, err
	}
	refs := g.Refs
	g.Refs = nil // of the rest a fetch needs what the server can do
	if h.greeting = g; !old {
		h.old = time.Now().Add(reprobe)
	}
	return refs, nil
}

// perhapsOld says whether a failure may come from a server that stumbled over a question in v2.
func (h *httpRemote) perhapsOld(err error) bool {
	if errors.Is(err, protocol.ErrNotV2) {
		return true
	}
	status, ok := errors.AsType[*protocol.StatusError](err)
	if h.proven || !ok {
		return false
	}
	switch status.Code {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType,
		http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return false
}

func (h *httpRemote) fetch(ctx context.Context, f protocol.FetchRequest) (*protocol.Pack, error) {
	client, err := h.Client()
	if err != nil {
		return nil, err
	}
	p, err := client.Fetch(ctx, h.greeting, f)
	if err == nil || !h.greeting.SpeaksV2() || !h.perhapsOld(err) || ctx.Err() != nil {
		return p, err
	}
	if h.proven {
		return nil, fmt.Errorf("the server sent an empty answer: %w", io.ErrUnexpectedEOF)
	}
	g, v0err := client.Greet(ctx, noRefs())
	if v0err != nil {
		return nil, err
	}
	h.greeting = g
	return client.Fetch(ctx, g, f)
}

func (h *httpRemote) push(ctx context.Context, updates []protocol.RefUpdate, pack []byte) (protocol.Report, error) {
	client, err := h.Client()
	if err != nil {
		return protocol.Report{}, err
	}
	return client.Push(ctx, updates, pack)
}
