package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/doctor"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/cloud/account"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/spf13/cobra"
)

func (p *program) doctorCommand() *cobra.Command {
	var every time.Duration
	var once, dry bool
	var expect, handlers string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Fold, and do the actions that became due",
		Long: `Runs rounds until ^C or SIGTERM. A round folds (it takes the place of presence:fold on
this machine), reads what happened and the queue of actions in the branch doctor of the
requests repository, claims what is due, does it, and writes down what became of it. An
action of the level nodes is a request to nodes, which they answer in their records. One
of the level instances is a call of EC2, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
or the role of this instance, in the region ec2.region or AWS_REGION; it applies only to
instances with the tag add:deployment and to those that a doctor launched.

Rooms of the config are told of each action that failed or expired.

Several doctors share the work: a claim is a push that only one of them lands. A doctor
renews the claims of what it is doing, and stops what it cannot renew; another doctor takes
it over two minutes after the claim ended. Each action takes effect once.

--handlers REPO runs the scripts nodeevent/TYPE/*.sh of that repository for each event of
the type: nodes, services, roles, instances or sets. A script gets the event as JSON on
standard input and in ADD_EVENT_ID, _TYPE, _NAME, _NODE, _IP, _STATE, _CODE, _PREVIOUS_STATE,
_PREVIOUS_CODE and _TIME. It has five minutes, or the deadline of nodeevent/TYPE/handler.yaml,
and is tried three times. It may run more than once for an event: ADD_EVENT_ID tells. Its
output is in a file that the doctor names when the script fails.

The key of the presence repository and that of the requests repository must both be able
to push. --dry-run folds, and prints what is due instead of doing it.

--expect FILE names what must exist, as a list of { name, ip, part, services, launch }:
what does not exist is a terminated instance with uninstalled services in the status.

Exit codes: 0 done, or stopped as a service, 1 a round failed, 2 a mistake in FILE, or the
handlers are in use by another doctor of this account.`,
		Example: `  addctl doctor --every 1m
  addctl doctor --handlers ops
  addctl doctor --once --dry-run --requests git@git.example.org:requests.git`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if every < time.Second {
				return cli.Misuse(errors.New("--every: the minimum is 1s"))
			}
			if once {
				every = 0
			}
			expected, err := p.readExpected(expect)
			if err != nil {
				return err
			}
			o := doctor.Options{Expect: expected, DryRun: dry, Once: once}
			if handlers != "" {
				h, err := p.setup.Handlers(handlers, shimArg, os.Environ())
				if err != nil {
					return cli.Misuse(err)
				}
				defer h.Close()
				o.Handlers = h
			}
			return p.withQueue(func(s *doctor.Store) error {
				o.Store = s
				return p.doctor(c.Context(), o, every)
			})
		},
	}
	c.Flags().DurationVar(&every, "every", time.Minute, "a round every `DURATION`")
	c.Flags().BoolVar(&once, "once", false, "do one round")
	c.Flags().BoolVar(&dry, "dry-run", false, "print what is due, and change nothing in the queue")
	c.Flags().StringVar(&expect, "expect", "", "`FILE` that names what must exist")
	c.Flags().StringVar(&handlers, "handlers", "", "run the handlers of events in `REPO`: a repository of the config, or a URL")
	c.MarkFlagsMutuallyExclusive("once", "every")
	return p.requestsFlag(c)
}

// account is the AWS account that this process has credentials for; nil = it has none.
func (p *program) account(ctx context.Context) (*account.Account, error) {
	cfg, err := p.setup.ReadConfig()
	if err != nil {
		return nil, err
	}
	return account.Find(ctx, cfg, p.Env, p.setup.UserAgent)
}

func (p *program) readExpected(name string) ([]event.Expected, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, cli.Misuse(err)
	}
	list, problems := event.ParseExpected(name, data)
	return list, p.mistakes(name, problems)
}

// mistakes prints what is wrong with a file.
func (p *program) mistakes(name string, problems []string) error {
	for _, text := range problems {
		fmt.Fprintln(p.Err, human.Safe(text))
	}
	if len(problems) > 0 {
		return cli.Misuse(fmt.Errorf("%s: %s", name, human.Count(len(problems), "problem")))
	}
	return nil
}

func (p *program) doctor(ctx context.Context, o doctor.Options, every time.Duration) error {
	out := &foldOutput{program: p, once: every == 0, timed: every > 0 && p.Env("JOURNAL_STREAM") == ""}
	service, err := control.NewService(&p.setup, every, out)
	if err != nil {
		return cli.Misuse(err)
	}
	defer service.Close()
	fleet, err := p.setup.OpenAs("doctor")
	if err != nil {
		return cli.Misuse(err)
	}
	defer fleet.Close()
	host, _ := os.Hostname() // "" where that is not known
	local, err := presence.Addresses()
	if err != nil {
		return err
	}
	o.Me, o.Fleet, o.Local, o.Say, o.Alarm = host+"-"+strings.ToLower(rand.Text()), fleet.Reader, local, out.Say, p.alarm
	o.Lease = max(5*time.Minute, 3*every) // each round renews the claims
	a, err := p.account(ctx)
	if err != nil {
		return cli.Misuse(err)
	}
	if a != nil { // an interface that holds a nil is not nil
		o.Cloud = a
	}
	d := doctor.New(o)
	service.Round = d.Round
	defer func() {
		if err := d.Close(time.Now()); err != nil {
			out.Say(err.Error())
		}
	}()
	if every == 0 {
		return service.Once(ctx, time.Now())
	}
	if err := service.Run(ctx); err != nil {
		return cli.Failed(err) // also after a signal, which is how a service ends
	}
	return nil
}
