package ec2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/addagent/addagent/internal/human"
)

// Tag sets tags of this instance in one call; other tags stay. Keys and the length of values are as AWS allows them;
// what a value has besides printable text becomes a space.
func (i *Instance) Tag(ctx context.Context, tags map[string]string) error {
	return i.tag(ctx, tags, url.Values{})
}

// MayTag asks whether Tag is permitted, without changing anything; nil = yes.
func (i *Instance) MayTag(ctx context.Context) error {
	err := i.tag(ctx, map[string]string{"add:state": ""}, url.Values{"DryRun": {"true"}})
	if said, ok := errors.AsType[*fault](err); ok && said.code == "DryRunOperation" {
		return nil
	}
	return err
}

func (i *Instance) tag(ctx context.Context, tags map[string]string, form url.Values) error {
	for n, key := range slices.Sorted(maps.Keys(tags)) {
		form.Set(fmt.Sprintf("Tag.%d.Key", n+1), key)
		form.Set(fmt.Sprintf("Tag.%d.Value", n+1), human.Line(tags[key]))
	}
	_, err := i.do(ctx, call{"ec2:CreateTags", "ResourceId.1", form, ""})
	return err
}
