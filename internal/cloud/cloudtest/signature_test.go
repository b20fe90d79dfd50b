package cloudtest_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/cloud/cloudtest"
)

// TestSignature: the vectors of AWS's Signature Version 4 test suite (get-vanilla, post-vanilla,
// post-x-www-form-urlencoded).
func TestSignature(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	for _, c := range []struct{ name, method, body, kind, signed, want string }{
		{"get-vanilla", "GET", "", "", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post-vanilla", "POST", "", "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-x-www-form-urlencoded", "POST", "Param1=value1", "application/x-www-form-urlencoded", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		r := httptest.NewRequest(c.method, "http://example.amazonaws.com/", strings.NewReader(c.body))
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="+c.signed+", Signature="+c.want)
		if got, err := cloudtest.Signature(r, []byte(c.body), secret); got != c.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
		// What came on the way is seen.
		r.Header.Set("X-Amz-Security-Token", "t")
		if _, err := cloudtest.Signature(r, []byte(c.body), secret); err == nil {
			t.Errorf("%s: a token that is not signed is taken", c.name)
		}
		r.Header.Del("X-Amz-Security-Token")
		r.Header.Set("X-Amz-Date", "20150831T123600Z")
		if _, err := cloudtest.Signature(r, []byte(c.body), secret); err == nil {
			t.Errorf("%s: another day is taken", c.name)
		}
		r.Header.Del("Authorization")
		if _, err := cloudtest.Signature(r, []byte(c.body), secret); err == nil {
			t.Errorf("%s: no signature is taken", c.name)
		}
	}
}
