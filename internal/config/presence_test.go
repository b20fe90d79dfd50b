package config

import (
	"errors"
	"fmt"
	"github.com/addagent/addagent/internal/git/address"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What presence, rooms, the cloud and kill need of each other and of root.
func TestWhatGoesTogether(t *testing.T) {
	const presence = "presence: {url: /srv/presence}\n"
	_, keys := put(t, "")
	program(t, filepath.Join(keys, "helper"))
	for text, want := range map[string]string{
		// Presence.
		presence:                "",
		"presence: {url: \"\"}": "",
		"presence: {url: \"git@h:presence\", auth: {ssh_key_file: KEYS/password, known_hosts_file: KEYS/known_hosts}}": "",
		"presence: {url: \"https://h/presence\", auth: {username: b, command: [KEYS/helper]}}":                         "",
		"presence: {url: \"https://bot:s3cr3t@h/p\"}":                                                                  "1:17: presence.url: " + checkURL("https://u:p@h/x"),
		"presence: {url: [/a, /b]}":                                                         "1:12: presence.url: must be text, not a list",
		"presence: {url: \"git@h:presence\", auth: {token_file: s3cr3t}}":                   "1:54: presence.auth.token_file: is not an absolute path: write the secret into a file, and its path here",
		"presence: {url: \"git@h:presence\", auth: {token_file: KEYS/password}}":            "1:54: presence.auth.token_file: is for https and http, but the url is ssh: remove it, or correct the url",
		"presence: {url: /srv/presence, auth: {ssh_key_file: KEYS/password}}":               "1:53: presence.auth.ssh_key_file: is for ssh, but the url is a path: remove it, or correct the url",
		"presence: {url: \"https://h/p\", auth: {username: b}}":                             "1:49: presence.auth.username: needs a password_file or a command",
		"presence: {url: \"https://h/p\", auth: {command: [KEYS/none]}}":                    "1:49: presence.auth.command: KEYS/none does not exist: install it, or correct the path",
		"presence: {url: \"https://h/p\", auth: {token: x}}":                                "1:39: presence.auth.token: unknown key: did you mean token_file?",
		"presence: {url: nonsense, auth: {token_file: /e/no}}":                              "1:17: presence.url: is not a URL: " + address.Forms + "\n1:46: presence.auth.token_file: /e/no does not exist: create it, or correct the path",
		"presence: {read: 0s, refresh: 5s}":                                                 "",
		"presence: {read: 1m}":                                                              "1:18: presence.read: needs presence.url: without presence there is nothing to read",
		"presence: {read: 1m, url: x}":                                                      "1:27: presence.url: is not a URL: " + address.Forms,
		"presence: {refresh: 4s}":                                                           "1:21: presence.refresh: must be at least 5s",
		"presence: {prefix: x}":                                                             "1:12: presence.prefix: unknown key: known here are url, auth, ref_prefix, refresh, pushes_per_minute, read, output",
		"presence: {pushes_per_minute: 1}":                                                  "",
		"presence: {pushes_per_minute: 6000}":                                               "",
		"presence: {pushes_per_minute: 0}":                                                  "1:31: presence.pushes_per_minute: 0 is too small: must be at least 1",
		"presence: {pushes_per_minute: 6001}":                                               "1:31: presence.pushes_per_minute: 6001 is too large: must be at most 6000",
		"presence: {pushes_per_minute: -6}":                                                 "1:31: presence.pushes_per_minute: -6 is too small: must be at least 1",
		"presence: {pushes_per_minute: 0.5}":                                                "1:31: presence.pushes_per_minute: must be a whole number, not a fraction",
		"presence: {pushes_per_minute: 5/s}":                                                "1:31: presence.pushes_per_minute: must be a whole number, not text",
		"presence: {pushes_per_minute: [6]}":                                                "1:12: presence.pushes_per_minute: must be a whole number, not a list",
		"presence: {pushes_per_minutes: 6}":                                                 "1:12: presence.pushes_per_minutes: unknown key: did you mean pushes_per_minute?",
		"repos: [{url: /srv/ops}]\n" + presence:                                             "",
		"repos: [{url: /srv/ops}, {url: /srv/presence.git/}]\n" + presence:                  "2:17: presence.url: is also a url of repos[1] (addagent.yaml:1): the presence repository is never worked, keep one",
		"repos: [{url: [/srv/ops, \"https://h/p\"]}]\npresence: {url: \"https://h/p.git\"}": "2:17: presence.url: is also a url of repos[0] (addagent.yaml:1): the presence repository is never worked, keep one",

		// Rooms.
		"chat: []": "",
		"chat:":    "",
		"chat: [{url: \"slack://s3cr3t\"}, {url_file: KEYS/password}]":              "",
		"chat: [{url_file: \"env:ADD_SECRET_CHAT\"}]":                               "",
		"chat: {url: \"slack://s3cr3t\"}":                                           "1:1: chat: must be a list of rooms, each beginning with a dash, not a map",
		"chat: [\"slack://s3cr3t\"]":                                                "1:8: chat[0]: must be a map of keys, not text",
		"chat: [{}]":                                                                "1:8: chat[0].url: is missing: a room needs one, or a url_file",
		"chat:\n  -\n":                                                              "2:5: chat[0].url: is missing: a room needs one, or a url_file",
		"chat: [{url: \"slack://s3cr3t\", url_file: KEYS/password}]":                "1:14: chat[0].url: is set as well as url_file: keep one of them",
		"chat: [{url: s3cr3t}]":                                                     "1:14: chat[0].url: is not a URL: write KIND://..., such as slack:// or hipchat://",
		"chat: [{url: \"slack://s3cr3t x\"}]":                                       "1:14: chat[0].url: contains a space or a control character: remove it",
		"chat: [{url: \"\"}]":                                                       "1:14: chat[0].url: is empty: write KIND://..., such as slack:// or hipchat://",
		"chat: [{url: \"pigeon://s3cr3t\"}]":                                        "1:14: chat[0].url: pigeon is no kind of room",
		"chat: [{url_file: \"slack://s3cr3t\"}]":                                    "1:19: chat[0].url_file: is not an absolute path: write the secret into a file, and its path here",
		"chat: [{url_file: \"env:OTHER\"}]":                                         "1:19: chat[0].url_file: after env: write the name of a variable that begins with ADD_SECRET_, such as env:ADD_SECRET_GIT",
		"chat: [{url_file: \"env:ADD_SECRET_NONE\"}]":                               "1:19: chat[0].url_file: ADD_SECRET_NONE is not set in the agent's environment: set it (under systemd with EnvironmentFile=), or name a file",
		"chat: [{url_file: KEYS/none}]":                                             "1:19: chat[0].url_file: KEYS/none does not exist: create it, or correct the path",
		"chat: [{url_file: KEYS/open}]":                                             "1:19: chat[0].url_file: KEYS/open can be changed by others (mode 0666): chmod go-w KEYS/open",
		"chat: [{url: \"slack://s3cr3t\", onyl: all}]":                              "1:32: chat[0].onyl: unknown key: did you mean only?",
		"chat: [{url: \"slack://s3cr3t\", only: [all]}]":                            "1:32: chat[0].only: must be text, not a list",
		"chat: [{url: \"slack://s3cr3t\", url: \"slack://s3cr3t\"}]":                "1:32: chat[0].url: is set twice, first in line 1: keep one",
		"chat: [{url: \"slack://s3cr3t\"}, {url: \"slack://s3cr3t\", from: fleet}]": "1:63: chat[1].from: fleet needs presence.url: its messages come from presence",
		"chat: [{url: \"slack://s3cr3t\", from: fleet}]\n" + presence:               "",
		"chat: [{url: \"slack://s3cr3t\", from: fleet}]\npresence: {url: x}":        "2:17: presence.url: is not a URL: " + address.Forms,

		// The cloud.
		"ec2: {tags: \"on\", endpoint: \"\", region: \"\", lifecycle_hook: \"\"}": "",
		"ec2: {lifecycle_hook: ready}":                                            "",
		"ec2: {tags: \"off\", lifecycle_hook: ready}":                             "1:36: ec2.lifecycle_hook: needs ec2.tags: \"off\" tells EC2 nothing",
		"ec2: {tags: true}":                                                       "1:13: ec2.tags: must be text, not true or false: put it in quotes",

		// Kill.
		"wedged: {kill: poweroff}":                                        "",
		"wedged: {kill: none, command: []}":                               "",
		"wedged: {kill: command, command: [KEYS/helper, now]}":            "",
		"wedged: {kill: command}":                                         "1:16: wedged.kill: command needs wedged.command",
		"wedged: {kill: command, command: []}":                            "1:16: wedged.kill: command needs wedged.command",
		"wedged: {kill: command, command: KEYS/helper}":                   "1:25: wedged.command: must be a list, such as [/usr/local/sbin/replace-me, --now], not text",
		"wedged: {kill: command, command: [helper]}":                      "1:35: wedged.command: \"helper\" is not an absolute path: begin it with /",
		"wedged: {kill: command, command: [KEYS/password]}":               "1:35: wedged.command: KEYS/password cannot be executed: chmod +x KEYS/password",
		"wedged: {command: [KEYS/helper]}":                                "1:20: wedged.command: is only for kill: command, but kill is none: remove it, or change kill",
		"wedged: {kill: poweroff, command: [KEYS/helper]}":                "1:36: wedged.command: is only for kill: command, but kill is poweroff: remove it, or change kill",
		"wedged: {kill: comand, command: [KEYS/helper]}":                  "1:16: wedged.kill: \"comand\" is not understood: must be \"none\", \"poweroff\", \"asg-unhealthy\", \"terminate\" or \"command\"",
		"wedged: {kill: terminate}":                                       "1:16: wedged.kill: terminate needs presence.url: only presence shows that other nodes can do what this one cannot",
		"wedged: {kill: asg-unhealthy}\n" + presence:                      "",
		"wedged: {kill: asg-unhealthy}\n" + presence + "ec2: {tags: off}": "1:16: wedged.kill: asg-unhealthy needs ec2.tags: \"off\" tells EC2 nothing",
		"wedged: {kill: terminate}\nec2: {tags: off}":                     "1:16: wedged.kill: terminate needs presence.url: only presence shows that other nodes can do what this one cannot\n1:16: wedged.kill: terminate needs ec2.tags: \"off\" tells EC2 nothing",
		"wedged: {after: 9s}":                                             "1:17: wedged.after: must be at least 10s",

		// What is in the files.
		"chat: [{url_file: KEYS/badroom}]":                                 "1:19: chat[0].url_file: KEYS/badroom: pigeon is no kind of room",
		"chat: [{url_file: KEYS/utf16}]":                                   "1:19: chat[0].url_file: KEYS/utf16 cannot be used: contains a NUL character: save it as UTF-8 text",
		"presence: {url: \"https://h/p\", auth: {token_file: KEYS/lines}}": "1:51: presence.auth.token_file: KEYS/lines contains more than one line: write only the secret into it",

		// Metrics.
		"metrics: {textfile: \"\", listen: \"\"}":                      "",
		"metrics: {textfile: /srv/x.prom, listen: \"localhost:9464\"}": "",
		"metrics: {listen: 9464}":                                      "1:19: metrics.listen: must be text, not a number: put it in quotes",
	} {
		path := tree(t, map[string]string{"addagent.yaml": strings.ReplaceAll(text, "KEYS", keys) + "\n"})
		o := asRoot()
		o.Env = func(name string) string { return map[string]string{"ADD_SECRET_CHAT": "slack://s3cr3t"}[name] }
		o.ChatURL = func(url string) error {
			if strings.HasPrefix(url, "pigeon:") {
				return errors.New("pigeon is no kind of room")
			}
			return nil
		}
		c, err := Load(path, o)
		got := ""
		if err != nil {
			got = strings.NewReplacer(path+":", "", keys, "KEYS").Replace(strings.ReplaceAll(err.Error(), "("+filepath.Dir(path)+"/", "("))
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
		if all := got + lines(c, path, keys); strings.Contains(all, "s3cr3t") {
			t.Errorf("%s: the secret is shown:\n%s", text, all)
		}
	}
}

// TestSecretsThatOthersSee notes what leaves the node in the clear, or lies where other accounts can read it.
func TestSecretsThatOthersSee(t *testing.T) {
	_, keys := put(t, "")
	const readable = "contains a secret, and others can read this file (mode 0644)"
	for text, want := range map[string]string{
		"repos: [{url: \"http://h.example.org/a\", auth: {token_file: KEYS/password}}]":                             "repos[0].url: sends the credentials to h.example.org without encryption: use https://",
		"repos: [{url: [\"https://h/a\", \"HTTP://h:8080/a\"], auth: {username: a, password_file: KEYS/password}}]": "repos[0].url: sends the credentials to h:8080 without encryption: use https://",
		"presence: {url: \"http://h/p\", auth: {token_file: KEYS/password}}":                                        "presence.url: sends the credentials to h without encryption: use https://",
		"repos: [{url: \"http://h/a\"}]":                                               "",
		"repos: [{url: \"http://127.0.0.1:80/a\", auth: {token_file: KEYS/password}}]": "",
		"work: {env: {API_TOKEN: t0psecret}}":                                          "work.env.API_TOKEN: " + readable,
		"work: {env: {DB: \"mysql://a:t0psecret@h/\"}}":                                "work.env.DB: " + readable,
		"work: {env: {LANG: C}}":                                                       "",
		"wedged: {kill: command, command: [/bin/true, --token=t0psecret]}":             "wedged.command: " + readable,
	} {
		path := tree(t, map[string]string{"addagent.yaml": strings.ReplaceAll(text, "KEYS", keys) + "\n"})
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, asRoot())
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := fmt.Sprint(c.Notes); !strings.Contains(got, want) || want == "" && len(c.Notes) > 0 || strings.Contains(got, "t0psecret") {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

// A secret of whom to tell may come later, where that is asked for. A path that is there and bad is bad.
func TestSecretsOfPlacesComeLater(t *testing.T) {
	_, keys := put(t, "")
	for text, want := range map[string]string{
		"chat: [{url_file: KEYS/none}]":                                    "note: 1:19: chat[0].url_file: KEYS/none does not exist: create it, or correct the path",
		"chat: [{url_file: \"env:ADD_SECRET_NONE\"}]":                      "note: 1:19: chat[0].url_file: ADD_SECRET_NONE is not set in the agent's environment: set it (under systemd with EnvironmentFile=), or name a file",
		"presence: {url: \"https://h/p\", auth: {token_file: KEYS/none}}":  "note: 1:51: presence.auth.token_file: KEYS/none does not exist: create it, or correct the path",
		"chat: [{url_file: KEYS/badroom}]":                                 "note: 1:19: chat[0].url_file: KEYS/badroom: pigeon is no kind of room",
		"chat: [{url_file: KEYS/open}]":                                    "1:19: chat[0].url_file: KEYS/open can be changed by others (mode 0666): chmod go-w KEYS/open",
		"repos: [{url: \"https://h/ops\", auth: {token_file: KEYS/none}}]": "1:51: repos[0].auth.token_file: KEYS/none does not exist: create it, or correct the path",
	} {
		path := tree(t, map[string]string{"addagent.yaml": strings.ReplaceAll(text, "KEYS", keys) + "\n"})
		o := asRoot()
		o.Later = true
		o.ChatURL = func(string) error { return errors.New("pigeon is no kind of room") }
		c, err := Load(path, o)
		var all []string
		if err != nil {
			all = append(all, err.Error())
		}
		for _, n := range c.Notes {
			all = append(all, "note: "+n.Error())
		}
		if got := strings.NewReplacer(path+":", "", keys, "KEYS").Replace(strings.Join(all, "\n")); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

// Without root there is no cloud and no kill: what asks for them is an error, but for what is so by default.
func TestWithoutRoot(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"ec2: {tags: off, endpoint: \"http://h\"}":           "",
		"ec2: {tags: auto}":                                  "note: 1:13: ec2.tags: auto means \"off\" without root",
		"ec2: {tags: \"on\"}":                                "1:13: ec2.tags: on needs root, and the agent does not run as root: write \"off\", or remove the key",
		"ec2: {lifecycle_hook: ready}":                       "1:23: ec2.lifecycle_hook: needs root, and the agent does not run as root: remove the key",
		"wedged: {kill: none, after: 1h}":                    "",
		"wedged: {kill: poweroff}":                           "1:16: wedged.kill: poweroff needs root, and the agent does not run as root: write \"none\", or remove the key",
		"wedged: {kill: terminate}\npresence: {url: /srv/p}": "1:16: wedged.kill: terminate needs root, and the agent does not run as root: write \"none\", or remove the key",
	} {
		path := tree(t, map[string]string{"addagent.yaml": text + "\n"})
		c, err := Load(path, Options{Home: "/home/ann"})
		got := ""
		if err != nil {
			got = err.Error()
		} else if c.EC2.Tags != "off" {
			t.Errorf("%q: tags are %q", text, c.EC2.Tags)
		}
		for _, n := range c.Notes {
			got += "note: " + n.Error()
		}
		if got = strings.ReplaceAll(got, path+":", ""); got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// A later file appends rooms, replaces what is single, and switches off what an earlier one set.
func TestGridDropIns(t *testing.T) {
	path := tree(t, map[string]string{
		"addagent.yaml": "presence: {url: /srv/a, refresh: 1m}\nchat: [{url: \"slack://t0ken\"}]\n" +
			"metrics: {listen: \"127.0.0.1:9464\"}\nwedged: {kill: poweroff}\n",
		"addagent.d/1.yaml": "presence: {url: /srv/b, ref_prefix: refs/presence}\nchat: [{url: \"hipchat://t0ken@h/ROOM\", only: critical}]\nmetrics: {listen: \"\"}\n",
		"addagent.d/2.yaml": "wedged: {kill: none}\n",
	})
	from := map[string]string{}
	for _, l := range load(t, path).Lines() {
		from[l.Key] = l.Value + " " + near(path, l.From)
	}
	for key, want := range map[string]string{
		"presence.url":        "/srv/b addagent.d/1.yaml:1",
		"presence.refresh":    "1m addagent.yaml:1",
		"presence.ref_prefix": "refs/presence/ addagent.d/1.yaml:1",
		"chat[0].url":         `"slack://********" addagent.yaml:2`,
		"chat[0].only":        "all default",
		"chat[1].url":         `"hipchat://********" addagent.d/1.yaml:2`,
		"chat[1].only":        "critical addagent.d/1.yaml:2",
		"chat[1].url_file":    `"" default`,
		"metrics.listen":      `"" addagent.d/1.yaml:3`,
		"wedged.kill":         "none addagent.d/2.yaml:1",
	} {
		if from[key] != want {
			t.Errorf("%s is %s, not %s", key, from[key], want)
		}
	}
	if err := os.WriteFile(path, []byte("presence: {url: \"\", auth: {token_file: /none}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(filepath.Dir(path), "addagent.d")); err != nil {
		t.Fatal(err)
	}
	if c := load(t, path); c.Presence.URL != "" {
		t.Errorf("presence is not off: %+v", c.Presence)
	}
}

func TestRefPrefixes(t *testing.T) {
	for prefix, want := range map[string]string{
		"refs/heads/presence/": "refs/heads/presence/", "refs/heads/presence": "refs/heads/presence/", "refs/presence": "refs/presence/",
		"refs/heads/grid/eu/": "refs/heads/grid/eu/", "refs/heads/mainland": "refs/heads/mainland/",
	} {
		path, _ := put(t, "presence: {ref_prefix: "+prefix+"}\n")
		if c, err := Load(path, asRoot()); err != nil || c.Presence.RefPrefix != want {
			t.Errorf("%s: %s, %v", prefix, c.Presence.RefPrefix, err)
		}
	}
	for _, bad := range []string{"", "/", "refs", "refs/", "refs//", "refs/heads", "refs/heads/", "refs/heads/main", "refs/heads/main/", "refs/heads/main/x",
		"heads/presence/", "/refs/x", "refs/x//", "refs//x", "refs/x/../y", "refs/x.lock", "refs/.x", "refs/a b", "refs/x*", "refs/{deployment}^", "refs/\xff",
		"refs/" + strings.Repeat("x", 200)} {
		if checkRefPrefix(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestGridValues(t *testing.T) {
	for name, c := range map[string]struct {
		check     func(string) string
		good, bad []string
	}{
		"endpoint": {checkEndpoint, []string{"https://ec2.eu-west-1.amazonaws.com", "http://127.0.0.1:4566", "http://[::1]:80/", "https://h/path"},
			[]string{"", "h", "ftp://h", "https://", "https:///x", "https://-h", "https://h:0", "https://h:x", "https://a:b@h", "https://a@h", "https://h?x", "https://h#x", "https://h /", "https://h\n"}},
		"region":         {checkRegion, []string{"eu-west-1", "us-gov-east-1", "local"}, []string{"", "EU", "eu west", "-eu", "eu-", "eu--1", "eu/1", strings.Repeat("a", 61)}},
		"lifecycle hook": {checkLifecycleHook, []string{"add", "Add_1-x/y", strings.Repeat("a", 255)}, []string{"", "a b", "a:b", "ä", strings.Repeat("a", 256)}},
		"textfile":       {checkTextfile, []string{"/srv/add.prom", "/a b.prom"}, []string{"", "add.prom", "/srv/add", "/srv/add.prom.tmp", "/srv/.prom", "~/add.prom", "/srv/a\n.prom"}},
		"listen": {checkListen, []string{"127.0.0.1:9464", "127.9.9.9:1", "[::1]:65535", "localhost:9464"},
			[]string{"", ":9464", "0.0.0.0:9464", "[::]:9464", "10.0.0.1:9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:http", "127.0.0.1:65536", "::1:9464", "[::1%lo]:9464", "h:9464", "localhost.example.org:9464", "9464"}},
		"room": {checkRoomURL, []string{"slack://x", "generic+https://h/x?a=b#c", "hipchat://TOKEN@h:1/R?api=v1&scheme=http"},
			[]string{"", "slack", "slack:x", "slack://", "://x", "//x", "1a://x", "a b://x", "slack://x y", "slack://x\n", "slack://\xff", strings.Repeat("a", 40) + "://x"}},
	} {
		for _, s := range c.good {
			if problem := c.check(s); problem != "" {
				t.Errorf("%s: %q: %s", name, s, problem)
			}
		}
		for _, s := range c.bad {
			if c.check(s) == "" {
				t.Errorf("%s: %q is taken", name, s)
			}
		}
	}
	for url, want := range map[string]string{"": "", "slack://a": "slack://********", "hipchat://TOKEN@h/R": "hipchat://********", "generic+https://h/x://y": "generic+https://********"} {
		if got := maskRoomURL(url); got != want {
			t.Errorf("%s became %s", url, got)
		}
	}
	c := Default(asRoot())
	c.Presence.URL = "/srv/presence"
	if err := c.AddRepo("/srv/presence.git", "--repo"); err == nil || err.Error() != "--repo: url: is the presence repository, which is never worked: use another" {
		t.Errorf("%v", err)
	}
}
