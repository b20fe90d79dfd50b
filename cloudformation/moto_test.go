package cloudformation_test

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cloud/cloudtest"
)

// moto is one for all tests of the package: it takes seconds to start.
var moto cloudtest.Moto

func TestMain(m *testing.M) {
	code := m.Run()
	moto.Stop()
	os.Exit(code)
}

// account is an AWS account in moto, in one region. A new region costs seconds.
type account struct {
	t      *testing.T
	region string
	client *http.Client
}

func newAccount(t *testing.T, region string) account {
	moto.URL(t)
	c := &http.Client{Transport: &http.Transport{Proxy: nil}, Timeout: 5 * time.Minute}
	t.Cleanup(c.CloseIdleConnections)
	return account{t, region, c}
}

// do asks in the query protocol, "ec2:DescribeVpcs"; answer is filled from the XML.
func (a account) do(action string, form url.Values, answer any) {
	a.t.Helper()
	service, name, _ := strings.Cut(action, ":")
	form.Set("Action", name)
	form.Set("Version", map[string]string{"ec2": "2016-11-15", "autoscaling": "2011-01-01", "cloudformation": "2010-05-15",
		"iam": "2010-05-08", "elasticloadbalancing": "2015-12-01"}[service])
	req, err := http.NewRequest(http.MethodPost, moto.URL(a.t), strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/"+a.region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	a.send(action, req, func(body []byte) error {
		if answer == nil {
			return nil
		}
		return xml.Unmarshal(body, answer)
	})
}

func (a account) send(what string, req *http.Request, read func([]byte) error) {
	a.t.Helper()
	resp, err := a.client.Do(req)
	if err != nil {
		a.t.Fatalf("moto: %s: %v", what, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("moto: %s: %v", what, err)
	}
	if resp.StatusCode/100 != 2 {
		a.t.Fatalf("moto: %s: %s: %.800s", what, resp.Status, body)
	}
	if err := read(body); err != nil {
		a.t.Fatalf("moto: %s: %v: %.800s", what, err, body)
	}
}

func member(prefix string, values ...string) url.Values {
	f := url.Values{}
	for i, v := range values {
		f.Set(fmt.Sprintf("%s.%d", prefix, i+1), v)
	}
	return f
}

// network is the VPC that every account has, and its subnets.
func (a account) network() (vpc string, subnets []string) {
	a.t.Helper()
	var said struct {
		VPC []string `xml:"subnetSet>item>vpcId"`
		IDs []string `xml:"subnetSet>item>subnetId"`
	}
	a.do("ec2:DescribeSubnets", url.Values{}, &said)
	if len(said.IDs) < 2 {
		a.t.Fatalf("moto: subnets %v", said.IDs)
	}
	return said.VPC[0], said.IDs[:2]
}

// image is one that moto knows from the start.
const image = "ami-12c6146b"

// create makes a stack and waits until it is there. It gives the parameters that have no default, unless they are set.
func (a account) create(stack, template string, parameters map[string]string) map[string]string {
	a.t.Helper()
	body, err := os.ReadFile(template)
	if err != nil {
		a.t.Fatal(err)
	}
	vpc, subnets := a.network()
	all := map[string]string{"Stacktype": "lad1", "NodePart": "app1", "Deployment": "fed1", "InitGitUrl": "https://git.example.org/ops.git",
		"PresenceUrl": "git@git.example.org:presence.git", "ImageId": image, "VpcId": vpc, "Subnets": strings.Join(subnets, ",")}
	maps.Copy(all, parameters)
	form := url.Values{"StackName": {stack}, "TemplateBody": {string(body)}, "Capabilities.member.1": {"CAPABILITY_IAM"}}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		form.Set(fmt.Sprintf("Parameters.member.%d.ParameterKey", i+1), name)
		form.Set(fmt.Sprintf("Parameters.member.%d.ParameterValue", i+1), all[name])
	}
	a.do("cloudformation:CreateStack", form, nil)
	var said struct {
		Status  string `xml:"DescribeStacksResult>Stacks>member>StackStatus"`
		Outputs []struct {
			Key   string `xml:"OutputKey"`
			Value string `xml:"OutputValue"`
		} `xml:"DescribeStacksResult>Stacks>member>Outputs>member"`
	}
	a.do("cloudformation:DescribeStacks", url.Values{"StackName": {stack}}, &said)
	if said.Status != "CREATE_COMPLETE" {
		a.t.Fatalf("moto: %s is %s", stack, said.Status)
	}
	outputs := map[string]string{}
	for _, o := range said.Outputs {
		outputs[o.Key] = o.Value
	}
	return outputs
}

func (a account) members(group string) []string {
	a.t.Helper()
	var said struct {
		IDs []string `xml:"DescribeAutoScalingGroupsResult>AutoScalingGroups>member>Instances>member>InstanceId"`
	}
	a.do("autoscaling:DescribeAutoScalingGroups", member("AutoScalingGroupNames.member", group), &said)
	return said.IDs
}

func (a account) tags(instance string) map[string]string {
	a.t.Helper()
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

// script is the user data that an instance was started with.
func (a account) script(instance string) string {
	a.t.Helper()
	var said struct {
		Value string `xml:"userData>value"`
	}
	a.do("ec2:DescribeInstanceAttribute", url.Values{"InstanceId": {instance}, "Attribute": {"userData"}}, &said)
	data, err := base64.StdEncoding.DecodeString(said.Value)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(data)
}

// policies are those of a role: name -> document.
func (a account) policies(role string) map[string]string {
	a.t.Helper()
	var said struct {
		Names []string `xml:"ListRolePoliciesResult>PolicyNames>member"`
	}
	a.do("iam:ListRolePolicies", url.Values{"RoleName": {role}}, &said)
	all := map[string]string{}
	for _, n := range said.Names {
		var one struct {
			Document string `xml:"GetRolePolicyResult>PolicyDocument"`
		}
		a.do("iam:GetRolePolicy", url.Values{"RoleName": {role}, "PolicyName": {n}}, &one)
		document, err := url.PathUnescape(one.Document)
		if err != nil {
			a.t.Fatal(err)
		}
		// moto gives the policies of a template back as Python would print them.
		all[n] = strings.ReplaceAll(document, "'", `"`)
	}
	return all
}

func TestApplicationStack(t *testing.T) {
	a := newAccount(t, "eu-west-1")
	out := a.create("fed1-app1", "application.yaml", map[string]string{"MinSize": "2", "MaxSize": "3", "DesiredCapacity": "2",
		"KeyParameter": "/add/fed1/git-key"})
	if out["Group"] != "fed1-app1" || out["Url"] != "" {
		t.Errorf("outputs %v", out)
	}
	instances := a.members(out["Group"])
	if len(instances) != 2 {
		t.Fatalf("instances %v", instances)
	}
	for _, i := range instances {
		tags := a.tags(i)
		for k, v := range map[string]string{"add:stacktype": "lad1", "add:nodepart": "app1", "add:deployment": "fed1", "add:state": "presetup", "Name": "fed1-app1"} {
			if tags[k] != v {
				t.Errorf("%s: tag %s is %q, want %q", i, k, tags[k], v)
			}
		}
	}
	var launch struct {
		Tokens  string `xml:"launchTemplateVersionSet>item>launchTemplateData>metadataOptions>httpTokens"`
		Profile string `xml:"launchTemplateVersionSet>item>launchTemplateData>iamInstanceProfile>arn"`
	}
	var template struct {
		ID string `xml:"launchTemplates>item>launchTemplateId"`
	}
	a.do("ec2:DescribeLaunchTemplates", url.Values{}, &template)
	a.do("ec2:DescribeLaunchTemplateVersions", url.Values{"LaunchTemplateId": {template.ID}}, &launch)
	if launch.Tokens != "required" || !strings.Contains(launch.Profile, "fed1-app1-NodeProfile-") {
		t.Errorf("launch template %+v", launch)
	}
	got := a.policies(out["Role"])
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"addagent", "key-from-ssm"}) {
		t.Errorf("policies %v", names)
	}
	for policy, resources := range map[string][]string{
		"addagent":     {":autoScalingGroupName/fed1-app1\"", ":stack/fed1-app1/*\"", ":instance/${ec2:InstanceID}\"", "arn:aws:ec2:eu-west-1:123456789012:instance/*\""},
		"key-from-ssm": {"arn:aws:ssm:eu-west-1:123456789012:parameter/add/fed1/git-key\""},
	} {
		for _, r := range resources {
			if !strings.Contains(got[policy], r) {
				t.Errorf("policy %s lacks %s: %s", policy, r, got[policy])
			}
		}
	}
	if all := a.balancers(); len(all) != 0 {
		t.Errorf("a load balancer that no parameter asks for: %v", all)
	}
}

func (a account) balancers() []string {
	a.t.Helper()
	var said struct {
		Names []string `xml:"DescribeLoadBalancersResult>LoadBalancers>member>DNSName"`
	}
	a.do("elasticloadbalancing:DescribeLoadBalancers", url.Values{}, &said)
	return said.Names
}

// TestApplicationStackWithAll turns on what is off when nothing is said.
func TestApplicationStackWithAll(t *testing.T) {
	a := newAccount(t, "us-west-2")
	var zone struct {
		ID string `xml:"HostedZone>Id"`
	}
	a.route53(http.MethodPost, "hostedzone", `<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>example.org.</Name><CallerReference>one</CallerReference></CreateHostedZoneRequest>`, &zone)
	out := a.create("all", "application.yaml", map[string]string{"Kill": "terminate", "LoadBalancer": "internal", "HostedZone": "example.org",
		"KeySecret": "arn:aws:secretsmanager:us-west-2:123456789012:secret:git-AbCdEf", "KeyKms": "arn:aws:kms:us-west-2:123456789012:key/1-2",
		"SshCidr": "10.0.0.0/8", "KeyName": "people"})
	if names := slices.Sorted(maps.Keys(a.policies(out["Role"]))); !slices.Equal(names, []string{"addagent", "key-decrypt", "key-from-secretsmanager", "kill"}) {
		t.Errorf("policies %v", names)
	}
	all := a.balancers()
	if len(all) != 1 || out["Url"] != "http://"+all[0]+":8080" {
		t.Fatalf("load balancers %v, url %q", all, out["Url"])
	}
	var records struct {
		Sets []struct {
			Name   string   `xml:"Name"`
			Type   string   `xml:"Type"`
			TTL    string   `xml:"TTL"`
			Values []string `xml:"ResourceRecords>ResourceRecord>Value"`
		} `xml:"ResourceRecordSets>ResourceRecordSet"`
	}
	a.route53(http.MethodGet, strings.TrimPrefix(zone.ID, "/")+"/rrset", "", &records)
	found := false
	for _, r := range records.Sets {
		if r.Name == "fed1-app1.example.org." {
			found = true
			if r.Type != "CNAME" || r.TTL != "900" || !slices.Equal(r.Values, all) {
				t.Errorf("name %+v", r)
			}
		}
	}
	if !found {
		t.Errorf("names %+v", records.Sets)
	}
}

func (a account) route53(method, path, body string, answer any) {
	a.t.Helper()
	req, err := http.NewRequest(method, moto.URL(a.t)+"/2013-04-01/"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0")
	a.send("route53:"+path, req, func(b []byte) error { return xml.Unmarshal(b, answer) })
}

func TestControlStack(t *testing.T) {
	a := newAccount(t, "eu-west-1")
	out := a.create("fed1-control", "control.yaml", map[string]string{"NodePart": "control"})
	instances := a.members(out["Group"])
	if len(instances) != 1 {
		t.Fatalf("instances %v", instances)
	}
	if tags := a.tags(instances[0]); tags["add:nodepart"] != "control" || tags["add:state"] != "presetup" {
		t.Errorf("tags %v", tags)
	}
	if names := slices.Sorted(maps.Keys(a.policies(out["Role"]))); !slices.Equal(names, []string{"addagent"}) {
		t.Errorf("policies %v", names)
	}
	doctor := a.create("fed1-doctor", "control.yaml", map[string]string{"NodePart": "control", "RequestsUrl": "git@git.example.org:requests.git",
		"DoctorTemplate": "lt-0123456789abcdef0"})
	policies := a.policies(doctor["Role"])
	if names := slices.Sorted(maps.Keys(policies)); !slices.Equal(names, []string{"addagent", "doctor", "doctor-launch"}) {
		t.Errorf("policies %v", names)
	}
	if text := fmt.Sprint(policies); !strings.Contains(text, "launch-template/lt-0123456789abcdef0") || !strings.Contains(text, "aws:ResourceTag/add:deployment") {
		t.Errorf("policies %v", text)
	}
}
