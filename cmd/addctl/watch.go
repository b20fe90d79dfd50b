package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/addagent/addagent/internal/cli"
	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/presence"
	"github.com/addagent/addagent/presence/fold"
)

// reading is how one reading ended.
type reading struct {
	fleet presence.Fleet
	err   error
	at    time.Time
}

// readings reads at once and then each so often, one at a time, until ctx ends; then
// the channel is closed.
func readings(ctx context.Context, o *outside, every time.Duration) <-chan reading {
	all := make(chan reading)
	go func() {
		defer close(all)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			f, err := o.Read(ctx, time.Now())
			if ctx.Err() != nil {
				return
			}
			select {
			case all <- reading{f, err, time.Now()}:
			case <-ctx.Done():
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return all
}

// watch shows the nodes until ^C.
func (p *process) watch(ctx context.Context, g *global, o *outside, l filter, every time.Duration) error {
	ctx, stop := context.WithCancel(ctx)
	all := readings(ctx, o, every)
	defer func() { // the reader is to be closed after its last use
		stop()
		for range all {
		}
	}()
	if cli.IsTerminal(p.Out) && !g.json && p.Env("TERM") != "dumb" {
		return p.live(all, &view{filter: l, linger: max(2*every, 10*time.Second), colours: p.colours()})
	}
	return p.stream(all, g, o, l)
}

// stream prints a line a change.
func (p *process) stream(all <-chan reading, g *global, o *outside, l filter) error {
	var before map[string]sight
	var wrong complaint
	var noted []string
	for r := range all {
		text, say := "", ""
		if r.err != nil {
			text = unread(r.err, o.Options).Error()
		}
		if wrong, say = wrong.next(text, r.at); say != "" {
			p.says("%s", say)
		}
		if r.err != nil {
			continue
		}
		after := sights(r.fleet.Nodes, r.at)
		for _, n := range r.fleet.Notes {
			if !slices.Contains(noted, n) {
				p.says("%s", n)
			}
		}
		noted = r.fleet.Notes
		if before == nil {
			p.says("%s; changes follow", summary(l.nodes(r.fleet, r.at), r.fleet, r.at))
			before = after
		}
		for _, t := range changes(before, after, r.at) {
			// Also of one that matches no more: that is what changed.
			was, known := before[t.ID]
			is, still := after[t.ID]
			if !(known && l.matches(was.node, r.at) || still && l.matches(is.node, r.at)) {
				continue
			}
			if err := p.printTransition(g, t); err != nil {
				return err
			}
		}
		before = after
	}
	return &cli.Exit{Code: cli.ExitInterrupted}
}

// printTransition prints one of a stream.
func (p *process) printTransition(g *global, t fold.Transition) error {
	if g.json {
		if err := cli.PrintJSONLine(p.Out, t); err != nil {
			return cli.Failed(fmt.Errorf("write: %w", err))
		}
		return nil
	}
	return p.write([]byte(transitionLine(t, p.colours()) + "\n"))
}

// view is the live view as a value: what is known, and what a screen shows of it.
type view struct {
	filter
	linger  time.Duration // for how long a change is marked
	colours bool

	fleet presence.Fleet
	seen  map[string]sight     // nil = nothing was read yet
	news  map[string]time.Time // id -> when it changed
	wrong error                // of the last reading
	since time.Time            // of wrong
}

// take brings a reading in. After one that failed what was read before stays.
func (v *view) take(r reading) {
	if r.err != nil {
		if v.wrong == nil {
			v.since = r.at
		}
		v.wrong = r.err
		return
	}
	after := sights(r.fleet.Nodes, r.at)
	if v.news == nil {
		v.news = map[string]time.Time{}
	}
	if v.seen != nil {
		for _, t := range changes(v.seen, after, r.at) {
			v.news[t.ID] = r.at
		}
	}
	v.fleet, v.seen, v.wrong = r.fleet, after, nil
}

// mostNotes is how many notes a screen shows: refs that are no records must not take the place of those that are.
const mostNotes = 2

// lines are what a screen of that size shows.
func (v *view) lines(now time.Time, width, height int) []string {
	if v.seen == nil && v.wrong == nil {
		return []string{human.Truncate("reading ...", width)}
	}
	nodes := v.filter.nodes(v.fleet, now)
	var top []string
	if v.seen != nil {
		top = append(top, human.Truncate(summary(nodes, v.fleet, now), width))
	}
	if v.wrong != nil {
		text := fmt.Sprintf("not read for %s: %s", human.Seconds(now.Sub(v.since)), human.Safe(v.wrong.Error()))
		top = append(top, paint(human.Truncate(text, width), "red", v.colours))
	}
	for i, n := range v.fleet.Notes {
		if rest := len(v.fleet.Notes) - i; i == mostNotes && rest > 1 {
			top = append(top, human.Truncate(fmt.Sprintf("note: %d more (addctl nodes shows them)", rest), width))
			break
		}
		top = append(top, human.Truncate("note: "+human.Safe(n), width))
	}
	if len(nodes) == 0 {
		return top
	}
	top = append(top, "")
	// The table's head is a line, too; the last line says what had no place.
	room := max(height-len(top)-1, 1)
	more := 0
	if len(nodes) > room {
		more = len(nodes) - (room - 1)
		nodes = nodes[:room-1]
	}
	t := nodesTable(nodes, now)
	for i, n := range nodes {
		if at, ok := v.news[n.InstanceID]; ok && now.Sub(at) < v.linger {
			for j := range t.rows[i] {
				if t.rows[i][j].colour == "" {
					t.rows[i][j].colour = "bold"
				}
			}
		}
	}
	for i, text := range t.lines(max(width-2, 1), v.colours) {
		mark := "  "
		if i > 0 {
			if at, ok := v.news[nodes[i-1].InstanceID]; ok && now.Sub(at) < v.linger {
				mark = "* "
			}
		}
		top = append(top, mark+text)
	}
	if more > 0 {
		top = append(top, human.Truncate(fmt.Sprintf("  ... %d more", more), width))
	}
	return top
}

// The alternate screen without a cursor, and what was before it. Lines do not wrap there: a character that is two
// columns wide would push its line into the next one.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// redraw is what turns one screen into another: lines that are the same are left
// alone. nil as the old one means that nothing is known of the screen.
func redraw(old, lines []string) string {
	var b strings.Builder
	if old == nil {
		b.WriteString("\x1b[H\x1b[2J")
	}
	for i := range max(len(old), len(lines)) {
		switch {
		case i >= len(lines):
			fmt.Fprintf(&b, "\x1b[%d;1H\x1b[K", i+1)
		case i >= len(old) || old[i] != lines[i]:
			fmt.Fprintf(&b, "\x1b[%d;1H%s\x1b[K", i+1, lines[i])
		}
	}
	return b.String()
}

// live shows the view on the whole terminal, a line of it anew when it changes.
func (p *process) live(all <-chan reading, v *view) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGTSTP)
	defer signal.Stop(signals)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var shown []string
	draw := func() error {
		width, height := size(p.Out)
		if width == 0 || height == 0 {
			width, height = 80, 24 // a terminal that does not know
		}
		lines := v.lines(time.Now(), width, height)
		lines = lines[:min(len(lines), height)]
		_, err := io.WriteString(p.Out, redraw(shown, lines))
		shown = lines
		if err != nil {
			return cli.Failed(fmt.Errorf("write: %w", err))
		}
		return nil
	}
	_, _ = io.WriteString(p.Out, enterScreen)
	defer func() { _, _ = io.WriteString(p.Out, leaveScreen) }()
	for {
		if err := draw(); err != nil {
			return err
		}
		select {
		case r, ok := <-all:
			if !ok {
				return &cli.Exit{Code: cli.ExitInterrupted}
			}
			v.take(r)
		case s := <-signals:
			if s == syscall.SIGTSTP { // whoever stops us wants his screen meanwhile
				_, _ = io.WriteString(p.Out, leaveScreen)
				_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
				_, _ = io.WriteString(p.Out, enterScreen)
			}
			shown = nil
		case <-second.C:
		}
	}
}
