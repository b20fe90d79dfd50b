package ec2_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cloud/ec2"
)

const describe = "autoscaling:DescribeAutoScalingInstances"

func TestGroup(t *testing.T) {
	w := newWorld(t)
	group, id := w.aws.Group("")
	w.aws.Group("") // another one's
	if g, err := w.instance(t, id).Group(t.Context()); g != (ec2.Group{Name: group, State: "InService"}) || err != nil {
		t.Errorf("Group = %+v, %v", g, err)
	}
	if g, err := w.instance(t, w.aws.Launch()).Group(t.Context()); g != (ec2.Group{}) || err != nil {
		t.Errorf("Group = %+v, %v", g, err)
	}
	w.aws.Deny(describe)
	says(t, func() error { _, err := w.instance(t, id).Group(t.Context()); return err }, ec2.ErrDenied, "must allow "+describe+" on *")
	w.aws.Allow(describe)
	w.aws.Throttle(describe, 9)
	says(t, func() error { _, err := w.instance(t, id).Group(t.Context()); return err }, ec2.ErrTemporary, describe+": Throttling")
	w.aws.Throttle(describe, 0)
	w.aws.SetClock(time.Hour)
	says(t, func() error { _, err := w.instance(t, id).Group(t.Context()); return err }, ec2.ErrCredentials, "credentials refused: SignatureDoesNotMatch; this machine's clock is behind AWS's")
	w.aws.SetClock(0)
	w.aws.OnlySecret("other")
	says(t, func() error { _, err := w.instance(t, id).Group(t.Context()); return err }, ec2.ErrCredentials, "credentials refused: SignatureDoesNotMatch; check the clock")
}

func TestCompleteLifecycle(t *testing.T) {
	w := newWorld(t)
	group, id := w.aws.Group("boot")
	node := w.instance(t, id)
	w.aws.SetState(id, "Pending")
	if err := node.CompleteLifecycle(t.Context()); err == nil || err.Error() != "lifecycle hook: group "+group+": the instance is Pending and does not wait yet" {
		t.Errorf("while it is launched: %v", err)
	}
	w.aws.SetState(id, "Pending:Wait")
	for _, when := range []string{"while it waits", "a second time"} {
		if err := node.CompleteLifecycle(t.Context()); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if state, _ := w.aws.State(id); state != "InService" {
			t.Errorf("%s: it is %s", when, state)
		}
	}
	done := w.aws.Calls("autoscaling:CompleteLifecycleAction")
	if len(done) != 1 || done[0].Form.Get("LifecycleActionResult") != "CONTINUE" {
		t.Errorf("calls %+v", done)
	}
	if err := w.instance(t, w.aws.Launch()).CompleteLifecycle(t.Context()); err != nil {
		t.Errorf("in no group: %v", err)
	}
}

func TestCompleteLifecycleIsRefused(t *testing.T) {
	w := newWorld(t)
	group, id := w.aws.Group("boot")
	complete := func(node *ec2.Instance) func() error {
		return func() error { return node.CompleteLifecycle(t.Context()) }
	}
	wrong := w.instance(t, id, func(o *ec2.Options) { o.Hook = "other" })
	says(t, complete(wrong), nil, "group "+group+": hook other: autoscaling:CompleteLifecycleAction: ValidationError: No active Lifecycle Action found with instance ID "+id)
	w.aws.Deny("autoscaling:CompleteLifecycleAction")
	says(t, complete(w.instance(t, id)), ec2.ErrDenied,
		"must allow autoscaling:CompleteLifecycleAction on arn:aws:autoscaling:eu-west-1:*:autoScalingGroup:*:autoScalingGroupName/"+group)
	w.aws.Deny(describe)
	says(t, complete(w.instance(t, id)), ec2.ErrDenied, "must allow "+describe+" on *")
	if state, _ := w.aws.State(id); state != "Pending:Wait" {
		t.Errorf("it is %s", state)
	}
}

func TestUnhealthy(t *testing.T) {
	w := newWorld(t)
	_, id := w.aws.Group("")
	node := w.instance(t, id)
	w.aws.Deny("autoscaling:SetInstanceHealth")
	says(t, func() error { return node.Unhealthy(t.Context()) }, ec2.ErrDenied,
		"must allow autoscaling:SetInstanceHealth on arn:aws:autoscaling:eu-west-1:*:autoScalingGroup:*:autoScalingGroupName/*")
	w.aws.Allow("autoscaling:SetInstanceHealth")
	if err := node.Unhealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, health := w.aws.State(id); health != "Unhealthy" {
		t.Errorf("health %s", health)
	}
	calls := w.aws.Calls("autoscaling:SetInstanceHealth")
	if grace := calls[len(calls)-1].Form.Get("ShouldRespectGracePeriod"); grace != "false" {
		t.Errorf("ShouldRespectGracePeriod=%s", grace)
	}
	alone := w.instance(t, w.aws.Launch())
	says(t, func() error { return alone.Unhealthy(t.Context()) }, nil, "autoscaling:SetInstanceHealth: the instance is in no Auto Scaling group")
}

func TestTerminateInAGroup(t *testing.T) {
	w := newWorld(t)
	const action = "autoscaling:TerminateInstanceInAutoScalingGroup"
	group, id := w.aws.Group("")
	node := w.instance(t, id)
	w.aws.Deny(action)
	says(t, func() error { return node.Terminate(t.Context()) }, ec2.ErrDenied, "must allow "+action+" on arn:aws:autoscaling:eu-west-1:*:autoScalingGroup:*:autoScalingGroupName/"+group)
	if state := w.aws.Running(id); state != "running" {
		t.Errorf("it is %s", state)
	}
	w.aws.Allow(action)
	if err := node.Terminate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state := w.aws.Running(id); state != "terminated" {
		t.Errorf("it is %s", state)
	}
	if d := w.aws.Desired(group); d != "1" {
		t.Errorf("the group wants %s", d)
	}
	if all := w.aws.Members(group); len(all) != 1 || slices.Contains(all, id) {
		t.Errorf("the group has %v, want another than %s", all, id)
	}
	if n := len(w.aws.Calls("ec2:TerminateInstances")); n != 0 {
		t.Errorf("EC2 was asked %d times", n)
	}
}

func TestTerminateAlone(t *testing.T) {
	w := newWorld(t)
	id, other := w.aws.Launch(), w.aws.Launch()
	node := w.instance(t, id)
	w.aws.Deny("ec2:TerminateInstances")
	says(t, func() error { return node.Terminate(t.Context()) }, ec2.ErrDenied, "must allow ec2:TerminateInstances on arn:aws:ec2:eu-west-1:*:instance/"+id)
	w.aws.Allow("ec2:TerminateInstances")
	if err := node.Terminate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, b := w.aws.Running(id), w.aws.Running(other); a != "terminated" || b != "running" {
		t.Errorf("it is %s, another is %s", a, b)
	}
	w.aws.Deny(describe)
	if err := node.Terminate(t.Context()); !errors.Is(err, ec2.ErrDenied) {
		t.Errorf("not knowing whether it is in a group: %v", err)
	}
}
