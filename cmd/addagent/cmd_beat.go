package main

import (
	"fmt"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/node"
	"github.com/addagent/addagent/work"
	"github.com/spf13/cobra"
)

func now() time.Time { return time.Now().UTC() }

func (p *process) beatCommand(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "beat",
		Short: "one beat that waits for its work",
		Long: `Looks, decides, works and reports once, so that plain cron or a timer can drive a
node too. It ends when the work that it began has ended. On no terminal it prints
nothing unless something failed. ^C leaves the work to its shim.

Exit codes: 0 done or nothing due, 1 something failed, 3 wedged, 4 an agent runs
here already, 5 disabled.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.settings(g)
			if err != nil {
				return err
			}
			screen := voiceOptions{}
			if isTerminal(p.err) && !g.json {
				screen.screen = p.err
			}
			var last agent.Beat
			w, err := p.wire(c.Context(), g, cfg, "beat", func(b agent.Beat) { last = b }, screen)
			if err != nil {
				return err
			}
			defer w.close()
			b := w.agent.Once(c.Context())
			if c.Context().Err() != nil {
				if b.InHand != nil {
					fmt.Fprintf(p.err, "addagent: interrupted; %s goes on in its shim (pid %d); addagent status tells how it ends\n", b.InHand.Name(), b.InHand.PID)
				}
				return &exit{code: exitInterrupted}
			}
			w.voice.Beat(last)
			if g.json {
				if err := printJSON(p.out, last); err != nil {
					return err
				}
			}
			return p.outcome(last, screen.screen != nil || g.json)
		},
	}
}

// outcome turns a beat into the exit code, and into words where nobody saw the log.
func (p *process) outcome(b agent.Beat, shown bool) error {
	var words []string
	for _, t := range b.Troubles {
		words = append(words, t.Text)
	}
	for _, e := range b.Ended {
		if !e.OK && e.Reason != string(work.ReasonWaiting) {
			words = append(words, fmt.Sprintf("%s:%s failed: %s (log %s)", e.Repo, e.Item, e.Detail, e.Log))
		}
	}
	code := exitDone
	if b.InHand != nil && b.InHand.Adopted {
		return nil // it only reported: whoever began that work hears how it ends
	}
	switch b.State {
	case node.Wedged:
		code = exitWedged
		if len(words) == 0 {
			words = append(words, "wedged: "+b.Reason)
		}
	case node.Disabled:
		code = exitDisabled
	case node.Failing:
		code = exitFailed
		if len(words) == 0 {
			words = append(words, "failing: "+b.Reason)
		}
	default:
		if len(words) > 0 {
			code = exitFailed
		}
	}
	if code == exitDone {
		return nil
	}
	if !shown {
		for _, w := range words {
			fmt.Fprintln(p.err, "addagent:", oneLine(w))
		}
	}
	return &exit{code: code}
}
