package ec2

import (
	"context"
	"fmt"
	"net/url"
)

// Group is the Auto Scaling group of this instance.
type Group struct {
	Name  string // "" = in no group
	State string // its lifecycle state: "Pending:Wait", "InService", ...
}

// Group asks for it. That the instance is in no group is not an error.
func (i *Instance) Group(ctx context.Context) (Group, error) {
	said, err := i.do(ctx, call{"autoscaling:DescribeAutoScalingInstances", "InstanceIds.member.1", nil, anyARN})
	if err != nil || len(said.Members) == 0 {
		return Group{}, err
	}
	return Group{said.Members[0].Group, said.Members[0].State}, nil
}

// Completion is the result of CompleteLifecycle.
type Completion struct {
	Done  bool   // this call completed the hook
	Later bool   // the instance does not wait yet: call again
	Why   string // for people: what was done, or why nothing
}

// CompleteLifecycle lets a new instance go into service: it completes the group's launching hook (Options.Hook) with
// CONTINUE. It is not an error if there is nothing to complete: no hook is set, the instance is in no group, or it does
// not wait.
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
		return Completion{Why: fmt.Sprintf("group %s: the instance is %s and does not wait for a launching hook", g.Name, g.State)}, nil
	}
	_, err = i.do(ctx, call{"autoscaling:CompleteLifecycleAction", "InstanceId",
		url.Values{"AutoScalingGroupName": {g.Name}, "LifecycleHookName": {i.options.Hook}, "LifecycleActionResult": {"CONTINUE"}}, groupARN(g.Name)})
	if err != nil {
		return Completion{}, fmt.Errorf("group %s: hook %s: %w", g.Name, i.options.Hook, err)
	}
	return Completion{Done: true, Why: fmt.Sprintf("group %s: hook %s completed", g.Name, i.options.Hook)}, nil
}

// Unhealthy makes the group replace this instance at once, even in its grace period. It fails with ErrNoGroup when
// there is no group to do so.
func (i *Instance) Unhealthy(ctx context.Context) error {
	_, err := i.do(ctx, call{"autoscaling:SetInstanceHealth", "InstanceId",
		url.Values{"HealthStatus": {"Unhealthy"}, "ShouldRespectGracePeriod": {"false"}}, groupARN("*")})
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
			url.Values{"ShouldDecrementDesiredCapacity": {"false"}}, groupARN(g.Name)})
		return err
	}
	_, err = i.do(ctx, call{"ec2:TerminateInstances", "InstanceId.1", nil, instanceARN})
	return err
}
