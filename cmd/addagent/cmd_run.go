package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/daemon"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/memlimit"
	"github.com/spf13/cobra"
)

func (p *process) runCommand(g *cli.Flags) *cobra.Command {
	l := daemon.ConfigLoader{Process: p.Process, Flags: g}
	part := ""
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the agent",
		Long: `Runs until TERM or ^C. Running work continues in its shim, and the next agent takes its
result over.

To try it without a config, addagent run --repo URL --part app1 --home DIR keeps all its
files, locks included, below DIR.

HUP makes it read its config again, USR1 makes it beat now. It notices a changed config
at the next beat in any case. It reports a bad one and keeps the previous one.

It limits its own memory to 256 MB or GOMEMLIMIT. If it still holds twice as much after
a beat, it exits so that its supervisor restarts it.

Exit codes: 0 stopped, 1 it holds too much memory, 2 a bad config and no earlier good one,
4 another agent is running here.`,
		Example: `  addagent run
  addagent run --repo https://git.example.org/ops.git --part app1 --home ./node   # to try it`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// A crash, and the ABRT of systemd's watchdog, end a Go program with exit code 2, which is misuse here
			// and keeps the unit from starting it again. So it shall end by the signal.
			debug.SetTraceback("crash")
			cfg, _, err := l.LastGood() // the first beat says what is wrong
			if err != nil {
				return err
			}
			// Before the lock is taken: who finds it held may send a signal.
			woken, again := make(chan struct{}, 1), &atomic.Bool{}
			defer daemon.HandleSignals(woken, again)()
			w, err := daemon.Start(c.Context(), l, cfg, daemon.Options{Purpose: "run", Part: part, Woken: woken, Again: again,
				Voice: journal.LogOptions{Screen: journal.Unblocked(p.Err), Journald: journal.UnderJournald(p.Env)}})
			if err != nil {
				return err
			}
			defer w.Close()
			w.Log.Say(journal.News{At: time.Now().UTC(), Level: journal.Notice, Text: "addagent " + cli.Version() + " started: node " + w.Agent.ID + ", home " + cfg.Home})
			ctx, leave := context.WithCancelCause(c.Context())
			defer leave(nil)
			memory, told := memlimit.New(), w.Agent.Told
			w.Agent.Told = func(b journal.Beat) {
				told(b)
				if err := memory.Over(); err != nil {
					w.Log.Say(journal.News{At: time.Now().UTC(), Level: journal.Warning, Text: err.Error() + ": exiting for a restart"})
					leave(err)
				}
			}
			w.Agent.Run(ctx)
			if c.Context().Err() == nil {
				return fmt.Errorf("%w: exiting for a restart", context.Cause(ctx))
			}
			return nil
		},
	}
	c.Flags().StringVar(&l.Repo, "repo", "", "add the repository at `URL` to those of the config")
	c.Flags().StringVar(&part, "part", "", "first write `NAME` to nodeinfo/nodepart.txt")
	return c
}
