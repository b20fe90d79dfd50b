package page

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/addagent/addagent/internal/testkit"
)

// browser is a Chromium without a window, with a profile of its own.
type browser struct {
	t   testing.TB
	ctx context.Context
}

func startBrowser(t testing.TB) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("no chromium here: run make test-tools")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return &browser{t, ctx}
}

// tab is a tab that is w pixels wide, and what went wrong in it.
type tab struct {
	t     testing.TB
	ctx   context.Context
	close func()

	mu    sync.Mutex
	wrong []string // exceptions, violations of the policy, errors of the console
}

func (b *browser) tab(t testing.TB, url string, w, h int, before ...string) *tab {
	t.Helper()
	tab := &tab{t: t}
	tab.ctx, tab.close = chromedp.NewContext(b.ctx, chromedp.WithListener(func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			tab.note("exception", e.ExceptionDetails)
		case *log.EventEntryAdded:
			tab.note("log", e.Entry)
		case *runtime.EventConsoleAPICalled:
			tab.note("console", e.Args)
		}
	}))
	t.Cleanup(tab.close)
	tab.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		for _, source := range before {
			if err == nil {
				_, err = cdp.Call(ctx, target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: source})
			}
		}
		return err
	}), chromedp.EmulateViewport(int64(w), int64(h)), chromedp.Navigate(url))
	return tab
}

func (p *tab) note(kind string, what any) {
	data, _ := json.Marshal(what) //nolint:errcheck // it was JSON
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, kind+": "+string(data))
}

// faultless fails the test when something went wrong in the tab, but for lines with one of these words.
func (p *tab) faultless(but ...string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.wrong {
		expected := false
		for _, words := range but {
			expected = expected || strings.Contains(line, words)
		}
		if !expected {
			p.t.Errorf("in the browser: %.800s", line)
		}
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval returns the value of an expression.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// until waits until an expression is true, and fails with what the page shows.
func (p *tab) until(what, expression string) {
	p.t.Helper()
	if !testkit.Within(testkit.Patience, 20*time.Millisecond, func() bool { return eval[bool](p, "!!("+expression+")") }) {
		p.shot("waited-in-vain")
		p.t.Fatalf("waited in vain for: %s (%s); the page shows:\n%.3000s", what, expression, p.text("body"))
	}
}

// text is what an element shows.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// rows are the rows of a table in sight, each as its cells.
func (p *tab) rows(table string) [][]string {
	p.t.Helper()
	return eval[[][]string](p, fmt.Sprintf("[...document.querySelectorAll(%q)].map(r => [...r.cells].map(c => c.innerText.replace(/\\s+/g, ' ').trim()))", table+" > tbody > tr:not(.head)"))
}

// keys presses keys, one after the other.
func (p *tab) keys(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.do(chromedp.KeyEvent(key))
	}
}

// focused describes the element that has the focus.
func (p *tab) focused() string {
	p.t.Helper()
	return eval[string](p, `(e => (e.id || e.closest('[id]')?.id || '') + ' ' + e.tagName + ' ' + (e.getAttribute('aria-label') || e.innerText || '').trim().slice(0, 60))(document.activeElement)`)
}

// dark lets the system be dark, or light.
func (p *tab) scheme(value string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	}))
}

// shot keeps a picture as output of the test: go test -artifacts -outputdir DIR.
func (p *tab) shot(name string) []byte {
	p.t.Helper()
	data, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	testkit.Must(p.t, err)
	testkit.Must(p.t, os.WriteFile(filepath.Join(p.t.ArtifactDir(), name+".png"), data, 0o644))
	return data
}

// accessible is the accessibility tree, a line a node: its role and its name.
func (p *tab) accessible() string {
	p.t.Helper()
	tree, err := chromedp.Run(p.ctx, func(ctx context.Context, target *chromedp.Target) (string, error) {
		r, err := cdp.Call(ctx, target, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		var b strings.Builder
		for _, n := range r.Nodes {
			if !n.Ignored && n.Role != nil && n.Name != nil {
				fmt.Fprintf(&b, "%s %s\n", n.Role.Value, n.Name.Value)
			}
		}
		return b.String(), err
	})
	testkit.Must(p.t, err)
	return tree
}

// clicked clicks an element.
func clicked(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}
