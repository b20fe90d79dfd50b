package web

import (
	"net/http"
	"time"
)

// events is a stream of server-sent events: one named grid with everything, then one named change for each reading
// that changed something. A browser that comes back says by Last-Event-ID (or ?last=) what it has.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	leave, ok := s.hub.enter(streamsMost)
	if !ok {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many pages are open: this server has 200 streams at most", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = r.URL.Query().Get("last")
	}
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-cache, no-transform, private")
	head.Set("X-Accel-Buffering", "no") // nginx would hold events back
	head.Set("Vary", "Accept-Encoding")
	out := stream{ResponseController: http.NewResponseController(w), w: w, zip: takesZip(r)}
	if out.zip {
		head.Set("Content-Encoding", "gzip")
	}
	if r.Method == http.MethodHead {
		return
	}
	hello := frame{plain: []byte(": addctl\nretry: 2000\n\n")}
	hello.zip = append([]byte(zipHead), piece(hello.plain)...)
	idle := frame{plain: []byte(": \n\n")}
	idle.zip = piece(idle.plain)
	if !out.send(&hello) {
		return
	}
	number := s.hub.seen(last)
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		f, next := s.hub.frame(number)
		if f != nil {
			if !out.send(f) {
				return
			}
			number = f.number
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-next:
		case <-alive.C:
			if !out.send(&idle) {
				return
			}
		}
	}
}

type stream struct {
	*http.ResponseController
	w   http.ResponseWriter
	zip bool
}

// send writes an event at once; false = the client is gone, or too slow.
func (s *stream) send(f *frame) bool {
	data := f.plain
	if s.zip {
		data = f.zip
	}
	if s.SetWriteDeadline(time.Now().Add(sendTime)) != nil {
		return false
	}
	if _, err := s.w.Write(data); err != nil {
		return false
	}
	return s.Flush() == nil
}
