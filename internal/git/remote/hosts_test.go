package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/testkit"
)

// host is a repository behind a server that is not git's own.
func host(t *testing.T, o gittest.ServerOptions, name string) (*gittest.Repo, *Repository) {
	t.Helper()
	src, server := gittest.Remote(t, o)
	src.Git("config", "http.receivepack", "true")
	at, err := New(Source{URL: server.URL + "/" + name, Agent: "addagent/test"})
	testkit.Must(t, err)
	t.Cleanup(func() { _ = at.Close() })
	return src, at
}

// received fetches a commit, and returns how many bytes came.
func received(t *testing.T, at *Repository, f protocol.FetchRequest) int64 {
	t.Helper()
	p, err := at.Fetch(t.Context(), f)
	testkit.Must(t, err)
	defer p.Close()
	n, err := io.Copy(io.Discard, p)
	testkit.Must(t, err)
	return n
}

// TestAzure: over v0 a client announces what git announces, and takes ACK ID common and ready.
func TestAzure(t *testing.T) {
	src, at := host(t, gittest.ServerOptions{Wrap: gittest.Azure}, "r.git")
	old := src.Commit("main", gittest.File("a", strings.Repeat("some text\n", 1000)))
	now := src.Commit("main", gittest.File("b", "x"))
	received(t, at, protocol.FetchRequest{Want: now, Depth: 1}) // the first that it hears of us
	tip, err := at.Tip(t.Context(), "main")
	if err != nil || tip.ID != now {
		t.Fatalf("%+v %v", tip, err)
	}
	if n := received(t, at, protocol.FetchRequest{Want: now, Depth: 1}); n < 200 {
		t.Errorf("a clone of %d bytes", n)
	}
	for _, f := range []protocol.FetchRequest{
		{Want: now, Have: old, Shallow: old, Depth: 1, Thin: true},
		{Want: now, Have: old}, // all that the server has is acknowledged by a word
		{Want: now, Known: []string{old}, Depth: 1},
	} {
		if n := received(t, at, f); n < 32 || n > 500 {
			t.Errorf("a step of %d bytes", n)
		}
	}
	testkit.Must(t, at.Push(t.Context(), Update{Ref: "refs/heads/presence/x", New: old}))
}

// TestGitLab: a repository without .git in its URL is where the first GET is redirected to, for every kind of question.
func TestGitLab(t *testing.T) {
	for _, first := range []string{"tip", "list", "push"} {
		src, at := host(t, gittest.ServerOptions{Wrap: gittest.GitLab}, "r")
		id := src.Commit("main", gittest.File("a", "x"))
		do := map[string]func() error{
			"tip":  func() error { _, err := at.Tip(t.Context(), "main"); return err },
			"list": func() error { _, err := at.Refs(t.Context(), "refs/heads/"); return err },
			"push": func() error { return at.Push(t.Context(), Update{Ref: "refs/heads/side", New: id}) },
		}
		if err := do[first](); err != nil {
			t.Errorf("%s: %v", first, err)
		}
		received(t, at, protocol.FetchRequest{Want: id, Depth: 1})
	}
	_, at := host(t, gittest.ServerOptions{Wrap: gittest.GitLab}, "none")
	if _, err := at.Tip(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "404") || !errors.Is(err, ErrAccess) {
		t.Errorf("nothing there: %v", err)
	}
}

// TestServerOfFiles: it says what it is, and not that credentials are missing.
func TestServerOfFiles(t *testing.T) {
	src := gittest.New(t, filepath.Join(t.TempDir(), "r.git"))
	src.Commit("main", gittest.File("a", "x"))
	src.Git("update-server-info")
	files := http.FileServer(http.Dir(filepath.Dir(src.Dir)))
	for _, post := range []int{0, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && post != 0 {
				w.WriteHeader(post)
				return
			}
			files.ServeHTTP(w, r)
		}))
		defer server.Close()
		at, err := New(Source{URL: server.URL + "/r.git"})
		testkit.Must(t, err)
		_, err = at.Tip(t.Context(), "main")
		if err == nil || !strings.Contains(err.Error(), "dumb protocol") || strings.Contains(err.Error(), "auth") || !errors.Is(err, ErrAccess) {
			t.Errorf("POST gives %d: %v", post, err)
		}
		if err = at.Push(t.Context(), Update{Ref: "refs/heads/x", Old: strings.Repeat("1", 40)}); err == nil || !strings.Contains(err.Error(), "dumb protocol") {
			t.Errorf("POST gives %d, push: %v", post, err)
		}
	}
}

// TestRefusalSaysWhy: what a hook prints, and why git could not move a ref, is in the error, over each way.
func TestRefusalSaysWhy(t *testing.T) {
	src, server := gittest.Remote(t, gittest.ServerOptions{})
	src.Git("config", "http.receivepack", "true")
	id := src.Commit("main", gittest.File("a", "x"))
	src.Git("update-ref", "refs/heads/presence", id)
	hook := filepath.Join(src.Dir, "hooks", "pre-receive")
	testkit.Must(t, os.MkdirAll(filepath.Dir(hook), 0o755))
	testkit.Must(t, os.WriteFile(hook, []byte("#!/bin/sh\ngrep -q refs/heads/closed || exit 0\necho 'freeze until Monday, ask Ada' >&2; exit 1\n"), 0o755))
	sshd := gittest.StartSSHD(t)
	for _, source := range []Source{
		{URL: server.URL + "/r.git"}, {URL: src.Dir},
		{URL: sshd.URL(src.Dir), Auth: Auth{SSHKeyFiles: []string{sshd.KeyFile}, KnownHostsFile: sshd.KnownHosts}},
	} {
		at, err := New(source)
		testkit.Must(t, err)
		defer at.Close()
		for ref, why := range map[string]string{"refs/heads/closed": "freeze until Monday, ask Ada", "refs/heads/presence/i-1": "'refs/heads/presence' exists"} {
			err := at.Push(t.Context(), Update{Ref: ref, New: id})
			var no *Rejected
			if !errors.As(err, &no) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %s: %v", source.URL, ref, err)
			}
		}
		testkit.Must(t, at.Push(t.Context(), Update{Ref: "refs/heads/open", New: id}))
		testkit.Must(t, at.Push(t.Context(), Update{Ref: "refs/heads/open", Old: id}))
	}
}

// TestServerRepeatsTheToken in everything that it can say: no error, no list of refs and no tip holds it.
func TestServerRepeatsTheToken(t *testing.T) {
	const token = "ghp_Q7vXz81LkMnBw72TyUiOp0AsDfGh"
	id := strings.Repeat("12", 20)
	line := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	type answer struct {
		status int
		kind   string // of its Content-Type; "" = the one that was asked for
		header map[string]string
		body   func(word string) string
	}
	plain := func(text string) func(string) string {
		return func(word string) string { return strings.ReplaceAll(text, "TOKEN", word) }
	}
	v2 := line("version 2") + line("fetch=shallow") + "0000"
	band := func(channel byte, text string) string { return line(string(channel) + text) }
	answers := map[string]answer{
		"ERR":           {200, "", nil, func(w string) string { return line("ERR no entry for " + w) }},
		"not a line":    {200, "", nil, func(w string) string { return line(w) + "0000" }},
		"a ref":         {200, "", nil, func(w string) string { return line(id+" refs/heads/"+w) + "0000" }},
		"HEAD":          {200, "", nil, func(w string) string { return line(id+" HEAD symref-target:refs/heads/"+w) + "0000" }},
		"object format": {200, "", nil, func(w string) string { return line("version 2") + line("object-format="+w) + "0000" }},
		"v0 greeting": {200, "", nil, func(w string) string {
			return line("# service=git-upload-pack") + "0000" + line(id+" refs/heads/"+w+"\x00shallow") + "0000"
		}},
		"section":   {200, "", nil, func(w string) string { return line(w) }},
		"border":    {200, "", nil, func(w string) string { return line("shallow-info") + line("shallow "+w) }},
		"side band": {200, "", nil, func(w string) string { return line("packfile") + band(3, "no entry for "+w) }},
		"unpack":    {200, "", nil, func(w string) string { return line("unpack "+w) + line("ng refs/heads/x "+w) + "0000" }},
		"ng":        {200, "", nil, func(w string) string { return line("unpack ok") + line("ng refs/heads/x no, "+w) + "0000" }},
		"ng, side band": {200, "", nil, func(w string) string {
			return band(2, "remote hook: "+w) + band(1, line("unpack ok")+line("ng refs/heads/x no")+"0000") + "0000"
		}},
		"report, fatal":    {200, "", nil, func(w string) string { return band(3, w) }},
		"another type":     {200, "text/TOKEN", nil, plain("TOKEN")},
		"body":             {403, "text/plain", nil, plain("you sent TOKEN")},
		"redirect":         {301, "", map[string]string{"Location": "/TOKEN/r.git/git-upload-pack"}, plain("")},
		"redirect away":    {302, "", map[string]string{"Location": "http://TOKEN.example.org/git-upload-pack"}, plain("")},
		"redirect nowhere": {307, "", map[string]string{"Location": "/login?token=TOKEN"}, plain("")},
		"scheme":           {401, "", map[string]string{"WWW-Authenticate": "TOKEN realm=x"}, plain("")},
		"broken":           {0, "", nil, plain("HTTP/1.1 200 OK\r\nTOKEN\r\n\r\n")},
		"encoding":         {0, "", nil, plain("HTTP/1.1 200 OK\r\nTransfer-Encoding: TOKEN\r\n\r\n")},
		"length":           {0, "", nil, plain("HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n")},
		"greeting, later":  {200, "", nil, func(w string) string { return v2 + line("ERR "+w) }},
	}
	words := map[string]string{"whole": token, "a window": token[5:17], "of Basic": base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))}
	file := filepath.Join(t.TempDir(), "token")
	gittest.WriteFile(t, file, token+"\n")
	for name, a := range answers {
		for form, word := range words {
			if form == "a window" && slices.Contains([]string{"a ref", "HEAD", "v0 greeting", "redirect"}, name) {
				word = token[5:25] // a name is data: it may have a short window in common by accident
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if a.status == 0 {
					c, _, _ := w.(http.Hijacker).Hijack()
					_, _ = io.WriteString(c, a.body(word))
					_ = c.Close()
					return
				}
				kind := strings.Replace(r.Header.Get("Content-Type"), "request", "result", 1)
				if r.Method == http.MethodGet {
					kind = "application/x-git-upload-pack-advertisement"
				}
				if a.kind != "" {
					kind = strings.ReplaceAll(a.kind, "TOKEN", strings.Trim(word, "="))
				}
				w.Header().Set("Content-Type", kind)
				for key, value := range a.header {
					w.Header().Set(key, strings.ReplaceAll(value, "TOKEN", strings.Trim(word, "=")))
				}
				w.WriteHeader(a.status)
				_, _ = io.WriteString(w, a.body(word))
			}))
			var said []string
			for _, do := range []func(ctx context.Context, at *Repository) (string, error){
				func(ctx context.Context, at *Repository) (string, error) {
					tip, err := at.Tip(ctx, "")
					return tip.Branch, err
				},
				func(ctx context.Context, at *Repository) (string, error) {
					_, err := at.Tip(ctx, "main")
					return "", err
				},
				func(ctx context.Context, at *Repository) (string, error) {
					refs, err := at.Refs(ctx)
					return fmt.Sprint(refs), err
				},
				func(ctx context.Context, at *Repository) (string, error) {
					_, err := at.Read(ctx, []string{id}, ReadOptions{})
					return "", err
				},
				func(ctx context.Context, at *Repository) (string, error) {
					return "", at.Push(ctx, Update{Ref: "refs/heads/x", New: id, Objects: &objects.Builder{}})
				},
			} {
				at, err := New(Source{URL: server.URL + "/r.git", Auth: Auth{TokenFile: file}})
				testkit.Must(t, err)
				text, err := do(t.Context(), at)
				said = append(said, text, fmt.Sprint(err))
				_ = at.Close()
			}
			server.Close()
			all := strings.ToLower(strings.Join(said, "\n"))
			for i := 0; i+8 <= len(word) && word != words["of Basic"]; i++ {
				if strings.Contains(all, strings.ToLower(word[i:i+8])) {
					t.Errorf("%s, %s: %q is in\n%s", name, form, word[i:i+8], strings.Join(said, "\n"))
					break
				}
			}
			if strings.Contains(all, strings.ToLower(words["of Basic"][16:24])) {
				t.Errorf("%s, %s: in\n%s", name, form, strings.Join(said, "\n"))
			}
		}
	}
}

// TestSHA256: a repository whose objects are named by another hash says so, over each way and version.
func TestSHA256(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "r.git")
	gittest.Git(t, root, "init", "-q", "--bare", "--object-format=sha256", "-b", "main", dir)
	tree := strings.TrimSpace(gittest.Git(t, dir, "hash-object", "-t", "tree", "-w", "/dev/null"))
	id := strings.TrimSpace(gittest.Git(t, dir, "commit-tree", "-m", "x", tree))
	gittest.Git(t, dir, "update-ref", "refs/heads/main", id)
	sshd := gittest.StartSSHD(t)
	auth := Auth{SSHKeyFiles: []string{sshd.KeyFile}, KnownHostsFile: sshd.KnownHosts}
	for name, source := range map[string]Source{
		"v2": {URL: gittest.Serve(t, root, gittest.ServerOptions{}).URL + "/r.git"}, "v0": {URL: gittest.Serve(t, root, gittest.ServerOptions{NoV2: true}).URL + "/r.git"},
		"ssh": {URL: sshd.URL(dir), Auth: auth}, "path": {URL: dir}, "git": {URL: gittest.Daemon(t, root) + "/r.git"},
	} {
		at, err := New(source)
		testkit.Must(t, err)
		for range 2 {
			_, err = at.Tip(t.Context(), "main")
			if err == nil || !strings.Contains(err.Error(), "sha256") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err = at.Push(t.Context(), Update{Ref: "refs/heads/x", New: strings.Repeat("12", 20), Objects: &objects.Builder{}}); err == nil {
			t.Errorf("%s: pushed", name)
		}
		_ = at.Close()
	}
}

// TestTagsAreNoBranches: the words of a branch that is a tag, and of a repository that has nothing else.
func TestTagsAreNoBranches(t *testing.T) {
	for _, noV2 := range []bool{false, true} {
		src, at := host(t, gittest.ServerOptions{NoV2: noV2}, "r.git")
		tip := func(branch, want string) {
			t.Helper()
			_, err := at.Tip(t.Context(), branch)
			if absent := (*NoBranchError)(nil); !errors.As(err, &absent) || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", branch, err, want)
			}
		}
		tip("", "empty")
		id := src.Commit("main", gittest.File("a", "x"))
		src.Git("tag", "v1.0", id)
		tip("v1.0", `"v1.0" is a tag; the remote has the branches main`)
		tip("v1", `branch "v1" is not there; the remote has main`)
		src.Git("update-ref", "-d", "refs/heads/main")
		tip("", "has tags and no branch")
		tip("main", "has tags and no branch")
	}
}

// TestKeyIsNotEnough: a server that wants a password after the key does not refuse the key.
func TestKeyIsNotEnough(t *testing.T) {
	d := gittest.StartSSHDWith(t, gittest.SSHDOptions{More: []string{"PasswordAuthentication yes", "AuthenticationMethods publickey,password"}})
	for key, want := range map[string]bool{d.KeyFile: true, d.NewKey("other"): false} {
		at, err := New(Source{URL: d.URL("/r.git"), Auth: Auth{SSHKeyFiles: []string{key}, KnownHostsFile: d.KnownHosts}})
		testkit.Must(t, err)
		_, err = at.Tip(t.Context(), "main")
		if !errors.Is(err, ErrAccess) || strings.Contains(err.Error(), "it takes a key, and wants more") != want {
			t.Errorf("%s: %v", key, err)
		}
		_ = at.Close()
	}
}

// TestOtherLogins: a server that takes no password names what it takes, and is not given new credentials in vain.
func TestOtherLogins(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	gittest.WriteFile(t, file, "Q7vXz81LkMnBw72\n")
	for want, offers := range map[string][]string{
		"it offers Digest to log in":          {`Digest realm="a, b", qop="auth,auth-int", nonce="x=="`},
		"it offers NTLM, Negotiate to log in": {"NTLM", "Negotiate"},
		"it offers Bearer to log in":          {`Bearer realm="https://h/token",service="h"`},
		"it refuses the credentials":          {"Negotiate", `Basic realm="x"`},
		"refuses the credentials":             {`Digest realm="x", basic realm="y"`},
		"refuses the credentials of":          nil,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Www-Authenticate"] = offers
			w.WriteHeader(http.StatusUnauthorized)
		}))
		at, err := New(Source{URL: server.URL + "/r.git", Auth: Auth{TokenFile: file}})
		testkit.Must(t, err)
		if _, err = at.Tip(t.Context(), "main"); !errors.Is(err, ErrAccess) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", offers, err, want)
		}
		server.Close()
	}
}
