// Package ec2 is what a node asks of AWS about itself: its tags, and its place in its Auto Scaling group. It is the only
// importer of aws-sdk-go-v2, whose ec2 package takes minutes to compile: no other test waits for it. The SDK's config
// package is left out: it would double what the SDK adds to the binary, for sources of credentials no node has.
package ec2

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"

	"github.com/addagent/addagent/cloud"
)

const (
	// callTime bounds a call with its one retry, and the questions to the metadata service before it.
	callTime = 10 * time.Second
	// attempts: one retry helps against a lost connection; for the rest callers have a backoff of their own.
	attempts = 2
	// retryWait is the longest wait before the second attempt.
	retryWait = 2 * time.Second
)

// Options say which instance this is, and how to reach AWS.
type Options struct {
	Metadata   *cloud.Metadata   // nil = the real one; gives the credentials of the instance's role
	InstanceID string            // "" = what the metadata service says
	Region     string            // "" = what the metadata service says
	Endpoint   string            // for EC2 and Auto Scaling both; "" = AWS's own of the region
	Transport  http.RoundTripper // with proxy and authorities; nil = as the environment says. The metadata service is never asked through it
	Agent      string            // "addagent/1.2", said to AWS in front of the SDK's own words
	Hook       string            // the launching lifecycle hook that CompleteLifecycle completes; "" = none
}

// Instance is this machine as AWS sees it. A call ends within ten seconds. Its methods may be used concurrently.
// Their errors are ErrDenied, ErrCredentials, ErrTemporary, ErrUnknown, ErrNoGroup, or none of them: permanent. The same
// trouble has the same words, without request ids, and no error holds a secret.
type Instance struct {
	options     Options
	credentials *aws.CredentialsCache

	mu  sync.Mutex
	met *clients // nil until first used
}

// clients are what a call needs once it is known who and where.
type clients struct {
	id, region string
	ec2        *ec2.Client
	scaling    *autoscaling.Client
}

// New asks nothing yet. Credentials are those of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, if
// set now, else those of the instance's role, fetched when first needed and kept fresh.
func New(o Options) *Instance {
	if o.Metadata == nil {
		o.Metadata = cloud.NewMetadata("")
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: callTime}
	}
	var provider aws.CredentialsProvider = newRole(o.Metadata)
	if key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"); key != "" && secret != "" {
		kept := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN"), Source: "environment"}
		provider = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return kept, nil })
	}
	return &Instance{options: o, credentials: aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) {
		// New ones are there five minutes before the old ones end.
		o.ExpiryWindow = 4 * time.Minute
	})}
}

// meet finds out who and where this is, once.
func (i *Instance) meet(ctx context.Context) (*clients, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.met != nil {
		return i.met, nil
	}
	c := clients{id: i.options.InstanceID, region: i.options.Region}
	var err error
	if c.id == "" {
		if c.id, err = i.options.Metadata.InstanceID(ctx); err != nil {
			return nil, unheard(err)
		}
	}
	if c.region == "" {
		if c.region, err = i.options.Metadata.Region(ctx); err != nil {
			return nil, unheard(err)
		}
	}
	cfg := aws.Config{
		Region: c.region, Credentials: i.credentials,
		HTTPClient: &http.Client{Transport: i.options.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, retryWait })
		},
	}
	if i.options.Endpoint != "" {
		cfg.BaseEndpoint = aws.String(i.options.Endpoint)
	}
	if name, version, _ := strings.Cut(i.options.Agent, "/"); name != "" {
		cfg.APIOptions = []func(*middleware.Stack) error{awsmiddleware.AddUserAgentKeyValue(name, version)}
	}
	c.ec2, c.scaling = ec2.NewFromConfig(cfg), autoscaling.NewFromConfig(cfg)
	i.met = &c
	return i.met, nil
}

// call is one action on one resource: what a policy has to allow.
type call struct {
	action   string                // "ec2:CreateTags"
	resource func(*clients) string // its ARN, "*" for what a policy has to name
}

// do makes a call within its time, and words what goes wrong.
func (i *Instance) do(ctx context.Context, c call, send func(context.Context, *clients) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	met, err := i.meet(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", c.action, err)
	}
	if err = send(ctx, met); err == nil {
		return nil
	}
	t := judge(err, c.action, c.resource(met))
	if t.kind == ErrCredentials {
		// Another role may have come, or the old credentials were revoked: ask anew next time.
		i.credentials.Invalidate()
	}
	return fmt.Errorf("%s: %w", c.action, t)
}

// partition is the first part of a region's ARNs.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

func instanceARN(c *clients) string {
	return fmt.Sprintf("arn:%s:ec2:%s:*:instance/%s", partition(c.region), c.region, c.id)
}

func groupARN(name string) func(*clients) string {
	return func(c *clients) string {
		return fmt.Sprintf("arn:%s:autoscaling:%s:*:autoScalingGroup:*:autoScalingGroupName/%s", partition(c.region), c.region, name)
	}
}

// anyARN is for actions that know no resources.
func anyARN(*clients) string { return "*" }
