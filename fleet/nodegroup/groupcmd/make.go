package groupcmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/addagent/addagent/fleet/nodegroup"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/spf13/cobra"
)

const filesOutput = `It prints a line for each file: made, changed, kept or skipped, with the reason, and the
diff of a file that changes. Each file is written whole or not at all, and nothing is
written when something stands in the way of one of them: a link, a folder, a file or
folder that cannot be written. All of these are listed at once.

--dry-run prints what would be done, with the diff of each file, and writes nothing.

--json prints a list of objects: group, what, file, action (made, changed, kept, skipped,
differs), reason, diff.

Exit codes: 0 done, 1 `

// making is one call of a command that makes files of groups.
type making struct {
	*Tool
	mode   nodegroup.Mode
	dryRun bool
	// files are those of a group; an error is why it has none, which matters when the group was named.
	files func(*nodegroup.File, nodegroup.Group) ([]nodegroup.Want, error)
	// after says how to go on where files differ, or are not there.
	differs, missing string
}

func (m *making) command(c *cobra.Command) *cobra.Command {
	c.Args = cobra.MaximumNArgs(1)
	c.RunE = func(_ *cobra.Command, args []string) error { return m.make(strings.Join(args, "")) }
	c.Flags().BoolVar(&m.dryRun, "dry-run", false, "print what would be done, and write nothing")
	return m.nodesFlag(c)
}

func roleFiles(_ *nodegroup.File, g nodegroup.Group) ([]nodegroup.Want, error) {
	return g.Files(false), nil
}

func (p *Tool) roleCreateCommand() *cobra.Command {
	m := &making{Tool: p, mode: nodegroup.Create, files: roleFiles, differs: "role:update"}
	return m.command(&cobra.Command{
		Use:   "role:create [GROUP]",
		Short: "Write the Chef roles of groups",
		Long: `Writes the role of GROUP, or of all groups, to files.role (roles/role-GROUP.json). Where
files.services and service_cookbook are set it also writes the list of the group's
services for nodes. A file that is there and differs is an error with its diff; then
nothing is written.

` + filesOutput + `a file differs or cannot be written, 2 a mistake in nodes.json, no such group.`,
		Example: `  addctl role:create
  addctl role:create web --dry-run`,
	})
}

func (p *Tool) roleUpdateCommand() *cobra.Command {
	m := &making{Tool: p, mode: nodegroup.Update, files: roleFiles, missing: "role:create"}
	return m.command(&cobra.Command{
		Use:     "role:update [GROUP]",
		Aliases: []string{"roles:update"},
		Short:   "Rewrite the Chef roles that exist",
		Long: `Rewrites the role of GROUP, or of all groups, and the list of the group's services, where
they exist. A GROUP without a role is an error. It touches no node: nodes react to a
push. It is also called roles:update.

` + filesOutput + `GROUP has no role, or a file cannot be written, 2 a mistake in
nodes.json, no such group.`,
		Example: `  addctl role:update
  addctl role:update web && git commit -a && git push`,
	})
}

func (p *Tool) autoscaleCreateCommand() *cobra.Command {
	m := &making{Tool: p, mode: nodegroup.Create, differs: "role:update", files: func(_ *nodegroup.File, g nodegroup.Group) ([]nodegroup.Want, error) {
		if _, _, ok := g.Autoscale(); !ok {
			return nil, errors.New("autoscale is false")
		}
		return g.Files(true), nil
	}}
	return m.command(&cobra.Command{
		Use:   "autoscale:create [GROUP]",
		Short: "Write the DNA files and roles of Auto Scaling groups",
		Long: `Writes the DNA file of GROUP, or of all groups, to files.dna (dna/asg/GROUP.json), and
its role as role:create does. Without GROUP it skips groups whose autoscale is false; such
a GROUP is an error. It makes nothing in AWS.

` + filesOutput + `a file differs or cannot be written, or GROUP has autoscale: false,
2 a mistake in nodes.json, no such group.`,
		Example: `  addctl autoscale:create worker
  addctl autoscale:create --dry-run`,
	})
}

func (p *Tool) packerCreateCommand() *cobra.Command {
	m := &making{Tool: p, mode: nodegroup.Always, files: func(f *nodegroup.File, g nodegroup.Group) ([]nodegroup.Want, error) { return g.PackerFiles(f.Dir) }}
	return m.command(&cobra.Command{
		Use:   "packer:create [GROUP]",
		Short: "Write the files by which Packer makes images of groups",
		Long: `Writes what the image of GROUP, or of each group, is made of to
packer/GROUP.pkrvars.json, and the template for all groups, packer/group.pkr.hcl, with
packer/plugins.pkr.hcl, packer/bake and packer/seal. With packer_format: json it writes
packer/GROUP.json instead, one complete template. With packer_template it writes the
variables alone and never touches that template. No file holds a key: Packer finds
credentials as the AWS CLI does. It makes nothing in AWS.

Files that differ are changed. Without GROUP it skips a group that lacks region or
source_ami; such a GROUP is an error. A script of bake that is not there always is one.

` + filesOutput + `a file cannot be written, or GROUP lacks something, 2 a mistake in
nodes.json, no such group.`,
		Example: `  addctl packer:create web --dry-run
  addctl packer:create web && packer build -var-file=packer/web.pkrvars.json packer/`,
	})
}

func (m *making) make(name string) error {
	f, err := m.groups()
	if err != nil {
		return err
	}
	groups := f.Groups
	if name != "" {
		g, err := f.Group(name)
		if err != nil {
			return cli.Misuse(err)
		}
		groups = []nodegroup.Group{g}
	}
	var wants []nodegroup.Want
	var steps []nodegroup.Step
	for _, g := range groups {
		of, err := m.files(f, g)
		if errors.Is(err, nodegroup.ErrMissing) || err != nil && name != "" {
			return cli.Failed(fmt.Errorf("group %s: %w", g.Name, err))
		}
		if err != nil {
			steps = append(steps, nodegroup.Step{Group: g.Name, Action: nodegroup.Skipped, Reason: err.Error()})
		}
		for _, w := range of { // groups share some files
			if !slices.ContainsFunc(wants, func(other nodegroup.Want) bool { return other.Path == w.Path }) {
				wants = append(wants, w)
			}
		}
	}
	plan, wrong := f.Plan(wants, m.mode)
	for i, s := range plan {
		if s.Action == nodegroup.Differs {
			fix := fmt.Sprintf("addctl %s %s rewrites it", m.differs, s.Group)
			if s.What == "dna" { // it depends on the name of the group alone, so it was changed by hand
				fix = "remove it, and repeat the command"
			}
			wrong = append(wrong, fmt.Errorf("%s: %s: %s", s.File, s.Reason, fix))
		}
		if s.Action == nodegroup.Skipped && m.missing != "" {
			plan[i].Reason = fmt.Sprintf("it is not there: addctl %s %s makes it", m.missing, s.Group)
			if name != "" && s.What == "role" {
				wrong = append(wrong, fmt.Errorf("%s: %s", s.File, plan[i].Reason))
			}
		}
	}
	if len(wrong) == 0 && !m.dryRun {
		plan, err = nodegroup.Write(plan)
	}
	steps = append(steps, plan...)
	printed := m.printSteps(steps, len(wrong) > 0)
	for _, w := range wrong {
		fmt.Fprintln(m.Err, "addctl:", human.Safe(w.Error()))
	}
	if len(wrong) > 0 {
		return &cli.Exit{Code: cli.ExitFailed}
	}
	if err != nil {
		return cli.Failed(fmt.Errorf("%w: %s", err, human.Count(len(wants)-len(plan), "file")+" not written"))
	}
	return printed
}

// printSteps prints a line for each file, and the diff of one that changes.
func (m *making) printSteps(steps []nodegroup.Step, refused bool) error {
	if *m.JSON {
		return cli.PrintJSON(m.Out, append([]nodegroup.Step{}, steps...))
	}
	for _, s := range steps {
		action := s.Action
		if pending := m.dryRun || refused; pending && action == nodegroup.Made {
			action = "not made"
		} else if pending && action == nodegroup.Changed {
			action = "not changed"
		}
		line := action + " " + cmp.Or(s.File, s.Group)
		if s.Reason != "" {
			line += ": " + s.Reason
		}
		fmt.Fprintln(m.Out, human.Safe(line))
		if s.Diff != "" && (s.Action != nodegroup.Made || m.dryRun) {
			fmt.Fprint(m.Out, human.SafeLines(s.Diff))
		}
	}
	return nil
}
