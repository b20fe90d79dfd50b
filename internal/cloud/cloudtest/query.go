package cloudtest

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Call is one request as it came: an action of EC2 or Auto Scaling in the query protocol.
type Call struct {
	Action    string // "ec2:CreateTags", as a policy would name it
	Form      url.Values
	AccessKey string // who signed it
	Token     string // of the session, "" = long-lived keys
	UserAgent string
}

// DryRun says that it only asked whether it might.
func (c Call) DryRun() bool { return c.Form.Get("DryRun") == "true" }

// list reads Name.1, Name.2, ... and, with a field, Name.1.Field, ...
func list(form url.Values, name, field string) []string {
	var all []string
	for n := 1; ; n++ {
		key := fmt.Sprintf("%s.%d%s", name, n, field)
		if !form.Has(key) {
			return all
		}
		all = append(all, form.Get(key))
	}
}

// scope finds who signed, and for which service.
var scope = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?SignedHeaders=[^,]+, ?Signature=[0-9a-f]{64}$`)

// refusal is an answer that is an error, nil = none.
type refusal struct {
	status        int
	code, message string
}

// write words a refusal as the service does. The id differs each time, as AWS's does.
func (r refusal) write(w http.ResponseWriter, service string) {
	id := strings.ToLower(rand.Text())
	id = id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[:12]
	var message bytes.Buffer
	_ = xml.EscapeText(&message, []byte(r.message))
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.Header().Set("X-Amzn-Requestid", id)
	w.WriteHeader(r.status)
	if service == "ec2" {
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>`, r.code, message.String(), id)
		return
	}
	kind := "Sender"
	if r.status >= 500 {
		kind = "Receiver"
	}
	fmt.Fprintf(w, `<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
  <Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error>
  <RequestId>%s</RequestId>
</ErrorResponse>`, kind, r.code, message.String(), id)
}

// ask puts a question of our own to moto, which looks only at the scope of a signature.
func (a *AWS) ask(action string, form url.Values) (*http.Response, []byte, error) {
	service, name, _ := strings.Cut(action, ":")
	form = cloned(form)
	form.Set("Action", name)
	form.Set("Version", map[string]string{"ec2": "2016-11-15", "autoscaling": "2011-01-01"}[service])
	req, err := http.NewRequest(http.MethodPost, a.moto, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/"+Region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	return a.forward(req)
}

func (a *AWS) forward(req *http.Request) (*http.Response, []byte, error) {
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// do is a question that must succeed; answer is filled from its XML.
func (a *AWS) do(action string, form url.Values, answer any) {
	a.tb.Helper()
	resp, body, err := a.ask(action, form)
	if err != nil {
		a.tb.Fatalf("moto: %s: %v", action, err)
	}
	if resp.StatusCode != http.StatusOK {
		a.tb.Fatalf("moto: %s: %s: %.500s", action, resp.Status, body)
	}
	if answer == nil {
		return
	}
	if err := xml.Unmarshal(body, answer); err != nil {
		a.tb.Fatalf("moto: %s: %v: %.500s", action, err, body)
	}
}

func cloned(form url.Values) url.Values {
	c := url.Values{}
	for k, v := range form {
		c[k] = v
	}
	return c
}
