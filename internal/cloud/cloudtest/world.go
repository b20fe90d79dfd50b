package cloudtest

import (
	"crypto/rand"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// image is one that moto knows from the start.
const image = "ami-12c6146b"

// Launch starts an instance that is in no group, and returns its id.
func (a *AWS) Launch() string {
	a.tb.Helper()
	var said struct {
		ID string `xml:"instancesSet>item>instanceId"`
	}
	a.do("ec2:RunInstances", url.Values{"ImageId": {image}, "MinCount": {"1"}, "MaxCount": {"1"}, "InstanceType": {"t3.micro"}}, &said)
	return said.ID
}

// Template makes a launch template, and finds a subnet with an address in it that is free.
func (a *AWS) Template() (template, subnet, ip string) {
	a.tb.Helper()
	template = "template-" + strings.ToLower(rand.Text()[:8])
	a.do("ec2:CreateLaunchTemplate", url.Values{"LaunchTemplateName": {template}, "LaunchTemplateData.ImageId": {image}, "LaunchTemplateData.InstanceType": {"t3.micro"}}, nil)
	var said struct {
		Subnets []struct {
			ID   string `xml:"subnetId"`
			CIDR string `xml:"cidrBlock"`
		} `xml:"subnetSet>item"`
	}
	a.do("ec2:DescribeSubnets", nil, &said)
	if len(said.Subnets) == 0 {
		a.tb.Fatal("moto: no subnet")
	}
	network, err := netip.ParsePrefix(said.Subnets[0].CIDR)
	if err != nil {
		a.tb.Fatal(err)
	}
	at := network.Addr().Next()
	text := rand.Text() // moto gives an address only once
	for range 10 + int(text[0])*9 + int(text[1]) {
		at = at.Next()
	}
	for a.at(at.String()) {
		at = at.Next()
	}
	return template, said.Subnets[0].ID, at.String()
}

// at says whether an instance has an address.
func (a *AWS) at(ip string) bool {
	a.tb.Helper()
	var said struct {
		States []string `xml:"reservationSet>item>instancesSet>item>instanceState>name"`
	}
	a.do("ec2:DescribeInstances", url.Values{"Filter.1.Name": {"private-ip-address"}, "Filter.1.Value.1": {ip}}, &said)
	return slices.ContainsFunc(said.States, func(s string) bool { return s != "terminated" })
}

// Group makes an Auto Scaling group of one instance. With a hook's name the instance waits for that hook, as a new one
// does (Pending:Wait); else it is InService.
func (a *AWS) Group(hook string) (group, instance string) {
	a.tb.Helper()
	group = "group-" + strings.ToLower(rand.Text()[:8])
	a.do("autoscaling:CreateLaunchConfiguration", url.Values{"LaunchConfigurationName": {group}, "ImageId": {image}, "InstanceType": {"t3.micro"}}, nil)
	a.do("autoscaling:CreateAutoScalingGroup", url.Values{"AutoScalingGroupName": {group}, "LaunchConfigurationName": {group},
		"MinSize": {"1"}, "MaxSize": {"1"}, "DesiredCapacity": {"1"}, "AvailabilityZones.member.1": {Region + "a"}}, nil)
	all := a.members(group)
	if len(all) != 1 {
		a.tb.Fatalf("moto: a group of one has %v", all)
	}
	if hook != "" {
		a.do("autoscaling:PutLifecycleHook", url.Values{"AutoScalingGroupName": {group}, "LifecycleHookName": {hook},
			"LifecycleTransition": {"autoscaling:EC2_INSTANCE_LAUNCHING"}}, nil)
		a.SetState(all[0], "Pending:Wait")
	}
	return group, all[0]
}

func (a *AWS) members(group string) []string {
	a.tb.Helper()
	var said struct {
		IDs []string `xml:"DescribeAutoScalingGroupsResult>AutoScalingGroups>member>Instances>member>InstanceId"`
	}
	a.do("autoscaling:DescribeAutoScalingGroups", url.Values{"AutoScalingGroupNames.member.1": {group}}, &said)
	return said.IDs
}

// Members are the instances of a group now.
func (a *AWS) Members(group string) []string {
	a.tb.Helper()
	return a.members(group)
}

// Desired is the capacity that a group is to have.
func (a *AWS) Desired(group string) string {
	a.tb.Helper()
	var said struct {
		Desired string `xml:"DescribeAutoScalingGroupsResult>AutoScalingGroups>member>DesiredCapacity"`
	}
	a.do("autoscaling:DescribeAutoScalingGroups", url.Values{"AutoScalingGroupNames.member.1": {group}}, &said)
	return said.Desired
}

// SetState says where an instance of a group is in its life: "Pending:Wait", "Terminating:Wait", ... moto has no such
// states.
func (a *AWS) SetState(instance, state string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.states[instance] = state
}

// member is an instance as its group sees it.
type member struct{ group, state, health string }

func (a *AWS) member(instance string) (member, bool) {
	a.tb.Helper()
	var said struct {
		Group  string `xml:"DescribeAutoScalingInstancesResult>AutoScalingInstances>member>AutoScalingGroupName"`
		State  string `xml:"DescribeAutoScalingInstancesResult>AutoScalingInstances>member>LifecycleState"`
		Health string `xml:"DescribeAutoScalingInstancesResult>AutoScalingInstances>member>HealthStatus"`
	}
	a.do("autoscaling:DescribeAutoScalingInstances", url.Values{"InstanceIds.member.1": {instance}}, &said)
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.states[instance]; s != "" {
		said.State = s
	}
	return member{said.Group, said.State, said.Health}, said.Group != ""
}

// State is where an instance of a group is in its life, and its health; "" = in no group.
func (a *AWS) State(instance string) (state, health string) {
	a.tb.Helper()
	m, _ := a.member(instance)
	return m.state, m.health
}

// Running says what EC2 says of an instance: "running", "terminated", ...; "" = it does not know it.
func (a *AWS) Running(instance string) string {
	a.tb.Helper()
	var said struct {
		State string `xml:"reservationSet>item>instancesSet>item>instanceState>name"`
	}
	a.do("ec2:DescribeInstances", url.Values{"Filter.1.Name": {"instance-id"}, "Filter.1.Value.1": {instance}}, &said)
	return said.State
}

// Tags are those of an instance.
func (a *AWS) Tags(instance string) map[string]string {
	a.tb.Helper()
	var said struct {
		Tags []struct {
			Key   string `xml:"key"`
			Value string `xml:"value"`
		} `xml:"tagSet>item"`
	}
	a.do("ec2:DescribeTags", url.Values{"Filter.1.Name": {"resource-id"}, "Filter.1.Value.1": {instance}}, &said)
	all := map[string]string{}
	for _, t := range said.Tags {
		all[t.Key] = t.Value
	}
	return all
}

// hooks are the names of a group's launching hooks.
func (a *AWS) hooks(group string) []string {
	a.tb.Helper()
	var said struct {
		Hooks []struct {
			Name       string `xml:"LifecycleHookName"`
			Transition string `xml:"LifecycleTransition"`
		} `xml:"DescribeLifecycleHooksResult>LifecycleHooks>member"`
	}
	a.do("autoscaling:DescribeLifecycleHooks", url.Values{"AutoScalingGroupName": {group}}, &said)
	var names []string
	for _, h := range said.Hooks {
		if h.Transition == "autoscaling:EC2_INSTANCE_LAUNCHING" {
			names = append(names, h.Name)
		}
	}
	return names
}
