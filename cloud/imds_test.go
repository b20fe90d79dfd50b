package cloud

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// metadata is a service that gives nothing without the token it handed out.
func metadata(t *testing.T, id string) string {
	t.Helper()
	const token = "AQAEAJ-of-56-characters-or-so=="
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") == "" || r.Header.Get("X-Forwarded-For") != "" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(token))
	})
	mux.HandleFunc("GET /latest/meta-data/instance-id", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-aws-ec2-metadata-token") != token {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(id))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestInstanceID(t *testing.T) {
	id, err := InstanceID(t.Context(), metadata(t, "i-0123456789abcdef0\n")+"/")
	if id != "i-0123456789abcdef0" || err != nil {
		t.Errorf("InstanceID = %q, %v", id, err)
	}
}

func TestInstanceIDNeverUsesAProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	// A name that only a proxy could reach: with one it would answer, without one it cannot be found.
	if id, err := InstanceID(t.Context(), "http://metadata.invalid"); err == nil {
		t.Errorf("InstanceID = %q", id)
	}
}

func TestInstanceIDRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"no IMDSv2":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "token: URL/latest/api/token: 403 Forbidden"},
		"a portal":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "redirects"},
		"endless":       {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "more than 4096 bytes"},
		"empty":         {func(http.ResponseWriter, *http.Request) {}, "empty answer"},
		"a bad token":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a\nb")) }, "instance id"},
		"token, no id":  {tokenOnly, "instance id: URL/latest/meta-data/instance-id: 404 Not Found"},
		"cut in answer": {func(w http.ResponseWriter, _ *http.Request) { cut(w) }, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			t.Cleanup(server.Close)
			id, err := InstanceID(t.Context(), server.URL)
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), server.URL, "URL"), c.want) {
				t.Errorf("InstanceID = %q, %v, want %q", id, err, c.want)
			}
		})
	}
}

func TestInstanceIDIsBounded(t *testing.T) {
	for name, path := range map[string]string{"the token hangs": "/latest/api/token", "the id hangs": "/latest/meta-data/instance-id"} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == path {
					<-r.Context().Done()
					return
				}
				_, _ = w.Write([]byte("token"))
			}))
			t.Cleanup(server.Close)
			_, err := InstanceID(t.Context(), server.URL)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not answer within 1s") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestInstanceIDHeedsItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := InstanceID(ctx, metadata(t, "i-1")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := InstanceID(t.Context(), "http://a b/"); err == nil {
		t.Error("a bad endpoint is no error")
	}
}

func tokenOnly(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte("token"))
}

func endless(w http.ResponseWriter) {
	chunk := []byte(strings.Repeat("x", 1<<16))
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func cut(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "100")
	_, _ = w.Write([]byte("abc"))
}
