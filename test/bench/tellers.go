package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// tellingBeats measures what a quiet beat costs a daemon that has a presence repository and a room to tell, beside one
// that has neither: real daemons that beat in turns, as fast as they can.
func (b *bench) tellingBeats(s *stage) {
	const repo, turn = "small", 10
	turns := 10
	if b.quick {
		turns = 3
	}
	b.source(s, repo)
	root := b.path("run", "tellers")
	there := gittest.New(s, filepath.Join(root, "repos", "presence.git"))
	remote := serveCounted(s, filepath.Join(root, "repos"), gittest.ServerOptions{})
	var posts atomic.Int64
	room := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	s.Cleanup(room.Close)
	chat := fmt.Sprintf("chat:\n  - { url: \"generic://%s/room?disabletls=yes\" }\n", strings.TrimPrefix(room.URL, "http://"))
	daemons := []*struct {
		id, what, more string
		d              *daemon
		seq            uint64
		cpu            time.Duration
	}{
		{id: "i-alone", what: "neither"},
		{id: "i-path", what: "presence by path, a room", more: fmt.Sprintf("presence: { url: %q }\n", there.Dir) + chat},
		{id: "i-http", what: "presence over HTTP, a room", more: fmt.Sprintf("presence: { url: %q }\n", remote.URL+"/presence.git") + chat},
	}
	for _, one := range daemons {
		one.d = b.daemonAt(s, filepath.Join(root, one.id), one.id, repo, "@every 24h", one.more)
		one.seq = one.d.rest(s)
		if one.more == "" {
			continue
		}
		if !eventually(func() bool {
			record, err := gittest.TryGit(there.Dir, nil, "show", gitstore.RefName(gitstore.RefPrefix, one.id)+":"+gitstore.PathOf(one.id))
			if err != nil {
				return false
			}
			r, err := presence.Decode([]byte(record + "\n"))
			return err == nil && r.State == node.Idle
		}) {
			said, _ := os.ReadFile(one.d.log)
			s.Fatalf("%s is not told: %s", one.id, said)
		}
		one.seq = one.d.beat(s, one.seq, beat.quiet).Seq
	}
	before := trafficOf(remote)
	said := posts.Load()
	for range turns {
		for _, one := range daemons {
			was, err := cpuOf(one.d.cmd.Process.Pid)
			s.must(err)
			for range turn {
				one.seq = one.d.beat(s, one.seq, beat.quiet).Seq
			}
			cpu, err := cpuOf(one.d.cmd.Process.Pid)
			s.must(err)
			one.cpu += cpu - was
		}
	}
	n := time.Duration(turns * turn)
	alone, heldAlone := daemons[0].cpu/n, daemons[0].d.standing(s)
	for _, one := range daemons {
		held := one.d.standing(s)
		name := "quiet beat, " + one.what
		b.lines = append(b.lines, line{name, "addagent run", turns * turn, sample{cost: cost{0, one.cpu / n, held.rss}}})
		if one.more == "" {
			continue
		}
		b.check(check{what: name + ": CPU", unit: "ms", limit: 2, ours: ms(one.cpu / n), peer: ms(alone), peerName: "neither"})
		b.check(check{what: fmt.Sprintf("resident after %d beats, %s", one.seq, one.what), unit: "MB", limit: 20, ours: mb(held.rss), peer: mb(heldAlone.rss), peerName: "neither"})
	}
	b.check(check{what: fmt.Sprintf("requests at the presence repository in %d quiet beats", turns*turn), limit: 0, ours: float64(trafficOf(remote).since(before).Requests)})
	b.check(check{what: fmt.Sprintf("lines in the room in %d quiet beats", 2*turns*turn), limit: 0, ours: float64(posts.Load() - said)})
}

// eventually waits until something is so; false = it is not within a minute.
func eventually(is func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
