package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/check"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/remote"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// The secrets of these tests: what check --live prints must hold none of them.
const (
	gitSecret  = "hush-git-4711"
	roomSecret = "hush-room-0815"
)

// patient is a node whose config a test writes, and check --live beside it.
type patient struct {
	t    *testing.T
	dir  string
	env  map[string]string
	uid  int
	said []check.Finding
	text string
	code int
}

func newPatient(t *testing.T) *patient {
	p := &patient{t: t, dir: t.TempDir(), env: map[string]string{}, uid: os.Getuid()}
	for path, text := range map[string]string{
		"node/nodeinfo/instance-id.txt": "n1\n", "node/nodeinfo/nodepart.txt": "app1\n", "token": gitSecret + "\n", "wrong": "hush-wrong-1\n",
		"lib/": "", "run/": "",
	} {
		path = filepath.Join(p.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			p.write(path, text)
		} else if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *patient) write(path, text string) {
	p.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// examine runs check --live twice, for people and for programs, with a config whose paths begin with DIR.
func (p *patient) examine(config string, args ...string) {
	p.t.Helper()
	path := filepath.Join(p.dir, "addagent.yaml")
	p.write(path, strings.ReplaceAll("home: DIR/node\nrun_dir: DIR/run\nstate_dir: DIR/lib\n"+config, "DIR", p.dir))
	before := p.lying()
	run := func(more ...string) (int, string) {
		var out, complaints bytes.Buffer
		args := append(append([]string{"check", "--live", "--config", path}, args...), more...)
		a := &process{&cli.Process{Args: args, In: strings.NewReader(""), Out: &out, Err: &complaints, Env: func(name string) string { return p.env[name] }, Getuid: func() int { return p.uid }}}
		code := a.Run(p.t.Context())
		if complaints.Len() > 0 {
			p.t.Errorf("standard error: %s", &complaints)
		}
		return code, out.String()
	}
	p.code, p.text = run()
	if testing.Verbose() {
		p.t.Logf("exit code %d\n%s", p.code, p.text)
	}
	code, asJSON := run("--json", "--quiet-rooms")
	p.said = nil
	if err := json.Unmarshal([]byte(asJSON), &p.said); err != nil {
		p.t.Fatalf("%v: %s", err, asJSON)
	}
	if code != p.code {
		p.t.Errorf("exit code %d, with --json %d", p.code, code)
	}
	for _, text := range []string{p.text, asJSON} {
		if strings.Contains(text, "hush") {
			p.t.Errorf("a secret is in:\n%s", text)
		}
	}
	for _, f := range p.said {
		if f.Status == check.Failing && f.Fix == "" && f.Check != "config" {
			p.t.Errorf("no fix suggested: %+v", f)
		}
	}
	if after := p.lying(); before != after {
		p.t.Errorf("check --live changed the node: before\n%s\nafter\n%s", before, after)
	}
}

// lying is what lies on the node.
func (p *patient) lying() string {
	p.t.Helper()
	var lines []string
	err := filepath.WalkDir(p.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		lines = append(lines, fmt.Sprint(path, info.Mode(), info.ModTime()))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// want is a finding that must be there, with words of its text and of its advice.
func (p *patient) want(check string, s check.Result, words, mend string) {
	p.t.Helper()
	for _, f := range p.said {
		if f.Check == check && f.Status == s && strings.Contains(f.Text, words) && strings.Contains(f.Fix, mend) {
			return
		}
	}
	p.t.Errorf("no %s of %s with %q and %q in:\n%s", s, check, words, mend, p.text)
}

// served is a repository that is worked and one of presence, behind one server that asks for a token.
func served(t *testing.T, o gittest.ServerOptions) (root string, s *gittest.Server) {
	root = t.TempDir()
	gittest.New(t, filepath.Join(root, "ops.git")).Commit("main", gittest.File("README", "x"))
	gittest.New(t, filepath.Join(root, "presence.git"))
	return root, gittest.Serve(t, root, o)
}

func withToken() gittest.ServerOptions {
	return gittest.ServerOptions{User: "x-access-token", Password: gitSecret}
}

// tell has a node tell its record, as its agent does.
func (p *patient) tell(url string, r presence.Record) {
	p.t.Helper()
	store, err := remote.New(remote.Source{URL: url, Auth: remote.Auth{TokenFile: filepath.Join(p.dir, "token")}})
	if err != nil {
		p.t.Fatal(err)
	}
	defer store.Close()
	git := gitstore.New(gitstore.Options{Remote: store, StateFile: filepath.Join(p.t.TempDir(), "presence.json")})
	defer git.Close()
	if err := git.Tell(p.t.Context(), r); err != nil {
		p.t.Fatal(err)
	}
	if err := git.Flush(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// hipchat is a room that hears those who know its token.
func hipchat(t *testing.T) (address string, heard func() []string) {
	texts := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(r.URL.String()+r.Header.Get("Authorization")+string(body), roomSecret) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		texts <- string(body)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), func() (all []string) {
		for {
			select {
			case text := <-texts:
				all = append(all, text)
			default:
				return all
			}
		}
	}
}

// silent is a server that takes connections and says nothing.
func silent(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return l.Addr().String()
}
