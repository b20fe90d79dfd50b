package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// browser is a Chromium that shows the page. Its figures come from its own counters.
type browser struct {
	s   *stage
	ctx context.Context
}

func (b *bench) browser(s *stage) *browser {
	path, err := exec.LookPath("chromium")
	s.must(err)
	profile, err := os.MkdirTemp("", "browser")
	s.must(err)
	s.Cleanup(func() { _ = os.RemoveAll(profile) })
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox,
		chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("enable-precise-memory-info", true)}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	s.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	s.Cleanup(end)
	p := &browser{s, ctx}
	s.must(chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, performance.Enable, performance.EnableParams{})
		return err
	})))
	return p
}

// value is what an expression is worth, a number.
func (p *browser) value(expression string) float64 {
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[float64](expression, chromedp.EvalAwaitPromise))
	p.s.must(err)
	return v
}

// measures are the durations of a measure that the page takes, in ms.
func (p *browser) measures(name string) []float64 {
	list, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]float64](fmt.Sprintf("performance.getEntriesByName(%q).map(m => m.duration)", name)))
	p.s.must(err)
	return list
}

// spent is the time that scripts, layout and style took so far, in ms.
func (p *browser) spent() (all float64) {
	r, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (performance.GetMetricsResult, error) {
		return cdp.Call(ctx, t, performance.GetMetrics, cdp.Empty{})
	})
	p.s.must(err)
	for _, m := range r.Metrics {
		if slices.Contains([]string{"ScriptDuration", "LayoutDuration", "RecalcStyleDuration"}, m.Name) {
			all += m.Value * 1000
		}
	}
	return all
}

// heap is what the page holds after a collection, in MB.
func (p *browser) heap() float64 {
	p.s.must(chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, heapprofiler.CollectGarbage, cdp.Empty{})
		return err
	})))
	return p.value("performance.memory.usedJSHeapSize") / (1 << 20)
}

// settled waits until the page has had nothing to do for a second.
func (p *browser) settled() {
	p.value("new Promise(done => setTimeout(() => requestIdleCallback(() => done(1)), 1000))")
}

// scroll goes through an element, a screen a frame, and returns the longest task of the main thread in ms; 0 = none was
// longer than the 50 ms from which a browser reports them.
func (p *browser) scroll(element string) float64 {
	return p.value(`new Promise(done => {
		let longest = 0, frames = 0;
		const seen = new PerformanceObserver(list => { for (const e of list.getEntries()) longest = Math.max(longest, e.duration); });
		seen.observe({ type: 'longtask' });
		const step = () => {
			` + element + `.scrollBy(0, 700);
			if (++frames < 60) requestAnimationFrame(step);
			else setTimeout(() => { seen.disconnect(); done(longest); }, 200);
		};
		requestAnimationFrame(step);
	})`)
}

// browse measures what the page costs the machine that shows it.
func (b *bench) browse(s *stage, g *pageGrid, what string, held func(float64) float64) {
	p := b.browser(s)
	s.must(chromedp.Do(p.ctx, chromedp.Navigate(g.address)))
	g.until("a list", func() bool { return len(p.measures("list usable")) > 0 })
	b.check(check{what: what + "script and layout until the list can be used", unit: "ms", limit: held(400), ours: p.spent()})
	p.settled()
	b.check(check{what: what + "longest task while the list scrolls (0: none above 50)", unit: "ms", limit: held(50), ours: p.scroll("window")})

	p.value("(scrollTo(0, 0), location.hash = 'view=timeline&window=day', 1)")
	g.until("a history", func() bool { return len(p.measures("history drawn")) > 0 })
	b.check(check{what: what + "history drawn", unit: "ms", limit: held(400), ours: slices.Max(p.measures("history drawn"))})
	p.settled() // the table below the chart is made in pieces
	b.check(check{what: what + "longest task while the timeline scrolls (0: none above 50)", unit: "ms", limit: held(50), ours: p.scroll("document.getElementById('chart')")})
	p.value("(location.hash = '', 1)")

	update := func(n int) float64 {
		had := len(p.measures("update"))
		g.say(n)
		g.until("an update", func() bool { return len(p.measures("update")) > had })
		return slices.Max(p.measures("update")[had:])
	}
	update(10)
	first := p.heap()
	var few []float64
	for range b.few(9) {
		few = append(few, update(10))
	}
	slices.Sort(few)
	b.check(check{what: what + "an update of 10 nodes in the browser", unit: "ms", limit: held(10), ours: median(few)})
	b.check(check{what: what + "an update of 1,000 nodes in the browser", unit: "ms", limit: held(100), ours: update(1000)})
	last := p.heap()
	b.check(check{what: what + "heap of the page after these updates", unit: "MB", limit: held(60), ours: last})
	b.check(check{what: what + "its growth over them", unit: "MB", limit: noTarget, ours: max(last-first, 0)})
	s.must(chromedp.Do(p.ctx, chromedp.Navigate("about:blank")))
}
