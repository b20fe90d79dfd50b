package cloud_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/cloudtest"
)

const (
	tokenPath = "/latest/api/token"
	idPath    = "/latest/meta-data/instance-id"
)

// session is a session with a service of the test's own.
func session(t *testing.T) (*cloud.Metadata, *cloudtest.MetadataServer) {
	t.Helper()
	server := cloudtest.Metadata(t)
	m := cloud.NewMetadata(server.URL + "/")
	t.Cleanup(m.Close)
	return m, server
}

func TestWhoAmI(t *testing.T) {
	m, server := session(t)
	server.Set("instance-id", "i-0aaaaaaaaaaaaaaaa\n")
	if id, err := m.InstanceID(t.Context()); id != "i-0aaaaaaaaaaaaaaaa" || err != nil {
		t.Errorf("InstanceID = %q, %v", id, err)
	}
	if region, err := m.Region(t.Context()); region != cloudtest.Region || err != nil {
		t.Errorf("Region = %q, %v", region, err)
	}
	if id, err := cloud.InstanceID(t.Context(), server.URL); id != "i-0aaaaaaaaaaaaaaaa" || err != nil {
		t.Errorf("cloud.InstanceID = %q, %v", id, err)
	}
}

func TestASessionIsKept(t *testing.T) {
	m, server := session(t)
	ask := func() {
		t.Helper()
		if _, err := m.InstanceID(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		ask()
	}
	if n := server.Asked(tokenPath); n != 1 {
		t.Errorf("%d tokens for five questions", n)
	}
	if n := server.Connections(); n != 1 {
		t.Errorf("%d connections for five questions", n)
	}
	server.ExpireTokens()
	for range 2 {
		ask()
	}
	if n := server.Asked(tokenPath); n != 2 {
		t.Errorf("%d tokens after the first expired, want 2", n)
	}
	if n := server.Asked(idPath); n != 8 {
		t.Errorf("%d questions, want 7 and the one that was refused", n)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	m, server := session(t)
	for round := 1; round <= 2; round++ {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if id, err := m.InstanceID(t.Context()); id != cloudtest.InstanceID || err != nil {
					t.Errorf("InstanceID = %q, %v", id, err)
				}
			})
		}
		all.Wait()
		if n := server.Asked(tokenPath); n != round {
			t.Errorf("%d tokens in round %d", n, round)
		}
		server.ExpireTokens()
	}
}

func TestATokenThatIsNeverTakenIsAskedForTwice(t *testing.T) {
	m, server := session(t)
	server.Instead(idPath, cloudtest.Status(http.StatusUnauthorized))
	if _, err := m.InstanceID(t.Context()); err == nil || !strings.Contains(err.Error(), "401 Unauthorized") {
		t.Errorf("error %v", err)
	}
	if n := server.Asked(tokenPath); n != 2 {
		t.Errorf("%d tokens for one question, want 2: no loop", n)
	}
}

func TestMetadataNeverUsesAProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	// A name that only a proxy could reach: with one it would answer, without one it cannot be found, and is too long
	// to ask for.
	if id, err := cloud.InstanceID(t.Context(), "http://"+strings.Repeat("x", 64)+".invalid"); err == nil {
		t.Errorf("InstanceID = %q", id)
	}
}

func TestMetadataRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		with   http.HandlerFunc
		want   string
		absent bool
	}{
		"no IMDSv2":        {tokenPath, cloudtest.Status(http.StatusForbidden), "instance id: token: URL/latest/api/token: 403 Forbidden", false},
		"a portal":         {"*", cloudtest.Redirect, "it redirects, so it is not a metadata service", false},
		"endless":          {"*", cloudtest.Endless, "token: URL/latest/api/token: answer of more than 16384 bytes", false},
		"endless answer":   {idPath, cloudtest.Endless, "instance-id: answer of more than 16384 bytes", false},
		"empty":            {"*", func(http.ResponseWriter, *http.Request) {}, "empty answer", false},
		"a bad token":      {tokenPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a\nb")) }, "token: URL/latest/api/token: the answer is not a token", false},
		"a page as token":  {tokenPath, cloudtest.Garbage, "the answer is not a token", false},
		"token, no id":     {idPath, cloudtest.Status(http.StatusNotFound), "instance id: URL/latest/meta-data/instance-id: 404 Not Found", true},
		"cut in answer":    {"*", cloudtest.Cut, "the connection broke off", false},
		"too busy":         {idPath, cloudtest.Status(http.StatusTooManyRequests), "429 Too Many Requests", false},
		"the token hangs":  {tokenPath, cloudtest.Hang, "token: URL/latest/api/token did not answer within 1s", false},
		"the answer hangs": {idPath, cloudtest.Hang, "URL/latest/meta-data/instance-id did not answer within 1s", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, server := session(t)
			server.Instead(c.path, c.with)
			var first string
			for range 2 {
				id, err := m.InstanceID(t.Context())
				if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), server.URL, "URL"), c.want) {
					t.Fatalf("InstanceID = %q, %v, want %q", id, err, c.want)
				}
				if errors.Is(err, cloud.ErrAbsent) != c.absent {
					t.Errorf("absent: %v", err)
				}
				if first == "" {
					first = err.Error()
				}
				if err.Error() != first {
					t.Errorf("the same trouble in two ways: %q, %q", first, err)
				}
			}
			// It comes back by itself.
			server.Instead(c.path, nil)
			server.ExpireTokens()
			if id, err := m.InstanceID(t.Context()); id != cloudtest.InstanceID || err != nil {
				t.Errorf("afterwards InstanceID = %q, %v", id, err)
			}
		})
	}
}

func TestMetadataThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := cloud.InstanceID(t.Context(), server.URL)
	if want := "metadata: instance id: token: " + server.URL + "/latest/api/token: dial: connect: connection refused"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestMetadataHeedsItsContext(t *testing.T) {
	m, server := session(t)
	ctx, cancel := context.WithCancel(t.Context())
	server.Instead(idPath, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := m.InstanceID(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := cloud.InstanceID(t.Context(), "http://a b/"); err == nil {
		t.Error("a bad endpoint is no error")
	}
}

// TestAnswersRepeatTheToken: what quotes the token of the session is no metadata service, and no error passes it on.
func TestAnswersRepeatTheToken(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, token string){
		"as an answer": func(w http.ResponseWriter, token string) { _, _ = w.Write([]byte(token)) },
		"as an action": func(w http.ResponseWriter, token string) { _, _ = w.Write([]byte(`{"action": "` + token + `"}`)) },
		"as a status": func(w http.ResponseWriter, token string) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 " + token + " no\r\n\r\n"))
			c.Close()
		},
		"as a redirect": func(w http.ResponseWriter, token string) {
			w.Header().Set("Location", "/"+token)
			w.WriteHeader(http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, server := session(t)
			tokens := make(chan string, 16)
			server.Instead("*", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == tokenPath {
					_, _ = w.Write([]byte("AQAEAJ3mVh7dTq0Xn1kZ5pL9sW2cR8yB4uF6gH0jK1lM2nO3pQ4rS5t=="))
					return
				}
				token := r.Header.Get("X-Aws-Ec2-Metadata-Token")
				tokens <- token
				answer(w, token)
			})
			_, notice := m.Notice(t.Context())
			_, region := m.Region(t.Context())
			token := <-tokens
			for _, err := range []error{notice, region} {
				if err == nil || token == "" || strings.Contains(err.Error(), token[:12]) {
					t.Errorf("with token %q: %v", token, err)
				}
			}
		})
	}
}
