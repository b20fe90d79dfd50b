package gitstore

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/internal/testkit"
)

// What docs/performance.md says that things cost, rounded: change it here when it changes there, and run with UPDATE=1.
const (
	pushKB    = 1.5  // a push, both ways
	sameKB    = 0.65 // a reading, nothing changed, from a fold; the head of one from refs
	foldKB    = 3.9  // a reading, 10 of 1,000 changed, from a fold
	sameCPU   = 0.004
	foldCPU   = 0.02
	refsCPU   = 0.005 // a reading of 1,000 refs, nothing changed
	worksADay = 4
)

// pushCPU are the seconds of git on the server for a push into a repository of so many loose refs: 0.027 with 100,
// 0.1 with 1,000.
func pushCPU(refs int) float64 { return 0.019 + 0.081*float64(refs)/1000 }

// What hosts say of themselves, see docs/fleet.md.
const (
	githubPushes = 6                // a minute
	githubReads  = 15               // a second
	gitlabPushes = 600              // a minute
	spread       = 50 * time.Second // beat.spread of the defaults
)

// What the page advises.
const (
	// that one repository has at the most at GitHub's rate, so that a dead one is late within an hour and a half
	nodesOfOne = 300
	nodesOfOwn = 1000             // that one repository of an own server has at the most: a push is 0.1 s then
	gitlabPace = 60               // presence.pushes_per_minute there: the looks need the rest
	ownPace    = 300              // and on an own server
	foldFrom   = 100              // nodes from which on reading the refs is dear
	busy       = 0.75             // of a core of an own server
	bearable   = 10 * time.Minute // that people wait for work after a push, at the most
)

func pageSizes() []int { return []int{10, 100, 1000, 10_000} }

// refLine is how many bytes a server takes to name one node's ref.
func refLine() int {
	return len("0054") + 40 + len(" ") + len(RefName(RefPrefix, "i-0123456789abcdef0")) + len("\n")
}

// TestFleetPage keeps the numbers of docs/fleet.md those of the sink. UPDATE=1 writes them.
func TestFleetPage(t *testing.T) {
	t.Parallel()
	for _, table := range []struct {
		name string
		rows []string
	}{{"sends", sendsTable(t)}, {"reads", readsTable()}, {"hosts", hostsTable()}} {
		testkit.Section(t, "../../docs/fleet.md", table.name, strings.Join(table.rows, "\n")+"\n")
	}
}

// sendsTable is what a node pushes.
func sendsTable(t *testing.T) []string {
	rows := []string{"| nodes | `pushes_per_minute` | says that it lives every | known to be late within | `idle` after work told within | pushes a day, quiet | pushes a day, 4 works | KB a day | pushes a minute of a quiet fleet |", "|---|---|---|---|---|---|---|---|---|"}
	for _, c := range []struct{ nodes, pushes int }{{10, defaultPushes}, {100, defaultPushes}, {100, gitlabPace}, {1000, defaultPushes}, {1000, ownPace},
		{10_000, defaultPushes}, {10_000, ownPace}} {
		n, p := c.nodes, pace{defaultRefresh, c.nodes, c.pushes}
		quiet := float64(24*time.Hour) / float64(p.each())
		busy := pushesADay(t, n, c.pushes)
		count := float64(24*time.Hour/countEach) * (float64(n*refLine())/1000 + sameKB)
		rows = append(rows, fmt.Sprintf("| %s | %d | %s | %s | %s | %.1f | %.0f | %.0f | %.1f |", grouped(n), c.pushes, inWords(p.each()), inWords(longest(p)), inWords(min(p.share(), longest(p))),
			quiet, busy, busy*pushKB+count, float64(n)*quiet/(24*60)))
	}
	return rows
}

// longest is how long it takes at the most until a node that died is late: what it promised, and two beats.
func longest(p pace) time.Duration {
	var most time.Duration
	for at := noon; at.Before(noon.Add(2 * p.each())); at = at.Add(p.each() / 64) {
		most = max(most, p.next(at, "n1").Sub(at))
	}
	return most + 2*time.Minute
}

// pushesADay lets a real sink beat in a fleet, with some works a day of five minutes each, and counts.
func pushesADay(t *testing.T, fleet, pushes int) float64 {
	const days, minutes = 1, 24 * 60
	r := newRefsOnly(fleet - 1)
	warm := 0
	paced(t, r, pushes, func(t *testing.T, g *Sink) {
		for minute := range (1 + days) * minutes {
			if minute == minutes {
				warm = r.pushed()
			}
			state := node.Idle
			if minute%(minutes/worksADay) < 5 {
				state = node.Working
			}
			if err := beat(t, g, now(state), time.Minute); err != nil {
				t.Fatal(err)
			}
		}
	})
	return float64(r.pushed()-warm) / days
}

// readsTable is what presence.read costs when every node reads once a minute and something changed each time.
func readsTable() []string {
	rows := []string{"| nodes that read each minute | readings a second | MB a day and node, from a fold | cores of the server | MB a day and node, from refs | cores of the server |", "|---|---|---|---|---|---|"}
	const readings = 24 * 60
	for _, n := range pageSizes() {
		each := float64(n) / 60
		refs := sameKB + float64(n*refLine())/1000
		rows = append(rows, fmt.Sprintf("| %s | %.1f | %.1f to %.1f | %.2f to %.2f | %.1f | %.2f |", grouped(n), each,
			readings*sameKB/1000, readings*foldKB/1000, each*sameCPU, each*foldCPU,
			readings*refs/1000, each*(sameCPU+(refsCPU-sameCPU)*float64(n)/1000)))
	}
	return rows
}

// hostsTable is which host carries a fleet whose nodes all begin to work at the same push, and with which settings.
func hostsTable() []string {
	rows := []string{"| nodes | `work_spread`: GitHub | GitLab | own server | looks a second | fits | presence repositories | lives every | late within | settings |", "|---|---|---|---|---|---|---|---|---|---|"}
	for _, n := range []int{10, 60, 100, 300, 500, 1000, 3000, 10_000} {
		// GitHub and GitLab count by repository; on an own server all repositories share the cores, with looks and
		// readings.
		github, gitlab := spreadFor(n/reposFor(n, nodesOfOne), githubPushes/60.0), spreadFor(n, gitlabPushes/60.0)
		looks := float64(n) / 60
		read := max(time.Minute, spreadFor(n, 0.5/foldCPU)) // each after a fold that moved: half a core at the most
		repos := reposFor(n, nodesOfOwn)
		p := pace{defaultRefresh, n / repos, ownPace}
		push := pushCPU(n / repos)
		taken := looks*sameCPU + float64(n)/read.Seconds()*foldCPU + float64(n)/p.each().Seconds()*push
		own, cores := spreadFor(n, (busy-taken)/push), 1
		for own > bearable {
			cores++
			own = spreadFor(n, (busy*float64(cores)-taken)/push)
		}
		fits, work := "own server, "+human.Count(cores, "core"), own
		switch {
		case github <= bearable && looks <= githubReads:
			fits, work, repos, p = "GitHub", github, reposFor(n, nodesOfOne), pace{defaultRefresh, n, githubPushes}
		case gitlab <= bearable && n+gitlabPace <= gitlabPushes:
			fits, work, repos, p = "GitLab", gitlab, 1, pace{defaultRefresh, n, gitlabPace}
		}
		var settings []string
		if p.pushes != defaultPushes {
			settings = append(settings, fmt.Sprintf("`pushes_per_minute: %d`", p.pushes))
		}
		settings = append(settings, fmt.Sprintf("`work_spread: %s`", minutes(work)), fmt.Sprintf("`read: %s`", minutes(read)))
		if n >= foldFrom {
			settings = append(settings, "fold each minute")
		} else {
			settings = append(settings, "no fold")
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %.1f | %s | %d | %s | %s | %s |", grouped(n), minutes(github), minutes(gitlab), minutes(own), looks, fits,
			repos, inWords(p.each()), inWords(longest(p)), strings.Join(settings, ", ")))
	}
	return rows
}

// reposFor is how many repositories so many nodes need, when each has so many at the most.
func reposFor(nodes, each int) int { return (nodes + each - 1) / each }

// spreadFor is the work_spread with which so many nodes stay below a rate, pushes a second, when they all begin to
// work: nothing where the 50 s of beat.spread are enough, else whole minutes.
func spreadFor(n int, rate float64) time.Duration {
	if rate <= 0 {
		return math.MaxInt64 // never
	}
	need := time.Duration(float64(n) / rate * float64(time.Second))
	if need <= spread {
		return 0
	}
	return (need + time.Minute - 1).Truncate(time.Minute)
}

// minutes is a duration as the config takes it.
func minutes(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	return fmt.Sprintf("%.0fm", d.Minutes())
}

// inWords is a duration with two places that mean something.
func inWords(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
