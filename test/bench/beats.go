package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// quietBeats lets real daemons beat each second, side by side, and measures what a beat costs when nothing is new, and
// what they hold after so many.
func (b *bench) quietBeats(s *stage) {
	repos := []struct{ repo, what string }{
		{"small", "1 ref, 20 files"}, {"refs1k", "1,000 refs"}, {"refs20k", "20,000 refs"}, {"large", "60,000 files"},
	}
	beats := uint64(100)
	if b.quick {
		repos, beats = repos[:3], 20
	}
	type reading struct {
		seq uint64
		cpu time.Duration
		traffic
	}
	daemons := map[string]*daemon{}
	read := func(repo string, is func(beat) bool) reading {
		d := daemons[repo]
		t := d.until(s, time.Duration(beats)*time.Second+2*time.Minute, is)
		cpu, err := cpuOf(d.cmd.Process.Pid)
		s.must(err)
		return reading{t.Seq, cpu, trafficOf(b.server(ours, repo))}
	}
	begin := map[string]reading{}
	for _, r := range repos {
		b.source(s, r.repo)
		b.clone(s, ours, r.repo)
		b.clone(s, full, r.repo)
		daemons[r.repo] = b.daemon(s, r.repo, "@every 1s")
	}
	for _, r := range repos {
		// The first quiet beat may still hold what the beats before it left to collect.
		first := read(r.repo, beat.quiet)
		begin[r.repo] = read(r.repo, func(t beat) bool { return t.quiet() && t.Seq >= first.seq+3 })
	}
	const pull = side("git pull")
	peers := samples{}
	for i := range b.runs {
		for _, r := range repos {
			peers.add(side(r.repo), b.time(s, b.server(full, r.repo), b.cloneDir(full, r.repo), []string{"git", "pull", "-q", "--ff-only"}))
		}
		b.say("  git pull %d of %d, beside the beats", i+1, b.runs)
	}
	for _, r := range repos {
		end := read(r.repo, func(t beat) bool { return t.quiet() && t.Seq >= begin[r.repo].seq+beats })
		was := begin[r.repo]
		n := int64(end.seq - was.seq)
		rss, private, err := resident(daemons[r.repo].cmd.Process.Pid)
		s.must(err)
		t := end.since(was.traffic)
		per := sample{cost{0, (end.cpu - was.cpu) / time.Duration(n), rss}, traffic{t.Up / n, t.Down / n, t.Requests / n, t.Conns}}
		name := "quiet beat, " + r.what
		peer := peers.median(side(r.repo))
		b.lines = append(b.lines, line{name, "addagent run", int(n), per}, line{name, string(pull), b.runs, peer})
		b.check(check{what: name + ": CPU", unit: "ms", limit: 2, ours: ms(per.CPU), peer: ms(peer.CPU), peerName: string(pull)})
		b.check(check{what: fmt.Sprintf("resident after %d beats, %s (%.1f MB of it private)", end.seq, r.what, mb(private)), unit: "MB", limit: 20, ours: mb(rss)})
	}
}

// day lets a real daemon beat as often as in a day in which nothing is new, as fast as it can, and measures the whole
// of it: from its start to its last beat.
func (b *bench) day(s *stage) {
	const repo, what, pull = "small", "1,440 quiet beats", side("git pull")
	beats, pulls := uint64(1440), 100
	if b.quick {
		pulls = 20
	}
	b.source(s, repo)
	b.clone(s, ours, repo)
	b.clone(s, full, repo)
	srv := b.server(ours, repo)
	before := trafficOf(srv)
	d := b.daemon(s, repo, "@every 24h")
	seq := d.rest(s)
	held := map[uint64]standing{}
	for i := uint64(1); i <= beats; i++ {
		seq = d.beat(s, seq, beat.quiet).Seq
		if i == 10 || i == 700 || i == beats {
			held[i] = d.standing(s)
			b.say("  beat %d: %.1f MB resident, %d descriptors", i, mb(held[i].rss), held[i].files)
		}
	}
	cpu, err := cpuOf(d.cmd.Process.Pid)
	s.must(err)
	t := trafficOf(srv).since(before)
	last := held[beats]
	all := samples{}
	for i := range pulls {
		all.add(pull, b.time(s, b.server(full, repo), b.cloneDir(full, repo), []string{"git", "pull", "-q", "--ff-only"}))
		if (i+1)%20 == 0 {
			b.say("  git pull %d of %d", i+1, pulls)
		}
	}
	// What 1,440 of them would take: waiting for all would show nothing more.
	peer := all.mean(pull)
	n := time.Duration(beats)
	peer.CPU, peer.Wall = peer.CPU*n, peer.Wall*n
	peer.Up, peer.Down, peer.Requests, peer.Conns = peer.Up*int64(n), peer.Down*int64(n), peer.Requests*int64(n), peer.Conns*int64(n)
	name := fmt.Sprintf("git pull, 1,440 from %d", pulls)
	b.lines = append(b.lines, line{what, "addagent run", 1, sample{cost{0, cpu, last.rss}, t}}, line{what, name, pulls, peer})
	b.check(check{what: what + ": CPU", unit: "s", limit: 3, ours: cpu.Seconds(), peer: peer.CPU.Seconds(), peerName: name})
	for _, at := range []uint64{10, 700, beats} {
		b.check(check{what: fmt.Sprintf("%s: resident at beat %s", what, thousands(int(at))), unit: "MB", limit: 20, ours: mb(held[at].rss)})
	}
	// At beat 10 the garbage collector has not run yet.
	b.check(check{what: what + ": grown from beat 700 to 1,440", unit: "MB", limit: 1, ours: max(0, mb(last.rss-held[700].rss))})
	b.check(check{what: what + ": open descriptors at the end", limit: float64(held[10].files), ours: float64(last.files)})
	b.check(check{what: what + ": written to the disk", unit: "MB", limit: noTarget, ours: mb(last.written)})
	b.check(check{what: what + ": bytes both ways", unit: "KB", limit: 0.8 * float64(beats), ours: kb(t.Up + t.Down), peer: kb(peer.Up + peer.Down), peerName: name})
	b.check(check{what: what + ": connections", limit: 1, ours: float64(t.Conns), peer: float64(peer.Conns), peerName: name})
}

// live measures pushes that a running daemon follows, beside git pull: the whole beat of each. The item watches what no
// push changes, so that there is no work to start. The first push is left out: the daemon does not know yet that the
// files are untouched, as it does not after an hour without a push.
func (b *bench) live(s *stage, c change) {
	src := b.source(s, c.repo)
	steps := src.Steps[c.kind]
	steps = steps[len(steps)-8:] // which no clone has seen, when other cases took the first ones
	runs := min(b.runs, len(steps)-2)
	src.repo.Move("main", steps[0])
	for _, side := range []side{ours, full, shallow} {
		b.clone(s, side, c.repo)
	}
	memory := filepath.Join(b.cloneDir(ours, c.repo), ".temp", "add", "common")
	s.must(os.MkdirAll(memory, 0o755))
	s.must(os.WriteFile(filepath.Join(memory, "work.sh_WATCH_PATH.txt"), []byte("nodework\n"), 0o644))
	d := b.daemon(s, c.repo, "@every 24h")
	seq := d.rest(s)
	all := samples{}
	for i := range runs + 1 {
		to := steps[i+1]
		src.repo.Move("main", to)
		srv := b.server(ours, c.repo)
		before := trafficOf(srv)
		was, err := cpuOf(d.cmd.Process.Pid)
		s.must(err)
		start := time.Now()
		seq = d.beat(s, seq, func(t beat) bool { return t.at(to) && t.quiet() }).Seq
		wall := time.Since(start)
		cpu, err := cpuOf(d.cmd.Process.Pid)
		s.must(err)
		b.verify(s, ours, c.repo, to)
		if i > 0 {
			all.add(ours, sample{cost{wall, cpu - was, d.standing(s).peak}, trafficOf(srv).since(before)})
		}
		for _, side := range []side{full, shallow} {
			m := b.time(s, b.server(side, c.repo), b.cloneDir(side, c.repo), b.follow(side, c))
			b.verify(s, side, c.repo, to)
			if i > 0 {
				all.add(side, m)
			}
		}
	}
	names := map[side]string{ours: "addagent run", full: "git pull, full clone", shallow: "git pull, depth-1 clone"}
	b.add(c.what, all, names, ours, full, shallow)
	b.judge(c, all, nil, names)
}
