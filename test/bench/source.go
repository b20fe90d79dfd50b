package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/addagent/addagent/internal/git/gittest"
)

// source is a repository on the server and the steps its branch main can take.
type source struct {
	name  string
	repo  *gittest.Repo
	Shape string              // what its makers put in; another shape means making it anew
	Start string              // where main is when it is cloned
	Steps map[string][]string // kind of step -> where main goes: from the first to the second is one step
	Files int
}

// shape describes a repository. Sizes are before compression, in bytes.
type shape struct {
	Files, Commits, Each, Size int // Each commit after the first ones rewrites so many files
	Deep                       int // folders above a file; 0 = src/mNN/pN
	Refs                       int // more branches, packed
	Big                        int // files of bigSize random bytes
	Steps                      map[string]int
}

const (
	version = 6 // of the makers below: raise it when they change
	bigSize = 50 << 20
)

// shapes are those of the research that the targets come from, but for the 5,000 commits of medium, which "merge of an
// old branch" and "branch moved back" ask for.
var shapes = map[string]shape{
	"small":   {Files: 20, Commits: 19, Each: 1, Size: 6000, Steps: map[string]int{"one": 16}},
	"refs1k":  {Files: 20, Commits: 19, Each: 1, Size: 6000, Refs: 1000},
	"refs20k": {Files: 20, Commits: 19, Each: 1, Size: 6000, Refs: 20000},
	"medium":  {Files: 5000, Commits: 5000, Each: 1, Size: 6000, Steps: map[string]int{"one": 16, "ten": 8, "many": 8, "merge": 8, "back": 8}},
	"large":   {Files: 60000, Commits: 300, Each: 20, Size: 3300, Deep: 7, Steps: map[string]int{"one": 16, "many": 8}},
	"blobs":   {Files: 20, Commits: 2, Each: 1, Size: 6000, Big: 2, Steps: map[string]int{"blob": 4}},
}

// source returns a repository, made at the first need and kept for the next run.
func (b *bench) source(s *stage, name string) *source {
	if src, tried := b.sources[name]; tried {
		if src == nil {
			s.Fatal("its repository could not be made")
		}
		return src
	}
	b.sources[name] = nil
	want, err := json.Marshal(struct {
		Version int
		Shape   shape
	}{version, shapes[name]})
	s.must(err)
	src := &source{name: name}
	note := b.path("repos", name+".json")
	dir := b.path("repos", name+".git")
	if data, err := os.ReadFile(note); err == nil && json.Unmarshal(data, src) == nil && src.Shape == string(want) {
		src.repo = gittest.New(b.whole, dir)
	} else {
		b.say("making repository %s", name)
		s.must(os.RemoveAll(dir))
		src = &source{name: name, repo: gittest.New(b.whole, dir), Shape: string(want), Steps: map[string][]string{}}
		src.make(shapes[name])
		data, err := json.Marshal(src)
		s.must(err)
		s.must(os.WriteFile(note, data, 0o644))
	}
	src.repo.Move("main", src.Start)
	b.sources[name] = src
	return src
}

// make writes the history, folds it into one pack with a bitmap, as a server's maintenance does, and then adds the
// steps on top as pushes would: loose or in small packs. Everything is the same in every run.
func (s *source) make(p shape) {
	random := rand.New(rand.NewPCG(1, uint64(p.Files)))
	first := []gittest.Change{{Path: "nodework/common/work.sh", Content: "#!/bin/bash\nexit 0\n", Mode: "100755"}}
	for i := range p.Big {
		first = append(first, gittest.File(fmt.Sprintf("war/app%d.war", i), noise(random, bigSize)))
	}
	for i := len(first); i < p.Files; i++ {
		first = append(first, p.file(random, i))
	}
	const most = 2000 // files of one commit, so that a stream to fast-import stays small
	commits := 0
	for ; len(first) > 0; commits++ {
		n := min(most, len(first))
		s.repo.Commit("main", first[:n]...)
		first = first[n:]
	}
	s.history(p.Commits-commits, func() []gittest.Change { return p.rewrite(random, p.Each) })
	if p.Refs > 1 {
		var refs bytes.Buffer
		tip := s.repo.Tip("main")
		for i := range p.Refs - 1 {
			fmt.Fprintf(&refs, "reset refs/heads/team/feature-%05d\nfrom %s\n\n", i, tip)
		}
		s.repo.Import(refs.Bytes())
	}
	s.repo.Git("pack-refs", "--all")
	s.repo.Git("-c", "core.bigFileThreshold=10m", "repack", "-adbq")
	s.Start, s.Files = s.repo.Tip("main"), p.Files
	for _, kind := range []string{"one", "ten", "many", "blob", "merge", "back"} {
		if p.Steps[kind] > 0 {
			s.Steps[kind] = s.steps(random, p, kind, p.Steps[kind])
		}
	}
}

// history puts n commits on main with one git fast-import: a process for each of 5,000 would take minutes.
func (s *source) history(n int, change func() []gittest.Change) {
	var in bytes.Buffer
	from := "from " + s.repo.Tip("main") + "\n"
	for i := range n {
		clock := 1_710_000_000 + 60*i
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter C <c@example.org> %d +0000\ndata <<EOM\ncommit %d\nEOM\n%s", clock, i, from)
		from = "" // the later ones stand on the one before by themselves
		for _, c := range change() {
			fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", c.Path, len(c.Content), c.Content)
		}
	}
	s.repo.Import(in.Bytes())
}

// steps puts n steps of one kind on main and returns where it stood, before the first and after each.
func (s *source) steps(random *rand.Rand, p shape, kind string, n int) []string {
	if kind == "back" { // over commits that no clone has been at before
		for range n + 1 {
			s.repo.Commit("main", p.rewrite(random, 1)...)
		}
	}
	at := []string{s.repo.Tip("main")}
	for i := range n {
		tip := at[len(at)-1]
		switch kind {
		case "one":
			tip = s.repo.Commit("main", p.rewrite(random, 1)...)
		case "ten": // commits in one push
			for range 10 {
				tip = s.repo.Commit("main", p.rewrite(random, 1)...)
			}
		case "many":
			tip = s.repo.Commit("main", p.rewrite(random, 500)...)
		case "blob":
			tip = s.repo.Commit("main", gittest.File("war/app0.war", noise(random, bigSize)))
		case "merge": // of a branch of three commits that was forked some 1,000 commits ago
			var sum []gittest.Change
			old := []string{s.repo.Git("rev-parse", fmt.Sprintf("%s~%d", s.Start, 1000+i))}
			for range 3 {
				c := p.rewrite(random, 1)
				sum = append(sum, c...)
				old = []string{s.repo.CommitOn("old", old, c...)}
			}
			tip = s.repo.CommitOn("main", []string{tip, old[0]}, sum...)
			s.repo.Git("update-ref", "-d", "refs/heads/old")
		case "back": // by one commit each time
			tip = s.repo.Git("rev-parse", tip+"^")
			s.repo.Move("main", tip)
		}
		at = append(at, tip)
	}
	return at
}

// rewrite gives n different files a new content.
func (p shape) rewrite(random *rand.Rand, n int) []gittest.Change {
	from := p.Big + 1
	var all []gittest.Change
	for _, i := range random.Perm(p.Files - from)[:min(n, p.Files-from)] {
		all = append(all, p.file(random, from+i))
	}
	return all
}

func (p shape) file(random *rand.Rand, i int) gittest.Change {
	var path strings.Builder
	switch {
	case p.Deep > 0:
		for level, n := 0, i; level < p.Deep; level, n = level+1, n/3 {
			fmt.Fprintf(&path, "%c%d/", 'a'+level, n%3)
		}
	case p.Files > 100:
		fmt.Fprintf(&path, "src/m%02d/p%d/", i%50, i/50%10)
	default:
		fmt.Fprintf(&path, "dir%d/", i%2)
	}
	fmt.Fprintf(&path, "file%05d.txt", i)
	return gittest.File(path.String(), prose(random, p.Size))
}

// prose is text that compresses about as well as source code does.
func prose(random *rand.Rand, size int) string {
	words := [...]string{"return", "if", "else", "for", "range", "func", "error", "nil", "the", "value", "of", "name", "string", "context", "server", "node"}
	var b strings.Builder
	for b.Len() < size {
		if random.IntN(8) == 0 {
			b.WriteByte('\n')
		}
		if random.IntN(3) == 0 {
			fmt.Fprintf(&b, "%x ", random.Uint32())
		} else {
			b.WriteString(words[random.IntN(len(words))] + " ")
		}
	}
	return b.String() + "\n"
}

// noise is what does not compress at all.
func noise(random *rand.Rand, size int) string {
	b := make([]byte, 0, size)
	for len(b) < size {
		n := random.Uint64()
		for range 8 {
			b = append(b, byte(n))
			n >>= 8
		}
	}
	return string(b[:size])
}
