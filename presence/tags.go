package presence

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/addagent/addagent/node"
)

// Tagger puts tags on the machine that this node is, at its cloud.
type Tagger interface {
	Tag(ctx context.Context, tags map[string]string) error
}

// tagLimit is how long the value of an EC2 tag may be, in characters.
const tagLimit = 256

// Tags is the sink that shows a node's state in the tags of its machine, for people who look at the cloud's console. They
// are never read back.
type Tags struct {
	tagger Tagger
	told   map[string]string // nil = not known, so all are told
}

// NewTags returns the sink. It waits for the cloud: wrap it in NewApart.
func NewTags(t Tagger) *Tags { return &Tags{tagger: t} }

// Tell puts all tags on in one call, when one of them differs from what was told.
func (t *Tags) Tell(ctx context.Context, r Record) error {
	if _, err := Encode(r); err != nil {
		return err // what no other sink takes
	}
	tags := TagsOf(r)
	if maps.Equal(tags, t.told) {
		return nil
	}
	if err := t.tagger.Tag(ctx, tags); err != nil {
		t.told = nil
		return fmt.Errorf("tags: %w", err)
	}
	t.told = tags
	return nil
}

// TagsOf are the tags of a record: add:deployment, add:nodepart, add:stacktype, add:state, add:statelog, add:statetss as
// they have always been, and add:version, the commits of the repositories ("ops@1a2b3c4 app2@5d6e7f8"). No value is
// longer than 256 characters.
func TagsOf(r Record) map[string]string {
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
// may count on the machine. It is done once a life of the agent, so it must be harmless to do again.
type InitDone struct {
	do   func(context.Context) error
	done bool
}

// NewInitDone returns the sink. What is done waits for somebody: wrap it in NewApart.
func NewInitDone(do func(context.Context) error) *InitDone { return &InitDone{do: do} }

// Tell does it, once the record says that init is done.
func (i *InitDone) Tell(ctx context.Context, r Record) error {
	if i.done || !strings.Contains(r.StateLog, string(node.InitDone)+":") {
		return nil
	}
	if err := i.do(ctx); err != nil {
		return err
	}
	i.done = true
	return nil
}
