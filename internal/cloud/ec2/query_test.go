package ec2_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/cloud/ec2"
)

// wire answers in AWS's place, whatever its name is.
type wire func(*http.Request) string

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(w(r))), Header: http.Header{}, Request: r}, nil
}

// TestWhereAWSIsAsked: hosts of the regions, with requests that are signed for them.
func TestWhereAWSIsAsked(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", token)
	for _, c := range []struct{ region, endpoint, ec2, scaling string }{
		{"eu-west-1", "", "https://ec2.eu-west-1.amazonaws.com/", "https://autoscaling.eu-west-1.amazonaws.com/"},
		{"cn-north-1", "", "https://ec2.cn-north-1.amazonaws.com.cn/", "https://autoscaling.cn-north-1.amazonaws.com.cn/"},
		{"us-gov-west-1", "", "https://ec2.us-gov-west-1.amazonaws.com/", "https://autoscaling.us-gov-west-1.amazonaws.com/"},
		{"us-isob-east-1", "", "https://ec2.us-isob-east-1.sc2s.sgov.gov/", "https://autoscaling.us-isob-east-1.sc2s.sgov.gov/"},
		{"eusc-de-east-1", "", "https://ec2.eusc-de-east-1.amazonaws.eu/", "https://autoscaling.eusc-de-east-1.amazonaws.eu/"},
		{"eu-west-1", "https://vpce-1.example:8443", "https://vpce-1.example:8443", "https://vpce-1.example:8443"},
	} {
		var asked []string
		node := ec2.New(ec2.Options{InstanceID: cloudtest.InstanceID, Region: c.region, Endpoint: c.endpoint, Transport: wire(func(r *http.Request) string {
			asked = append(asked, r.URL.String())
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			sent := r.Clone(r.Context())
			sent.Host, sent.URL.Path = r.URL.Host, "/"
			want, err := cloudtest.Signature(sent, body, secret)
			if said := r.Header.Get("Authorization"); err != nil || !strings.HasSuffix(said, ", Signature="+want) || !strings.Contains(said, "/"+c.region+"/") {
				t.Errorf("%s: Authorization %q, want %s, %v", r.URL, said, want, err)
			}
			_, action, _ := strings.Cut(string(body), "Action=")
			action, _, _ = strings.Cut(action, "&")
			return "<" + action + "Response/>"
		})})
		if err := node.Tag(t.Context(), map[string]string{"add:state": "idle"}); err != nil {
			t.Error(err)
		}
		if err := node.Unhealthy(t.Context()); err != nil {
			t.Error(err)
		}
		if len(asked) != 2 || asked[0] != c.ec2 || asked[1] != c.scaling {
			t.Errorf("%s %q: asked %v, want %s and %s", c.region, c.endpoint, asked, c.ec2, c.scaling)
		}
	}
}

// TestAnswersThatAreNone: no other server's answer is taken for AWS's.
func TestAnswersThatAreNone(t *testing.T) {
	const big = 3 << 20
	for name, c := range map[string]struct {
		status int
		answer string
		kind   error
		want   string
	}{
		"nothing":        {200, "", nil, "200 OK, and not an answer of AWS"},
		"text":           {200, "ok", nil, "200 OK, and not an answer of AWS"},
		"another action": {200, "<SetInstanceHealthResponse/>", nil, "200 OK, and not an answer of AWS"},
		"cut":            {200, "<CreateTagsResponse><return>true</ret", nil, "200 OK, and not an answer of AWS"},
		"too big":        {200, "<CreateTagsResponse>" + strings.Repeat(" ", big) + "</CreateTagsResponse>", nil, "200 OK, and not an answer of AWS"},
		"a big page":     {503, strings.Repeat("x", big), ec2.ErrTemporary, "503 Service Unavailable"},
		"another script": {200, `<?xml version="1.0" encoding="EBCDIC"?><CreateTagsResponse/>`, nil, "200 OK, and not an answer of AWS"},
		"no code":        {400, "<Response><Errors><Error><Message>m</Message></Error></Errors></Response>", nil, "400 Bad Request, and not an answer of AWS"},
		"a long code":    {400, "<Response><Errors><Error><Code>" + strings.Repeat("c ", 500) + "</Code></Error></Errors></Response>", nil, "ec2:CreateTags: c c c"},
		"JSON":           {403, `{"__type": "AccessDenied"}`, nil, "403 Forbidden, and not an answer of AWS"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer) // a reader that has enough hangs up
			}))
			defer server.Close()
			t.Setenv("AWS_ACCESS_KEY_ID", key)
			t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
			node := ec2.New(ec2.Options{InstanceID: cloudtest.InstanceID, Region: cloudtest.Region, Endpoint: server.URL, Transport: &http.Transport{}})
			says(t, func() error {
				err := node.Tag(t.Context(), map[string]string{"add:state": "idle"})
				if err != nil && len(err.Error()) > 300 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				return err
			}, c.kind, c.want)
		})
	}
}

// TestAnswersRepeatTheCredentials: servers and proxies quote what they were shown, and no error passes it on.
func TestAnswersRepeatTheCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", token)
	const password = "p4ssw0rd-of-the-proxy"
	var sent, signature string // what the request showed
	refusal := func(status int, code, message string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors></Response>", strings.ReplaceAll(code, "SENT", sent), strings.ReplaceAll(message, "SENT", sent))
		}
	}
	raw := func(text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, strings.ReplaceAll(text, "SENT", sent))
			c.Close()
		}
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"message":       refusal(400, "InvalidParameterValue", "not understood: SENT"),
		"code":          refusal(400, "SENT", "m"),
		"code of a 503": refusal(503, "SENT", "m"),
		"signature":     refusal(403, "SignatureDoesNotMatch", "the canonical string is SENT"),
		"no HTTP":       raw("SENT\r\n\r\n"),
		"status":        raw("HTTP/1.1 SENT no\r\n\r\n"),
		"header":        raw("HTTP/1.1 200 OK\r\nSENT\r\n\r\n"),
		"name of a group": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances><member><AutoScalingGroupName>%s</AutoScalingGroupName><LifecycleState>Pending</LifecycleState></member></AutoScalingInstances></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>", sent)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, signature, _ = strings.Cut(r.Header.Get("Authorization"), "Signature=")
				_, proxy, _ := (&http.Request{Header: http.Header{"Authorization": {r.Header.Get("Proxy-Authorization")}}}).BasicAuth()
				sent = strings.Join([]string{r.Header.Get("Authorization"), r.Header.Get("X-Amz-Security-Token"), r.Header.Get("Proxy-Authorization"), proxy}, " ")
				answer(w, r)
			}))
			defer server.Close()
			proxy, err := url.Parse(strings.Replace(server.URL, "http://", "http://node:"+password+"@", 1))
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{Proxy: http.ProxyURL(proxy)}
			defer transport.CloseIdleConnections()
			node := ec2.New(ec2.Options{InstanceID: cloudtest.InstanceID, Region: cloudtest.Region, Endpoint: "http://aws.example.org/", Transport: transport})
			for _, err := range []error{node.Tag(t.Context(), map[string]string{"add:state": "idle"}), node.CompleteLifecycle(t.Context())} {
				if err == nil || signature == "" || !strings.Contains(sent, password) || !strings.Contains(sent, token) {
					t.Fatalf("%v, sent %q", err, sent)
				}
				for _, s := range []string{key, token, password, signature, base64.StdEncoding.EncodeToString([]byte("node:" + password))} {
					if strings.Contains(err.Error(), s) {
						t.Errorf("error %q repeats %s", err, s)
					}
				}
			}
		})
	}
}

func TestStrayed(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for date, want := range map[string]string{
		"Wed, 04 Mar 2026 05:06:07 GMT": "",
		"Wed, 04 Mar 2026 05:03:07 GMT": "",
		"Wed, 04 Mar 2026 05:02:06 GMT": "this machine's clock is ahead of AWS's",
		"Wed, 04 Mar 2026 05:10:08 GMT": "this machine's clock is behind AWS's",
		"yesterday":                     "",
		"":                              "",
	} {
		if got := ec2.Strayed(date, now); got != want {
			t.Errorf("strayed(%q) = %q, want %q", date, got, want)
		}
	}
}

// FuzzAnswer: only what names the action is an answer, and an error's code is short and on one line.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte("<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances><member><AutoScalingGroupName>g</AutoScalingGroupName></member></AutoScalingInstances></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"))
	f.Add(400, []byte("<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"))
	f.Add(503, []byte("<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		group, code, ok := ec2.ReadAnswer("DescribeAutoScalingInstances", status, body)
		if ok && (status != 200 || !strings.Contains(string(body), "DescribeAutoScalingInstancesResponse")) || !ok && group != "" {
			t.Errorf("%d %q: group %q, %v", status, body, group, ok)
		}
		if len([]rune(code)) > 200 || strings.ContainsAny(code, "\r\n\t") {
			t.Errorf("%d %q: code %q", status, body, code)
		}
	})
}

// FuzzKeys: half of a pair of keys is none, and an error is a role's word, short, or our own.
func FuzzKeys(f *testing.F) {
	f.Add(`{"Code": "Success", "AccessKeyId": "k", "SecretAccessKey": "s", "Token": "t", "Expiration": "2026-03-04T05:06:07Z"}`)
	f.Add(`{"Code": "AssumeRoleUnauthorizedAccess", "SecretAccessKey": "s"}`)
	f.Add(`{"AccessKeyId": "k", "SecretAccessKey": "s", "Expiration": "soon"}`)
	f.Fuzz(func(t *testing.T, text string) {
		k, s, err := ec2.ReadKeys(text)
		if (err == nil) != (k != "" && s != "") || err != nil && k+s != "" {
			t.Errorf("%q: %q %q %v", text, k, s, err)
		}
		if err != nil && len([]rune(err.Error())) > 200 {
			t.Errorf("%q: %v", text, err)
		}
	})
}
