package main

import (
	"fmt"
	"strings"

	"github.com/addagent/addagent/internal/git/gittest"
)

// change is a case in which main moves and everybody follows, each in a process of its own.
type change struct {
	repo, kind, what string
	runs             int     // at most; 0 = as many as the bench has
	cpu, rss, down   float64 // targets: ms, MB, KB; 0 = none
	bytes            bool    // compare the bytes received with the objects that changed
	objects          float64 // target: how many times those; 0 = none
	below            bool    // target: less than git's, CPU and peak
}

// times is, run by run, what a side received as a multiple of the objects that changed.
type times map[side][]float64

func (b *bench) change(s *stage, c change) {
	src := b.source(s, c.repo)
	steps := src.Steps[c.kind]
	runs := min(b.runs, len(steps)-1)
	if c.runs > 0 {
		runs = min(runs, c.runs)
	}
	sides := []side{ours, full, shallow}
	src.repo.Move("main", steps[0])
	for _, side := range sides {
		b.clone(s, side, c.repo)
	}
	all, received := samples{}, times{}
	for i := range runs {
		from, to := steps[i], steps[i+1]
		src.repo.Move("main", to)
		size := 0
		if c.bytes {
			size = objectsSize(s, src, from, to)
			b.say("  step %d: the changed objects are %.1f KB", i+1, float64(size)/1000)
		}
		for _, side := range sides {
			m := b.time(s, b.server(side, c.repo), b.cloneDir(side, c.repo), b.follow(side, c))
			b.verify(s, side, c.repo, to)
			all.add(side, m)
			received[side] = append(received[side], float64(m.Down)/float64(size))
		}
	}
	names := map[side]string{full: "git pull, full clone", shallow: "git pull, depth-1 clone"}
	if c.kind == "merge" || c.kind == "back" {
		names = map[side]string{full: "git fetch + reset, full clone", shallow: "git fetch --depth 1 + reset"}
	}
	b.add(c.what, all, names, sides...)
	b.judge(c, all, received, names)
}

// judge compares with the targets and with whichever git is better.
func (b *bench) judge(c change, all samples, received times, names map[side]string) {
	ratio := 0.0
	if c.below {
		ratio = 1
	}
	for _, t := range []struct {
		what, unit   string
		limit, ratio float64
		of           func(sample) float64
	}{
		{"CPU", "ms", c.cpu, ratio, func(m sample) float64 { return ms(m.CPU) }},
		{"peak", "MB", c.rss, ratio, func(m sample) float64 { return mb(m.RSS) }},
		{"bytes down", "KB", c.down, 0, func(m sample) float64 { return kb(m.Down) }},
	} {
		if t.limit == 0 && t.ratio == 0 {
			continue
		}
		peer := full
		if t.of(all.median(shallow)) < t.of(all.median(full)) {
			peer = shallow
		}
		b.check(check{what: c.what + ": " + t.what, unit: t.unit, limit: t.limit, ratio: t.ratio, ours: t.of(all.median(ours)),
			peer: t.of(all.median(peer)), peerName: names[peer]})
	}
	if c.bytes {
		limit := c.objects
		if limit == 0 {
			limit = noTarget
		}
		b.check(check{what: c.what + ": bytes down", unit: "x changed objects", limit: limit, ours: median(received[ours]),
			peer: median(received[shallow]), peerName: names[shallow]})
	}
}

// follow is what a side does after a push of that kind. Git pull neither follows a branch back nor stays shallow when
// an old branch is merged: there git gets the commands that do.
func (b *bench) follow(side side, c change) []string {
	if side == ours || c.kind == "merge" || c.kind == "back" {
		return b.update(side, c.repo)
	}
	return []string{"git", "pull", "-q", "--ff-only"}
}

// verify ends the case unless a clone is where it should be, files included.
func (b *bench) verify(s *stage, side side, repo, at string) {
	dir := b.cloneDir(side, repo)
	if head := gittest.Git(s, dir, "rev-parse", "HEAD"); head != at {
		s.Fatalf("%s of %s is at %s, not at %s", side, repo, head, at)
	}
	if side != ours {
		return
	}
	if changed := gittest.Git(s, dir, "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"); changed != "" {
		s.Fatalf("%s of %s differs from its commit: %.200s", side, repo, changed)
	}
}

// objectsSize is what the objects of one commit that the other has not take when git packs them: the least that a node
// which holds the other's snapshot and nothing else can do with.
func objectsSize(s *stage, src *source, from, to string) int {
	ids := []string{to, src.repo.Git("rev-parse", to+"^{tree}")}
	for line := range strings.Lines(src.repo.Git("diff-tree", "-r", "-t", "--no-renames", "--full-index", from, to)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] != "D" {
			ids = append(ids, f[3])
		}
	}
	pack, err := gittest.TryGit(src.repo.Dir, []byte(strings.Join(ids, "\n")+"\n"), "pack-objects", "-q", "--stdout")
	if err != nil {
		s.Fatal(fmt.Errorf("size of the changed objects: %w", err))
	}
	return len(pack)
}
