package account_test

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/fleet/doctor"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/account"
	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/testkit"
)

var moto cloudtest.Moto

func TestMain(m *testing.M) {
	code := m.Run()
	moto.Stop()
	os.Exit(code)
}

func TestInstances(t *testing.T) {
	aws := cloudtest.Strict(t, &moto)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	a, err := account.New(t.Context(), account.Options{Metadata: &cloud.Metadata{}, Region: cloudtest.Region, Endpoint: aws.URL, Agent: "addctl/test"})
	testkit.Must(t, err)
	stranger := aws.Launch()
	template, subnet, ip := aws.Template()
	states := func() map[string]string {
		t.Helper()
		list, err := a.Instances(t.Context())
		testkit.Must(t, err)
		all := map[string]string{}
		for _, i := range list {
			all[i.ID] = i.State
		}
		return all
	}
	l := event.Launch{Template: template, Subnet: subnet, IP: ip, Name: "db1", Token: "a1"}
	id, err := a.Do(t.Context(), "launch", "", l)
	testkit.Must(t, err)
	again, err := a.Do(t.Context(), "launch", "", l)
	if err != nil || again != id {
		t.Errorf("the same token launched %s and %s, %v", id, again, err)
	}
	if all := states(); len(all) != 1 || all[id] == "" || all[stranger] != "" {
		t.Errorf("instances %v", all)
	}
	list, err := a.Instances(t.Context())
	if err != nil || list[0].IP != ip {
		t.Errorf("%v %v, not at %s", list, err, ip)
	}
	if tags := aws.Tags(id); tags["Name"] != "db1" || tags["add:doctor"] != "a1" {
		t.Errorf("tags %v", tags)
	}
	for _, step := range []struct{ action, state string }{{"stop", "stopped"}, {"stop", "stopped"}, {"start", "running"}, {"start", "running"}, {"terminate", "terminated"}, {"terminate", "terminated"}} {
		_, err := a.Do(t.Context(), step.action, id, event.Launch{})
		testkit.Must(t, err)
		if got := states()[id]; got != step.state {
			t.Errorf("%s: %s", step.action, got)
		}
	}
	if _, err := a.Do(t.Context(), "launch", "", l); !errors.Is(err, doctor.ErrGone) {
		t.Errorf("a launch whose instance was terminated: %v", err)
	}
	l.Token, l.IP = "a1-1", "" // moto gives an address only once
	next, err := a.Do(t.Context(), "launch", "", l)
	if err != nil || next == id {
		t.Errorf("another token: %s, %v", next, err)
	}
	if n := len(aws.Calls("ec2:RunInstances")); n != 4 {
		t.Errorf("%d calls", n)
	}
}

func TestRefusals(t *testing.T) {
	aws := cloudtest.Strict(t, &moto)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "v3rysecret")
	a, err := account.New(t.Context(), account.Options{Metadata: &cloud.Metadata{}, Region: cloudtest.Region, Endpoint: aws.URL})
	testkit.Must(t, err)
	template, subnet, ip := aws.Template()
	launch := func() error {
		_, err := a.Do(t.Context(), "launch", "", event.Launch{Template: template, Subnet: subnet, IP: ip, Token: "t"})
		return err
	}
	words := map[string]string{}
	aws.Deny("ec2:RunInstances", "ec2:DescribeInstances")
	words["denied"] = launch().Error()
	if again := launch().Error(); again != words["denied"] {
		t.Errorf("the same refusal in other words: %q, %q", words["denied"], again)
	}
	_, err = a.Instances(t.Context())
	words["not to be listed"] = err.Error()
	aws.Allow("ec2:RunInstances", "ec2:DescribeInstances")
	aws.Fail("ec2:RunInstances", 5, 500, "InsufficientInstanceCapacity", "We currently do not have sufficient t3.micro capacity in the Availability Zone you requested.")
	words["no capacity"] = launch().Error()
	aws.Fail("ec2:RunInstances", 0, 0, "", "")
	aws.Throttle("ec2:RunInstances", 2)
	if err := launch(); err != nil {
		t.Errorf("throttled twice: %v", err)
	}
	_, err = a.Do(t.Context(), "stop", "i-0123456789abcdef0", event.Launch{})
	words["unknown"] = err.Error()
	want := map[string]string{"denied": "UnauthorizedOperation", "not to be listed": "UnauthorizedOperation", "no capacity": "InsufficientInstanceCapacity", "unknown": "InvalidInstanceID.NotFound"}
	for _, what := range slices.Sorted(maps.Keys(want)) {
		if !strings.Contains(words[what], want[what]) || strings.Contains(words[what], "v3rysecret") || strings.Contains(words[what], "Encoded") {
			t.Errorf("%s: %q", what, words[what])
		}
	}
}
