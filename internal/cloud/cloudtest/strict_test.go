package cloudtest_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/cloud/cloudtest"
)

var moto cloudtest.Moto

func TestMain(m *testing.M) {
	code := m.Run()
	moto.Stop()
	os.Exit(code)
}

// send makes a call without an SDK; action is like "ec2:CreateTags".
func send(t *testing.T, a *cloudtest.AWS, action, form string) (int, string) {
	t.Helper()
	service, name, _ := strings.Cut(action, ":")
	values, err := url.ParseQuery(form)
	if err != nil {
		t.Fatal(err)
	}
	values.Set("Action", name)
	values.Set("Version", map[string]string{"ec2": "2016-11-15", "autoscaling": "2011-01-01"}[service])
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if service != "" {
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/eu-west-1/"+service+"/aws4_request, SignedHeaders=host, Signature="+strings.Repeat("0", 64))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestStrict: what AWS refuses is refused, most of which moto takes.
func TestStrict(t *testing.T) {
	a := cloudtest.Strict(t, &moto)
	group, id := a.Group("boot")
	_, other := a.Group("")
	alone := a.Launch()
	a.Deny("ec2:TerminateInstances")
	tag := func(key, value string) string {
		return url.Values{"ResourceId.1": {id}, "Tag.1.Key": {key}, "Tag.1.Value": {value}}.Encode()
	}
	complete := func(group, hook, id, result string) string {
		return url.Values{"AutoScalingGroupName": {group}, "LifecycleHookName": {hook}, "InstanceId": {id}, "LifecycleActionResult": {result}}.Encode()
	}
	for _, c := range []struct {
		name, action, form string
		status             int
		want               string
	}{
		{"fine", "ec2:CreateTags", tag("add:state", "idle"), 200, "<CreateTagsResponse"},
		{"dry run", "ec2:CreateTags", "DryRun=true&" + tag("add:dry", "x"), 412, "<Code>DryRunOperation</Code>"},
		{"unsigned", "", "", 401, "<Code>AuthFailure</Code>"},
		{"another action", "ec2:RebootInstances", "", 400, "<Code>InvalidAction</Code>"},
		{"unknown instance", "ec2:CreateTags", "ResourceId.1=i-00000000&Tag.1.Key=a&Tag.1.Value=b", 400, "<Code>InvalidInstanceID.NotFound</Code>"},
		{"malformed", "ec2:CreateTags", "ResourceId.1=i-xyz&Tag.1.Key=a&Tag.1.Value=b", 400, "<Code>InvalidInstanceID.Malformed</Code>"},
		{"no id", "ec2:CreateTags", "ResourceId.1=web7&Tag.1.Key=a&Tag.1.Value=b", 400, "<Code>InvalidID</Code>"},
		{"no resource", "ec2:CreateTags", "Tag.1.Key=a&Tag.1.Value=b", 400, "<Code>MissingParameter</Code>"},
		{"no tag", "ec2:CreateTags", "ResourceId.1=" + id, 400, "<Code>MissingParameter</Code>"},
		{"long key", "ec2:CreateTags", tag(strings.Repeat("k", 129), "x"), 400, "maximum length of 128"},
		{"long value", "ec2:CreateTags", tag("k", strings.Repeat("v", 257)), 400, "maximum length of 256"},
		{"reserved", "ec2:CreateTags", tag("aws:k", "x"), 400, "reserved for internal use"},
		{"reserved, loud", "ec2:CreateTags", tag("AWS:k", "x"), 400, "reserved for internal use"},
		{"a space in a key", "ec2:CreateTags", tag("a b", "x"), 400, "is not a valid tag key"},
		{"a control character", "ec2:CreateTags", tag("k", "a\x01"), 400, "<Code>InvalidParameterValue</Code>"},
		{"twice", "ec2:CreateTags", tag("k", "x") + "&Tag.2.Key=k&Tag.2.Value=y", 400, "Duplicate tag key"},
		{"denied", "ec2:TerminateInstances", "InstanceId.1=" + alone, 403, "<Code>UnauthorizedOperation</Code><Message>You are not authorized to perform this operation."},
		{"health of none", "autoscaling:SetInstanceHealth", "HealthStatus=Unhealthy&InstanceId=" + alone, 400, "No managed instance found for instance ID: " + alone},
		{"no health", "autoscaling:SetInstanceHealth", "HealthStatus=Bad&InstanceId=" + id, 400, "<Code>ValidationError</Code>"},
		{"end of none", "autoscaling:TerminateInstanceInAutoScalingGroup", "ShouldDecrementDesiredCapacity=false&InstanceId=" + alone, 400, "No managed instance found"},
		{"end without a word on size", "autoscaling:TerminateInstanceInAutoScalingGroup", "InstanceId=" + id, 400, "shouldDecrementDesiredCapacity"},
		{"no such result", "autoscaling:CompleteLifecycleAction", complete(group, "boot", id, "DONE"), 400, "Invalid Lifecycle Action Result"},
		{"no such hook", "autoscaling:CompleteLifecycleAction", complete(group, "other", id, "CONTINUE"), 400, "No active Lifecycle Action found with instance ID " + id},
		{"another group", "autoscaling:CompleteLifecycleAction", complete("other", "boot", id, "CONTINUE"), 400, "No active Lifecycle Action"},
		{"another instance", "autoscaling:CompleteLifecycleAction", complete(group, "boot", other, "CONTINUE"), 400, "No active Lifecycle Action"},
		{"of no group", "autoscaling:CompleteLifecycleAction", complete(group, "boot", alone, "CONTINUE"), 400, "No active Lifecycle Action"},
		{"no hook", "autoscaling:CompleteLifecycleAction", complete(group, "", id, "CONTINUE"), 400, "LifecycleHookName"},
		{"it waits", "autoscaling:DescribeAutoScalingInstances", "InstanceIds.member.1=" + id, 200, "<LifecycleState>Pending:Wait</LifecycleState>"},
		{"completed", "autoscaling:CompleteLifecycleAction", complete(group, "boot", id, "CONTINUE"), 200, "CompleteLifecycleActionResponse"},
		{"completed twice", "autoscaling:CompleteLifecycleAction", complete(group, "boot", id, "CONTINUE"), 400, "No active Lifecycle Action"},
		{"in service", "autoscaling:DescribeAutoScalingInstances", "InstanceIds.member.1=" + id, 200, "<LifecycleState>InService</LifecycleState>"},
	} {
		if status, body := send(t, a, c.action, c.form); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d with %s", c.name, status, body, c.status, c.want)
		}
	}
	// The group's own tag is there as well, as on AWS.
	if tags := a.Tags(id); len(tags) != 2 || tags["add:state"] != "idle" || tags["aws:autoscaling:groupName"] != group {
		t.Errorf("tags %v", tags)
	}
	if state := a.Running(alone); state != "running" {
		t.Errorf("it is %s", state)
	}
}

func TestBreaking(t *testing.T) {
	a := cloudtest.Strict(t, &moto)
	form := "ResourceId.1=" + a.Launch() + "&Tag.1.Key=k&Tag.1.Value=v"
	a.Throttle("ec2:CreateTags", 1)
	if status, body := send(t, a, "ec2:CreateTags", form); status != 503 || !strings.Contains(body, "RequestLimitExceeded") {
		t.Errorf("throttled: %d %s", status, body)
	}
	if status, _ := send(t, a, "ec2:CreateTags", form); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
	a.Throttle("autoscaling:SetInstanceHealth", 1)
	if status, body := send(t, a, "autoscaling:SetInstanceHealth", ""); status != 400 || !strings.Contains(body, "<Code>Throttling</Code>") {
		t.Errorf("throttled: %d %s", status, body)
	}
	a.OnlyKey("AKIAOTHER")
	if status, body := send(t, a, "autoscaling:SetInstanceHealth", ""); status != 403 || !strings.Contains(body, "InvalidClientTokenId") {
		t.Errorf("another's key: %d %s", status, body)
	}
	if calls := a.Calls("ec2:CreateTags"); len(calls) != 2 || calls[1].Form.Get("Tag.1.Value") != "v" || len(a.Calls()) != 4 {
		t.Errorf("calls %+v", a.Calls())
	}
}
