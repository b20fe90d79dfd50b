package config

import (
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/address"
	"github.com/addagent/addagent/internal/human"
)

func TestURLs(t *testing.T) {
	for url, want := range map[string]address.Kind{
		"https://git.example.org/ops.git":       address.HTTP,
		"http://127.0.0.1:8080/ops.git":         address.HTTP,
		"https://[::1]:8443/a/b":                address.HTTP,
		"ssh://git@git.example.org:2222/ops":    address.SSH,
		"ssh://git.example.org/~ann/ops.git":    address.SSH,
		"git@git.example.org:it/ops.git":        address.SSH,
		"git.example.org:ops.git":               address.SSH,
		"git@[::1]:ops.git":                     address.SSH,
		"git://git.example.org/ops.git":         address.Git,
		"file:///srv/git/ops.git":               address.Local,
		"file://localhost/srv/git/ops.git":      address.Local,
		"/srv/git/ops.git":                      address.Local,
		"https://git.example.org/a%20b/ops.git": address.HTTP,
	} {
		if got, err := address.Check(url); got.Kind != want || err != nil {
			t.Errorf("%s: %q, %v", url, got, err)
		}
	}
	for url, want := range map[string]string{
		"":                              "is empty",
		"ops.git":                       "is not a URL",
		"git.example.org/ops.git":       "is not a URL",
		"./ops.git":                     "must be absolute",
		"../ops.git":                    "must be absolute",
		"~/ops.git":                     "must be absolute",
		"https:/git.example.org/ops":    "needs two slashes",
		"https:git.example.org/ops":     "needs two slashes",
		"https://":                      "names no host",
		"https:///ops.git":              "names no host",
		"https://git.example.org":       "names no repository",
		"https://git.example.org/":      "names no repository",
		"https://git.example.org/..":    "names no repository",
		"git@git.example.org:":          "names no repository",
		"ftp://git.example.org/ops":     `"ftp://" is not understood`,
		"https://h:99999/ops":           "port",
		"https://h:port/ops":            "is not a URL",
		"https://h/ops?private_token=x": "must not contain ?",
		"https://h/ops#main":            "must not contain ?",
		"https://user@h/ops":            "contains a user",
		"https://ghp_tokentoken@h/ops":  "auth.token_file",
		"https://user:s3cr3t@h/ops":     "contains a password",
		"https://:s3cr3t@h/ops":         "contains a password",
		"ssh://git:s3cr3t@h/ops":        "contains a password",
		"git:s3cr3t@h:ops":              "contains a password",
		"git://u@h/ops":                 "contains a user",
		"file://u@localhost/ops":        "contains a user",
		"file://srv/ops":                "three slashes",
		"https://h/a b":                 "contains a space",
		"https://h/a\nb":                "contains a space or a control character",
		"https://user:s3cr3t%zz@h/ops":  "is not a URL",
		"ssh://-oProxyCommand=x/ops":    "dash",
		"-oProxyCommand=x:ops":          "dash",
		"https://h/\xff":                "control character",
	} {
		got := checkURL(url)
		if !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q in it", url, got, want)
		}
		for _, secret := range []string{"s3cr3t", "ghp_tokentoken", "private_token=x"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q: the problem shows the secret: %s", url, got)
			}
		}
	}
}

func TestRepoName(t *testing.T) {
	for url, want := range map[string]string{
		"https://git.example.org/it/ops.git": "ops",
		"https://git.example.org/it/ops/":    "ops",
		"git@git.example.org:ops.git":        "ops",
		"git@git.example.org:it/ops":         "ops",
		"/srv/git/repo2_petulant-cyril.git":  "repo2_petulant-cyril",
		"file:///srv/ops.git/":               "ops",
		"":                                   "",
		"/":                                  "",
	} {
		if got := RepoName(url); got != want {
			t.Errorf("%s: %q", url, got)
		}
	}
}

func TestRepoNames(t *testing.T) {
	for _, good := range []string{"ops", "repo2_petulant-cyril", "a.b", "größe", strings.Repeat("a", 100)} {
		if problem := checkRepoName(good); problem != "" {
			t.Errorf("%s: %s", good, problem)
		}
	}
	for _, bad := range []string{"", ".", "..", "a/b", `a\b`, ".git", "-x", "a b", "a:b", "a\x00", "a..b", "\xff", strings.Repeat("a", 101)} {
		if checkRepoName(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestBranches(t *testing.T) {
	for _, good := range []string{"", "main", "release/1.2", "{deployment}", "deploy-{deployment}/{nodepart}", "größe", "a@b"} {
		if problem := checkBranch(good); problem != "" {
			t.Errorf("%q: %s", good, problem)
		}
	}
	for _, bad := range []string{"refs/heads/main", "a b", "a..b", "-a", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.", "a~1", "a^", "a:b",
		"a?", "a*", "a[b", `a\b`, "@", "{", "{a", "a}", "{}", "{a b}", "a\n", "\xff", strings.Repeat("a", 201)} {
		if checkBranch(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://git.example.org/ops.git", "git@h:ops", "/srv/ops", "https://u:p@h/x", "file:///x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := address.Check(s); (e.Kind == "") == (err == nil) {
			t.Errorf("%q: %q, %v", s, e, err)
		}
		_ = RepoName(s)
	})
}

func TestShowDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 90 * time.Minute: "1h30m",
		time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 10 * time.Hour: "10h", 500 * time.Millisecond: "500ms", 20 * time.Second: "20s",
	} {
		if got := human.Setting(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
		if back, err := time.ParseDuration(human.Setting(d)); back != d || err != nil {
			t.Errorf("%v is read back as %v, %v", d, back, err)
		}
	}
}

func TestMasked(t *testing.T) {
	for name, hidden := range map[string]bool{"API_KEY": true, "db_password": true, "Token": true, "SECRET": true, "LANG": false, "PORT": false} {
		if got := masked(name, "value"); (got != "value") != hidden {
			t.Errorf("%s: %s", name, got)
		}
	}
}
