//go:build linux

package torture

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
)

// TestMetricsAway takes away where a node shows its metrics: the folder of the textfile is removed, or is a file; the
// port is another's.
//
// INVARIANT (spec 3, 7): no reader ever sees half a file; what cannot be shown is a trouble, said once, and work goes
// on; when the place is back the metrics are, too.
func TestMetricsAway(t *testing.T) {
	t.Parallel()
	folder := func(g *grid) string { return filepath.Join(g.dir, "metrics") }
	remove := func(g *grid) { // in one step: the agent may be writing
		if err := os.Rename(folder(g), folder(g)+"."+itoa(len(g.records()))); err != nil {
			g.t.Fatal(err)
		}
	}
	restore := func(g *grid) {
		if err := os.MkdirAll(folder(g), 0o755); err != nil {
			g.t.Fatal(err)
		}
	}
	cases := map[string]struct{ breaks, ends func(g *grid) }{
		"its folder is removed": {remove, restore},
		"its folder is a file":  {func(g *grid) { remove(g); write(g.t, folder(g), "x") }, func(g *grid) { remove(g); restore(g) }},
	}
	listed(t, len(cases)+1)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, plan{})
			restore(g)
			page := filepath.Join(folder(g), "addagent.prom")
			g.configure(fmt.Sprintf("metrics: { textfile: %q }\n", page))
			g.push("ops", script("nodework/work.sh", "true\n"))
			stop := watch(t, page, func(text string) string {
				if !strings.HasPrefix(text, "# HELP ") || !strings.HasSuffix(text, "\n") || !strings.HasPrefix(text[strings.LastIndex(strings.TrimSpace(text), "\n"):], "\naddagent_cpu_seconds_total ") {
					return "is half a page"
				}
				return ""
			})
			defer stop()
			g.start()
			g.settle("ops", "root")
			g.until("the metrics", func() bool { return read(page) != "" })
			c.breaks(g)
			g.push("ops", script("nodework/work.sh", "true # again\n"))
			g.until("the trouble to be said", func() bool {
				g.surprise()
				troubles, _ := g.news("metrics")
				return len(troubles) > 0
			})
			g.settle("ops", "root")
			c.ends(g)
			g.until("the metrics to be back", func() bool { g.surprise(); return read(page) != "" })
			g.until("no trouble to be left", func() bool { return len(g.beat().Troubles) == 0 })
			g.stop()
			if troubles, over := g.news("metrics"); len(troubles) != 1 || len(over) != 1 {
				t.Errorf("the trouble was said %q, its end %q", troubles, over)
			}
		})
	}
	t.Run("its port is another's", func(t *testing.T) {
		t.Parallel()
		other, err := net.Listen("tcp", gittest.Port(t, "127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		g := newGrid(t, plan{})
		g.configure(fmt.Sprintf("metrics: { listen: %q }\n", other.Addr()))
		g.push("ops", script("nodework/work.sh", "true\n"))
		g.start()
		g.settle("ops", "root")
		g.beats(2)
		other.Close()
		g.until("the metrics", func() bool { g.surprise(); return strings.Contains(scrape(other.Addr().String()), "addagent_") })
		g.until("no trouble to be left", func() bool { return len(g.beat().Troubles) == 0 })
		g.stop()
		if troubles, over := g.news("metrics"); len(troubles) != 1 || len(over) != 1 {
			t.Errorf("the trouble was said %q, its end %q", troubles, over)
		}
	})
}

// scrape is what a node shows at a port; "" when nothing answers there.
func scrape(addr string) string {
	answer, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

// watch reads a file over and over until stop is called; wrong says what is wrong with what it holds. That it is not
// there is fine.
func watch(t *testing.T, path string, wrong func(text string) string) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		look := time.NewTicker(500 * time.Microsecond)
		defer look.Stop()
		for {
			if data, err := os.ReadFile(path); err == nil {
				if why := wrong(string(data)); why != "" {
					t.Errorf("%s %s:\n%s", path, why, tail(string(data), 20))
					return
				}
			}
			select {
			case <-over:
				return
			case <-look.C:
			}
		}
	}()
	return func() { close(over); <-ended }
}
