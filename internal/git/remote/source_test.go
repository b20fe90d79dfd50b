package remote

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for raw, want := range map[string]endpoint{
		"https://h/x.git":          {kind: kindHTTP},
		"HTTP://h/x.git":           {kind: kindHTTP},
		"ssh://git@h/x":            {kindSSH, "git", "h:22", "/x"},
		"ssh://git@h:2222/x":       {kindSSH, "git", "h:2222", "/x"},
		"ssh://h/~me/x":            {kindSSH, "", "h:22", "~me/x"},
		"ssh://[::1]/x":            {kindSSH, "", "[::1]:22", "/x"},
		"git@h:x.git":              {kindSSH, "git", "h:22", "x.git"},
		"h:/srv/x":                 {kindSSH, "", "h:22", "/srv/x"},
		"git://h/x":                {kindGit, "", "h:9418", "/x"},
		"/srv//x/":                 {kind: kindLocal, path: "/srv/x"},
		"file:///srv/x":            {kind: kindLocal, path: "/srv/x"},
		"file://localhost/srv/x/.": {kind: kindLocal, path: "/srv/x"},
	} {
		got, err := Source{URL: raw}.address()
		if err != nil || got != want {
			t.Errorf("%s: %+v %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", "x", "./x", "../x", "a/b:c", "ftp://h/x", "https://", "ssh://h", "ssh://h/", "file://h/x", "file://x", "-oProxyCommand=x:y", ":x", "h:", "/a\nb", "https://u:S3CR3T@h\x00/x", "https://u:S3CR3T@[/x"} {
		_, err := Source{URL: raw}.address()
		if err == nil || strings.Contains(err.Error(), "S3CR3T") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestBranchNames(t *testing.T) {
	for _, b := range []string{"main", "a/b", "feature-1", "ü", "a.b", "x@y"} {
		if err := CheckBranch(b); err != nil {
			t.Error(err)
		}
	}
	for _, b := range []string{"", "@", "HEAD", "refs/heads/x", "-x", "/x", "x/", "x.", "a..b", "a//b", "a@{b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", `a\b`, "a\x7f", ".a", "a/.b", "a.lock", "a.lock/b"} {
		if CheckBranch(b) == nil {
			t.Errorf("%q is taken", b)
		}
	}
}
