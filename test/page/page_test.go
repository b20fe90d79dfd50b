package page

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/addagent/addagent/fleet/web/page"
	"github.com/addagent/addagent/internal/testkit"
)

// TestPage shows sample data in one browser.
func TestPage(t *testing.T) {
	b := startBrowser(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *browser)
	}{
		{"what is shown", shown}, {"changes", changes}, {"hostile records", hostile}, {"a clock an hour wrong", wrongClock},
		{"keyboard", keyboard}, {"hidden tab", hiddenTab}, {"server away", serverAway}, {"export", export},
		{"thousand nodes", thousand},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, b) })
	}
}

func three() object {
	return sampleGrid(sampleNode("i-app1", "app1", "idle", nil), sampleNode("i-app2", "app1", "working", object{"reason": "ops:part.app1"}),
		wedgedNode("i-db1", "db1", "ops:part.db1: exit 3 (3 failures in a row)"))
}

func shown(t *testing.T, b *browser) {
	s := serveSample(t, three())
	p := b.tab(t, s.URL, 1280, 800)
	p.until("three nodes", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 3")
	top := p.rows(".needs")
	if len(top) != 1 || !slices.Equal(top[0][:3], []string{"W wedged", "i-db1 fed1/db1", "ops:part.db1: exit 3 (3 failures in a row)"}) || !strings.HasPrefix(top[0][4], "addctl node i-db1") {
		t.Errorf("on top: %q", top)
	}
	list := p.rows(".nodes")
	if want := []string{"I idle", "i-app1", "fed1/app1", "5m", "present", "ops@c0ffee1", ""}; len(list) != 3 || !slices.Equal(list[0], want) {
		t.Errorf("the list: %q", list)
	}
	tree := p.accessible()
	for _, words := range []string{"idle", "working", "wedged", "i-app1", "i-app2", "i-db1"} {
		if !strings.Contains(tree, words) {
			t.Errorf("no %q in the accessibility tree:\n%.4000s", words, tree)
		}
	}
	if said := p.text("#said"); !strings.Contains(said, "1 node needs attention") || !strings.Contains(said, "i-db1 is wedged") {
		t.Errorf("announced: %q", said)
	}
	p.shot("three-light")
	p.scheme("dark")
	p.shot("three-dark")
	for _, view := range []string{"timeline", "versions", "services"} {
		p.do(clicked("#to-" + view))
		p.until(view, fmt.Sprintf("!document.getElementById('view-%s').hidden && location.hash.includes('view=%[1]s')", view))
		p.shot("view-" + view)
	}
	p.faultless()
}

func changes(t *testing.T, b *browser) {
	s := serveSample(t, three())
	p := b.tab(t, s.URL, 1280, 800)
	p.until("three nodes", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 3")
	eval[bool](p, "!!(self.kept = [...document.querySelectorAll('.nodes a.id')].find(a => a.innerText === 'i-app1'))")
	s.change(object{"nodes": []object{wedgedNode("i-app1", "app1", "disk errors"), sampleNode("i-db1", "db1", "idle", nil)}})
	p.until("i-app1 on top", "document.querySelector('#needs-body').innerText.includes('disk errors')")
	if top := p.rows(".needs"); len(top) != 1 || !strings.HasPrefix(top[0][1], "i-app1") {
		t.Errorf("on top: %q", top)
	}
	if !eval[bool](p, "self.kept.isConnected") {
		t.Error("the row of a node that changed was made again")
	}
	s.change(object{"gone": []string{"i-app1"}, "nodes": []object{}})
	p.until("all well", "!document.getElementById('calm').hidden")
	if text := p.text("#calm"); text != "2 nodes are well. Nothing needs you." {
		t.Errorf("%q", text)
	}
	s.change(object{"error": object{"text": "connection refused", "since": stamp(0)}})
	p.until("a warning", "document.getElementById('warning').innerText.includes('connection refused')")
	if n := len(p.rows(".nodes")); n != 2 {
		t.Errorf("%d nodes are shown after a reading failed", n)
	}
	s.change(object{"error": nil})
	p.until("no warning", "document.getElementById('warning').hidden")
	p.faultless()
}

func hostile(t *testing.T, b *browser) {
	long := strings.Repeat("X", 500)
	markup := `<img src=x onerror=alert(1)><script>alert(2)</script><svg onload=alert(3)>`
	var repos []object
	var versions []object
	for i := range 1000 {
		repos = append(repos, object{"name": fmt.Sprintf("r%d<i>", i), "branch": long, "version": markup, "due": []string{markup}, "worked": object{}})
		versions = append(versions, object{"repo": fmt.Sprint(i, markup), "branch": long, "newest": "x", "versions": []object{{"version": markup, "nodes": 1}}, "behind": []string{markup, long}})
	}
	g := sampleGrid(sampleNode(markup, markup, markup, object{"reason": markup, "hostname": markup, "age": markup, "statelog": markup, "agent": markup}),
		sampleNode(long, long, "failing", object{"reason": long, "trouble": 2, "next": long, "deployment": long, "troubles": []string{markup, long}}),
		sampleNode("\u202eevil\u2066\x1b[31m", "app1", "\u202eidle", object{"reason": "\u200b\u2028a\x00b"}),
		sampleNode("__proto__", "constructor", "toString", object{"repos": repos}))
	g["versions"], g["presence"], g["notes"] = versions, markup, []string{markup, long}
	g["services"] = []object{{"service": markup, "deployment": long, "available": 0, "endpoints": []object{{"code": markup, "ip": markup, "node": long, "port": 1, "role": markup}}, "users": []object{{"node": long, "item": markup, "behind": true}}}}
	g["queue"] = []object{{"id": markup, "action": long, "text": markup, "phase": markup, "added": markup, "by": long}}
	s := serveSample(t, g)
	s.history = object{"note": markup, "ids": []string{markup, "__proto__"}, "words": []string{"", markup}, "texts": []string{long, markup}, "list": [][]any{{0, 0, 0, 1, 1, 0}, {-1e9, 1, 1, 0, 0, 0}}}
	for _, width := range []int{1280, 360} {
		p := b.tab(t, s.URL, width, 800)
		p.until("four nodes", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 4")
		for _, hash := range []string{"", "#view=timeline&window=week", "#view=versions", "#view=services", "#view=queue", "#node=__proto__", "#node=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "#sort=__proto__&q=%3Cscript%3E&view=constructor"} {
			eval[bool](p, fmt.Sprintf("(location.hash = %q, true)", hash))
			p.until("drawn", "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(true))))")
			if n := eval[int](p, "document.querySelectorAll('img, svg, iframe, object, embed, body script:not([src=\"page.js\"]), body [onerror], body [onload]').length"); n != 0 {
				t.Errorf("%s: %d elements of a record's markup", hash, n)
			}
			if w := eval[int](p, "document.documentElement.scrollWidth"); w > width {
				t.Errorf("%s: the page is %d wide at %d", hash, w, width)
			}
			if text := eval[string](p, "document.body.innerText"); strings.ContainsAny(text, "\u202e\u2066\x1b\x00\u2028") {
				t.Errorf("%s: control or direction characters are shown", hash)
			}
		}
		p.shot(fmt.Sprint("hostile-", width))
		p.faultless()
	}
}

// wrongClock: ages are those of the server's clock.
func wrongClock(t *testing.T, b *browser) {
	s := serveSample(t, three())
	for _, by := range []string{"3600e3", "-3600e3"} {
		p := b.tab(t, s.URL, 1280, 800, "{ const was = Date.now; Date.now = () => was() + "+by+"; }")
		p.until("three nodes", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 3")
		if list := p.rows(".nodes"); len(list) < 1 || list[0][3] != "5m" || list[0][4] != "present" {
			t.Errorf("with a clock that is %s wrong: %q", by, list)
		}
		p.faultless()
	}
}

func keyboard(t *testing.T, b *browser) {
	s := serveSample(t, three())
	p := b.tab(t, s.URL, 1280, 800)
	p.until("three nodes", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 3")
	want := []string{"Skip to the nodes", "wedged", "i-db1", "Copy: addctl node i-db1", "to-nodes", "to-timeline", "to-versions", "to-services", "filter", "State", "Node", "Reason", "view-nodes A i-app1"}
	var got []string
	for range 40 {
		p.keys(kb.Tab)
		got = append(got, p.focused())
		if strings.HasPrefix(got[len(got)-1], "view-nodes A") {
			break
		}
	}
	all := strings.Join(got, "\n")
	for _, stop := range want {
		if !strings.Contains(all, stop) {
			t.Errorf("Tab does not reach %q, but:\n%s", stop, all)
		}
	}
	p.keys(kb.ArrowDown)
	if f := p.focused(); !strings.HasSuffix(f, "i-app2") {
		t.Errorf("after arrow down: %s", f)
	}
	p.keys(kb.End)
	if f := p.focused(); !strings.HasSuffix(f, "i-db1") {
		t.Errorf("after End: %s", f)
	}
	p.keys(kb.Enter)
	p.until("the node's panel", "!document.getElementById('node').hidden && document.activeElement.id === 'node-title'")
	if text := p.text("#node"); !strings.Contains(text, "i-db1") || !strings.Contains(text, "10.0.0.7") || !strings.Contains(text, "Repositories") {
		t.Errorf("the panel: %q", text)
	}
	p.shot("node")
	p.keys(kb.Escape)
	p.until("the panel is closed", "document.getElementById('node').hidden")
	if f := p.focused(); !strings.HasSuffix(f, "i-db1") {
		t.Errorf("after Escape: %s", f)
	}
	p.keys("/")
	p.until("the filter", "document.activeElement.id === 'filter'")
	eval[bool](p, "(document.activeElement.value = '', true)") // the protocol sends the character all the same
	p.keys("w", "e", "d", "g")
	p.until("one node", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 1 && location.hash === '#q=wedg'")
	p.keys(kb.Escape)
	p.until("all nodes", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 3")
	p.do(clicked("#to-timeline"))
	eval[bool](p, "(document.getElementById('windows').lastChild.focus(), true)")
	p.keys(kb.Tab)
	p.until("the chart speaks", "document.getElementById('said').innerText.includes('i-app1')")
	p.keys(kb.ArrowDown, kb.ArrowDown)
	p.until("the wedged node", "document.getElementById('said').innerText.includes('i-db1 fed1/db1: wedged')")
	p.keys(kb.Enter)
	p.until("the node's panel", "location.hash.includes('node=i-db1')")
	p.faultless()
}

// hiddenTab: it closes its stream, asks for nothing, and catches up.
func hiddenTab(t *testing.T, b *browser) {
	s := serveSample(t, three())
	p := b.tab(t, s.URL, 1280, 800)
	p.until("live", "document.getElementById('line').innerText === 'live'")
	hide := func(hidden bool) {
		eval[bool](p, fmt.Sprintf("(Object.defineProperty(document, 'hidden', {value: %t, configurable: true}), document.dispatchEvent(new Event('visibilitychange')))", hidden))
	}
	hide(true)
	s.awaitStreams(t, 0)
	before := s.requests.Load()
	s.change(object{"nodes": []object{wedgedNode("i-app2", "app1", "while you were away")}})
	if n := s.requests.Load(); n != before {
		t.Errorf("a hidden tab made %d requests", n-before)
	}
	hide(false)
	p.until("what happened meanwhile", "document.querySelector('#needs-body').innerText.includes('while you were away')")
	p.faultless()
}

func serverAway(t *testing.T, b *browser) {
	s := serveSample(t, three())
	p := b.tab(t, s.URL, 1280, 800)
	p.until("live", "document.getElementById('line').innerText === 'live'")
	address := s.Listener.Addr().String()
	s.CloseClientConnections()
	s.Close()
	p.until("no connection", "document.getElementById('warning').innerText.includes('No connection')")
	if n := len(p.rows(".nodes")); n != 3 {
		t.Errorf("%d nodes are shown without a connection", n)
	}
	p.shot("no-connection")
	again := serveSampleAt(t, address, sampleGrid(wedgedNode("i-new", "app1", "new")))
	p.until("the new grid", "document.querySelector('#needs-body').innerText.includes('i-new') && document.getElementById('warning').hidden")
	if n := len(p.rows(".nodes")); n != 1 {
		t.Errorf("%d nodes of another grid", n)
	}
	again.awaitStreams(t, 1)
	p.faultless("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
}

// export: the page as files, from file:// and from a server of files.
func export(t *testing.T, b *browser) {
	g := three()
	g["time"] = "2026-01-01T10:00:00Z"
	data, err := page.DataScript(encoded(g), []byte(`{"ids":["i-db1"],"words":["","wedged"],"texts":[""],"list":[[1767261000,0,0,1,0,0]]}`), "2 nodes were left out")
	testkit.Must(t, err)
	dir := t.TempDir()
	for name, content := range map[string][]byte{"index.html": page.ExportHTML(), "page.js": page.Script(), "page.css": page.Style(), "data.js": data} {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	}
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(files.Close)
	for _, url := range []string{"file://" + dir + "/index.html", files.URL} {
		p := b.tab(t, url, 1280, 800)
		p.until("three nodes", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 3")
		if text := p.text("#warning"); !strings.Contains(text, "These data are old") {
			t.Errorf("%s: %q", url, text)
		}
		if text := p.text("#notes"); text != "2 nodes were left out" {
			t.Errorf("%s: %q", url, text)
		}
		if list := p.rows(".nodes"); !strings.Contains(p.text("body"), "ops@c0ffee1") || len(list) != 3 {
			t.Errorf("%s: %q", url, list)
		}
		p.shot("export")
		p.faultless()
	}
}

// thousand: tiles come first, the list scrolls, and only what is in sight is an element.
func thousand(t *testing.T, b *browser) {
	var nodes []object
	words := map[int]string{17: "failing", 23: "disabled", 37: "working", 71: "setup"}
	for i := range 1000 {
		n := sampleNode(fmt.Sprintf("i-%04d", i), fmt.Sprint("app", i%7), "idle", nil)
		for every, word := range words {
			if i%every == every-1 {
				n["state"], n["trouble"] = word, map[string]int{"failing": 2, "disabled": 4}[word]
				if n["trouble"] == 0 {
					n["trouble"] = 5
				}
			}
		}
		nodes = append(nodes, n)
	}
	nodes[500] = wedgedNode("i-0500", "app3", "ops:part.app3: exit 3 (3 failures in a row)")
	nodes[501] = sampleNode("i-0501", "app4", "idle", object{"age": "missing", "trouble": 1, "next": "addctl node i-0501", "beat_seen": stamp(-20 * time.Minute)})
	nodes[993] = sampleNode("i-0993", "app6", "idle", nil)
	s := serveSample(t, sampleGrid(nodes...))
	p := b.tab(t, s.URL, 360, 740)
	p.until("tiles", "!document.getElementById('tiles').hidden")
	if n := eval[int](p, "document.querySelectorAll('*').length"); n > 1000 {
		t.Errorf("%d elements for a thousand nodes", n)
	}
	if w := eval[int](p, "document.documentElement.scrollWidth"); w != 360 {
		t.Errorf("the page is %d wide on a phone", w)
	}
	p.picture(t, "page-phone")
	eval[bool](p, "(scrollTo(0, 1e9), true)")
	p.until("the last node", "document.querySelector('.nodes > tbody').innerText.includes('i-0993')")
	if n := eval[string](p, "document.querySelector('.nodes').getAttribute('aria-rowcount')"); n != "1008" {
		t.Errorf("aria-rowcount %s", n) // 1,000 nodes, 7 parts, the head
	}
	p.shot("thousand-end")
	p.faultless()
	wide := b.tab(t, s.URL, 1000, 620)
	wide.until("tiles", "!document.getElementById('tiles').hidden")
	wide.picture(t, "page-tiles")
	wide.faultless()
}
