package view

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
)

// Node is one node in full, with its ref and its transitions.
func Node(n presence.Node, ref string, list []fold.Transition, now time.Time, colours bool) []string {
	row, _ := node.Row(n.State)
	first := paint(strings.ToUpper(cmp.Or(human.Safe(string(n.State)), "unknown")), row.Colour, colours)
	switch {
	case !n.Since.IsZero():
		first += " since " + human.When(n.Since, now)
	case !n.Told.IsZero():
		first += ", reported " + human.When(n.Told, now)
	}
	if n.Reason != "" {
		first += ": " + human.Safe(n.Reason)
	}
	lines := []string{first}
	say := func(name, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("  %-9s %s", name, human.Safe(fmt.Sprintf(format, args...))))
	}
	say("node", "%s", strings.Join(named([]string{"", n.InstanceID}, []string{"part ", n.Nodepart}, []string{"stacktype ", n.Stacktype}, []string{"deployment ", n.Deployment}), ", "))
	if host := named([]string{"", n.Hostname}, []string{"", strings.Join(n.Addresses, ", ")}); len(host) > 0 {
		say("host", "%s", strings.Join(host, ", "))
	}
	age := string(n.Age(now))
	if at := reported(n); !at.IsZero() {
		age += ", last report " + human.When(at, now)
	}
	if !n.BeatNextBy.IsZero() && n.Age(now) != presence.Gone {
		age += ", next report by " + human.When(n.BeatNextBy, now)
	}
	if !n.Folded.IsZero() {
		age += ", as of the fold at " + human.When(n.Folded, now)
	}
	say("age", "%s", age)
	if row.Meaning != "" {
		say("meaning", "%s", row.Meaning)
	}
	for _, t := range n.Troubles {
		say("trouble", "%s", t)
	}
	for _, r := range n.Repos {
		say("repo", "%s", strings.TrimSpace(r.Deployed()+" "+r.Branch)+items(r))
	}
	for _, s := range n.Services {
		text := s.Name
		switch ip := cmp.Or(s.IP, n.IP); {
		case s.Port != 0:
			text += " " + net.JoinHostPort(ip, strconv.Itoa(s.Port))
		case ip != "":
			text += " " + ip
		}
		text += " " + cmp.Or(s.State, string(s.Code))
		if more := named([]string{"", s.Mode}, []string{"", s.Role}, []string{"code ", s.Code}); len(more) > 0 {
			text += " (" + strings.Join(more, ", ") + ")"
		}
		if !s.Time.IsZero() {
			text += " since " + human.When(s.Time, now)
		}
		say("service", "%s", text)
	}
	for _, u := range n.Uses {
		say("uses", "%s", strings.Join(named([]string{"", u.Service}, []string{"role ", u.Role}, []string{"deployment ", u.Deployment}, []string{"by ", u.Item}, []string{"last success with set ", u.Set}), ", "))
	}
	if life, err := node.ParseStateLog(n.StateLog); err == nil && n.StateLog != "" {
		var lived []string
		for _, t := range life {
			lived = append(lived, string(t.State)+" "+human.Time(t.At))
		}
		say("life", "%s", strings.Join(lived, ", "))
	}
	for _, r := range [][2]string{{"init", n.InitGitRepo}, {"agent", n.Agent}, {"hardware", n.Hardware}, {"boot", n.BootID}} {
		if r[1] != "" {
			say(r[0], "%s", r[1])
		}
	}
	if n.Commit != "" {
		say("ref", "%s at %s", ref, human.ID(n.Commit))
	}
	if len(list) == 0 {
		return lines
	}
	lines = append(lines, "")
	t := Table{Head: make([]string, 5)}
	for _, s := range list {
		t.Rows = append(t.Rows, slices.Delete(transitionCells(s), 1, 3)) // without the node and its part
	}
	for _, l := range t.Lines(0, colours)[1:] {
		lines = append(lines, "  "+l)
	}
	return lines
}

// items are those of a repository: what is finished, and what is not, with the version of its last success.
func items(r presence.Repo) string {
	var finished, rest []string
	for _, item := range slices.Sorted(maps.Keys(r.Done)) {
		if r.Failed[item] == "" && !slices.Contains(r.Due, item) {
			finished = append(finished, item)
		}
	}
	for _, item := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.Due, slices.Collect(maps.Keys(r.Failed)))))) {
		text := item
		if at := r.Failed[item]; at != "" {
			text += " failed at " + human.ID(at)
		}
		if at := r.Worked[item]; at != "" {
			text += ", last success " + human.ID(at)
		}
		rest = append(rest, text)
	}
	text := ""
	if len(finished) > 0 {
		text = ", finished: " + strings.Join(finished, ", ")
	}
	if len(rest) > 0 {
		text += "; not finished: " + strings.Join(rest, "; ")
	}
	return text
}

// named are the pairs of a word and a value, without those that have no value.
func named(pairs ...[]string) []string {
	var all []string
	for _, p := range pairs {
		if p[1] != "" {
			all = append(all, p[0]+p[1])
		}
	}
	return all
}
