package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/addagent/addagent/internal/git/gittest"
)

// sshEnv names the private key and the known_hosts file for our side, with a colon between them.
const sshEnv = "ADDAGENT_BENCH_SSH"

// quietLookSSH measures a look over a kept SSH connection beside git's way to ask the same sshd, which is a new
// connection each time. The bytes are those of the TCP connections, greetings and keys included.
func (b *bench) quietLookSSH(s *stage, repo, what string) {
	const lsRemote, fetch = side("git ls-remote"), side("git fetch")
	src := b.source(s, repo)
	sshd := gittest.StartSSHD(s)
	mine, theirs := gittest.StartRelay(s, sshd.Addr), gittest.StartRelay(s, sshd.Addr)
	sshd.Knows(mine.Addr, theirs.Addr)
	b.extra = []string{sshEnv + "=" + sshd.KeyFile + ":" + sshd.KnownHosts,
		"GIT_SSH_COMMAND=ssh -F none -i " + sshd.KeyFile + " -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=" + sshd.KnownHosts}
	defer func() { b.extra = nil }()
	our, their := sshd.URLAt(mine.Addr, src.repo.Dir), sshd.URLAt(theirs.Addr, src.repo.Dir)
	dir := b.path("run", "ssh-"+repo)
	clone, full := filepath.Join(dir, "ours"), filepath.Join(dir, "full")
	s.must(os.MkdirAll(dir, 0o755))
	b.time(s, mine, dir, []string{b.self, "look", our, clone})
	b.time(s, theirs, dir, []string{"git", "clone", "-q", "--single-branch", their, full})
	all := samples{}
	var allocs []float64
	const n = 50
	for range b.runs {
		l, t := b.loop(s, mine, our, clone, n)
		all.add(ours, sample{cost{0, l.CPU / n, l.RSS}, traffic{t.Up / n, t.Down / n, t.Requests / n, t.Conns}})
		allocs = append(allocs, float64(l.Allocs)/n)
		all.add(lsRemote, b.time(s, theirs, full, []string{"git", "ls-remote", their, "refs/heads/main"}))
		all.add(fetch, b.time(s, theirs, full, []string{"git", "fetch", "-q", "--no-tags", "origin", "+refs/heads/main:refs/remotes/origin/main"}))
	}
	name := "quiet look over SSH, " + what
	b.add(name, all, nil, ours, lsRemote, fetch)
	m, ls := all.median(ours), all.median(lsRemote)
	b.check(check{what: name + ": CPU", unit: "ms", ours: ms(m.CPU), peer: ms(ls.CPU), peerName: string(lsRemote), ratio: 1.0 / 15})
	b.check(check{what: name + ": bytes both ways", unit: "KB", limit: noTarget, ours: kb(m.Up + m.Down), peer: kb(ls.Up + ls.Down), peerName: string(lsRemote)})
	b.check(check{what: fmt.Sprintf("%s: new connections in %d looks", name, n), limit: 0, ours: float64(m.Conns), peer: float64(n * ls.Conns), peerName: string(lsRemote)})
	b.check(check{what: name + ": allocations", limit: noTarget, ours: math.Round(median(allocs))})
}

// TempDir makes a folder for the fixtures of one case.
func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "addagent-bench-")
	s.must(err)
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
