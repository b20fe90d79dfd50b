package ec2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/addagent/addagent/internal/human"
)

const valueLimit = 256 // characters

// tagKey allows what a key may contain if tags are shown in instance metadata: the strictest of AWS's rules.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
var tagKey = regexp.MustCompile(`^[0-9A-Za-z_+=,.@:-]{1,128}$`)

// Tag sets tags of this instance in one call; other tags stay. Values are cut to 256 characters, and control characters
// become spaces. A key that AWS would refuse is an error, and nothing is sent.
func (i *Instance) Tag(ctx context.Context, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	return i.tag(ctx, tags, false)
}

// MayTag asks whether Tag is permitted, without changing anything; nil = yes.
func (i *Instance) MayTag(ctx context.Context) error {
	err := i.tag(ctx, map[string]string{"add:state": ""}, true)
	var said *fault
	switch {
	case errors.As(err, &said) && said.code == "DryRunOperation":
		return nil
	case err == nil: // a server that ignores DryRun
		return errors.New("ec2:CreateTags: the server ignores DryRun and has set the tag")
	}
	return err
}

func (i *Instance) tag(ctx context.Context, tags map[string]string, dryRun bool) error {
	form := url.Values{}
	if dryRun {
		form.Set("DryRun", "true")
	}
	for n, key := range slices.Sorted(maps.Keys(tags)) {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("ec2:CreateTags: tag %.40q: %w", key, err)
		}
		form.Set(fmt.Sprintf("Tag.%d.Key", n+1), key)
		form.Set(fmt.Sprintf("Tag.%d.Value", n+1), tagValue(tags[key]))
	}
	_, err := i.do(ctx, call{"ec2:CreateTags", "ResourceId.1", form, instanceARN})
	return err
}

func checkKey(key string) error {
	switch {
	case strings.HasPrefix(strings.ToLower(key), "aws:"):
		return errors.New("names that begin with aws: belong to AWS")
	case !tagKey.MatchString(key), key == ".", key == "..", key == "_index":
		return errors.New("invalid name: use at most 128 letters, digits and _+=,.@:- only, but not . .. or _index")
	}
	return nil
}

func tagValue(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	return human.Prefix(text, valueLimit)
}
