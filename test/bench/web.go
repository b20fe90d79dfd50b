package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
)

// pageGrid is a fleet with a history of a week, and `addctl web` that shows it.
type pageGrid struct {
	*fleetRepo
	address string
	pid     int
}

// pageGrid makes the fleet and starts the program, which must be beside addagent. It ends with the stage.
func (b *bench) pageGrid(s *stage, nodes, transitions int) *pageGrid {
	f := b.fleetRepo(s, fmt.Sprintf("web-%d", nodes), nodes)
	b.helper(s, "foldfleet", f.ours.URL+"/r.git", b.path("run", f.name, "folder")).do("%d", f.minute)
	f.remember(transitions)
	out, err := os.Create(b.path("run", f.name, "web.out"))
	s.must(err)
	cmd := exec.Command(filepath.Join(filepath.Dir(b.addagent), "addctl"), "web", "--listen", "127.0.0.1:0", "--every", "1s", "--presence", f.ours.URL+"/r.git")
	cmd.Env = append(b.env(), "XDG_CACHE_HOME="+b.path("run", f.name, "cache"))
	cmd.Stdout, cmd.Stderr = out, out
	s.must(cmd.Start())
	s.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		_ = out.Close()
	})
	g := &pageGrid{fleetRepo: f, pid: cmd.Process.Pid}
	g.until("an address", func() bool {
		said, err := os.ReadFile(out.Name())
		g.address = strings.TrimSpace(string(said))
		return err == nil && strings.HasSuffix(g.address, "/")
	})
	return g
}

// remember puts transitions of the last week into the fold's history.
func (f *fleetRepo) remember(transitions int) {
	days := map[string]*bytes.Buffer{}
	states := []node.State{node.Idle, node.Working}
	now := time.Now().UTC().Truncate(time.Second)
	for i := range transitions {
		at := now.Add(-6 * 24 * time.Hour).Add(6 * 24 * time.Hour / time.Duration(transitions) * time.Duration(i))
		t := fold.Transition{Time: at.Truncate(time.Second), ID: nodeName(i % f.nodes), Deployment: "fed1", Nodepart: "app1",
			From: string(states[i/f.nodes%2]), To: string(states[(i/f.nodes+1)%2]), Version: fmt.Sprintf("%040x", i/f.nodes)}
		line, err := json.Marshal(t)
		f.s.must(err)
		day := at.Format("2006/01/02")
		if days[day] == nil {
			days[day] = &bytes.Buffer{}
		}
		days[day].Write(append(line, '\n'))
	}
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit %s\ncommitter C <c@example.org> %d +0000\ndata 7\nhistory\nfrom %[1]s^0\n", gitstore.FoldRef, now.Unix())
	for day, lines := range days {
		fmt.Fprintf(&in, "M 100644 inline %s/%s.jsonl\ndata %d\n%s\n", gitstore.HistoryFolder, day, lines.Len(), lines)
	}
	in.WriteString("\n")
	f.repo.Import(in.Bytes())
}

func (g *pageGrid) until(what string, ok func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			g.s.Fatalf("web: no %s within two minutes", what)
		}
	}
}

// get is the size of a file of the page, as it is sent.
func (g *pageGrid) get(path string) int64 {
	r, err := http.NewRequest(http.MethodGet, g.address+path, nil)
	g.s.must(err)
	r.Header.Set("Accept-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(r)
	g.s.must(err)
	defer func() { _ = answer.Body.Close() }()
	n, err := io.Copy(io.Discard, answer.Body)
	g.s.must(err)
	if answer.StatusCode != http.StatusOK || n == 0 {
		g.s.Fatalf("%s: %s, %d bytes", path, answer.Status, n)
	}
	return n
}

// look opens streams as browsers do. Events counts what they get of a name.
func (g *pageGrid) look(streams int, name string) (events *atomic.Int64) {
	events = &atomic.Int64{}
	for range streams {
		r, err := http.NewRequest(http.MethodGet, g.address+"events", nil)
		g.s.must(err)
		r.Header.Set("Accept-Encoding", "gzip")
		client := &http.Client{Transport: &http.Transport{}}
		answer, err := client.Do(r)
		g.s.must(err)
		g.s.Cleanup(func() { _ = answer.Body.Close() })
		go func() {
			in, err := gzip.NewReader(answer.Body)
			if err != nil {
				return
			}
			lines := bufio.NewScanner(in)
			lines.Buffer(nil, 64<<20)
			for lines.Scan() {
				if lines.Text() == "event: "+name {
					events.Add(1)
				}
			}
		}()
	}
	return events
}

func (g *pageGrid) cpu() time.Duration {
	cpu, err := cpuOf(g.pid)
	g.s.must(err)
	return cpu
}

// web measures what the page costs the machine that serves it, and how much a browser receives until the list is
// there.
func (b *bench) web(s *stage, nodes, transitions int) {
	g := b.pageGrid(s, nodes, transitions)
	what := thousands(nodes) + " nodes, " + thousands(transitions) + " transitions: "
	held := func(limit float64) float64 {
		if nodes != 1000 {
			return noTarget
		}
		return limit
	}
	var first int64
	for _, path := range []string{"", "page.js", "page.css", "grid.json"} {
		first += g.get(path)
	}
	b.check(check{what: what + "bytes until the list can be used, compressed", unit: "KB", limit: held(300), ours: kb(first)})
	b.check(check{what: what + "bytes of a week of history, compressed", unit: "KB", limit: noTarget, ours: kb(g.get("history.json"))})

	b.browse(s, g, what, held)

	whole := g.look(20, "grid")
	g.until("20 browsers", func() bool { return whole.Load() == 20 })
	g.get("history.json?since=" + strconv.FormatInt(time.Now().Add(-24*time.Hour).Unix(), 10))
	rss, private, err := resident(g.pid)
	s.must(err)
	b.check(check{what: what + "resident size with 20 browsers", unit: "MB", limit: held(100), ours: mb(rss)})
	b.check(check{what: what + "private memory with 20 browsers", unit: "MB", limit: noTarget, ours: mb(private)})

	var reads []float64
	for range b.few(9) {
		before := trafficOf(g.ours).Requests
		cpu := g.cpu()
		g.until("a reading", func() bool { return trafficOf(g.ours).Requests > before })
		reads = append(reads, ms(g.cpu()-cpu))
	}
	slices.Sort(reads)
	b.check(check{what: what + "CPU for a reading without changes", unit: "ms", limit: held(10), ours: median(reads)})

	changes := g.look(100, "change")
	var updates []float64
	for range b.few(5) {
		had := changes.Load()
		g.say(10)
		cpu := g.cpu()
		g.until("an update", func() bool { return changes.Load() >= had+100 })
		updates = append(updates, ms(g.cpu()-cpu))
	}
	b.check(check{what: what + "CPU for an update of 10 nodes to 100 streams", unit: "ms", limit: held(50), ours: median(updates)})
}
