package cloudtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// stampForm is the time of a signature.
const stampForm = "20060102T150405Z"

// authorization is what a signature says of itself.
var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/]+/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

// Signature is what a request for "/" must be signed with, worked out anew from AWS's document: it shares no code with
// any signer. It is an error when what must be signed is not.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func Signature(r *http.Request, body []byte, secret string) (string, error) {
	said := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if said == nil {
		return "", errors.New("not signed")
	}
	day, region, service, signed := said[1], said[2], said[3], strings.Split(said[4], ";")
	must := map[string]bool{"host": true}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") || name == "content-type" {
			must[name] = true
		}
	}
	var headers strings.Builder
	for _, name := range signed {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(len(body))
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
		delete(must, name)
	}
	if len(must) > 0 {
		return "", fmt.Errorf("not signed: %v", must)
	}
	stamp := r.Header.Get("X-Amz-Date")
	if !strings.HasPrefix(stamp, day+"T") {
		return "", fmt.Errorf("signed for the day %s at %s", day, stamp)
	}
	sum := func(text string) string { s := sha256.Sum256([]byte(text)); return hex.EncodeToString(s[:]) }
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	request := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), said[4], sum(string(body))}, "\n")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, day + "/" + region + "/" + service + "/aws4_request", sum(request)}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, service, "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text)), nil
}

func (a *AWS) now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().UTC().Add(a.ahead)
}

// authentic says what AWS has against a signature, in its words: Auto Scaling's repeat what was signed, EC2's tell
// little.
func (a *AWS) authentic(r *http.Request, body []byte, c Call, now time.Time) *refusal {
	a.mu.Lock()
	secret := a.secret
	a.mu.Unlock()
	if secret == "" {
		return nil
	}
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(stampForm, stamp)
	old := err != nil || now.Sub(at).Abs() > 5*time.Minute
	want, err := Signature(r, body, secret)
	wrong := err != nil || !strings.HasSuffix(r.Header.Get("Authorization"), "Signature="+want)
	ec2 := strings.HasPrefix(c.Action, "ec2:")
	switch {
	case old && ec2:
		return &refusal{http.StatusBadRequest, "RequestExpired", "Request has expired."}
	case old:
		return &refusal{http.StatusForbidden, "SignatureDoesNotMatch", fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)",
			stamp, now.Add(-5*time.Minute).Format(stampForm), now.Format(stampForm))}
	case wrong && ec2:
		return &refusal{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	case wrong:
		return &refusal{http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. " +
			"The Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:" + c.Token + "\n'"}
	}
	return nil
}
