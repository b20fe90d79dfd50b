package objects

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/git/pack"
	"github.com/go-git/go-git/v5/plumbing"
)

// Builder makes new objects in memory, to be pushed. The zero value has none. The same calls in the same order give
// the same bytes. What git would not accept (a name with a slash in a tree, a bad id) is an error of the
// push.
type Builder struct {
	Known map[string]bool // ids of objects that the server has: they are not sent

	list []pack.Object
	seen map[plumbing.Hash]struct{}
	sum  hash.Hash
	text []byte // of the object in hand
	err  error
}

// Person is who made a commit, and when; seconds and UTC are what is kept of the time.
type Person struct {
	Name, Email string
	When        time.Time
}

// CommitInfo is a commit.
type CommitInfo struct {
	Tree      string   // id
	Parents   []string // ids
	Author    Person
	Committer Person // of a new commit: the zero value is the author
	Message   string
}

// Subject is the first line of the message.
func (c CommitInfo) Subject() string {
	line, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return line
}

// Blob adds the content of a file and returns its id. The content is copied.
func (o *Builder) Blob(data []byte) string { return o.add(plumbing.BlobObject, data) }

// Tree adds a folder, whose entries may come in any order, and returns its id.
func (o *Builder) Tree(entries []Entry) string {
	lines := make([]Line, 0, len(entries))
	names := make(map[string]struct{}, len(entries))
	for _, e := range entries {
		line := Line{Name: []byte(e.Name), Mode: ModeFile}
		switch {
		case e.Dir:
			line.Mode = ModeFolder
		case e.Symlink:
			line.Mode = ModeSymlink
		case e.Executable:
			line.Mode = ModeExecutable
		}
		var ok bool
		if line.ID, ok = ParseID(e.ID); !ok || !goodName(e.Name) {
			o.fail("tree entry %q: %q: a name or an id that cannot be", e.Name, e.ID)
		}
		if names[e.Name] = struct{}{}; len(names) == len(lines) {
			o.fail("tree entry %q: it is there twice", e.Name)
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(a, b Line) int { return CompareNames(&a, &b) })
	b := o.text[:0]
	for _, line := range lines {
		b = strconv.AppendUint(b, uint64(line.Mode), 8)
		b = append(append(append(b, ' '), line.Name...), 0)
		b = append(b, line.ID[:]...)
	}
	o.text = b
	return o.add(plumbing.TreeObject, b)
}

// goodName says whether git takes a name in a folder.
func goodName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.EqualFold(name, ".git") && !strings.ContainsAny(name, "/\x00")
}

// Commit adds a commit and returns its id. The message gets a newline at its end.
func (o *Builder) Commit(c CommitInfo) string {
	for _, id := range append([]string{c.Tree}, c.Parents...) {
		if _, ok := ParseID(id); !ok {
			o.fail("commit: %q is no id of an object", id)
		}
	}
	b := append(append(append(o.text[:0], "tree "...), c.Tree...), '\n')
	for _, p := range c.Parents {
		b = append(append(append(b, "parent "...), p...), '\n')
	}
	if c.Committer == (Person{}) {
		c.Committer = c.Author
	}
	b = c.Author.line(b, "author ")
	b = c.Committer.line(b, "committer ")
	b = append(b, '\n')
	b = append(append(b, strings.TrimRight(strings.ReplaceAll(c.Message, "\x00", ""), "\n")...), '\n')
	o.text = b
	return o.add(plumbing.CommitObject, b)
}

func (p Person) line(b []byte, word string) []byte {
	b = append(append(append(b, word...), plainName(p.Name)...), " <"...)
	b = append(append(b, plainName(p.Email)...), "> "...)
	b = strconv.AppendInt(b, max(p.When.Unix(), 0), 10)
	return append(b, " +0000\n"...)
}

// plainName leaves out what would end a name early.
func plainName(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == '<' || r == '>' {
			return -1
		}
		return r
	}, s))
}

func (o *Builder) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

func (o *Builder) add(kind plumbing.ObjectType, data []byte) string {
	if o.sum == nil {
		o.sum = sha1.New()
		o.seen = make(map[plumbing.Hash]struct{})
	}
	o.sum.Reset()
	o.sum.Write(pack.AppendLooseHeader(make([]byte, 0, 32), kind, int64(len(data))))
	o.sum.Write(data)
	n := pack.Object{Kind: kind}
	o.sum.Sum(n.ID[:0])
	id := hex.EncodeToString(n.ID[:])
	if _, ok := o.seen[n.ID]; !ok && !o.Known[id] {
		o.seen[n.ID] = struct{}{}
		n.Data = bytes.Clone(data)
		o.list = append(o.list, n)
	}
	return id
}

// Pack returns a pack with the objects of all builders, each once; or the first mistake that was made in building
// them.
func Pack(all ...*Builder) ([]byte, error) {
	var list []pack.Object
	seen := make(map[plumbing.Hash]struct{})
	for _, o := range all {
		if o.err != nil {
			return nil, o.err
		}
		for _, n := range o.list {
			if _, ok := seen[n.ID]; !ok {
				seen[n.ID] = struct{}{}
				list = append(list, n)
			}
		}
	}
	return pack.Encode(list)
}
