package chat

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		address string
		redact  string
		want    string // in the error, "" = understood
	}{
		{"hipchat://Tok3nTok3n@chat.example.org/Ops", "hipchat://chat.example.org", ""},
		{" hipchat://Tok3nTok3n@chat.example.org:8443/The%20Ops%2FRoom?api=v1&scheme=http&from=ADD\n", "hipchat://chat.example.org:8443", ""},
		{"teams+https://test.webhook.office.com/webhookb2/11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/IncomingWebhook/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2Tok3nTok3n",
			"teams://", ""},
		{"slack://T0A1B2C3D/B4E5F6G7H/Tok3nTok3nTok3nTok3nTok3n", "slack://", ""}, // the form of old
		{"slack+https://hooks.slack.com/services/Tok3nTok3n", "slack://", "its form is slack://hook"},
		{"slack://dummy@dummy.com", "slack://", "its form is"},
		{"matrix://:Tok3nTok3n@example.org/?rooms=", "matrix://", "its form is"},
		{"gotify://example.org/Tok3nTok3n?insecureskipverify=yes", "gotify://", "its form is"},
		{"ntfy://example.org/Tok3nTok3n?disabletlsverification=yes", "ntfy://", "its form is"},
		{"hipchat://Tok3nTok3n/Ops", "hipchat://", "its form is hipchat://TOKEN@HOST"},
		{"hipchat://Tok3nTok3n@chat.example.org", "hipchat://", "its form is"},
		{"hipchat://chat.example.org/Ops", "hipchat://", "its form is"},
		{"hipchat://a:Tok3nTok3n@chat.example.org/Ops", "hipchat://", "its form is"},
		{"hipchat://Tok3nTok3n@chat.example.org/Ops?api=v3", "hipchat://", "its form is"},
		{"hipchat://Tok3nTok3n@chat.example.org/Ops?scheme=ftp", "hipchat://", "its form is"},
		{"hipchat://Tok3nTok3n@chat.example.org/Ops?colour=red", "hipchat://", "its form is"},
		{"hipchat://Tok3nTok3n@chat.example.org/Ops?a=%zz", "hipchat://", "its form is"},
		{"hipchatt://Tok3nTok3n@chat.example.org/Ops", "(a chat address)", "unknown kind of address: use one of"},
		{"Tok3nTok3n:more", "(a chat address)", "unknown kind"},
		{"Tok3nTok3n", "(a chat address)", "begin with KIND://"},
		{"", "(a chat address)", "begin with KIND://"},
		{"hipchat://Tok3nTok3n@chat.example.org/Ops\x7f", "(a chat address)", "begin with KIND://"},
	} {
		err := Check(c.address)
		if c.want == "" && err != nil {
			t.Errorf("%q: %v", c.address, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.address, err, c.want)
		}
		if got := Redact(c.address); got != c.redact {
			t.Errorf("%q is shown as %q, want %q", c.address, got, c.redact)
		}
		if err != nil && strings.Contains(err.Error(), "Tok3n") {
			t.Errorf("%q: the error tells the token: %v", c.address, err)
		}
	}
}

func TestKinds(t *testing.T) {
	all := Kinds()
	if !slices.IsSorted(all) || !slices.Contains(all, "hipchat") {
		t.Errorf("kinds: %q", all)
	}
	for _, name := range all {
		if k := kinds()[name]; k.open == nil || !strings.HasPrefix(k.form, name) {
			t.Errorf("the kind %s has no form or cannot be opened", name)
		}
	}
}

func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/chat.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range kinds() {
		if !strings.Contains(string(page), "`"+k.form+"`") {
			t.Errorf("docs/chat.md does not tell the address of %s: %s", name, k.form)
		}
	}
}

// TestProxyRepeatsItsPassword: what a proxy says about a message it refuses goes to the log, but not its password.
func TestProxyRepeatsItsPassword(t *testing.T) {
	const password = "p4ssw0rd-of-the-proxy"
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "refused for "+r.Header.Get("Proxy-Authorization"))
	}))
	defer proxy.Close()
	via, err := url.Parse(strings.Replace(proxy.URL, "http://", "http://node:"+password+"@", 1))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open("hipchat://Tok3nTok3n@chat.example.org/Ops?scheme=http", Options{Transport: &http.Transport{Proxy: http.ProxyURL(via), DisableKeepAlives: true}})
	if err != nil {
		t.Fatal(err)
	}
	err = r.Say(t.Context(), Message{Text: "hello"})
	var is *Trouble
	if !errors.As(err, &is) || is.Status != http.StatusBadGateway || !strings.Contains(err.Error(), "its text is not shown") {
		t.Errorf("the room said %v", err)
	}
}
