package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (p *process) versionCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "which addagent this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit,omitempty"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{version, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if g.json {
				return printJSON(p.out, v)
			}
			fmt.Fprintf(p.out, "addagent %s", v.Version)
			if v.Commit != "" {
				fmt.Fprintf(p.out, " (%s)", v.Commit)
			}
			fmt.Fprintf(p.out, " %s %s/%s\n", v.Go, v.OS, v.Arch)
			return nil
		},
	}
}

// commit is what the Go tool stamped into the binary.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	id, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			id = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+"
			}
		}
	}
	if len(id) > 12 {
		id = id[:12]
	}
	return id + dirty
}
