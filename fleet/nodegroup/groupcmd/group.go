// Package groupcmd is the commands of addctl about groups: flags, printing and exit codes. What they do is in package
// nodegroup.
//
// Begin with Commands.
package groupcmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/addagent/addagent/fleet/nodegroup"
	"github.com/addagent/addagent/fleet/nodegroup/deploy"
	"github.com/addagent/addagent/fleet/view"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/human"
	"github.com/spf13/cobra"
)

// Tool is the program that has the commands.
type Tool struct {
	*cli.Process
	JSON  *bool                       // the flag
	Table func(view.Table, ...string) // prints a table
	// Deploy opens presence and the requests repository, whose flag RequestsFlag adds. by is who asks.
	Deploy       func(run func(f deploy.Fleet, r deploy.Requests, by string) error) error
	RequestsFlag func(*cobra.Command) *cobra.Command

	nodes string // the flag --nodes
}

// Commands are all commands of this package.
func (p *Tool) Commands() []*cobra.Command {
	return []*cobra.Command{
		p.listCommand(), p.showCommand(), p.checkCommand(),
		p.roleCreateCommand(), p.roleUpdateCommand(), p.packerCreateCommand(), p.autoscaleCreateCommand(), p.instanceDeployCommand(),
	}
}

// nodesFlag adds the flag that names the file of groups.
func (p *Tool) nodesFlag(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&p.nodes, "nodes", "", "the `FILE` of groups (default nodes.json or nodes.yaml here or in the nearest folder above)")
	return c
}

// findGroups is the path of the file of groups, short where it is near.
func (p *Tool) findGroups() (string, error) {
	if p.nodes != "" {
		return p.nodes, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	path, err := nodegroup.Find(here)
	if err != nil {
		return "", err
	}
	if near, err := filepath.Rel(here, path); err == nil {
		path = near
	}
	return path, nil
}

// groups reads the file of groups. What is wrong with it is printed, a line each in the form that editors jump to.
func (p *Tool) groups() (*nodegroup.File, error) {
	path, err := p.findGroups()
	if err != nil {
		return nil, cli.Misuse(err)
	}
	f, err := nodegroup.Load(path)
	if all := config.Problems(nil); errors.As(err, &all) {
		fmt.Fprintln(p.Err, all)
		return nil, cli.Misuse(fmt.Errorf("%s: %s", path, human.Count(len(all), "mistake")))
	}
	if err != nil {
		return nil, cli.Misuse(err)
	}
	return f, nil
}

// group reads one group.
func (p *Tool) group(name string) (*nodegroup.File, nodegroup.Group, error) {
	f, err := p.groups()
	if err != nil {
		return nil, nodegroup.Group{}, err
	}
	g, err := f.Group(name)
	if err != nil {
		err = cli.Misuse(err)
	}
	return f, g, err
}

// Complete offers the names of groups. It is silent where there is no file, or a mistake in it.
func (p *Tool) Complete(_ *cobra.Command, args []string, _ string) (all []cobra.Completion, _ cobra.ShellCompDirective) {
	if path, err := p.findGroups(); err == nil && len(args) == 0 {
		if f, err := nodegroup.Load(path); err == nil {
			for _, g := range f.Groups {
				all = append(all, cobra.CompletionWithDesc(g.Name, human.Line(g.Text("description"))))
			}
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

func (p *Tool) listCommand() *cobra.Command {
	return p.nodesFlag(&cobra.Command{
		Use:   "group:list",
		Short: "List the groups of nodes.json",
		Long: `Prints a line for each group, in the order of the file: region, type of the instances,
size of the Auto Scaling group, number of items in the run list, services, description.

--json prints a list of objects: name, description, region, instance_type, autoscale
(false, or node_min and node_max), run_list, services.`,
		Example: `  addctl group:list
  addctl group:list --nodes chef/nodes.yaml --json | jq -r '.[].name'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.list() },
	})
}

func (p *Tool) list() error {
	f, err := p.groups()
	if err != nil {
		return err
	}
	list := make([]nodegroup.Summary, len(f.Groups))
	for i, g := range f.Groups {
		list[i] = g.Summary()
	}
	if *p.JSON {
		return cli.PrintJSON(p.Out, list)
	}
	t := view.Table{Head: []string{"GROUP", "REGION", "TYPE", "SIZE", "ITEMS", "SERVICES", "DESCRIPTION"}}
	for _, s := range list {
		row := []view.Cell{}
		for _, text := range []string{s.Name, s.Region, s.InstanceType, s.Size(), fmt.Sprint(len(s.RunList)), human.Examples(s.Services, 3), s.Description} {
			row = append(row, view.Cell{Text: human.Line(text)})
		}
		t.Rows = append(t.Rows, row)
	}
	p.Table(t)
	return nil
}

func (p *Tool) showCommand() *cobra.Command {
	explain := false
	c := p.nodesFlag(&cobra.Command{
		Use:   "group:show GROUP",
		Short: "Show a group with all that it inherits",
		Long: `Prints the group as JSON: __base__ and the group merged, in the order of __base__, then
the group's own keys, with values as they are written.

--explain prints a line for each value instead, with the file, line and column that it
came from, and the defaults of the keys that are not there. With --json that is a list of
objects: key, value (as JSON), from (__base__, the group or default), file, line, column.`,
		Example: `  addctl group:show web
  addctl group:show web --explain`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return p.show(args[0], explain) },
	})
	c.Flags().BoolVar(&explain, "explain", false, "show where each value came from")
	return c
}

func (p *Tool) show(name string, explain bool) error {
	f, g, err := p.group(name)
	switch {
	case err != nil:
		return err
	case !explain:
		return cli.PrintJSON(p.Out, json.RawMessage(g.JSON()))
	}
	rows := f.Explain(g)
	if *p.JSON {
		return cli.PrintJSON(p.Out, rows)
	}
	t := view.Table{Head: []string{"KEY", "VALUE", "FROM", "AT"}}
	for _, r := range rows {
		at := ""
		if r.Line > 0 {
			at = fmt.Sprintf("%s:%d:%d", r.File, r.Line, r.Column)
		}
		t.Rows = append(t.Rows, []view.Cell{{Text: human.Safe(r.Key)}, {Text: human.Safe(r.Value)}, {Text: r.From}, {Text: human.Safe(at)}})
	}
	p.Table(t)
	return nil
}

func (p *Tool) checkCommand() *cobra.Command {
	return p.nodesFlag(&cobra.Command{
		Use:   "group:check",
		Short: "Check nodes.json, and show all mistakes at once",
		Long: `Prints a line for each mistake: FILE:LINE:COLUMN: GROUP.KEY: what and what to do. Without a
mistake it prints notes in the same form: what is allowed and often a slip, such as an
item that is twice in a run list, or a role that addctl does not make. It reads the file
alone, and asks no server.

--json prints an object: file, groups (how many), mistakes and notes, each a list of
objects: file, line, column, key, text.

Exit codes: 0 no mistake, 1 standard output cannot be written, 2 a mistake, or no file.`,
		Example: `  addctl group:check
  addctl group:check --nodes chef/nodes.yaml && git commit -a`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.check() },
	})
}

func (p *Tool) check() error {
	path, err := p.findGroups()
	if err != nil {
		return cli.Misuse(err)
	}
	f, err := nodegroup.Load(path)
	result := struct {
		File     string          `json:"file"`
		Groups   int             `json:"groups"`
		Mistakes config.Problems `json:"mistakes"`
		Notes    config.Problems `json:"notes"`
	}{path, 0, config.Problems{}, config.Problems{}}
	if err != nil && !errors.As(err, &result.Mistakes) {
		return cli.Misuse(err)
	}
	if f != nil {
		result.Groups, result.Notes = len(f.Groups), append(result.Notes, f.Notes...)
	}
	switch {
	case *p.JSON:
		if err := cli.PrintJSON(p.Out, result); err != nil {
			return err
		}
	case f == nil:
		fmt.Fprintln(p.Out, result.Mistakes)
	default:
		if len(f.Notes) > 0 {
			fmt.Fprintln(p.Out, f.Notes)
		}
		fmt.Fprintf(p.Out, "%s: %s, no mistakes\n", path, human.Count(len(f.Groups), "group"))
	}
	if f == nil {
		return &cli.Exit{Code: cli.ExitMisuse}
	}
	return nil
}
