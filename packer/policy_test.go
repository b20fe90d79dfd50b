package packer_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestPolicyIsNarrow: an action that changes something is allowed only on what the bake makes itself: on things with
// its tag, on new ones, and on what a launch reads.
func TestPolicyIsNarrow(t *testing.T) {
	data, err := os.ReadFile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct {
			Sid       string
			Action    []string
			Resource  any
			Condition map[string]map[string]any
		}
	}
	if err := json.Unmarshal(data, &policy); err != nil {
		t.Fatal(err)
	}
	// Without a condition: what a new thing lies in, what a launch reads, and names that are packer's own.
	free := map[string]string{
		"ec2:RunInstances":        "image snapshot key-pair network-interface security-group subnet volume",
		"ec2:CreateSecurityGroup": "vpc",
		"ec2:CreateKeyPair":       "key-pair/packer*",
		"ec2:DeleteKeyPair":       "key-pair/packer*",
		"ec2:CreateImage":         "image snapshot",
	}
	allowed := map[string]bool{}
	for _, s := range policy.Statement {
		condition := fmt.Sprint(s.Condition)
		for _, action := range s.Action {
			if strings.HasPrefix(action, "ec2:Describe") {
				continue
			}
			allowed[action] = true
			if strings.Contains(condition, "Tag/addagent:bake:yes") || action == "ec2:CreateTags" && s.Condition != nil {
				continue
			}
			for _, arn := range strings.Fields(strings.Trim(fmt.Sprint(s.Resource), "[]")) {
				_, resource, _ := strings.Cut(arn, "arn:aws:ec2:*:")
				resource = strings.TrimSuffix(strings.TrimLeft(resource, "*:"), "/*")
				if resource == "" || !strings.Contains(" "+free[action]+" ", " "+resource+" ") {
					t.Errorf("%s: %s on %s without a condition", s.Sid, action, arn)
				}
			}
		}
	}
	for _, action := range []string{"ec2:RunInstances", "ec2:CreateImage", "ec2:AuthorizeSecurityGroupIngress", "ec2:TerminateInstances", "ec2:CreateTags"} {
		if !allowed[action] {
			t.Errorf("%s is not allowed", action)
		}
	}
}
