package cloudformation_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestASlowApplicationIsNotReplaced: a node is in service at initdone, before its first work. The group must neither
// replace it nor go on with an update before its application is up.
func TestASlowApplicationIsNotReplaced(t *testing.T) {
	doc := read(t, "application.yaml")
	resources := at(t, doc, "Resources").(object)
	if at(t, resources, "PrimaryServerGroup", "Properties", "HealthCheckGracePeriod", "Ref") != "HealthGrace" {
		t.Error("the grace period is not that of the parameter")
	}
	number := func(v any) int {
		n, err := strconv.Atoi(fmt.Sprint(v))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	grace := number(at(t, doc, "Parameters", "HealthGrace", "Default"))
	checks := at(t, resources, "ElbTargets", "Properties")
	healthy := number(at(t, checks, "HealthCheckIntervalSeconds")) * number(at(t, checks, "HealthyThresholdCount"))
	if grace < 20*60 || healthy*10 > grace {
		t.Errorf("%d s of grace and %d s until a target is healthy", grace, healthy)
	}
	if script := userData(t, doc); !strings.Contains(script, "--wait idle ") {
		t.Error("the signal does not wait for the first work")
	}
}

func TestEveryParameterIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range both {
		for p := range at(t, read(t, name), "Parameters").(object) {
			if !strings.Contains(string(doc), "`"+p+"`") {
				t.Errorf("%s: docs/aws.md does not name the parameter %s", name, p)
			}
		}
	}
}
