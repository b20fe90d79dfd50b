package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Tagger puts tags on the machine that this node is, at its cloud.
type Tagger interface {
	Tag(ctx context.Context, tags map[string]string) error
}

// tagLimit is how long the value of an EC2 tag may be, in characters.
const tagLimit = 256

// tagsLimit bounds the memory that is read: seven short values.
const tagsLimit = 64 << 10

// Tags is the sink that shows a node's state in the tags of its machine, for people who look at the cloud's console.
// They are never read back.
type Tags struct {
	tagger Tagger
	file   files.Remembered[map[string]string]
	told   map[string]string // nil = not known, so all are told
	known  bool              // told is what the file says
}

// NewTags returns the sink; path is where it remembers what it told, so that a restart, or one beat a process, calls
// nobody for nothing. The memory belongs to the hardware. Tell waits for the cloud: wrap it in NewApart.
func NewTags(t Tagger, path string) *Tags {
	return &Tags{tagger: t, file: files.Remembered[map[string]string]{Path: path, What: "tags: remember what was told", Limit: tagsLimit}}
}

// Tell puts all tags on in one call, when one of them differs from what was told.
func (t *Tags) Tell(ctx context.Context, r presence.Record) error {
	if err := node.ValidID(r.InstanceID); err != nil {
		return fmt.Errorf("presence record: %w", err)
	}
	tags := TagsOf(r)
	var recalled error
	if !t.known {
		t.known = true
		t.told, _, recalled = t.file.Recall() // without it all are told once more
	}
	if maps.Equal(tags, t.told) {
		return recalled
	}
	if err := t.tagger.Tag(ctx, tags); err != nil {
		t.told = nil
		return errors.Join(fmt.Errorf("tags: %w", err), recalled)
	}
	t.told = tags
	return errors.Join(t.file.Save(tags), recalled)
}

// TagsOf are the tags of a record: add:deployment, add:nodepart, add:stacktype, add:state, add:statelog, add:statetss
// as they have always been, and add:version, the commits of the repositories ("ops@1a2b3c4 app2@5d6e7f8"). No value
// is longer than 256 characters.
func TagsOf(r presence.Record) map[string]string {
	var versions []string
	for _, repo := range r.Repos {
		versions = append(versions, repo.Name+"@"+repo.Version[:min(7, len(repo.Version))])
	}
	tags := map[string]string{
		"add:deployment": r.Deployment, "add:nodepart": r.Nodepart, "add:stacktype": r.Stacktype,
		"add:state": string(r.State), "add:statelog": r.StateLog, "add:statetss": r.StateTss,
		"add:version": strings.Join(versions, " "),
	}
	for key, value := range tags {
		if all := []rune(value); len(all) > tagLimit {
			tags[key] = string(all[:tagLimit])
		}
	}
	return tags
}

// InitDone is the sink that does one thing when this node's init is done, such as to tell an autoscaling group that it
// may count on the machine. It is done once; killed in the middle of it, it is done again, so it must be harmless.
type InitDone struct {
	do   func(context.Context) error
	path string
	done bool
}

// NewInitDone returns the sink; path is the file that says that it was done, which belongs to the hardware. What is
// done waits for somebody: wrap it in NewApart.
func NewInitDone(do func(context.Context) error, path string) *InitDone {
	return &InitDone{do: do, path: path}
}

// Tell does it, once the record says that init is done.
func (i *InitDone) Tell(ctx context.Context, r presence.Record) error {
	if !i.done {
		_, err := os.Lstat(i.path)
		i.done = err == nil
	}
	if i.done || !strings.Contains(r.StateLog, string(node.InitDone)+":") {
		return nil
	}
	if err := i.do(ctx); err != nil {
		return err
	}
	i.done = true
	if err := files.Replace(i.path, []byte(node.Stamp(r.BeatSeen)+"\n"), 0o600); err != nil {
		return fmt.Errorf("remember what was done at initdone: %w", err)
	}
	return nil
}
