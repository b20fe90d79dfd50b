package page

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/fleet/web/page"
	"github.com/addagent/addagent/internal/testkit"
)

// object is a value as the server sends it.
type object map[string]any

// sampleNode is a node as grid.json has it.
func sampleNode(id, part, state string, more object) object {
	n := object{"instance-id": id, "deployment": "fed1", "nodepart": part, "state": state, "age": "present", "reason": "", "addresses": []string{"10.0.0.7"},
		"hostname": id + ".example.org", "since": stamp(-5 * time.Minute), "beat_seen": stamp(-3 * time.Second), "beat_next_by": stamp(time.Minute), "trouble": 5,
		"statelog": "setup:20261201-090011;initdone:20261201-090145;", "services": []object{},
		"repos": []object{{"name": "ops", "branch": "main", "version": strings.Repeat("c0ffee12", 5)}}}
	for key, value := range more {
		n[key] = value
	}
	return n
}

func stamp(from time.Duration) string {
	return time.Now().Add(from).UTC().Format("2006-01-02T15:04:05.000Z")
}

// wedgedNode is one that needs attention.
func wedgedNode(id, part, reason string) object {
	return sampleNode(id, part, "wedged", object{"reason": reason, "trouble": 0, "next": "addctl node " + id})
}

func sampleGrid(nodes ...object) object {
	return object{"time": stamp(0), "presence": "https://git.example.org/presence.git", "from": "refs", "every": 2, "error": nil, "notes": []string{}, "nodes": nodes,
		"versions": []object{{"repo": "ops", "branch": "main", "newest": strings.Repeat("c0ffee12", 5), "versions": []object{{"version": strings.Repeat("c0ffee12", 5), "nodes": len(nodes)}}, "behind": []string{}}},
		"services": []object{}}
}

// sampleServer sends what a test gives it, as addctl web would.
type sampleServer struct {
	*httptest.Server
	requests atomic.Int64

	mu      sync.Mutex
	grid    object
	history object
	id      int
	streams []chan string
}

func serveSample(t testing.TB, grid object) *sampleServer {
	return serveSampleAt(t, "127.0.0.1:0", grid)
}

func serveSampleAt(t testing.TB, address string, grid object) *sampleServer {
	s := &sampleServer{grid: grid, history: object{"ids": []string{}, "words": []string{}, "texts": []string{}, "list": []any{}}}
	files := map[string][]byte{"/": page.HTML(), "/page.js": page.Script(), "/page.css": page.Style()}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		w.Header().Set("Content-Security-Policy", page.Policy)
		switch data, ok := files[r.URL.Path]; {
		case ok:
			kinds := map[string]string{"/": "text/html; charset=utf-8", "/page.js": "text/javascript; charset=utf-8", "/page.css": "text/css; charset=utf-8"}
			w.Header().Set("Content-Type", kinds[r.URL.Path])
			_, _ = w.Write(data)
		case r.URL.Path == "/history.json":
			s.mu.Lock()
			defer s.mu.Unlock()
			_, _ = w.Write(encoded(s.history))
		case r.URL.Path == "/events":
			s.stream(w, r)
		default:
			http.NotFound(w, r)
		}
	}))
	listener, err := net.Listen("tcp", address)
	testkit.Must(t, err)
	s.Listener.Close()
	s.Listener = listener
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func encoded(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		return []byte(err.Error()) // the page says what is wrong with that
	}
	return data
}

func (s *sampleServer) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	told := make(chan string, 100)
	s.mu.Lock()
	s.grid["time"] = stamp(0)
	fmt.Fprintf(w, "id: %d\nevent: grid\ndata: %s\n\n", s.id, encoded(s.grid))
	s.streams = append(s.streams, told)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.streams = slices.DeleteFunc(s.streams, func(c chan string) bool { return c == told })
	}()
	for {
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case text := <-told:
			fmt.Fprint(w, text)
		case <-r.Context().Done():
			return
		}
	}
}

// open is how many streams there are.
func (s *sampleServer) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// change sends a change, and puts its nodes into the grid that a new stream gets.
func (s *sampleServer) change(change object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id++
	change["time"] = stamp(0)
	nodes, _ := s.grid["nodes"].([]object)
	changed, _ := change["nodes"].([]object)
	for _, n := range changed {
		if i := slices.IndexFunc(nodes, func(o object) bool { return o["instance-id"] == n["instance-id"] }); i >= 0 {
			nodes[i] = n
		} else {
			nodes = append(nodes, n)
		}
	}
	s.grid["nodes"] = nodes
	for key, value := range change {
		if key != "nodes" && key != "gone" {
			s.grid[key] = value
		}
	}
	for _, c := range s.streams {
		c <- fmt.Sprintf("id: %d\nevent: change\ndata: %s\n\n", s.id, encoded(change))
	}
}

// awaitStreams waits until so many tabs listen.
func (s *sampleServer) awaitStreams(t testing.TB, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d streams", n), func() bool { return s.open() == n })
}
