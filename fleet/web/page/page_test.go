package page

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/testkit"
)

// most is how large script and style may be together, compressed.
const most = 40 << 10

func TestScriptIsCurrent(t *testing.T) {
	made := filepath.Join(t.TempDir(), "page.js")
	if out, err := exec.Command("go", "run", "./join", "src", made).CombinedOutput(); err != nil {
		t.Fatalf("join: %v: %s", err, out)
	}
	now, err := os.ReadFile(made)
	testkit.Must(t, err)
	if !bytes.Equal(now, Script()) {
		t.Error("page.js is not what its modules make: run go generate ./fleet/web/page")
	}
}

func TestSize(t *testing.T) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	testkit.Must(t, err)
	for _, part := range [][]byte{Script(), Style()} {
		_, err := z.Write(part)
		testkit.Must(t, err)
	}
	testkit.Must(t, z.Close())
	t.Logf("%d bytes compressed", b.Len())
	if b.Len() > most {
		t.Errorf("script and style are %d bytes compressed, more than %d", b.Len(), most)
	}
}

// TestPureFunctions lets node's own test runner judge grouping, sorting, bars and filters.
func TestPureFunctions(t *testing.T) {
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("no node here: run make test-tools")
	}
	out, err := exec.Command(path, "--test", "test/").CombinedOutput()
	if err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
	if !regexp.MustCompile(`(?m)^# pass [1-9]`).Match(out) {
		t.Errorf("node has tested nothing:\n%s", out)
	}
}

// TestNothingInlineOrElsewhere: what the policy forbids is not there in the first place.
func TestNothingInlineOrElsewhere(t *testing.T) {
	for name, banned := range map[string]string{
		string(HTML()):   `<script>|<style|\son[a-z]+=|style=|https?://[^w]|javascript:`,
		string(Script()): `innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|https?://|localStorage`,
		string(Style()):  `@import|url\(|https?://`,
	} {
		if found := regexp.MustCompile(banned).FindString(name); found != "" {
			t.Errorf("%q is in %.60q", found, name)
		}
	}
}

func TestExport(t *testing.T) {
	text := string(ExportHTML())
	if i, j := strings.Index(text, "data.js"), strings.Index(text, "page.js"); i < 0 || j < i {
		t.Errorf("data.js is not before page.js:\n%s", text)
	}
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(text)
	if policy == nil || strings.Contains(policy[1], "connect-src") || strings.Contains(policy[1], "frame-ancestors") || !strings.Contains(policy[1], "default-src 'none'") {
		t.Errorf("the policy of an export is %q", policy)
	}
	data, err := DataScript([]byte(`{"nodes":[{"reason":"</script><script>alert(1)"}]}`), []byte(`{"list":[]}`), "left out: 3 days")
	testkit.Must(t, err)
	if s := string(data); strings.Contains(s, "</script") || !strings.HasPrefix(s, "self.addctlData = {") || !strings.Contains(s, `"note":"left out: 3 days"`) {
		t.Errorf("data.js is %s", s)
	}
	if _, err := DataScript([]byte(`{`), nil, ""); err == nil {
		t.Error("data that is no JSON was taken")
	}
}
