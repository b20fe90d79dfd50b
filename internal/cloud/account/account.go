// Package account acts on the instances of an AWS account, for a doctor: it lists, starts, stops, launches and
// terminates them.
//
// It alone imports a service client of aws-sdk-go-v2, whose first compilation takes minutes, and addctl alone imports
// it. What a node itself says to AWS is package ec2's.
package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/doctor"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/cloud"
	node "github.com/addagent/addagent/internal/cloud/ec2"
	"github.com/addagent/addagent/internal/human"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// Options say which account, and how to reach it.
type Options struct {
	Metadata  *cloud.Metadata // gives the credentials of this instance's role, where the environment has none
	Region    string          // "" = AWS_REGION, else what the metadata service says
	Endpoint  string          // "" = AWS's own of the region
	Transport http.RoundTripper
	Agent     string // the user agent, "addctl/1.2"
}

// Account is one account in one region. Its methods may be used concurrently.
type Account struct{ client *ec2.Client }

const (
	// deploymentTag is on what belongs to the fleet, and doctorTag on what a doctor launched: nothing else is touched.
	deploymentTag = "add:deployment"
	doctorTag     = "add:doctor"
	// callTime bounds a call with its retries.
	callTime = 30 * time.Second
)

// New asks nothing but, where no region is given, the metadata service.
func New(ctx context.Context, o Options) (*Account, error) {
	region := o.Region
	if region == "" {
		var err error
		if region, err = o.Metadata.Region(ctx); err != nil {
			return nil, fmt.Errorf("EC2: no region: set ec2.region or AWS_REGION: %w", err)
		}
	}
	settings := ec2.Options{Region: region, AppID: o.Agent, HTTPClient: &http.Client{Transport: o.Transport, Timeout: callTime},
		Credentials: aws.CredentialsProviderFunc(node.Credentials(o.Metadata))}
	if o.Endpoint != "" {
		settings.BaseEndpoint = aws.String(o.Endpoint)
	}
	return &Account{ec2.New(settings)}, nil
}

// Instances lists those of the fleet, by its tag, and those that a doctor launched.
func (a *Account) Instances(ctx context.Context) (list []event.Provided, err error) {
	ask := &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("tag-key"), Values: []string{deploymentTag, doctorTag}}}}
	for {
		page, err := a.client.DescribeInstances(ctx, ask)
		if err != nil {
			return nil, worded(err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				list = append(list, event.Provided{ID: aws.ToString(i.InstanceId), IP: aws.ToString(i.PrivateIpAddress), State: reported(i)})
			}
		}
		if ask.NextToken = page.NextToken; aws.ToString(ask.NextToken) == "" {
			return list, nil
		}
	}
}

func reported(i types.Instance) string {
	if i.State == nil {
		return event.Pending
	}
	return string(i.State.Name)
}

// Do starts, stops, launches or terminates an instance. Start, stop and terminate have no effect on an instance that is
// so already; a launch with a token that it had before is that launch.
func (a *Account) Do(ctx context.Context, action, id string, l event.Launch) (result string, err error) {
	one := []string{id}
	switch action {
	case "start":
		_, err = a.client.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: one})
	case "stop":
		_, err = a.client.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: one})
	case "terminate":
		_, err = a.client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: one})
	case "launch":
		return a.launch(ctx, l)
	default:
		err = fmt.Errorf("EC2: %s is unknown", human.Quote(action))
	}
	return id, worded(err)
}

func (a *Account) launch(ctx context.Context, l event.Launch) (id string, err error) {
	template := &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String(l.Template)}
	if strings.HasPrefix(l.Template, "lt-") {
		template = &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String(l.Template)}
	}
	tag := func(key, value string) types.Tag { return types.Tag{Key: aws.String(key), Value: aws.String(value)} }
	ask := &ec2.RunInstancesInput{LaunchTemplate: template, MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: aws.String(l.Token),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{tag(doctorTag, l.Token), tag("Name", l.Name)}}}}
	if l.Subnet != "" {
		ask.SubnetId = aws.String(l.Subnet)
	}
	if l.IP != "" {
		ask.PrivateIpAddress = aws.String(l.IP)
	}
	said, err := a.client.RunInstances(ctx, ask)
	if err != nil {
		return "", worded(err)
	}
	if len(said.Instances) != 1 {
		return "", fmt.Errorf("EC2: asked for one instance, got %d", len(said.Instances))
	}
	id = aws.ToString(said.Instances[0].InstanceId)
	// The answer to a token that was used before may be as it was then.
	now, err := a.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err == nil && len(now.Reservations) == 1 && len(now.Reservations[0].Instances) == 1 {
		if s := reported(now.Reservations[0].Instances[0]); s == event.Terminated || s == event.ShuttingDown {
			return id, fmt.Errorf("%s: %w", id, doctor.ErrGone)
		}
	}
	return id, nil
}

// worded is an error in AWS's words, without the ids of requests, so that the same trouble has the same words.
func worded(err error) error {
	var said smithy.APIError
	if errors.As(err, &said) {
		text, _, _ := strings.Cut(said.ErrorMessage(), "Encoded authorization failure message:")
		return fmt.Errorf("EC2: %s: %s", said.ErrorCode(), human.Truncate(human.Line(strings.TrimSpace(text)), 300))
	}
	var op *smithy.OperationError
	if errors.As(err, &op) {
		return fmt.Errorf("EC2: %s: %s", op.Operation(), human.Truncate(human.Line(cmp.Or(op.Err, err).Error()), 300))
	}
	return err
}
