package ec2

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// Group is this instance's place in its Auto Scaling group.
type Group struct {
	Name  string // "" = in no group
	State string // where in its life: "Pending:Wait", "InService", ...
}

// Group asks; an instance that is in no group is no error.
func (i *Instance) Group(ctx context.Context) (Group, error) {
	var g Group
	err := i.do(ctx, call{"autoscaling:DescribeAutoScalingInstances", anyARN}, func(ctx context.Context, c *clients) error {
		out, err := c.scaling.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{c.id}})
		if err != nil {
			return err
		}
		for _, one := range out.AutoScalingInstances {
			if aws.ToString(one.InstanceId) == c.id {
				g = Group{aws.ToString(one.AutoScalingGroupName), aws.ToString(one.LifecycleState)}
			}
		}
		return nil
	})
	return g, err
}

// Completion is what CompleteLifecycle found.
type Completion struct {
	Done  bool   // the hook was completed by this call
	Later bool   // the instance does not wait yet, but will: ask again
	Why   string // for people: what was done, or why there was nothing to do
}

// CompleteLifecycle lets a new instance go on into service: the group's launching hook (Options.Hook) is completed with
// CONTINUE. Nothing to complete is no error: no hook is set, the instance is in no group, or it does not wait.
func (i *Instance) CompleteLifecycle(ctx context.Context) (Completion, error) {
	if i.options.Hook == "" {
		return Completion{Why: "no lifecycle hook is set"}, nil
	}
	g, err := i.Group(ctx)
	switch {
	case err != nil:
		return Completion{}, err
	case g.Name == "":
		return Completion{Why: "the instance is in no Auto Scaling group"}, nil
	case g.State == "Pending" || g.State == "Warmed:Pending":
		return Completion{Later: true, Why: fmt.Sprintf("group %s: the instance is %s and does not wait yet", g.Name, g.State)}, nil
	case g.State != "Pending:Wait" && g.State != "Warmed:Pending:Wait":
		return Completion{Why: fmt.Sprintf("group %s: the instance is %s and waits for no launching hook", g.Name, g.State)}, nil
	}
	err = i.do(ctx, call{"autoscaling:CompleteLifecycleAction", groupARN(g.Name)}, func(ctx context.Context, c *clients) error {
		_, err := c.scaling.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
			AutoScalingGroupName: aws.String(g.Name), LifecycleHookName: aws.String(i.options.Hook),
			InstanceId: aws.String(c.id), LifecycleActionResult: aws.String("CONTINUE"),
		})
		return err
	})
	if err != nil {
		return Completion{}, fmt.Errorf("group %s: hook %s: %w", g.Name, i.options.Hook, err)
	}
	return Completion{Done: true, Why: fmt.Sprintf("group %s: hook %s is completed", g.Name, i.options.Hook)}, nil
}

// Unhealthy has the group replace this instance at once, grace period or not. ErrNoGroup: nobody would.
func (i *Instance) Unhealthy(ctx context.Context) error {
	return i.do(ctx, call{"autoscaling:SetInstanceHealth", groupARN("*")}, func(ctx context.Context, c *clients) error {
		_, err := c.scaling.SetInstanceHealth(ctx, &autoscaling.SetInstanceHealthInput{
			InstanceId: aws.String(c.id), HealthStatus: aws.String("Unhealthy"), ShouldRespectGracePeriod: aws.Bool(false),
		})
		return err
	})
}

// Terminate ends this instance. A group keeps its size and starts another one.
func (i *Instance) Terminate(ctx context.Context) error {
	g, err := i.Group(ctx)
	if err != nil {
		return err
	}
	if g.Name != "" {
		return i.do(ctx, call{"autoscaling:TerminateInstanceInAutoScalingGroup", groupARN(g.Name)}, func(ctx context.Context, c *clients) error {
			_, err := c.scaling.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
				InstanceId: aws.String(c.id), ShouldDecrementDesiredCapacity: aws.Bool(false),
			})
			return err
		})
	}
	return i.do(ctx, call{"ec2:TerminateInstances", instanceARN}, func(ctx context.Context, c *clients) error {
		_, err := c.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{c.id}})
		return err
	})
}
