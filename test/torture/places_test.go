//go:build linux

package torture

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// The secrets of the places: only the places may ever see them.
const (
	roomToken     = "tok3n0fTheRoom0123456789"
	presenceToken = "tok3n0fPresence0123456789"
	cloudSecret   = "s3cret0fTheCloud0123456789"
)

// places are those where a node tells its state beside its own files, each behind a server that can misbehave.
type places struct {
	t     *testing.T
	room  *room
	store *gittest.Repo
	cloud *tagged
	meta  *cloudtest.MetadataServer

	roomWay, storeWay, cloudWay *bad

	readOnly atomic.Bool // the store refuses pushes
	dir      string      // of the store
	url      string      // of the store, as the node is told it
}

// newPlaces are all well.
func newPlaces(t *testing.T, dir string) *places {
	t.Helper()
	p := &places{t: t, room: newRoom(t), cloud: newTagged(t), meta: cloudtest.Metadata(t), roomWay: newBad(t), storeWay: newBad(t), cloudWay: newBad(t), dir: dir}
	p.store = gittest.New(t, filepath.Join(dir, "presence.git"))
	server := gittest.Serve(t, dir, gittest.ServerOptions{User: "node", Password: presenceToken, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if p.readOnly.Load() && strings.Contains(r.URL.String(), "git-receive-pack") {
				http.Error(w, "you may only read", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	p.url = p.storeWay.via(server.URL + "/presence.git")
	p.cloudWay.via(p.cloud.url)
	p.roomWay.via(p.room.url)
	return p
}

// presence is that part of a node's config.
func (p *places) presence(g *grid, more string) string {
	write(p.t, filepath.Join(g.dir, "presence-token"), presenceToken+"\n")
	return fmt.Sprintf("presence: { url: %q, auth: { username: node, password_file: %q }%s }\n", p.url, filepath.Join(g.dir, "presence-token"), more)
}

// chat is a room of a node's config.
func (p *places) chat(name string) string {
	return fmt.Sprintf("  - { url: \"hipchat://%s@%s/%s?scheme=http\", only: all }\n", roomToken, p.roomWay.addr, name)
}

// all is the config of a node that tells everybody, and makes its environment that of a machine at EC2.
func (p *places) all(g *grid) string {
	g.env = []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + p.meta.URL, "AWS_ACCESS_KEY_ID=AKIATEST", "AWS_SECRET_ACCESS_KEY=" + cloudSecret}
	return p.presence(g, "") + "chat:\n" + p.chat("ops") + fmt.Sprintf("ec2: { tags: on, endpoint: \"http://%s\", region: eu-west-1 }\n", p.cloudWay.addr)
}

// record is what the store says of a node; the zero one when it says nothing.
func (p *places) record(id string) presence.Record {
	text, err := gittest.TryGit(p.store.Dir, nil, "show", gitstore.RefPrefix+id+":"+gitstore.PathOf(id))
	if err != nil {
		return presence.Record{}
	}
	r, err := presence.Decode([]byte(text))
	if err != nil {
		p.t.Errorf("the record of %s: %v", id, err)
	}
	return r
}

// subjects are those of the commits at a node's ref, oldest first, without the node's name.
func (p *places) subjects(id string) []string {
	text, err := gittest.TryGit(p.store.Dir, nil, "log", "--reverse", "--format=%s", gitstore.RefPrefix+id)
	if err != nil {
		return nil
	}
	all := strings.Split(strings.TrimSpace(text), "\n")
	for i := range all {
		_, all[i], _ = strings.Cut(all[i], " ")
	}
	return all
}

// room is a HipChat server with rooms.
type room struct {
	url string

	mu   sync.Mutex
	said []string // ROOM: text
}

func newRoom(t *testing.T) *room {
	r := &room{}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *room) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	name := strings.TrimSuffix(strings.TrimPrefix(q.URL.Path, "/v2/room/"), "/notification")
	var m struct{ Message, Color string }
	if err := json.NewDecoder(q.Body).Decode(&m); err != nil || q.Header.Get("Authorization") != "Bearer "+roomToken {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(m.Message) {
		r.said = append(r.said, name+": "+strings.TrimSpace(line))
	}
	w.WriteHeader(http.StatusNoContent)
}

// lines are what was said in a room, and holds each of the words.
func (r *room) lines(name string, words ...string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, line := range r.said {
		if strings.HasPrefix(line, name+": ") && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			all = append(all, line)
		}
	}
	return all
}

// tagged is as much of EC2 as takes tags.
type tagged struct {
	url string

	mu     sync.Mutex
	tags   map[string]string
	denied bool
	calls  int
}

func newTagged(t *testing.T) *tagged {
	c := &tagged{tags: map[string]string{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *tagged) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	form, err := url.ParseQuery(string(body))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	switch {
	case err != nil || form.Get("Action") != "CreateTags" || !strings.Contains(q.Header.Get("Authorization"), "AKIATEST"):
		w.WriteHeader(http.StatusBadRequest)
	case c.denied:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized to perform this operation.</Message></Error></Errors><RequestID>0</RequestID></Response>`)
	default:
		for n := 1; form.Get(fmt.Sprintf("Tag.%d.Key", n)) != ""; n++ {
			c.tags[form.Get(fmt.Sprintf("Tag.%d.Key", n))] = form.Get(fmt.Sprintf("Tag.%d.Value", n))
		}
		fmt.Fprint(w, `<CreateTagsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>0</requestId><return>true</return></CreateTagsResponse>`)
	}
}

func (c *tagged) deny(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied = yes
}

func (c *tagged) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

func (c *tagged) tag(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tags[key]
}

// configure writes the config, with more keys. As an editor does: whole or not at all.
func (g *grid) configure(more string) {
	g.t.Helper()
	write(g.t, g.config()+".new", g.base+more)
	if err := os.Rename(g.config()+".new", g.config()); err != nil {
		g.t.Fatal(err)
	}
}

// id is how a node calls itself.
func (g *grid) id() string { return strings.TrimSpace(read(g.in("nodeinfo", "instance-id.txt"))) }

// written are all files that the node wrote, its standard error among them, but those of its scripts and of its clones.
// The config that it keeps for a bad day is another copy of the config, and as closed as that.
func (g *grid) written() map[string]string {
	g.t.Helper()
	all := map[string]string{g.stderr(): read(g.stderr())}
	for _, root := range []string{g.home, filepath.Join(g.dir, "lib"), filepath.Join(g.dir, "run")} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == ".git":
				return filepath.SkipDir
			case d.IsDir():
			case filepath.Base(filepath.Dir(path)) == "config":
				if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
					g.t.Errorf("%s can be read by others: %v", path, info.Mode())
				}
			default:
				all[path] = read(path)
			}
			return nil
		})
		if err != nil {
			g.t.Error(err)
		}
	}
	return all
}

// news are the lines of the log, without their times, that are warnings or worse and say this; over those that say that
// it is over.
func (g *grid) news(says string) (troubles, over []string) {
	line := regexp.MustCompile(`(?m)^\S+ (?:(WARNING|CRITICAL|ERROR) )?(.*)$`)
	for _, m := range line.FindAllStringSubmatch(g.log(), -1) {
		switch {
		case !strings.Contains(m[2], says):
		case strings.HasPrefix(m[2], "resolved after "):
			over = append(over, m[2])
		case m[1] != "":
			troubles = append(troubles, m[2])
		}
	}
	return troubles, over
}

// noSecrets looks for the secrets of the places in all that the node wrote, and in what it told.
func (p *places) noSecrets(g *grid) {
	p.t.Helper()
	secrets := []string{roomToken, presenceToken, cloudSecret}
	for path, text := range g.written() {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				p.t.Errorf("%s holds a secret: %s", path, s)
			}
		}
	}
	all, _ := gittest.TryGit(p.store.Dir, nil, "log", "--all", "-p", "-n", "50")
	for _, s := range secrets {
		if strings.Contains(all, s) {
			p.t.Errorf("the presence repository holds a secret: %s", s)
		}
	}
}
