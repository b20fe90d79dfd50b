package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/protocol"
)

func readPack(t *testing.T, p *protocol.Pack, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte("PACK")) {
		t.Fatalf("no pack: %.20q", b)
	}
	return b
}

func TestFetchBothVersions(t *testing.T) {
	for _, v2 := range []bool{true, false} {
		src, server := gittest.Remote(t, gittest.ServerOptions{NoV2: !v2})
		var big []gittest.Change
		for range 20 {
			big = append(big, gittest.File("big", strings.Repeat("some text\n", 20000)))
		}
		old := src.Commit("main", big...)
		now := src.Commit("main", gittest.File("small", "x"))
		c := newClient(t, server.URL+"/r.git", protocol.Options{})
		fetch := func(f protocol.FetchRequest) *protocol.Pack {
			t.Helper()
			var g *protocol.Greeting
			if !v2 {
				var err error
				g, err = c.Greet(t.Context(), protocol.LsOptions{Prefixes: []string{"HEAD"}})
				if err != nil || g.V2 || len(g.Refs) != 1 || g.Refs[0].Target != "refs/heads/main" {
					t.Fatalf("%+v %v", g, err)
				}
			}
			p, err := c.Fetch(t.Context(), g, f)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		called := 0
		p := fetch(protocol.FetchRequest{Want: now, Depth: 1, Advance: func() { called++ }})
		if !slices.Equal(p.Shallow, []string{now}) {
			t.Errorf("shallow: %v", p.Shallow)
		}
		full := readPack(t, p, nil)
		step := readPack(t, fetch(protocol.FetchRequest{Want: now, Have: old, Shallow: old, Depth: 1, Thin: true}), nil)
		if len(full) < 500 || len(step) > 300 || called == 0 {
			t.Errorf("v2 %v: full %d, step %d bytes, %d calls", v2, len(full), len(step), called)
		}
		p = fetch(protocol.FetchRequest{Want: now, Have: now, Shallow: old, Depth: 1000})
		if !slices.Equal(p.Unshallow, []string{old}) || len(p.Shallow) != 0 {
			t.Errorf("v2 %v: %v %v", v2, p.Shallow, p.Unshallow)
		}
		if b := readPack(t, p, nil); len(b) != 32 {
			t.Errorf("v2 %v: a pack of %d bytes for a question", v2, len(b))
		}
		p = fetch(protocol.FetchRequest{Want: old, Have: old, Shallow: now, Depth: 1000})
		if b := readPack(t, p, nil); len(b) != 32 || len(p.Unshallow) != 0 || len(p.Shallow) != 0 {
			t.Errorf("v2 %v: %d bytes, %v %v", v2, len(b), p.Shallow, p.Unshallow)
		}
		if n := server.Conns.Load(); n != 1 {
			t.Errorf("v2 %v: %d connections", v2, n)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	src, server := gittest.Remote(t, gittest.ServerOptions{})
	id := src.Commit("main", gittest.File("a", strings.Repeat("x", 100)))
	c := newClient(t, server.URL+"/r.git", protocol.Options{})
	_, err := c.Fetch(t.Context(), nil, protocol.FetchRequest{Want: cannedID, Depth: 1})
	var remote *protocol.RemoteError
	if !errors.As(err, &remote) || !strings.Contains(remote.Text, cannedID) {
		t.Errorf("unknown commit: %v", err)
	}
	// Something we have that the server never saw: the whole snapshot comes, not all history.
	p, err := c.Fetch(t.Context(), nil, protocol.FetchRequest{Want: id, Have: cannedID, Shallow: cannedID, Depth: 1, Thin: true})
	readPack(t, p, err)
	_, v2err := newClient(t, server.URL+"/nothing.git", protocol.Options{}).LsRefs(t.Context(), mainOnly)
	var status *protocol.StatusError
	if !errors.As(v2err, &status) || status.Code != http.StatusNotFound {
		t.Error(v2err)
	}
	p, err = c.Fetch(t.Context(), nil, protocol.FetchRequest{Want: id, Depth: 1, MaxBytes: 60})
	if err == nil {
		_, err = io.ReadAll(p)
	}
	if !errors.Is(err, protocol.ErrTooLarge) {
		t.Error(err)
	}
}
