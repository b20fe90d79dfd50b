// Package ec2 is what a node asks of AWS about itself: its tags, and its place in its Auto Scaling group. It is the only
// importer of aws-sdk-go-v2, of which it takes the signatures and nothing else: the SDK's clients of the two services
// and of the metadata service, for the six calls that are made here, cost every command and every shim 1.4 MB of binary,
// 1.2 MB of memory and a millisecond at its start, an idle agent 1.7 MB, and a cold build minutes.
package ec2

import (
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
	// attempts: one retry helps against a lost connection; for the rest callers have a backoff of their own.
	attempts = 2
	// retryWait is the longest wait before the second attempt; how long it is, is chance, so that a fleet which was
	// throttled together does not come back together.
	retryWait = 2 * time.Second
)

// Options say which instance this is, and how to reach AWS.
type Options struct {
	Metadata   *cloud.Metadata   // nil = the real one; gives the credentials of the instance's role
	InstanceID string            // "" = what the metadata service says
	Region     string            // "" = what the metadata service says
	Endpoint   string            // for EC2 and Auto Scaling both; "" = AWS's own of the region
	Transport  http.RoundTripper // with proxy and authorities; nil = as the environment says. The metadata service is never asked through it
	Agent      string            // "addagent/1.2", said to AWS
	Hook       string            // the launching lifecycle hook that CompleteLifecycle completes; "" = none
}

// Instance is this machine as AWS sees it. A call ends within ten seconds. Its methods may be used concurrently.
// Their errors are ErrDenied, ErrCredentials, ErrTemporary, ErrUnknown, ErrNoGroup, or none of them: permanent. The same
// trouble has the same words, without request ids, and no error holds a secret.
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

// New asks nothing yet. Credentials are those of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, if
// set now, else those of the instance's role, fetched when first needed and kept fresh.
func New(o Options) *Instance {
	if o.Metadata == nil {
		o.Metadata = cloud.NewMetadata("")
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: callTime}
	}
	// AWS does not redirect, and whoever does shall not have the session's token.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Instance{options: o, client: &http.Client{Transport: o.Transport, CheckRedirect: stay}, signer: v4.NewSigner(), keys: newKeys(o.Metadata)}
}

// regionName is a part of a host's name that gets the session's token: a page of a portal must not pass for one.
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
		if p.id, err = i.options.Metadata.InstanceID(ctx); err != nil {
			return place{}, unheard(err)
		}
	}
	if p.region == "" {
		if p.region, err = i.options.Metadata.Region(ctx); err != nil {
			return place{}, unheard(err)
		}
	}
	if !regionName.MatchString(p.region) {
		return place{}, fmt.Errorf("%.40q is no region", p.region)
	}
	i.met = &p
	return p, nil
}

// call is one action on one resource: what a policy has to allow.
type call struct {
	action   string             // "ec2:CreateTags"
	self     string             // what the form calls this instance: "InstanceId.1"
	form     url.Values         // the rest of it
	resource func(place) string // its ARN, "*" for what a policy has to name
}

// do makes a call within its time, and words what goes wrong. A second attempt is made after a temporary trouble, and
// when there are other credentials than the refused ones.
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
		t := judge(err, c.action, c.resource(here))
		if t.kind == ErrCredentials || t.kind == ErrDenied {
			// Who mends it may have given the instance another role, whose keys are not asked for while these are good.
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

// partitions are AWS's separate clouds; the last one takes what no other does.
// https://docs.aws.amazon.com/general/latest/gr/rande.html
var partitions = []struct{ regions, name, domain string }{
	{"cn-", "aws-cn", "amazonaws.com.cn"},
	{"us-gov-", "aws-us-gov", "amazonaws.com"},
	{"eusc-", "aws-eusc", "amazonaws.eu"},
	{"us-iso-", "aws-iso", "c2s.ic.gov"},
	{"us-isob-", "aws-iso-b", "sc2s.sgov.gov"},
	{"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"},
	{"us-isof-", "aws-iso-f", "csp.hci.ic.gov"},
	{"", "aws", "amazonaws.com"},
}

// partition is the first part of a region's ARNs, and the end of its hosts' names.
func partition(region string) (name, domain string) {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.regions) {
			return p.name, p.domain
		}
	}
	return "", ""
}

// address is where a service of a region answers.
func (i *Instance) address(service, region string) string {
	if i.options.Endpoint != "" {
		return i.options.Endpoint
	}
	_, domain := partition(region)
	return "https://" + service + "." + region + "." + domain + "/"
}

func instanceARN(p place) string {
	name, _ := partition(p.region)
	return fmt.Sprintf("arn:%s:ec2:%s:*:instance/%s", name, p.region, p.id)
}

func groupARN(group string) func(place) string {
	return func(p place) string {
		name, _ := partition(p.region)
		return fmt.Sprintf("arn:%s:autoscaling:%s:*:autoScalingGroup:*:autoScalingGroupName/%s", name, p.region, group)
	}
}

// anyARN is for actions that know no resources.
func anyARN(place) string { return "*" }
