package address

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for raw, want := range map[string]Endpoint{
		"https://h/x.git":          {Kind: HTTP},
		"HTTP://h/x.git":           {Kind: HTTP},
		"ssh://git@h/x":            {SSH, "git", "h:22", "/x"},
		"ssh://git@h:2222/x":       {SSH, "git", "h:2222", "/x"},
		"ssh://h/~me/x":            {SSH, "", "h:22", "~me/x"},
		"ssh://h/srv/~me/x":        {SSH, "", "h:22", "/srv/~me/x"},
		"git@git:x.git":            {SSH, "git", "git:22", "x.git"},
		"a@b@h:x.git":              {SSH, "a@b", "h:22", "x.git"},
		"git@[::1]:x.git":          {SSH, "git", "[::1]:22", "x.git"},
		"ssh://[::1]/x":            {SSH, "", "[::1]:22", "/x"},
		"git@h:x.git":              {SSH, "git", "h:22", "x.git"},
		"h:/srv/x":                 {SSH, "", "h:22", "/srv/x"},
		"git://h/x":                {Git, "", "h:9418", "/x"},
		"/srv//x/":                 {Kind: Local, Path: "/srv/x"},
		"file:///srv/x":            {Kind: Local, Path: "/srv/x"},
		"file://localhost/srv/x/.": {Kind: Local, Path: "/srv/x"},
	} {
		got, err := Parse(raw)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", "x", "./x", "../x", "a/b:c", "ftp://h/x", "https://", "ssh://h", "ssh://h/", "file://h/x", "file://x", "-oProxyCommand=x:y", ":x", "h:", "/a\nb", "https://u:S3CR3T@h\x00/x", "https://u:S3CR3T@[/x"} {
		_, err := Parse(raw)
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
