package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
	"github.com/addagent/addagent/presence/gitstore"
	"github.com/spf13/cobra"
)

const (
	// nodeLog is how many of its last transitions a node is shown with, nodeLogDays
	// how far back they are looked for.
	nodeLog     = 10
	nodeLogDays = 30
)

func (p *process) nodeCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "node ID",
		Short: "Show one node's record and its latest transitions",
		Long: `ID is the node's id, the beginning of it or of its hostname, or an address; it must
mean one node only. Its last ten transitions of thirty days come with it.

--json prints an object: node (the record and its age) and log (the transitions).

Exit codes: 0 there it is, 1 there is no such node, or several, or nothing could be read.`,
		Example: `  addctl node i-0123456789abcdef0
  addctl node web1
  addctl node 10.0.0.7 --json | jq .node.repos`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one node (addctl nodes lists them)")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o, err := p.open(g)
			if err != nil {
				return err
			}
			defer o.Close()
			return ended(c.Context(), p.node(c.Context(), g, o, args[0]))
		},
	}
}

func (p *process) node(ctx context.Context, g *global, o *outside, word string) error {
	f, err := o.Read(ctx, time.Now())
	if err != nil {
		return unread(err, o.Options)
	}
	n, err := find(f, word)
	if err != nil {
		return err
	}
	now := time.Now()
	list, err := o.History(ctx, n.InstanceID, now.AddDate(0, 0, -nodeLogDays))
	if err != nil {
		return unread(err, o.Options)
	}
	list = list[max(0, len(list)-nodeLog):]
	if g.json {
		data, err := presence.EncodeNodes(presence.Fleet{Nodes: []presence.Node{n}}, now)
		var nodes []json.RawMessage
		if err == nil {
			err = json.Unmarshal(data, &nodes)
		}
		if err != nil {
			return cli.Failed(err)
		}
		return cli.PrintJSON(p.Out, struct {
			Node json.RawMessage   `json:"node"`
			Log  []fold.Transition `json:"log"`
		}{nodes[0], append([]fold.Transition{}, list...)})
	}
	for _, note := range f.Notes {
		if strings.HasPrefix(note, n.InstanceID+": ") {
			p.says("%s", note)
		}
	}
	return p.write([]byte(strings.Join(story(n, o.Prefix, list, now, p.colours()), "\n") + "\n"))
}

// story is a node in words.
func story(n presence.Node, prefix string, list []fold.Transition, now time.Time, colours bool) []string {
	row, _ := node.Row(n.State)
	first := paint(strings.ToUpper(cmp.Or(human.Safe(string(n.State)), "unknown")), row.Colour, colours)
	switch {
	case !n.Since.IsZero():
		first += " since " + human.When(n.Since, now)
	case !n.Told.IsZero():
		first += ", said " + human.When(n.Told, now)
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
	// The colour of the age would not survive OneLine, and is not needed twice.
	age := string(n.Age(now))
	if at := heard(n); !at.IsZero() {
		age += ", heard " + human.When(at, now)
	}
	if !n.BeatNextBy.IsZero() && n.Age(now) != presence.Gone {
		age += ", speaks again by " + human.When(n.BeatNextBy, now)
	}
	if !n.Folded.IsZero() {
		age += ", as the fold saw it at " + human.When(n.Folded, now)
	}
	say("age", "%s", age)
	if row.Meaning != "" {
		say("that is", "%s", row.Meaning)
	}
	for _, r := range n.Repos {
		text := strings.TrimSpace(r.Name + " " + r.Branch + " " + human.ID(r.Version))
		if len(r.Done) > 0 {
			text += ", finished: " + strings.Join(slices.Sorted(maps.Keys(r.Done)), ", ")
		}
		say("repo", "%s", text)
	}
	for _, s := range n.Services {
		text := fmt.Sprintf("%s %s:%d %s", s.Name, s.IP, s.Port, s.State)
		if more := named([]string{"", s.Mode}, []string{"", s.Role}, []string{"code ", s.Code}); len(more) > 0 {
			text += " (" + strings.Join(more, ", ") + ")"
		}
		if !s.Time.IsZero() {
			text += " since " + human.When(s.Time, now)
		}
		say("service", "%s", text)
	}
	if life, err := node.ParseStateLog(n.StateLog); err == nil && n.StateLog != "" {
		say("life", "%s", strings.Join(lived(life.String()), ", "))
	}
	for _, r := range [][2]string{{"init", n.InitGitRepo}, {"agent", n.Agent}, {"hardware", n.Hardware}, {"boot", n.BootID}} {
		if r[1] != "" {
			say(r[0], "%s", r[1])
		}
	}
	if n.Commit != "" {
		say("ref", "%s at %s", gitstore.RefName(prefix, n.InstanceID), human.ID(n.Commit))
	}
	if len(list) == 0 {
		return lines
	}
	lines = append(lines, "")
	t := logTable(list)
	for i := range t.rows { // whose they are is known
		t.rows[i] = slices.Delete(t.rows[i], 1, 3)
	}
	t.head = slices.Delete(t.head, 1, 3)
	t.give = nil
	for _, l := range t.lines(0, colours)[1:] {
		lines = append(lines, "  "+l)
	}
	return lines
}

// named are the pairs of a word and a value that have a value.
func named(pairs ...[]string) []string {
	var all []string
	for _, p := range pairs {
		if p[1] != "" {
			all = append(all, p[0]+p[1])
		}
	}
	return all
}

// lived is a statelog in words: STATE:YYYYMMDD-HHMMSS;...
func lived(statelog string) []string {
	var all []string
	for entry := range strings.SplitSeq(strings.TrimSuffix(statelog, ";"), ";") {
		state, stamp, _ := strings.Cut(entry, ":")
		if t, err := time.Parse("20060102-150405", stamp); err == nil {
			stamp = human.Time(t)
		}
		all = append(all, state+" "+stamp)
	}
	return all
}

// completeIDs offers the nodes that were there when they were read last. It asks
// nobody, and is silent where nothing is remembered: it runs at each Tab.
func (p *process) completeIDs(g *global) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		o, err := p.open(g)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer o.Close()
		ctx, stop := context.WithCancel(context.Background())
		stop() // what is remembered is found, and nothing more
		_, _ = o.Read(ctx, time.Now())
		var all []cobra.Completion
		for _, n := range o.Last().Nodes {
			about := strings.Join(named([]string{"", placeOf(n.Deployment, n.Nodepart)}, []string{"", string(n.State)}, []string{"", n.Hostname}), " ")
			all = append(all, cobra.CompletionWithDesc(n.InstanceID, cmp.Or(human.Safe(about), "a node")))
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}
