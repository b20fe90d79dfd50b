// Package fleettest makes fleets, and nodes that report, for tests.
package fleettest

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/gitstore"
)

// Noon is the time of most tests.
func Noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// One makes a node that reported just before now.
func One(id string, s node.State, version, reason string, now time.Time) presence.Node {
	n := presence.Node{Record: presence.Record{InstanceID: id, State: s, Deployment: "fed1", Nodepart: "app1", Stacktype: "lad1", Reason: reason,
		Hostname: id + ".example.org", Addresses: []string{"10.0.0." + id[2:]}, BeatSeen: now, BeatNextBy: now.Add(12 * time.Minute)}, Told: now}
	if version != "" {
		n.Repos = []presence.Repo{{Name: "ops", Branch: "main", Version: strings.Repeat(version, 40)}}
	}
	return n
}

// Of makes a fleet of nodes i-1, i-2, ... from lines such as "3 idle a" or "1 wedged b exit 100".
func Of(now time.Time, lines ...string) presence.Fleet {
	f := presence.Fleet{From: presence.FromFold, At: now, Folded: now}
	for _, l := range lines {
		var n int
		var state, version string
		_, _ = fmt.Sscan(l, &n, &state, &version)
		reason := strings.Join(strings.Fields(l)[min(3, len(strings.Fields(l))):], " ")
		for range n {
			one := One(fmt.Sprintf("i-%d", len(f.Nodes)+1), node.State(state), strings.Trim(version, "-"), reason, now)
			if state == "none" {
				one.State = ""
			}
			if state == "missing" {
				one.State, one.BeatSeen, one.BeatNextBy = node.Idle, now.Add(-time.Hour), now.Add(-50*time.Minute)
			}
			f.Nodes = append(f.Nodes, one)
		}
	}
	slices.SortFunc(f.Nodes, func(a, b presence.Node) int { return strings.Compare(a.InstanceID, b.InstanceID) })
	return f
}

// Report pushes a record as a node would, with git's own commands, and makes the repository if there is none.
func Report(repo string, r presence.Record, at time.Time) error {
	data, err := presence.Encode(r)
	if err != nil {
		return err
	}
	git := func(in string, args ...string) string {
		c := exec.Command("git", append([]string{"-C", repo}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=n@example.org",
			"GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=n@example.org", fmt.Sprintf("GIT_COMMITTER_DATE=@%d +0000", at.Unix()))
		c.Stdin = strings.NewReader(in)
		out, cerr := c.CombinedOutput()
		if cerr != nil && err == nil {
			err = fmt.Errorf("git %v: %w: %s", args, cerr, out)
		}
		return strings.TrimSpace(string(out))
	}
	if _, absent := os.Stat(repo); absent != nil {
		if err := os.MkdirAll(repo, 0o755); err != nil {
			return err
		}
		git("", "init", "-q", "--bare", "-b", "main")
	}
	inner := "100644 blob " + git(string(data), "hash-object", "-w", "--stdin") + "\t" + r.InstanceID + ".json\n"
	for _, dir := range []string{"all", "presence", "it"} {
		inner = "040000 tree " + git(inner, "mktree") + "\t" + dir + "\n"
	}
	commit := []string{"commit-tree", "-m", gitstore.Subject(r), git(inner, "mktree")}
	ref := gitstore.RefName(gitstore.RefPrefix, r.InstanceID)
	if old := git("", "for-each-ref", "--format=%(objectname)", ref); old != "" {
		commit = append(commit, "-p", old)
	}
	git("", "update-ref", ref, git("", commit...))
	return err
}
