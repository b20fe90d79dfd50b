// Package ec2 makes the signed requests that a node sends to AWS: its tags, its Auto Scaling group, its own end.
//
// It alone imports aws-sdk-go-v2, and only the signer: for the six calls made here, the SDK's clients cost every
// process 1.4 MB of binary, 1.2 MB of memory and a millisecond at its start. Begin with Instance in instance.go;
// query.go makes a request.
package ec2

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/retry"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	// callTime bounds a call with its one retry, and the questions to the metadata service before it.
	callTime = 10 * time.Second
	// attempts: one retry helps after a lost connection; beyond that callers have a backoff of their own.
	attempts = 2
	// retryWait is the longest wait before the second attempt. The wait is random, so that nodes that were throttled
	// together do not return together.
	retryWait = 2 * time.Second
)

// Options say which instance this is, and how to reach AWS.
type Options struct {
	Metadata   *cloud.Metadata   // gives the credentials of the instance's role
	InstanceID string            // "" = what the metadata service says
	Region     string            // "" = what the metadata service says
	Endpoint   string            // for EC2 and Auto Scaling both; "" = AWS's own of the region
	Transport  http.RoundTripper // not that of Metadata, which is never reached through a proxy
	Agent      string            // the user agent, "addagent/1.2"
	Hook       string            // the launching lifecycle hook that CompleteLifecycle completes
}

// Instance is this machine as AWS sees it. A call ends within ten seconds. Its methods may be used concurrently.
// Their errors are ErrDenied, ErrCredentials, ErrTemporary or ErrUnknown; any other is permanent. The same
// trouble has the same words, without request ids, and no error contains a secret.
type Instance struct {
	options Options
	client  *http.Client
	signer  *v4.Signer
	keys    *keys

	mu  sync.Mutex
	met *place // nil until first used
}

// place is who and where this is.
type place struct{ id, region string }

// New asks nothing yet. Credentials are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, if set now,
// else those of the instance's role, fetched when first needed, and renewed.
func New(o Options) *Instance {
	// AWS does not redirect; any other server must not get the session's token.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Instance{options: o, client: &http.Client{Transport: o.Transport, CheckRedirect: stay}, signer: v4.NewSigner(), keys: newKeys(o.Metadata)}
}

// regionName becomes a part of the name of a host that gets the session's token: it must not be the page of a portal.
var regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

// meet finds out who and where this is, once.
func (i *Instance) meet(ctx context.Context) (place, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.met != nil {
		return *i.met, nil
	}
	p := place{i.options.InstanceID, i.options.Region}
	var err error
	if p.id == "" {
		p.id, err = i.options.Metadata.InstanceID(ctx)
	}
	if err == nil && p.region == "" {
		p.region, err = i.options.Metadata.Region(ctx)
	}
	if err != nil {
		return place{}, &trouble{ErrTemporary, err.Error(), err}
	}
	if !regionName.MatchString(p.region) {
		return place{}, fmt.Errorf("%.40q is not a region", p.region)
	}
	i.met = &p
	return p, nil
}

// call is one action on this instance, or on its group.
type call struct {
	action string     // "ec2:CreateTags"
	self   string     // what the form calls this instance: "InstanceId.1"
	form   url.Values // the rest of it
	group  string     // of an Auto Scaling action that a policy may allow on some groups: which; "*" = any
}

// do makes a call within callTime, and words its error. It makes a second attempt after a temporary trouble, and when
// there are other credentials than the refused ones.
func (i *Instance) do(ctx context.Context, c call) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	here, err := i.meet(ctx)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", c.action, err)
	}
	used, err := i.keys.get(ctx)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", c.action, err)
	}
	service, action, _ := strings.Cut(c.action, ":")
	form := url.Values{"Action": {action}, "Version": {versions[service]}, c.self: {here.id}}
	maps.Copy(form, c.form)
	text := form.Encode()
	for attempt := 1; ; attempt++ {
		said, err := i.post(ctx, used, service, here.region, action, text)
		if err == nil {
			return said, nil
		}
		t := judge(err, c.action, here.resource(service, c.group))
		if t.kind == ErrCredentials || t.kind == ErrDenied {
			// The fix may be another role for the instance, whose keys would not be fetched before these expire.
			i.keys.refused(used.AccessKeyID)
		}
		again := false
		switch {
		case attempt == attempts:
		case t.kind == ErrTemporary:
			again = retry.Wait(ctx, rand.N(retryWait))
		case t.kind == ErrCredentials:
			other, err := i.keys.get(ctx)
			again = err == nil && other.AccessKeyID != used.AccessKeyID
			used = other
		}
		if !again {
			return answer{}, fmt.Errorf("%s: %w", c.action, t)
		}
	}
}

// partitions are AWS's separate clouds; all other regions are in its first one.
// https://docs.aws.amazon.com/general/latest/gr/rande.html
var partitions = []struct{ regions, name, domain string }{
	{"cn-", "aws-cn", "amazonaws.com.cn"},
	{"us-gov-", "aws-us-gov", "amazonaws.com"},
	{"eusc-", "aws-eusc", "amazonaws.eu"},
	{"us-iso-", "aws-iso", "c2s.ic.gov"},
	{"us-isob-", "aws-iso-b", "sc2s.sgov.gov"},
	{"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"},
	{"us-isof-", "aws-iso-f", "csp.hci.ic.gov"},
}

// partition is the first part of a region's ARNs, and the end of its hosts' names.
func partition(region string) (name, domain string) {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.regions) {
			return p.name, p.domain
		}
	}
	return "aws", "amazonaws.com"
}

// address is the server of a service in a region.
func (i *Instance) address(service, region string) string {
	_, domain := partition(region)
	return cmp.Or(i.options.Endpoint, "https://"+service+"."+region+"."+domain+"/")
}

// resource is what a policy must allow an action on. The account may be left open there.
func (p place) resource(service, group string) string {
	name := "instance/" + p.id
	if service == "autoscaling" {
		if group == "" {
			return "*" // an action that knows no resources
		}
		name = "autoScalingGroup:*:autoScalingGroupName/" + group
	}
	partition, _ := partition(p.region)
	return fmt.Sprintf("arn:%s:%s:%s:*:%s", partition, service, p.region, name)
}
