package main

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// samples are the runs of each side.
type samples map[side][]sample

func (a samples) add(side side, m sample) { a[side] = append(a[side], m) }

// median is that of each figure by itself.
func (a samples) median(side side) sample {
	runs := a[side]
	of := func(f func(sample) int64) int64 {
		var all []float64
		for _, m := range runs {
			all = append(all, float64(f(m)))
		}
		return int64(median(all))
	}
	return sample{
		cost{
			Wall: time.Duration(of(func(m sample) int64 { return int64(m.Wall) })),
			CPU:  time.Duration(of(func(m sample) int64 { return int64(m.CPU) })),
			RSS:  of(func(m sample) int64 { return m.RSS }),
		},
		traffic{
			Up:       of(func(m sample) int64 { return m.Up }),
			Down:     of(func(m sample) int64 { return m.Down }),
			Requests: of(func(m sample) int64 { return m.Requests }),
			Conns:    of(func(m sample) int64 { return m.Conns }),
		},
	}
}

// mean is that of each figure by itself: what many take together.
func (a samples) mean(side side) sample {
	var sum sample
	for _, m := range a[side] {
		sum.CPU, sum.Wall, sum.RSS = sum.CPU+m.CPU, sum.Wall+m.Wall, max(sum.RSS, m.RSS)
		sum.Up, sum.Down, sum.Requests, sum.Conns = sum.Up+m.Up, sum.Down+m.Down, sum.Requests+m.Requests, sum.Conns+m.Conns
	}
	n := int64(len(a[side]))
	return sample{
		cost{sum.Wall / time.Duration(n), sum.CPU / time.Duration(n), sum.RSS},
		traffic{sum.Up / n, sum.Down / n, sum.Requests / n, sum.Conns / n},
	}
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

// line is one row of the table of everything.
type line struct {
	what, who string
	runs      int
	sample
}

// add notes the medians of some sides; names are those of sides that do not name themselves.
func (b *bench) add(what string, all samples, names map[side]string, sides ...side) {
	for _, side := range sides {
		name := names[side]
		if name == "" {
			name = string(side)
		}
		b.lines = append(b.lines, line{what, name, len(all[side]), all.median(side)})
	}
}

// noTarget is the limit of a figure that is only shown.
const noTarget = -1

// check is a figure, usually with a target.
type check struct {
	what, unit string
	limit      float64
	ours, peer float64
	peerName   string  // "" = no comparison
	ratio      float64 // 0, or what ours over peer must not exceed
}

// held tells whether a target is met; a limit of 0 with a ratio means that only the ratio counts.
func (c check) held() bool {
	if c.ratio > 0 {
		return c.ours <= c.ratio*c.peer && (c.limit == 0 || c.ours <= c.limit)
	}
	return c.limit == noTarget || c.ours <= c.limit
}

func (b *bench) check(c check) {
	b.checks = append(b.checks, c)
	b.say("  %s: %s, target %s: %s", c.what, c.figure(c.ours), c.target(), c.verdict())
}

func (c check) verdict() string {
	switch {
	case c.limit == noTarget:
		return ""
	case c.held():
		return "held"
	}
	return "**ABOVE**"
}

func (c check) target() string {
	part := fmt.Sprintf("1/%.0f of %s", 1/c.ratio, c.peerName)
	if c.ratio > 1 {
		part = fmt.Sprintf("%s times %s", digits(c.ratio), c.peerName)
	}
	if c.ratio == 1 {
		part = c.peerName
	}
	switch {
	case c.limit == noTarget:
		return "-"
	case c.ratio > 0 && c.limit > 0:
		return c.figure(c.limit) + " and " + part
	case c.ratio > 0:
		return part
	}
	return c.figure(c.limit)
}

func (c check) figure(v float64) string { return strings.TrimSpace(digits(v) + " " + c.unit) }

// tables are what the cases of one group measured.
type tables struct {
	group
	checks []check   // what has a target
	lines  []line    // everything measured
	crowds []telling // of the cases in which many tell at once
	failed []error   // cases that could not be measured
	took   time.Duration
}

// group is some of the cases, which have tables of their own in docs/performance.md.
type group struct {
	cases      string // their names begin so
	begin, end string // the marks: what stands between them is replaced
}

// groups are in an order in which the first that fits is the one; the last one's tables come first on the page.
var groups = [...]group{
	{"presence", "<!-- tables of presence: made by `make bench MD=docs/performance.md` -->\n", "<!-- end of tables of presence -->\n"},
	{"services", "<!-- tables of services: made by `make bench MD=docs/performance.md` -->\n", "<!-- end of tables of services -->\n"},
	{"web", "<!-- tables of the page: made by `make bench ONLY=web MD=docs/page.md` -->\n", "<!-- end of tables of the page -->\n"},
	{"", "<!-- tables: made by `make bench MD=docs/performance.md` -->\n", "<!-- end of tables -->\n"},
}

// measured tells whether any case of the group was played.
func (t *tables) measured() bool { return t.took > 0 }

// report is all tables of a group.
func (t *tables) report(quick bool) string {
	var text strings.Builder
	mode := "full"
	if quick {
		mode = "quick"
	}
	fmt.Fprintf(&text, "A %s run of %s on %s, %d CPUs, %s, git %s.\n\n", mode, t.took.Round(time.Second), runtime.GOARCH, runtime.NumCPU(), runtime.Version(), gitVersion())
	text.WriteString("| what | target | ours | peer | ours : peer | |\n|---|---|---|---|---|---|\n")
	held, above := 0, 0
	for _, c := range t.checks {
		peer, ratio := "", ""
		if c.peerName != "" {
			peer = c.peerName + " " + c.figure(c.peer)
			ratio = ratioOf(c.ours, c.peer)
		}
		switch c.verdict() {
		case "":
		case "held":
			held++
		default:
			above++
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s |\n", c.what, c.target(), c.figure(c.ours), peer, ratio, c.verdict())
	}
	fmt.Fprintf(&text, "\n%d targets held, %d above.\n\n", held, above)
	for _, f := range t.failed {
		fmt.Fprintf(&text, "FAILED: %v\n\n", f)
	}
	text.WriteString(crowdTable(t.crowds))
	if len(t.lines) == 0 {
		return text.String()
	}
	text.WriteString("| what | who | runs | CPU ms | memory MB | wall ms | KB down | KB up | requests | connections |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, l := range t.lines {
		wall := "-"
		if l.Wall > 0 {
			wall = digits(ms(l.Wall))
		}
		fmt.Fprintf(&text, "| %s | %s | %d | %s | %s | %s | %s | %s | %d | %d |\n", l.what, l.who, l.runs,
			digits(ms(l.CPU)), digits(mb(l.RSS)), wall, digits(kb(l.Down)), digits(kb(l.Up)), l.Requests, l.Conns)
	}
	return text.String()
}

func ratioOf(ours, peer float64) string {
	switch {
	case ours == 0 || peer == 0:
		return ""
	case ours <= peer:
		return "1 : " + digits(peer/ours)
	}
	return digits(ours/peer) + " : 1"
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func kb(n int64) float64         { return float64(n) / 1000 }
func mb(n int64) float64         { return float64(n) / (1 << 20) }

// digits shows a figure with as many digits as mean something.
func digits(v float64) string {
	switch {
	case v == float64(int64(v)) && v < 1000:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return thousands(int(v + 0.5))
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return thousands(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
