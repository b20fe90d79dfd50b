package run

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/work"
)

func TestEnvironment(t *testing.T) {
	r := &Runner{
		UserHome: "/root", User: "root", Home: "/root",
		Inherited: []string{
			"http_proxy=http://proxy:3128", "HTTPS_PROXY=http://proxy:3128", "NO_PROXY=localhost,.lan", "all_proxy=",
			"PATH=/agent/bin", "LANG=de_DE", "HOME=/var/lib/agent", "NOTIFY_SOCKET=/run/n", "WATCHDOG_USEC=1", "LISTEN_FDS=1", "GODEBUG=x", "GOMAXPROCS=1",
			"ADD_SECRET_GIT=hidden", "AWS_SECRET_ACCESS_KEY=hidden", "BASH_ENV=/evil", "malformed",
		},
		Env: map[string]string{"LANG": "en_GB.UTF-8", "APP": "a = b", "ADD_RUN_ID": "forged", "": "nameless", "ZERO": "a\x00b", "A=B": "c"},
	}
	got, left := r.environ(work.Item{Level: work.Part}, work.Env{
		NodeID: "i-1", Nodepart: "app1", Stacktype: "lad1", Deployment: "prod", State: "working",
		Fields: map[string]string{"nodepart": "app1", "instance-id": "i-1", "access_key": "hidden", "Secret": "hidden", "api-token": "hidden",
			"passphrase": "hidden", "keyname": "hidden", "größe.x": "9"},
	}, Order{
		Repo: "ops", RepoDir: "/root/gitrepo/ops", Item: "part.app1", ChangedFile: "/tmp/changed", Memory: "/root/gitrepo/ops/.temp/add/part.app1",
		Attempt: work.Attempt{RunID: "r1", Verdict: "changed", Version: "bbbb", Previous: "aaaa", Attempt: 2},
	})
	testkit.Golden(t, "testdata/environment_full.txt", strings.Join(got, "\n")+"\n")
	empty, _ := (&Runner{}).environ(work.Item{}, work.Env{}, Order{})
	testkit.Golden(t, "testdata/environment_empty.txt", strings.Join(empty, "\n")+"\n")
	if len(left) > 0 {
		t.Errorf("left out %v", left)
	}
	for _, entry := range got {
		if strings.Contains(entry, "hidden") {
			t.Errorf("a secret: %s", entry)
		}
	}
	if !slices.IsSorted(got) {
		t.Error("not sorted")
	}
}

// TestEnvironmentIsBounded: what does not fit is named, and what fits is whole.
func TestEnvironmentIsBounded(t *testing.T) {
	fields := map[string]string{"big": strings.Repeat("x", fieldMax+1), "secret": strings.Repeat("x", 1<<20), "most": strings.Repeat("m", fieldMax), "small": "s"}
	env, left := (&Runner{}).environ(work.Item{}, work.Env{Fields: fields}, Order{})
	if !slices.Equal(left, []string{"big"}) || !slices.Contains(env, "ADD_NODEINFO_MOST="+fields["most"]) || !slices.Contains(env, "ADD_NODEINFO_SMALL=s") {
		t.Errorf("left out %v", left)
	}
	for i := range 60 {
		fields[fmt.Sprintf("f%02d", i)] = strings.Repeat("x", fieldMax)
	}
	env, left = (&Runner{}).environ(work.Item{}, work.Env{Fields: fields}, Order{})
	// "small" takes a byte of the room of the last.
	if want := fieldsMax/fieldMax - 1; len(left) != 1+61-want || !slices.Contains(env, "ADD_NODEINFO_SMALL=s") || !slices.Contains(env, "ADD_NODEINFO_F00="+fields["f00"]) || !slices.Contains(left, "f59") || len(strings.Join(env, "")) > fieldsMax+4096 {
		t.Errorf("left out %d, %d bytes told", len(left), len(strings.Join(env, "")))
	}
}
