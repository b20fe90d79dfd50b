// Package webcmd is the commands that show the grid as a page: `addctl web` and `addctl web:export`.
package webcmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/addagent/addagent/fleet/control"
	"github.com/addagent/addagent/fleet/doctor"
	"github.com/addagent/addagent/fleet/event"
	"github.com/addagent/addagent/fleet/web"
	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/spf13/cobra"
)

// Tool is the program that has the commands.
type Tool struct {
	*cli.Process
	Setup *control.Setup
	// RequestsFlag adds the flag for the requests repository, which has the queue.
	RequestsFlag func(*cobra.Command) *cobra.Command
}

// flags are those of both commands.
type flags struct {
	every time.Duration
	since string
}

// Commands are all commands of this package.
func (p *Tool) Commands() []*cobra.Command { return []*cobra.Command{p.web(), p.export()} }

func (p *Tool) web() *cobra.Command {
	f, a := flags{}, web.Access{}
	c := p.RequestsFlag(&cobra.Command{
		Use:   "web",
		Short: "Serve the grid as a page for browsers",
		Long: `Serves a page that shows the nodes, what needs a person, versions, services, and a
timeline, and prints its address. It runs until ^C or TERM. The page can change nothing.
While a browser looks, it reads the nodes' refs each --every, and one second more for
each 1,000 nodes. While none does, it asks nothing.

The page is for this machine alone unless --listen says otherwise. Other machines reach
it over TLS (--tls-cert, --tls-key), or through a proxy that has TLS (--plain), and only
with a token (--page-token-file) or a client certificate (--client-ca). Open the page
once as ADDRESS?token=TOKEN: the browser keeps a cookie instead.

Programs can read /grid.json, /history.json and /events (docs/page.md).

Exit codes: 0 it was ended, 1 the address cannot be used, 2 a bad flag, or nothing says
who may see the page.`,
		Example: `  addctl web
  addctl web --presence git@git.example.org:presence.git --since 1d
  addctl web --listen :8470 --tls-cert page.crt --tls-key page.key --page-token-file token`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.every < time.Second {
				return cli.Misuse(errors.New("--every: the minimum is 1s"))
			}
			return p.withHub(f, func(h *web.Hub) error { return p.serve(c.Context(), a, h) })
		},
	})
	c.Flags().StringVar(&a.Listen, "listen", "127.0.0.1:8470", "serve at `ADDRESS:PORT`; port 0 takes a free one")
	c.Flags().DurationVar(&f.every, "every", 2*time.Second, "while a browser looks, read every `DURATION`")
	c.Flags().StringVar(&f.since, "since", "7d", "show the history from this `TIME` (2026-03-01) or age (24h, 7d) on")
	c.Flags().StringVar(&a.TLSCert, "tls-cert", "", "`FILE` with the certificate of the page")
	c.Flags().StringVar(&a.TLSKey, "tls-key", "", "`FILE` with the key of that certificate")
	c.Flags().StringVar(&a.ClientCA, "client-ca", "", "`FILE` with certificates: show the page to who has a client certificate of theirs")
	c.Flags().StringVar(&a.TokenFile, "page-token-file", "", "`FILE` with a token: show the page to who has it")
	c.Flags().BoolVar(&a.Plain, "plain", false, "serve without TLS to other machines, behind a proxy that has it")
	return c
}

func (p *Tool) serve(ctx context.Context, a web.Access, h *web.Hub) error {
	s, err := web.Listen(a, h)
	var refused *web.Refusal
	if errors.As(err, &refused) {
		return cli.Misuse(err)
	}
	if err != nil {
		return err
	}
	if a.Plain {
		fmt.Fprintln(p.Err, "addctl: --plain: what is shown, and the token, can be read on the way from here to the proxy")
	}
	fmt.Fprintln(p.Out, s.Address())
	return s.Run(ctx)
}

func (p *Tool) export() *cobra.Command {
	f, again := flags{}, time.Duration(0)
	c := p.RequestsFlag(&cobra.Command{
		Use:   "web:export DIR",
		Short: "Write the grid as a page of files",
		Long: `Writes the page of addctl web as four files with its data inside, a week of history at
most. It opens from a bucket, from a git host's pages, or by a double click. It shows the
time of its data, and warns when that is long ago. DIR is made, or is empty, or has an
earlier export. All files are complete on the disk before the first one takes its place.

With --every it writes again and again until ^C or TERM. A reading that fails leaves the
files as they are.

Exit codes: 0 written, 1 the nodes could not be read or the files not written, 2 a bad
flag, 130 interrupted.`,
		Example: `  addctl web:export public
  addctl web:export /var/www/grid --every 1m`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("every") && again < time.Second {
				return cli.Misuse(errors.New("--every: the minimum is 1s"))
			}
			return p.withHub(f, func(h *web.Hub) error { return p.write(c.Context(), h, args[0], again) })
		},
	})
	c.Flags().DurationVar(&again, "every", 0, "write again every `DURATION`")
	c.Flags().StringVar(&f.since, "since", "7d", "include the history from this `TIME` (2026-03-01) or age (24h, 7d) on, a week at most")
	f.every = time.Second
	return c
}

func (p *Tool) write(ctx context.Context, h *web.Hub, dir string, again time.Duration) error {
	for {
		n, err := h.Export(ctx, dir)
		switch {
		case ctx.Err() != nil:
			return &cli.Exit{Code: cli.ExitInterrupted}
		case err != nil && again == 0:
			return err
		case err != nil:
			fmt.Fprintln(p.Err, "addctl:", human.Safe(err.Error()))
		default:
			fmt.Fprintf(p.Out, "wrote %s: %s\n", dir, human.Count(n, "node"))
		}
		if again == 0 {
			return nil
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return &cli.Exit{Code: cli.ExitInterrupted}
		case <-timer.C:
		}
	}
}

// withHub opens what a hub reads: the refs, the fold beside it for the history, and the queue where there is one.
func (p *Tool) withHub(f flags, run func(*web.Hub) error) error {
	now := time.Now()
	since, err := cli.Moment(f.since, now)
	if err != nil {
		return cli.Misuse(fmt.Errorf("--since %s: %w", f.since, err))
	}
	refs, err := p.Setup.OpenAs("web")
	if err != nil {
		return cli.Misuse(err)
	}
	defer refs.Close()
	refs.IgnoreFold()
	past, err := p.Setup.OpenAs("web-history")
	if err != nil {
		return cli.Misuse(err)
	}
	defer past.Close()
	queue, err := p.queue()
	if err != nil {
		return cli.Misuse(err)
	}
	defer queue.close()
	return run(web.NewHub(web.Source{Presence: refs.Source.Redacted(), Every: f.every, Window: max(now.Sub(since), time.Minute), Queue: queue.read,
		Fleet:   func(ctx context.Context) (presence.Fleet, error) { return refs.Read(ctx) },
		History: (&history{repository: past}).read}))
}

// history reads the lines of a fold as they are added. Without a fold it asks the nodes' refs, which is much for many
// nodes, so not as often.
type history struct {
	repository *control.Repository
	position   string // in the fold; "" = there is none
	whole      time.Time
}

// unfolded is how often the refs are asked.
const unfolded = 5 * time.Minute

func (h *history) read(ctx context.Context, since time.Time) (lines []web.Line, err error) {
	if h.position != "" {
		lines, h.position, err = h.repository.Since(ctx, h.position)
		return lines, err
	}
	now := time.Now()
	if now.Sub(h.whole) < unfolded {
		return nil, nil
	}
	// First the end, then all before it: what comes between is read twice, and taken in once.
	_, position, err := h.repository.Since(ctx, "")
	if err == nil {
		lines, err = h.repository.History(ctx, "", since)
	}
	if err == nil {
		h.position, h.whole = position, now
	}
	return lines, err
}

// queue is the queue of actions; its read is nil where there is no requests repository.
type queue struct {
	read  func(context.Context) (event.Queue, error)
	close func() error
}

func (p *Tool) queue() (queue, error) {
	none := queue{close: func() error { return nil }}
	cfg, err := p.Setup.ReadConfig()
	if err != nil || cfg.Requests.URL == "" && p.Setup.Requests == "" {
		return none, err
	}
	source, err := p.Setup.RequestsSource()
	if err != nil {
		return none, err
	}
	s, err := doctor.Open(source, "addctl web")
	if err != nil {
		return none, err
	}
	return queue{s.Read, s.Close}, nil
}
