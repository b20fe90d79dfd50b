package diff

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/config"
)

// TestChangesShowNoSecret: what is masked is named all the same when it is another.
func TestChangesShowNoSecret(t *testing.T) {
	dir := t.TempDir()
	load := func(text string) *config.Config {
		path := filepath.Join(dir, "addagent.yaml")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, config.Options{Root: true})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	if err := os.WriteFile(filepath.Join(dir, "url"), []byte("slack://hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ before, after, want, back string }{
		{"work: { env: { A: hush1, TOKEN: hush1 } }\nrepos: [ { url: /a } ]\n",
			"work: { env: { A: hush2, B: hush3, TOKEN: hush4 }, wedge_after: 7 }\nrepos: [ { url: /a }, { url: /b } ]\n",
			"repos[1] added: /b; work.env.A changed; work.env.B changed; work.env.TOKEN changed; work.wedge_after is 7, was 3",
			"repos[1] removed: /b; work.env.A changed; work.env.B removed; work.env.TOKEN changed; work.wedge_after is 3, was 7"},
		{`network: { proxy: "http://a:hush1@h:1" }`, `network: { proxy: "http://a:hush2@h:1" }`, "network.proxy changed", "network.proxy changed"},
		{"", "presence: { url: /srv/presence, refresh: 1m, read: 30s, pushes_per_minute: 300 }",
			`presence.pushes_per_minute is 300, was 6; presence.read is 30s, was 0s; presence.refresh is 1m, was 10m; presence.url is /srv/presence, was ""`,
			`presence.pushes_per_minute is 6, was 300; presence.read is 0s, was 30s; presence.refresh is 10m, was 1m; presence.url is "", was /srv/presence`},
		{`chat: [ { url: "slack://hush1" } ]`, `chat: [ { url: "slack://hush2", only: critical } ]`,
			"chat[0].only is critical, was all; chat[0].url changed", "chat[0].only is all, was critical; chat[0].url changed"},
		{`chat: [ { url: "slack://hush1" } ]`, `chat: [ { url: "hipchat://hush1" }, { url_file: DIR/url }, { url: "slack://hush1" } ]`,
			`chat[0].url is "hipchat://********", was "slack://********"; chat[1] added: DIR/url; chat[2] added: "slack://********"`,
			`chat[0].url is "slack://********", was "hipchat://********"; chat[1] removed: DIR/url; chat[2] removed: "slack://********"`},
		{`chat: [ { url: "slack://hush1" } ]`, "chat: [ { url_file: DIR/url } ]",
			`chat[0].url is "", was "slack://********"; chat[0].url_file is DIR/url, was ""`,
			`chat[0].url is "slack://********", was ""; chat[0].url_file is "", was DIR/url`},
	} {
		before, after := load(c.before), load(c.after)
		if got := strings.ReplaceAll(Words(before, after), dir, "DIR"); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
		if got := strings.ReplaceAll(Words(after, before), dir, "DIR"); got != c.back {
			t.Errorf("%s\nwant %s", got, c.back)
		}
		if got := Words(before, before); got != "" {
			t.Errorf("nothing changed: %s", got)
		}
	}
}
