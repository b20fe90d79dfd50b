package presence

import (
	"fmt"
	"time"

	"github.com/addagent/addagent/internal/node"
)

// noon is the time of most tests.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// record is what a node says at a time.
func record(id string, s node.State, at time.Time) Record {
	return Record{
		Addresses: []string{"10.0.0.7"}, Agent: "addagent/1.2.3", BeatSeen: at, BeatNextBy: at.Add(12 * time.Minute),
		BootID: "5f4cf0d6-6f0b-4a3a-8f3c-0d6c6bb1d7a5", Deployment: "fed1", Hardware: "ec2:" + id, Hostname: id + ".example.org",
		InitGitRepo: "ops", InstanceID: id, Nodepart: "app1", Stacktype: "lad1", State: s,
		StateLog: "setup:20260301-080000;initdone:20260301-080022;", StateTss: "20260301-080022",
		Repos: []Repo{{Branch: "main", Name: "ops", Version: fmt.Sprintf("%040x", at.Unix())}},
	}
}
