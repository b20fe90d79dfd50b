package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// side is one of those that are measured against each other.
type side string

const (
	ours    side = "addagent"
	full    side = "full clone" // of one branch, which is kinder to git than its default
	shallow side = "depth-1 clone"
)

// a benchCase is measured by itself; it may use the clones of those before it.
type benchCase struct {
	name string
	slow bool // left out by -quick
	play func(*bench, *stage)
}

// cases are played in this order: those that want a quiet remote before those that move it.
var cases = []benchCase{
	{"binary", false, (*bench).binary},
	{"clone-medium", false, func(b *bench, s *stage) { b.firstClone(s, "medium", 3) }},
	{"clone-large", true, func(b *bench, s *stage) { b.firstClone(s, "large", 2) }},
	{"look-small", false, func(b *bench, s *stage) { b.quietLook(s, "small", "1 ref, 20 files") }},
	{"look-refs1k", false, func(b *bench, s *stage) { b.quietLook(s, "refs1k", "1,000 refs") }},
	{"look-refs20k", false, func(b *bench, s *stage) { b.quietLook(s, "refs20k", "20,000 refs") }},
	{"look-medium", true, func(b *bench, s *stage) { b.quietLook(s, "medium", "5,000 files") }},
	{"look-large", true, func(b *bench, s *stage) { b.quietLook(s, "large", "60,000 files") }},
	{"look-ssh", false, func(b *bench, s *stage) { b.quietLookSSH(s, "refs1k", "1,000 refs") }},
	{"beat", false, (*bench).quietBeats},
	{"day", false, (*bench).day},
	{"one-small", false, func(b *bench, s *stage) {
		b.change(s, change{repo: "small", kind: "one", what: "1 file of 20 changed"})
	}},
	{"one-medium", false, func(b *bench, s *stage) {
		b.change(s, change{repo: "medium", kind: "one", what: "1 file of 5,000 changed", cpu: 15, rss: 16})
	}},
	{"live-medium", false, func(b *bench, s *stage) {
		b.live(s, change{repo: "medium", kind: "one", what: "1 file of 5,000 changed, the daemon", cpu: 15, rss: 16})
	}},
	{"ten-medium", false, func(b *bench, s *stage) {
		b.change(s, change{repo: "medium", kind: "ten", what: "10 commits pushed at once, 5,000 files", bytes: true})
	}},
	{"many-medium", false, func(b *bench, s *stage) {
		b.change(s, change{repo: "medium", kind: "many", what: "500 files of 5,000 changed", below: true})
	}},
	{"merge-medium", false, func(b *bench, s *stage) {
		b.change(s, change{repo: "medium", kind: "merge", what: "merge of an old branch, 5,000 commits", bytes: true, objects: 2})
	}},
	{"back-medium", false, func(b *bench, s *stage) {
		b.change(s, change{repo: "medium", kind: "back", what: "branch moved back, 5,000 commits", bytes: true, objects: 2})
	}},
	{"one-large", true, func(b *bench, s *stage) {
		b.change(s, change{repo: "large", kind: "one", what: "1 file of 60,000 changed", cpu: 40, rss: 24, down: 8})
	}},
	{"live-large", true, func(b *bench, s *stage) {
		b.live(s, change{repo: "large", kind: "one", what: "1 file of 60,000 changed, the daemon", cpu: 40, rss: 24, down: 8})
	}},
	{"many-large", true, func(b *bench, s *stage) {
		b.change(s, change{repo: "large", kind: "many", what: "500 files of 60,000 changed", runs: 3})
	}},
	{"blob", true, func(b *bench, s *stage) {
		b.change(s, change{repo: "blobs", kind: "blob", what: "a 50 MB file replaced", cpu: 700, rss: 70, runs: 3})
	}},
	{"presence-10", false, func(b *bench, s *stage) { b.crowd(s, 10) }},
	{"presence-100", false, func(b *bench, s *stage) { b.crowd(s, 100) }},
	{"presence-beat", false, (*bench).tellingBeats},
	{"presence-read", false, func(b *bench, s *stage) {
		if b.quick {
			b.reading(s, 100)
			return
		}
		b.reading(s, 1000)
	}},
	{"services", false, func(b *bench, s *stage) {
		if b.quick {
			b.services(s, 100)
			return
		}
		b.services(s, 1000)
	}},
	{"web-1000", false, func(b *bench, s *stage) { b.web(s, 1000, 100_000) }},
	{"web-10000", true, func(b *bench, s *stage) { b.web(s, 10_000, 100_000) }},
	{"presence-1000", true, func(b *bench, s *stage) { b.crowd(s, 1000) }},
}

// home is the home of the node of our side of a repository; its clone is where a daemon would have it.
func (b *bench) home(repo string) string { return b.path("run", repo, "node") }

func (b *bench) cloneDir(side side, repo string) string {
	if side == ours {
		return filepath.Join(b.home(repo), "gitrepo", repo)
	}
	return b.path("run", repo, string(side))
}

// first is the command that makes a clone.
func (b *bench) first(side side, repo string) []string {
	url, dir := b.url(side, repo), b.cloneDir(side, repo)
	switch side {
	case ours:
		return []string{b.self, "look", url, dir}
	case full:
		return []string{"git", "clone", "-q", "--single-branch", url, dir}
	}
	return []string{"git", "clone", "-q", "--depth", "1", url, dir}
}

// update is the command that brings a clone to where main is, wherever that is.
func (b *bench) update(side side, repo string) []string {
	switch side {
	case ours:
		return []string{b.self, "look", b.url(side, repo), b.cloneDir(side, repo)}
	case full:
		return []string{"sh", "-c", "git fetch -q origin main && exec git reset -q --hard FETCH_HEAD"}
	}
	return []string{"sh", "-c", "git fetch -q --depth 1 origin main && exec git reset -q --hard FETCH_HEAD"}
}

// clone makes the clone of a side when it is not there yet, and brings it to where main is.
func (b *bench) clone(s *stage, side side, repo string) string {
	dir := b.cloneDir(side, repo)
	argv, in := b.update(side, repo), dir
	key := string(side) + " " + repo
	if b.clones[key] == "" {
		b.say("  %s: %s", repo, side)
		s.must(os.MkdirAll(filepath.Dir(dir), 0o755))
		argv, in = b.first(side, repo), filepath.Dir(dir)
	}
	b.time(s, b.server(side, repo), in, argv)
	b.clones[key] = dir
	return dir
}

func (b *bench) binary(s *stage) {
	info, err := os.Stat(b.addagent)
	s.must(err)
	b.check(check{what: "binary, stripped", unit: "MB", limit: 20, ours: mb(info.Size())})
}

// firstClone measures the first clone of a repository, and keeps the last for other cases.
func (b *bench) firstClone(s *stage, repo string, runs int) {
	src := b.source(s, repo)
	all := samples{}
	for range b.few(runs) {
		for _, side := range []side{ours, shallow} {
			dir := b.cloneDir(side, repo)
			s.must(os.RemoveAll(dir))
			s.must(os.MkdirAll(filepath.Dir(dir), 0o755))
			b.say("  first clone of %s: %s", repo, side)
			all.add(side, b.time(s, b.server(side, repo), filepath.Dir(dir), b.first(side, repo)))
			b.clones[string(side)+" "+repo] = dir
		}
	}
	what := fmt.Sprintf("first shallow clone, %s files", thousands(src.Files))
	b.add(what, all, map[side]string{shallow: "git clone --depth 1"}, ours, shallow)
	if repo == "large" {
		b.check(check{what: what + ": peak", unit: "MB", limit: 80, ours: mb(all.median(ours).RSS),
			peer: mb(all.median(shallow).RSS), peerName: "git clone --depth 1"})
	}
}

// few is a number of runs, smaller when runs are to be few.
func (b *bench) few(runs int) int {
	if b.quick {
		return 1
	}
	return min(runs, b.runs)
}

// quietLook measures a look at a remote where nothing moved: ours in a loop, as a daemon does it, and the git program's
// ways to ask.
func (b *bench) quietLook(s *stage, repo, what string) {
	const lsRemote, fetch, pull = side("git ls-remote"), side("git fetch"), side("git pull")
	b.source(s, repo)
	clone := b.clone(s, ours, repo)
	theirs := b.clone(s, full, repo)
	srv := b.server(full, repo)
	peers := []struct {
		side side
		argv []string
	}{
		{lsRemote, []string{"git", "ls-remote", b.url(full, repo), "refs/heads/main"}},
		{fetch, []string{"git", "fetch", "-q", "--no-tags", "origin", "+refs/heads/main:refs/remotes/origin/main"}},
		{pull, []string{"git", "pull", "-q", "--ff-only"}},
	}
	all := samples{}
	var allocs, bytes []float64
	const n = 200
	for range b.runs {
		l, t := b.loop(s, b.server(ours, repo), b.url(ours, repo), clone, n)
		all.add(ours, sample{cost{0, l.CPU / n, l.RSS}, traffic{t.Up / n, t.Down / n, t.Requests / n, t.Conns}})
		allocs = append(allocs, float64(l.Allocs)/n)
		bytes = append(bytes, float64(l.Bytes)/n)
		for _, p := range peers {
			all.add(p.side, b.time(s, srv, theirs, p.argv))
		}
	}
	name := "quiet look, " + what
	b.add(name, all, nil, ours, lsRemote, fetch, pull)
	m, ls, pl := all.median(ours), all.median(lsRemote), all.median(pull)
	b.check(check{what: name + ": CPU", unit: "ms", limit: 0.7, ours: ms(m.CPU), peer: ms(ls.CPU), peerName: string(lsRemote), ratio: 1.0 / 15})
	b.check(check{what: name + ": CPU", unit: "ms", ours: ms(m.CPU), peer: ms(pl.CPU), peerName: string(pull), ratio: 1.0 / 25})
	b.check(check{what: name + ": bytes both ways", unit: "KB", limit: 0.8, ours: kb(m.Up + m.Down), peer: kb(pl.Up + pl.Down), peerName: string(pull)})
	b.check(check{what: name + ": requests", limit: 1, ours: float64(m.Requests), peer: float64(pl.Requests), peerName: string(pull)})
	b.check(check{what: fmt.Sprintf("%s: new connections in %d looks", name, n), limit: 0, ours: float64(m.Conns), peer: float64(n * pl.Conns), peerName: string(pull)})
	b.check(check{what: name + ": allocations", limit: 120, ours: math.Round(median(allocs))})
	b.check(check{what: name + ": allocated", unit: "KB", limit: 16, ours: median(bytes) / 1000})
}
