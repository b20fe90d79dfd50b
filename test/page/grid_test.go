package page

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/testkit"
)

// TestGrid follows make demo-grid in a browser: three agents, a git http-backend, addctl web. UPDATE=1 writes the
// pictures of the README.
func TestGrid(t *testing.T) {
	testkit.Long(t)
	b := startBrowser(t)
	bin, dir := t.TempDir(), filepath.Join(t.TempDir(), "demo")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin+"/", "../../cmd/addagent", "../../cmd/addctl", "../../demo")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	demo := exec.Command(filepath.Join(bin, "demo"), "-grid", "-keep", "-dir", dir)
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := demo.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, demo.Start())
	t.Cleanup(func() {
		_ = demo.Process.Signal(syscall.SIGTERM)
		_ = demo.Wait()
	})
	address := make(chan string, 1)
	go func() {
		web := regexp.MustCompile(`\(addctl web\): (http://\S+)`)
		for in := bufio.NewScanner(out); in.Scan(); {
			if found := web.FindStringSubmatch(in.Text()); found != nil {
				address <- found[1]
			}
		}
	}()
	p := b.tab(t, <-address, 1000, 470)
	is := func(node, word string) string {
		return "[...document.querySelectorAll('.nodes > tbody > tr:not(.head)')].some(r => r.innerText.includes('" + node + "') && r.cells[0].innerText.endsWith('" + word + "'))"
	}
	p.until("the first node comes up", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length > 0")
	p.picture(t, "page-coming-up")
	// A run of this grid takes a second, which the page may not see: what follows is as good.
	p.until("three nodes, one of which works", "document.querySelectorAll('.nodes > tbody > tr:not(.head)').length === 3 && /working|failing|wedged/.test(document.getElementById('counts').innerText)")
	p.picture(t, "page-working")

	// A state is on the page soon after its push.
	presence := filepath.Join(dir, "server", "presence.git")
	testkit.Eventually(t, "i-db1 has pushed that it is wedged", func() bool {
		subject, err := gittest.TryGit(presence, nil, "log", "-1", "--format=%s", "presence/i-db1")
		return err == nil && strings.HasSuffix(strings.TrimSpace(subject), " wedged")
	})
	pushed := time.Now()
	p.until("the wedged node on top", "document.querySelector('#needs-body > tr')?.innerText.includes('i-db1') && document.querySelector('#needs-body .badge').innerText.endsWith('wedged')")
	took := time.Since(pushed)
	t.Logf("on the page %v after the push", took)
	if took > 10*time.Second { // it is read every two seconds; the rest is a machine with other things to do
		t.Errorf("the state was on the page %v after the push", took)
	}
	p.picture(t, "page-wedged")

	p.until("the killed node is late", "document.querySelector('#needs-body').innerText.includes('late')")
	p.until("the killed node is missing", is("i-app1", "missing"))
	p.until("it is back, and all are well", "!document.getElementById('calm').hidden && "+is("i-app1", "idle"))
	p.do(chromedp.EmulateViewport(1000, 1600), clicked("#to-timeline"))
	p.until("the history", "document.querySelector('.bars > tbody').innerText.includes('missing') && document.querySelector('.bars > tbody').innerText.includes('wedged')")
	p.shot("timeline")

	// The server of the page goes away, and so does that of presence.
	web := childOf(t, demo.Process.Pid, "\x00web\x00")
	testkit.Must(t, os.Rename(presence, presence+".away"))
	p.until("the page says that presence is not read", "document.getElementById('warning').innerText.includes('has not been read since')")
	if n := eval[int](p, "document.querySelectorAll('#counts li').length"); n == 0 {
		t.Error("nothing is shown while presence is away")
	}
	p.shot("presence-away")
	testkit.Must(t, os.Rename(presence+".away", presence))
	p.until("the warning goes", "document.getElementById('warning').hidden")
	testkit.Must(t, syscall.Kill(web, syscall.SIGKILL))
	p.until("the page says that its server is away", "document.getElementById('warning').innerText.includes('No connection')")
	p.faultless("ERR_", "503", "502")
}

// childOf is the process that another one has started with such a command line.
func childOf(t *testing.T, parent int, words string) int {
	t.Helper()
	var children []byte
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", parent))
	testkit.Must(t, err)
	for _, task := range tasks {
		more, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", parent, task.Name()))
		if err == nil {
			children = append(children, more...)
		}
	}
	for _, one := range strings.Fields(string(children)) {
		line, err := os.ReadFile("/proc/" + one + "/cmdline")
		if err != nil || !strings.Contains(string(line), words) {
			continue
		}
		pid, err := strconv.Atoi(one)
		testkit.Must(t, err)
		return pid
	}
	t.Fatalf("process %d has no child with %q", parent, words)
	return 0
}

// picture keeps a picture; UPDATE=1 makes it one of the documents.
func (p *tab) picture(t *testing.T, name string) {
	data := p.shot(name)
	if os.Getenv("UPDATE") != "" {
		testkit.Must(t, os.WriteFile(filepath.Join("..", "..", "docs", "pictures", name+".png"), data, 0o644))
	}
}
