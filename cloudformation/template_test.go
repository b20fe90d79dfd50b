// Package cloudformation_test reads the templates as a machine does, and creates them in moto.
package cloudformation_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// both are the templates; what a test demands, it demands of each.
var both = []string{"application.yaml", "control.yaml"}

type object = map[string]any

// read parses a template. All functions stand in their long form, so a template is plain YAML.
func read(t *testing.T, name string) object {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var doc object
	if err := yaml.UnmarshalWithOptions(data, &doc, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return doc
}

// at walks down maps and lists; the test ends where there is nothing.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(object)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				t.Fatalf("nothing at %v", path[:i+1])
			}
			v = l[p]
		}
		if v == nil {
			t.Fatalf("nothing at %v", path[:i+1])
		}
	}
	return v
}

func text(t *testing.T, v any, path ...any) string {
	t.Helper()
	s, ok := at(t, v, path...).(string)
	if !ok {
		t.Fatalf("no text at %v", path)
	}
	return s
}

func userData(t *testing.T, doc object) string {
	return text(t, doc, "Resources", "PrimaryLaunchTemplate", "Properties", "LaunchTemplateData", "UserData", "Fn::Base64", "Fn::Sub", 0)
}

func TestOnlyIMDSv2(t *testing.T) {
	for _, name := range both {
		o := at(t, read(t, name), "Resources", "PrimaryLaunchTemplate", "Properties", "LaunchTemplateData", "MetadataOptions")
		if text(t, o, "HttpTokens") != "required" || text(t, o, "HttpEndpoint") != "enabled" {
			t.Errorf("%s: %v", name, o)
		}
	}
}

// accepts says whether CloudFormation would take a value: patterns hold for the whole of it.
func accepts(t *testing.T, parameter any, value string) bool {
	t.Helper()
	p := parameter.(object)
	if all, ok := p["AllowedValues"].([]any); ok {
		return slices.Contains(all, any(value))
	}
	pattern, ok := p["AllowedPattern"].(string)
	if !ok {
		return true
	}
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(value)
}

// secrets are values that a person may give where only the place of a secret belongs.
var secrets = []string{
	"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
	"-----BEGIN OPENSSH PRIVATE KEY-----",
	"ghp_0123456789abcdefghijABCDEFGHIJ012345",
	"AKIAIOSFODNN7EXAMPLE",
	"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	"correct horse battery staple",
	"https://bot:secret@git.example.org/ops.git",
	"https://bot:12345@git.example.org/ops.git",
	"https://ghp_0123456789@git.example.org/ops.git",
	"ssh://git:secret@git.example.org/ops.git",
}

func TestNoSecretInAParameter(t *testing.T) {
	secretly := regexp.MustCompile(`(?i)secret|password|token|key|credential|url`)
	for _, name := range both {
		found := 0
		for p, v := range at(t, read(t, name), "Parameters").(object) {
			if !secretly.MatchString(p) {
				continue
			}
			found++
			if hidden, _ := v.(object)["NoEcho"].(bool); hidden {
				continue
			}
			for _, s := range secrets {
				// The name of a key pair may look like anything; AWS knows the pair by it.
				if p != "KeyName" && accepts(t, v, s) {
					t.Errorf("%s: %s has no NoEcho and takes %q", name, p, s)
				}
			}
		}
		if found < 6 {
			t.Errorf("%s: only %d parameters looked at", name, found)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20}`).Find(data); m != nil {
			t.Errorf("%s holds %s", name, m)
		}
	}
}

// TestScriptTakesOnlyWords: parameters become words of a shell script, between single quotes.
func TestScriptTakesOnlyWords(t *testing.T) {
	inserted := regexp.MustCompile(`\$\{([A-Za-z0-9]+)\}`)
	for _, name := range both {
		doc := read(t, name)
		script := userData(t, doc)
		sources := []string{script}
		values, err := json.Marshal(at(t, doc, "Resources", "PrimaryLaunchTemplate", "Properties", "LaunchTemplateData", "UserData", "Fn::Base64", "Fn::Sub", 1))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, string(values))
		seen := 0
		for _, source := range sources {
			for _, m := range inserted.FindAllStringSubmatch(source, -1) {
				if m[1] == "KeyFrom" || m[1] == "KeyPolicy" || m[1] == "DecryptPolicy" {
					continue // made of parameters that come by themselves, and names that CloudFormation makes
				}
				seen++
				p := at(t, doc, "Parameters", m[1])
				for _, evil := range []string{"'", "a'b", "'; reboot; '", "a\nb", "\n", "-a", "--help"} {
					if accepts(t, p, evil) {
						t.Errorf("%s: %s goes into the script and takes %q", name, m[1], evil)
					}
				}
			}
		}
		if seen < 12 {
			t.Errorf("%s: only %d parameters found in the script", name, seen)
		}
		// Shell's own ${...} would be taken for a parameter.
		for _, line := range strings.Split(script, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			for _, m := range regexp.MustCompile(`\$\{[^}]*\}`).FindAllString(line, -1) {
				if i := strings.Index(line, m); strings.Count(line[:i], "'")%2 != 1 {
					t.Errorf("%s: %s stands without single quotes in %q", name, m, line)
				}
			}
		}
	}
}

func TestParametersTakeWhatIsRight(t *testing.T) {
	doc := read(t, "application.yaml")
	for p, values := range map[string][]string{
		"NodePart": {"app1", "db-1", "a.b_c"},
		"InitGitUrl": {"https://git.example.org/ops.git", "https://git.example.org:8443/a/b/ops.git", "git@git.example.org:people/ops.git",
			"ssh://git@git.example.org:2222/srv/ops.git", "git://10.0.0.1/ops.git", "https://git.example.org/ops.git#main"},
		"PresenceUrl":  {"", "git@git.example.org:presence.git"},
		"KeyParameter": {"", "/add/fed1/git-key"},
		"KeySecret":    {"", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:add/git-key-AbCdEf", "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:k"},
		"KeyObject":    {"", "my-bucket/add/git-key"},
		"KnownHosts":   {"", "git.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample+/=", "git.example.org,10.0.0.1 ecdsa-sha2-nistp256 AAAAE2Vj", "[git.example.org]:2222 ssh-rsa AAAAB3"},
		"PackageUrl":   {"", "https://example.org/dist/addagent_1.0.0_amd64.deb"},
		"BootTimeout":  {"PT20M", "PT5M"},
		"InstanceType": {"t3.small", "u-6tb1.56xlarge", "m7g.medium"},
		"KeyName":      {"", "my key_1-2"},
		"HostedZone":   {"", "example.org"},
		"HealthPath":   {"/", "/healthz?full=1"},
	} {
		for _, v := range values {
			if !accepts(t, at(t, doc, "Parameters", p), v) {
				t.Errorf("%s does not take %q", p, v)
			}
		}
	}
}

// statement is one of a policy, and the condition of the template that it depends on ("" = always there).
type statement struct {
	when string
	body object
}

func statements(t *testing.T, doc object) map[string]statement {
	t.Helper()
	all := map[string]statement{}
	script, err := json.Marshal(at(t, doc, "Resources", "PrimaryLaunchTemplate"))
	if err != nil {
		t.Fatal(err)
	}
	add := func(when string, policy any) {
		for _, s := range at(t, policy, "PolicyDocument", "Statement").([]any) {
			all[text(t, s, "Sid")+" "+when] = statement{when, s.(object)}
		}
	}
	add("", at(t, doc, "Resources", "NodeRole", "Properties", "Policies", 0))
	for name, r := range at(t, doc, "Resources").(object) {
		if text(t, r, "Type") != "AWS::IAM::Policy" {
			continue
		}
		add(text(t, r, "Condition"), at(t, r, "Properties"))
		if strings.HasPrefix(name, "Key") && !strings.Contains(string(script), `{"Ref":"`+name+`"}`) {
			t.Errorf("a node may boot before %s is there", name)
		}
	}
	return all
}

func actions(t *testing.T, s object) []string {
	t.Helper()
	var all []string
	switch a := s["Action"].(type) {
	case string:
		all = []string{a}
	case []any:
		for _, one := range a {
			all = append(all, one.(string))
		}
	case object: // one or the other
		all = []string{text(t, a, "Fn::If", 1), text(t, a, "Fn::If", 2)}
	default:
		t.Fatalf("no actions in %v", s)
	}
	slices.Sort(all)
	return all
}

func TestLeastPermissions(t *testing.T) {
	want := map[string][]string{ // condition -> all that it may bring
		"": {"autoscaling:CompleteLifecycleAction", "autoscaling:DescribeAutoScalingInstances",
			"cloudformation:SignalResource", "ec2:CreateTags"},
		"HasKeyParameter": {"ssm:GetParameter"},
		"HasKeySecret":    {"secretsmanager:GetSecretValue"},
		"HasKeyObject":    {"s3:GetObject"},
		"HasKeyKms":       {"kms:Decrypt"},
		"MayKill":         {"autoscaling:SetInstanceHealth", "autoscaling:TerminateInstanceInAutoScalingGroup"},
	}
	doctor := map[string][]string{ // what the control node's may bring besides
		"HasDoctor":      {"ec2:DescribeInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"},
		"DoctorLaunches": {"ec2:CreateTags", "ec2:RunInstances"},
	}
	knowNoResources := []string{"autoscaling:DescribeAutoScalingInstances", "ec2:DescribeInstances", "ec2:RunInstances"}
	for _, name := range both {
		if name == "control.yaml" {
			maps.Copy(want, doctor)
		}
		doc := read(t, name)
		got := map[string][]string{}
		for sid, s := range statements(t, doc) {
			if s.body["Effect"] != "Allow" || s.body["NotAction"] != nil || s.body["NotResource"] != nil {
				t.Errorf("%s: %s: %v", name, sid, s.body)
			}
			got[s.when] = append(got[s.when], actions(t, s.body)...)
			if s.body["Resource"] == "*" && !slices.Contains(knowNoResources, actions(t, s.body)[0]) {
				t.Errorf("%s: %s is allowed on everything", name, sid)
			}
			if actions(t, s.body)[0] == "ec2:CreateTags" && s.when == "" {
				c := at(t, s.body, "Condition")
				if at(t, c, "ForAllValues:StringLike", "aws:TagKeys") != "add:*" {
					t.Errorf("%s: any tag may be set", name)
				}
				if self := text(t, c, "ArnEquals", "ec2:SourceInstanceARN", "Fn::Sub"); !strings.HasSuffix(self, ":instance/${!ec2:InstanceID}") {
					t.Errorf("%s: any instance may be tagged: %s", name, self)
				}
			}
		}
		for _, l := range got {
			slices.Sort(l)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s allows\n%v, want\n%v", name, got, want)
		}
		if off := at(t, doc, "Parameters", "Kill", "Default"); off != "none" {
			t.Errorf("%s: Kill is %v when nothing is said", name, off)
		}
	}
	a, c := statements(t, read(t, "application.yaml")), statements(t, read(t, "control.yaml"))
	maps.DeleteFunc(c, func(_ string, s statement) bool { return doctor[s.when] != nil })
	if !reflect.DeepEqual(a, c) {
		t.Error("the two templates do not allow the same")
	}
}

// TestPoliciesAsInTheDocument: docs/ec2.md and the templates allow the same under the same name.
func TestPoliciesAsInTheDocument(t *testing.T) {
	data, err := os.ReadFile("../docs/ec2.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]object{}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(data, -1) {
		var policy struct{ Statement []object }
		if err := json.Unmarshal(block[1], &policy); err != nil {
			t.Fatalf("docs/ec2.md: %v", err)
		}
		for _, s := range policy.Statement {
			documented[s["Sid"].(string)] = s
		}
	}
	same := 0
	for key, s := range statements(t, read(t, "control.yaml")) {
		sid, _, _ := strings.Cut(key, " ")
		if !strings.HasPrefix(sid, "Addagent") && !strings.HasPrefix(sid, "Doctor") {
			continue
		}
		d, known := documented[sid]
		if !known {
			t.Errorf("docs/ec2.md does not have %s", sid)
			continue
		}
		if !slices.Equal(actions(t, d), actions(t, s.body)) {
			t.Errorf("%s: the template allows %v, docs/ec2.md %v", sid, actions(t, s.body), actions(t, d))
		}
		dc, _ := d["Condition"].(object)
		sc, _ := s.body["Condition"].(object)
		if !slices.Equal(slices.Sorted(maps.Keys(dc)), slices.Sorted(maps.Keys(sc))) {
			t.Errorf("%s: conditions differ: %v, %v", sid, dc, sc)
		}
		same++
	}
	if same != 8 {
		t.Errorf("%d statements compared", same)
	}
}

func TestGroup(t *testing.T) {
	for _, name := range both {
		doc := read(t, name)
		group := at(t, doc, "Resources", "PrimaryServerGroup")
		tags := map[string]any{}
		for _, tag := range at(t, group, "Properties", "Tags").([]any) {
			if at(t, tag, "PropagateAtLaunch") != true {
				t.Errorf("%s: %v stays with the group", name, tag)
			}
			tags[text(t, tag, "Key")] = at(t, tag, "Value")
		}
		delete(tags, "Name")
		want := map[string]any{
			"add:stacktype": object{"Ref": "Stacktype"}, "add:nodepart": object{"Ref": "NodePart"},
			"add:deployment": object{"Ref": "Deployment"}, "add:state": "presetup",
		}
		if !reflect.DeepEqual(tags, want) {
			t.Errorf("%s: tags %v", name, tags)
		}
		// The role names the group: a name of CloudFormation's own making would not be known to it.
		if at(t, group, "Properties", "AutoScalingGroupName", "Ref") != "AWS::StackName" {
			t.Errorf("%s: the group has a name that its role does not know", name)
		}
		at(t, group, "CreationPolicy", "ResourceSignal", "Timeout")
		if at(t, group, "UpdatePolicy", "AutoScalingRollingUpdate", "WaitOnResourceSignals") != true {
			t.Errorf("%s: an update does not wait for the signal of its nodes", name)
		}
		hook := at(t, group, "Properties", "LifecycleHookSpecificationList", 0)
		if at(t, hook, "LifecycleTransition") != "autoscaling:EC2_INSTANCE_LAUNCHING" || at(t, hook, "DefaultResult") != "ABANDON" ||
			!strings.Contains(userData(t, doc), "lifecycle_hook: "+text(t, hook, "LifecycleHookName")+" }") {
			t.Errorf("%s: hook %v", name, hook)
		}
		if n := strings.Count(userData(t, doc), "PrimaryServerGroup"); n != 2 {
			t.Errorf("%s: the group is named %d times where it is signalled", name, n)
		}
	}
}
