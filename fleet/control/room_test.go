package control

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// pub is a room that can be closed, and knows what was said in it.
type pub struct {
	url    string
	closed atomic.Bool
	knocks atomic.Int64 // tries while it was closed

	mu    sync.Mutex
	heard []string
}

func newPub(t *testing.T) *pub {
	p := &pub{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.closed.Load() {
			p.knocks.Add(1)
			http.Error(w, "closed", http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		var m struct{ Message string }
		if err := json.Unmarshal(body, &m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.heard = append(p.heard, strings.Split(m.Message, "\n")...)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	p.url = "hipchat://t0psecret@" + strings.TrimPrefix(s.URL, "http://") + "/ops?scheme=http"
	return p
}

// lines are what was said so far, without the times of those that came late.
func (p *pub) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, l := range p.heard {
		if _, text, late := strings.Cut(l, " UTC "); late {
			l = text
		}
		all = append(all, l)
	}
	return all
}
