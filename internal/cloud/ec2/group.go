package ec2

import (
	"context"
	"fmt"
	"net/url"
)

// Group is the Auto Scaling group of this instance.
type Group struct {
	Name  string `xml:"AutoScalingGroupName"` // "" = in no group
	State string `xml:"LifecycleState"`       // of this instance: "Pending:Wait", "InService", ...
}

// Group asks for it. That the instance is in no group is not an error.
func (i *Instance) Group(ctx context.Context) (Group, error) {
	said, err := i.do(ctx, call{"autoscaling:DescribeAutoScalingInstances", "InstanceIds.member.1", nil, ""})
	if err != nil || len(said.Groups) == 0 {
		return Group{}, err
	}
	return said.Groups[0], nil
}

// CompleteLifecycle lets a new instance go into service: it completes the group's launching hook (Options.Hook) with
// CONTINUE. It is not an error if there is nothing to complete: the instance is in no group, or does not wait for a
// hook. It is one if the instance does not wait yet: call again.
func (i *Instance) CompleteLifecycle(ctx context.Context) error {
	g, err := i.Group(ctx)
	switch {
	case err != nil:
		return err
	case g.State == "Pending" || g.State == "Warmed:Pending":
		return fmt.Errorf("lifecycle hook: group %s: the instance is %s and does not wait yet", g.Name, g.State)
	case g.State != "Pending:Wait" && g.State != "Warmed:Pending:Wait":
		return nil
	}
	_, err = i.do(ctx, call{"autoscaling:CompleteLifecycleAction", "InstanceId",
		url.Values{"AutoScalingGroupName": {g.Name}, "LifecycleHookName": {i.options.Hook}, "LifecycleActionResult": {"CONTINUE"}}, g.Name})
	if err != nil {
		return fmt.Errorf("group %s: hook %s: %w", g.Name, i.options.Hook, err)
	}
	return nil
}

// Unhealthy makes the group replace this instance at once, even in its grace period.
func (i *Instance) Unhealthy(ctx context.Context) error {
	_, err := i.do(ctx, call{"autoscaling:SetInstanceHealth", "InstanceId",
		url.Values{"HealthStatus": {"Unhealthy"}, "ShouldRespectGracePeriod": {"false"}}, "*"})
	return err
}

// Terminate ends this instance. Its group keeps its size and starts another.
func (i *Instance) Terminate(ctx context.Context) error {
	g, err := i.Group(ctx)
	if err != nil {
		return err
	}
	if g.Name != "" {
		_, err = i.do(ctx, call{"autoscaling:TerminateInstanceInAutoScalingGroup", "InstanceId",
			url.Values{"ShouldDecrementDesiredCapacity": {"false"}}, g.Name})
		return err
	}
	_, err = i.do(ctx, call{"ec2:TerminateInstances", "InstanceId.1", nil, ""})
	return err
}
