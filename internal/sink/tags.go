package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// Tagger sets tags of the machine that this node runs on.
type Tagger interface {
	Tag(ctx context.Context, tags map[string]string) error
}

// tagLimit is how long the value of an EC2 tag may be, in characters.
const tagLimit = 256

// tagsLimit bounds the file that is read: seven short values.
const tagsLimit = 64 << 10

// Tags shows a node's state in the tags of its machine, for people who look at the cloud's console.
type Tags struct {
	tagger Tagger
	file   files.Remembered[map[string]string]
	told   map[string]string // nil when not known, so that all are set
	known  bool              // the file has been read
}

// NewTags returns the sink; path is the file that remembers the tags, so that a restart, or a process for each beat,
// makes no call without need. The file belongs to the hardware. Tell waits for the cloud: wrap it in NewAsync.
func NewTags(t Tagger, path string) *Tags {
	return &Tags{tagger: t, file: files.Remembered[map[string]string]{Path: path, What: "tags: save what was sent", Limit: tagsLimit}}
}

// Tell sets all tags in one call, when one of them has changed.
func (t *Tags) Tell(ctx context.Context, r presence.Record) error {
	if err := node.ValidID(r.InstanceID); err != nil {
		return fmt.Errorf("presence record: %w", err)
	}
	tags := tagsOf(r)
	var recalled error
	if !t.known {
		t.known = true
		t.told, _, recalled = t.file.Recall() // without it all are set once more
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

// tagsOf returns the tags of a record. Their names and values are a contract with older versions; add:version lists the
// commits that the repositories are worked at, A>B while B is pulled and not done.
func tagsOf(r presence.Record) map[string]string {
	tags := map[string]string{
		"add:deployment": r.Deployment, "add:nodepart": r.Nodepart, "add:stacktype": r.Stacktype,
		"add:state": string(r.State), "add:statelog": r.StateLog, "add:statetss": r.StateTss,
		"add:version": strings.ReplaceAll(r.Deployed(" "), " -> ", ">"),
	}
	for key, value := range tags {
		tags[key] = human.Prefix(value, tagLimit)
	}
	return tags
}

// InitDone does one thing when this node's init is done, such as to tell an autoscaling group that the machine is
// ready. It is done once, but again when the process dies in the middle, so it must be harmless to repeat.
type InitDone struct {
	do   func(context.Context) error
	path string
	done bool
}

// NewInitDone returns the sink; path is the file that says that it was done, which belongs to the hardware. Tell waits
// for do: wrap it in NewAsync.
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
		return fmt.Errorf("save what was done at initdone: %w", err)
	}
	return nil
}
