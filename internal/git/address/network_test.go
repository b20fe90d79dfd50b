package address

import (
	"net/url"
	"testing"
)

func TestNoProxy(t *testing.T) {
	for _, k := range []struct {
		url, list string
		direct    bool
	}{
		{"https://git.example.org/x", "", false},
		{"https://git.example.org/x", "*", true},
		{"https://git.example.org/x", "example.org", true},
		{"https://GIT.Example.org./x", "EXAMPLE.org", true},
		{"https://example.org/x", "example.org", true},
		{"https://badexample.org/x", "example.org", false},
		{"https://git.example.org/x", ".example.org", true},
		{"https://example.org/x", ".example.org", false},
		{"https://git.example.org/x", "*.example.org", true},
		{"https://example.org/x", "*.example.org", false},
		{"https://git.example.org/x", "example.org:443", true},
		{"https://git.example.org:8443/x", "example.org:443", false},
		{"https://git.example.org:8443/x", "example.org:8443", true},
		{"http://git.example.org/x", "other, git.example.org", true},
		{"http://10.1.2.3/x", "10.0.0.0/8", true},
		{"http://11.1.2.3/x", "10.0.0.0/8", false},
		{"http://10.1.2.3/x", "10.1.2.3", true},
		{"http://10.1.2.3:81/x", "10.1.2.3:80", false},
		{"http://10.1.2.3/x", "10.1.2.3:80", true},
		{"http://110.1.2.3/x", "10.1.2.3", false},
		{"http://[fd00::1]/x", "fd00::/8", true},
		{"http://[fd00::1]/x", "fd00::1", true},
		{"http://[fd00::1]/x", "[fd00::1]:80", true},
		{"http://[::ffff:10.1.2.3]/x", "10.0.0.0/8", true},
		{"http://localhost/x", "localhost", true},
		{"http://localhost/x", ".", false},
		{"http://localhost/x", ",, ,", false},
	} {
		u, err := url.Parse(k.url)
		if err != nil {
			t.Fatal(err)
		}
		if (Network{NoProxy: []string{"nothing.example.com", k.list}}).Direct(u) != k.direct {
			t.Errorf("%s with %q: direct %v", k.url, k.list, !k.direct)
		}
	}
}
