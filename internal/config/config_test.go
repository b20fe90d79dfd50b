package config

import (
	"errors"
	"fmt"
	"github.com/addagent/addagent/internal/git/address"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/testkit"
)

func everyMinute(s string) error {
	if s != "* * * * *" && !strings.HasPrefix(s, "@every ") {
		return fmt.Errorf("%q is not five fields", s)
	}
	return nil
}

func asRoot() Options { return Options{Root: true, Schedule: everyMinute} }

// put puts a config into a folder of its own, with KEYS in it replaced by a folder that holds credentials.
func put(t *testing.T, text string) (path, keys string) {
	t.Helper()
	dir := t.TempDir()
	keys = filepath.Join(dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"password": 0o600, "key": 0o644, "open": 0o666, "known_hosts": 0o644} {
		file := filepath.Join(keys, name)
		if err := os.WriteFile(file, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"badroom": "\ufeffpigeon:s3cr3t\r\n", "lines": "s3cr3t\nt0psecret\n", "utf16": "\xff\xfes\x003\x00"} {
		if err := os.WriteFile(filepath.Join(keys, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path = filepath.Join(dir, "addagent.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "KEYS", keys)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, keys
}

func fixture(t *testing.T, name string) (path, keys string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return put(t, string(data))
}

// What a person sees of a config with many mistakes: all of them, in order, with the place and what to do.
func TestMistakes(t *testing.T) {
	path, keys := fixture(t, "mistakes.yaml")
	c, err := Load(path, asRoot())
	if err == nil || c == nil {
		t.Fatalf("Load = %v, %v", c, err)
	}
	got := strings.ReplaceAll(strings.ReplaceAll(err.Error(), keys, "KEYS"), path, "addagent.yaml") + "\n"
	testkit.Golden(t, "testdata/mistakes.txt", got)
	if strings.Contains(got, "s3cr3t") {
		t.Error("a secret is shown")
	}
	var problems Problems
	if !errors.As(err, &problems) || problems[0].Line != 1 {
		t.Errorf("problems %#v", problems)
	}
	if c.Home != "/root" || c.Beat.Spread != 50*time.Second || c.Log.Keep != 5 {
		t.Errorf("bad values were taken: %+v", c)
	}
}

func lines(c *Config, path, keys string) string {
	var b strings.Builder
	for _, r := range c.Lines() {
		fmt.Fprintf(&b, "%s: %s  (%s)\n", r.Key, r.Value, r.From)
	}
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "note: %s\n", n.Error())
	}
	return strings.NewReplacer(keys, "KEYS", path, "addagent.yaml").Replace(b.String())
}

func TestGood(t *testing.T) {
	path, keys := fixture(t, "good.yaml")
	c, err := Load(path, asRoot())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetHome("/elsewhere", "--home"); err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "testdata/good.txt", lines(c, path, keys))
	want := []Repo{
		{Name: "ops", URLs: []string{"https://git.example.org/ops.git"}, Branch: "{deployment}", Rewind: "refuse", Verify: "off",
			Auth: Auth{Username: "bot", PasswordFile: filepath.Join(keys, "password")}},
		{Name: "tools", URLs: []string{"git@git.example.org:it/tools.git"}, Rewind: "follow", Verify: "off",
			Auth: Auth{SSHKeyFiles: []string{filepath.Join(keys, "key")}, KnownHostsFile: filepath.Join(keys, "known_hosts")}},
	}
	if !reflect.DeepEqual(c.Repos, want) {
		t.Errorf("repos %+v", c.Repos)
	}
	password := filepath.Join(keys, "password")
	if want := (Presence{URL: "https://git.example.org/presence", Auth: Auth{TokenFile: password}, RefPrefix: "refs/presence/",
		Refresh: 10 * time.Minute, PushesPerMinute: 300, Read: time.Minute}); !reflect.DeepEqual(c.Presence, want) {
		t.Errorf("presence %+v", c.Presence)
	}
	if want := []Room{{URLFile: password, Only: "critical", From: "node"}, {URL: "slack://hook:t0psecret@webhook", Only: "all", From: "fleet"}}; !reflect.DeepEqual(c.Chat, want) {
		t.Errorf("chat %+v", c.Chat)
	}
	if want := (EC2{Tags: "on", Endpoint: "http://127.0.0.1:4566", Region: "eu-west-1", LifecycleHook: "addagent"}); c.EC2 != want {
		t.Errorf("ec2 %+v", c.EC2)
	}
	if want := (Wedged{Kill: "terminate", After: 2 * time.Hour}); !reflect.DeepEqual(c.Wedged, want) {
		t.Errorf("wedged %+v", c.Wedged)
	}
	if want := (Metrics{Textfile: "/var/lib/node_exporter/addagent.prom", Listen: "[::1]:9464"}); c.Metrics != want {
		t.Errorf("metrics %+v", c.Metrics)
	}
	if c.Home != "/elsewhere" || !c.Discover || c.Log.File || c.Work.Env["API_TOKEN"] != "t0psecret" || c.Beat.WorkSpread != 150*time.Second {
		t.Errorf("config %+v", c)
	}
}

// same compares all but where it was read.
func same(a, b *Config) bool {
	x, y := *a, *b
	x.path, x.stamp, x.sources, y.path, y.stamp, y.sources = "", "", nil, "", "", nil
	return reflect.DeepEqual(x, y)
}

func TestDefaults(t *testing.T) {
	c := Default(Options{Root: true})
	testkit.Golden(t, "testdata/defaults.txt", lines(c, "/no/file", "/no/keys"))
	for name, text := range map[string]string{"empty": "", "comments": "# nothing\n", "dashes": "---\n", "empty sections": "beat:\nrepos:\nwork:\n  env:\n"} {
		path, _ := put(t, text)
		got, err := Load(path, asRoot())
		if err != nil || !same(got, c) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	got, err := Load(filepath.Join(t.TempDir(), "none.yaml"), Options{Root: true, Optional: true})
	if err != nil || !same(got, c) {
		t.Errorf("no file: %+v, %v", got, err)
	}
}

func TestDefaultsWithoutRoot(t *testing.T) {
	env := func(vars map[string]string) func(string) string {
		return func(name string) string { return vars[name] }
	}
	for _, c := range []struct {
		name             string
		o                Options
		home, run, state string
	}{
		{"nothing set", Options{Home: "/home/ann"},
			"/home/ann", "/home/ann/.local/state/addagent/run", "/home/ann/.local/state/addagent"},
		{"all set", Options{Home: "/home/ann", Env: env(map[string]string{"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/home/ann/state"})},
			"/home/ann", "/run/user/7/addagent", "/home/ann/state/addagent"},
		{"relative ones do not count", Options{Home: "/home/ann", Env: env(map[string]string{"XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": "state"})},
			"/home/ann", "/home/ann/.local/state/addagent/run", "/home/ann/.local/state/addagent"},
	} {
		got := Default(c.o)
		if got.Home != c.home || got.RunDir != c.run || got.StateDir != c.state {
			t.Errorf("%s: %q %q %q", c.name, got.Home, got.RunDir, got.StateDir)
		}
	}

	path, _ := put(t, "state_dir: /srv/state\n")
	c, err := Load(path, Options{Home: "/home/ann"})
	if err != nil || c.RunDir != "/srv/state/run" {
		t.Errorf("run_dir %q does not follow state_dir, %v", c.RunDir, err)
	}

	_, err = Load(path, Options{})
	if err == nil || !strings.Contains(err.Error(), "home: HOME is not set") {
		t.Errorf("no home: %v", err)
	}
}

func TestFileProblems(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"), asRoot())
	if want := filepath.Join(dir, "none.yaml") + ": no such file: create it, or name another with --config"; err == nil || err.Error() != want {
		t.Errorf("absent: %v", err)
	}
	if _, err := Load(dir, Options{Root: true, Optional: true}); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a folder: %v", err)
	}
	path, _ := put(t, strings.Repeat("#", sizeLimit+1))
	if _, err := Load(path, asRoot()); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("huge: %v", err)
	}
}

// Each text has one problem; the place and the words are what a person goes by.
func TestOneProblem(t *testing.T) {
	for text, want := range map[string]string{
		"beat:\n\tspread: 5s\n\tschedule: x\n":                        "2:1: a tab in the indentation: YAML takes spaces only\n3:1: a tab in the indentation: YAML takes spaces only",
		"home: /a\n---\ndiscover: true\n":                             "3:1: a second document: put all keys into one, without a line of dashes between them",
		"home: /a\nhome: /b\n":                                        "2:1: home: is set twice, first in line 1: keep one",
		"log: {keep: 1, keep: 2}\n":                                   "1:16: log.keep: is set twice, first in line 1: keep one",
		"beat:\n  schedule: * * * * *\n":                              "2:21: undefined alias name; a text that begins with * must stand in quotes",
		"repos:\n  - url: /a\n    branch: {deployment}\n":             "3:5: repos[0].branch: must be text, not a map: a text that begins with { must be in quotes",
		"repos:\n  - url: /a\n    branch: 2024\n":                     "3:13: repos[0].branch: must be text, not a number: put it in quotes",
		"- home: /a\n":                                                "1:1: must be a map of keys, not a list",
		"hello\n":                                                     "1:1: must be a map of keys, not text",
		"beat: 5s\n":                                                  "1:1: beat: must be a map of keys, not text",
		"home:\n":                                                     "1:1: home: has no value: write one, or remove the key",
		"home: ~\n":                                                   "1:1: home: has no value: write one, or remove the key",
		"home: [/a]\n":                                                "1:1: home: must be text, not a list",
		"home: \"\"\n":                                                "1:7: home: is empty: write a path, or remove the key",
		"home: srv\n":                                                 "1:7: home: \"srv\" is not an absolute path: begin it with /",
		"beat: {schedule: \" \"}\n":                                   "1:18: beat.schedule: is empty: write a value, or remove the key",
		"beat: {spread: -5s}\n":                                       "1:16: beat.spread: must be at least 0s",
		"beat: {look_timeout: 0s}\n":                                  "1:22: beat.look_timeout: must be longer than 0s",
		"beat: {look_timeout: 1.5}\n":                                 "1:22: beat.look_timeout: \"1.5\" is not a duration: use numbers with ms, s, m or h, such as 90s or 1h30m",
		"beat: {look_timeout: soon}\n":                                "1:22: beat.look_timeout: \"soon\" is not a duration: use numbers with ms, s, m or h, such as 90s or 1h30m",
		"beat: {look_timeout: 9999999h}\n":                            "1:22: beat.look_timeout: \"9999999h\" is not a duration: use numbers with ms, s, m or h, such as 90s or 1h30m",
		"beat: {look_timeout: 100000h}\n":                             "1:22: beat.look_timeout: is longer than ten years",
		"beat: {look_timeout: true}\n":                                "1:22: beat.look_timeout: must be a duration, not true or false",
		"work: {wedge_after: \"3\"}\n":                                "1:21: work.wedge_after: must be a whole number, not text",
		"work: {wedge_after: 2.5}\n":                                  "1:21: work.wedge_after: must be a whole number, not a fraction",
		"work: {wedge_after: 0x10}\n":                                 "1:21: work.wedge_after: must be a whole number, such as 3",
		"work: {wedge_after: 99999999}\n":                             "1:21: work.wedge_after: 99999999 is too large: must be at most 1000000",
		"work: {env: [A]}\n":                                          "1:8: work.env: must be a map of names and values, not a list",
		"work: {env: {A: x, A: y}}\n":                                 "1:20: work.env.A: is set twice, first in line 1: keep one",
		"work: {env: {A: }}\n":                                        "1:14: work.env.A: has no value: write one, or remove the key",
		"work: {env: {A: \"\\0\"}}\n":                                 "1:14: work.env.A: contains a NUL character: remove it",
		"work: {retry_max: 5s}\n":                                     "1:19: work.retry_max: retry_max (5s) must not be shorter than retry_first (1m)",
		"discover: 1\n":                                               "1:11: discover: must be true or false, not a number",
		"repos: ops\n":                                                "1:1: repos: must be a list of repositories, each beginning with a dash, not text",
		"repos: {name: ops}\n":                                        "1:1: repos: must be a list of repositories, each beginning with a dash, not a map",
		"repos:\n  - name: ops\n":                                     "2:5: repos[0].url: is missing: a repository needs one",
		"repos:\n  -\n":                                               "2:5: repos[0].url: is missing: a repository needs one",
		"repos:\n  - url: /srv/a/..\n":                                "2:10: repos[0].name: is missing, and the URL gives none: write the name of a folder",
		"repos:\n  - url: /a/ops\n  - url: /b/ops.git\n":              "3:10: repos[1].name: ops is also the name of the repository in line 2: each needs its own folder",
		"repos: [{url: /a, verify: {mode: warn}}]\n":                  "1:34: repos[0].verify.mode: \"warn\" is not in this version: only \"off\" is",
		"repos: [{url: /a, verify: {mode: no}}]\n":                    "1:34: repos[0].verify.mode: \"no\" is not understood: must be \"off\"",
		"repos: [{url: /a, auth: {token_file: /etc}}]\n":              "1:38: repos[0].auth.token_file: is for https and http, but the url is a path: remove it, or correct the url",
		"repos: [{url: \"h:a\", auth: {username: b}}]\n":              "1:39: repos[0].auth.username: is for https and http, but the url is ssh: remove it, or correct the url",
		"repos: [{url: \"https://h/a\", auth: {token_file: /etc}}]\n": "1:49: repos[0].auth.token_file: /etc is not a regular file: correct the path",
		"repos: [{url: \"https://h/a\", auth: {password_file: /e/no}}]\n": "1:52: repos[0].auth.password_file: /e/no does not exist: create it, or correct the path\n1:52: repos[0].auth.password_file: needs a username",
		"x: &a {b: 1}\n":                       "1:1: x: unknown key: known here are home, run_dir, state_dir, beat, repos, discover, network, work, presence, requests, chat, ec2, wedged, metrics, log",
		"beat: &b {spread: 1s}\n":              "1:1: beat: anchors, aliases, merge keys and tags are not supported: write the value itself",
		"home: !!str /a\n":                     "1:7: home: anchors, aliases, merge keys and tags are not supported: write the value itself",
		"hoem: /a\n":                           "1:1: hoem: unknown key: did you mean home?",
		"Home: /a\n":                           "1:1: Home: unknown key: did you mean home?",
		"repo: []\n":                           "1:1: repo: unknown key: did you mean repos?",
		"look_timeout: 5s\n":                   "1:1: look_timeout: unknown key here: did you mean beat.look_timeout?",
		"work_spread: 5m\n":                    "1:1: work_spread: unknown key here: did you mean beat.work_spread?",
		"beat: {home: /a}\n":                   "1:8: beat.home: unknown key here: did you mean home?",
		"repos: [{url: /a, authh: {}}]\n":      "1:19: repos[0].authh: unknown key: did you mean auth?",
		"repos: [{url: /a, token_file: /x}]\n": "1:19: repos[0].token_file: unknown key here: did you mean auth.token_file?",
		"requests: { allow: [work, move] }\n":  "1:27: requests.allow: \"move\" is not understood: must be \"work\", \"install\", \"start\", \"stop\", \"restart\", \"drain\" or \"undrain\"",
		"requests: { url: /a, alow: [] }\n":    "1:22: requests.alow: unknown key: did you mean allow?",
		"5: x\n":                               "1:1: 5: unknown key: known here are home, run_dir, state_dir, beat, repos, discover, network, work, presence, requests, chat, ec2, wedged, metrics, log",
		"log: {file: on}\n":                    "1:13: log.file: must be true or false, not text",
		"home: /a # gr\xf6\xdfe\n":             "1:1: holds bytes that are no UTF-8: save the file as UTF-8",
		"home: /a\x00b\n":                      "1:9: a NUL character: this is no text file",
		"home: \"/a\\nb\"\n":                   "1:7: home: contains a control character",
		strings.Repeat("[", 300) + "\n":        "1:1: nested too deeply",
		strings.Repeat("a: [\n", 300):          "201:1: nested too deeply",
		"? home\n: /a\n":                       "1:1: ?: unknown key: known here are home, run_dir, state_dir, beat, repos, discover, network, work, presence, requests, chat, ec2, wedged, metrics, log",
	} {
		path, _ := put(t, text)
		_, err := Load(path, asRoot())
		if err == nil {
			t.Errorf("%q: no problem, want %s", text, want)
			continue
		}
		got := strings.ReplaceAll(err.Error(), path+":", "")
		if got = strings.ReplaceAll(got, path, ""); strings.TrimSpace(got) != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestAccepted(t *testing.T) {
	for _, text := range []string{
		"\ufeffhome: /a\n", "home: /a\r\nbeat:\r\n  spread: 5s\r\n", "%YAML 1.2\n---\nhome: /a\n", "home: '/a b'\n", "beat: {spread: 0}\n",
		"verify: {}\n"[:0], "ec2: { tags: \"off\" }\n", "ec2: { tags: off }\n", "repos: [{url: /a, verify: {mode: \"off\"}}]\n",
		"work: {timeout: 1h30m, retry_first: 500ms}\n", "work: {grace: 1us}\n", "work: {env: {PORT: \"80\"}}\n", "beat:\n  schedule: |-\n    @every 5s\n",
		"repos:\n- url: /a\n  branch: \"\"\n",
	} {
		path, _ := put(t, text)
		if _, err := Load(path, asRoot()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Of a file that is no YAML the folders are known all the same: the last good config lies in one of them.
func TestFoldersOfBrokenFiles(t *testing.T) {
	for text, want := range map[string]string{
		"state_dir: /srv/state\nbeat:\n\tspread: 5s\n":            "/srv/state",
		"log: {\nstate_dir: \"/srv/my state\"  # here\n":          "/srv/my state",
		"log: {\r\nstate_dir: '/srv/state'\r\n":                   "/srv/state",
		"log: {\n  state_dir: /srv/state\n":                       "/var/lib/addagent",
		"log: {\nstate_dir: srv\n":                                "/var/lib/addagent",
		"log: {\nstate_dir: /a\nstate_dir: /b\nstate_dir: /c d\n": "/b",
	} {
		path, _ := put(t, text)
		c, err := Load(path, asRoot())
		if err == nil || c.StateDir != want {
			t.Errorf("%q: %s, %v", text, c.StateDir, err)
		}
	}
}

func TestSetHome(t *testing.T) {
	path, _ := put(t, "run_dir: /srv/run\n")
	c, err := Load(path, asRoot())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetHome("node", "--home"); err == nil || c.Home != "/root" || err.Error() != `--home: home: "node" is not an absolute path: begin it with /` {
		t.Errorf("a relative path: %v", err)
	}
	if err := c.SetHome("/node", "--home"); err != nil || c.RunDir != "/node/.addagent/run" || c.StateDir != "/node/.addagent/lib" {
		t.Errorf("%v: %s, %s", err, c.RunDir, c.StateDir)
	}
}

func TestAddRepo(t *testing.T) {
	c := Default(Options{Root: true})
	if err := c.AddRepo("https://git.example.org/it/ops.git", "--repo"); err != nil {
		t.Fatal(err)
	}
	want := []Repo{{Name: "ops", URLs: []string{"https://git.example.org/it/ops.git"}, Rewind: "follow", Verify: "off"}}
	if !reflect.DeepEqual(c.Repos, want) {
		t.Errorf("repos %+v", c.Repos)
	}
	found := false
	for _, r := range c.Lines() {
		found = found || r.Key == "repos[0].url" && r.Value == "https://git.example.org/it/ops.git" && r.From == "--repo"
	}
	if !found {
		t.Errorf("lines %+v", c.Lines())
	}
	for url, text := range map[string]string{
		"/srv/ops":        "--repo: name: there is already a repository ops",
		"ops":             "--repo: url: is not a URL: " + address.Forms,
		"https://u:p@h/x": "--repo: url: " + checkURL("https://u:p@h/x"),
		"/srv/..":         "--repo: name: ",
	} {
		if err := c.AddRepo(url, "--repo"); err == nil || !strings.HasPrefix(err.Error(), text) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
