package main

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// chatRoom is a chat room of HipChat's form (its API v2) with one person in it, who reads on the demo's screen.
type chatRoom struct {
	URL string // as a config names it; holds the token

	token   string
	out     io.Writer
	colours bool
	server  *http.Server

	mu   sync.Mutex
	said []string // a line each
}

func openRoom(out io.Writer, colours bool) (*chatRoom, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &chatRoom{token: rand.Text(), out: out, colours: colours}
	r.URL = fmt.Sprintf("hipchat://%s@%s/ops?scheme=http", r.token, listener.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/room/ops/notification", r.receive)
	r.server = &http.Server{Handler: mux}
	go r.server.Serve(listener) //nolint:errcheck // ends with close
	return r, nil
}

func (r *chatRoom) receive(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Authorization") != "Bearer "+r.token {
		http.Error(w, "not your room", http.StatusUnauthorized)
		return
	}
	var m struct {
		Color   string `json:"color"`
		Notify  bool   `json:"notify"`
		Message string `json:"message"`
	}
	if err := json.NewDecoder(io.LimitReader(q.Body, 1<<20)).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	r.mu.Lock()
	r.said = append(r.said, m.Message)
	r.mu.Unlock()
	bell := ""
	if m.Notify {
		bell = "!"
	}
	shown := fmt.Sprintf("%-7s %s", m.Color+bell, m.Message)
	if r.colours {
		shown = "\x1b[" + cmp.Or(map[string]string{"red": "31", "green": "32", "yellow": "33"}[m.Color], "90") + "m" + shown + "\x1b[0m"
	}
	fmt.Fprintf(r.out, "   #ops    %s\n", shown)
}

// count counts the lines in which all the words are.
func (r *chatRoom) count(words ...string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.said {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			n++
		}
	}
	return n
}
