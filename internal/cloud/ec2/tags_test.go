package ec2_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/cloud/ec2"
)

func is(err, kind error) bool { return errors.Is(err, kind) }

func TestTag(t *testing.T) {
	w := newWorld(t)
	id, other := w.aws.Launch(), w.aws.Launch()
	node := w.instance(t, id)
	tags := map[string]string{"add:state": "idle", "add:version": "1.2", "add:deployment": "", "add:statelog": "presetup:20260101-000000;setup:20260101-000100;"}
	if err := node.Tag(t.Context(), tags); err != nil {
		t.Fatal(err)
	}
	if got := w.aws.Tags(id); !maps.Equal(got, tags) {
		t.Errorf("tags %v, want %v", got, tags)
	}
	if err := node.Tag(t.Context(), map[string]string{"add:state": "working"}); err != nil {
		t.Fatal(err)
	}
	tags["add:state"] = "working"
	if got := w.aws.Tags(id); !maps.Equal(got, tags) {
		t.Errorf("tags %v, want %v", got, tags)
	}
	if got := w.aws.Tags(other); len(got) != 0 {
		t.Errorf("another instance has tags: %v", got)
	}
	calls := w.aws.Calls()
	if len(calls) != 2 {
		t.Fatalf("%d calls, want one a change: %v", len(calls), calls)
	}
	for _, c := range calls {
		if c.Action != "ec2:CreateTags" || c.DryRun() || c.AccessKey != key || c.Token != token || !strings.Contains(c.UserAgent, "addagent/1.2") {
			t.Errorf("call %+v", c)
		}
	}
	// Who, where and as whom is asked once.
	for _, path := range []string{"instance-id", "placement/region", "iam/security-credentials/", "iam/security-credentials/node"} {
		if n := w.metadata.Asked("/latest/meta-data/" + path); n != 1 {
			t.Errorf("%s was asked %d times", path, n)
		}
	}
}

func TestValuesOfTags(t *testing.T) {
	w := newWorld(t)
	id := w.aws.Launch()
	node := w.instance(t, id)
	for name, c := range map[string]struct{ value, want string }{
		"as long as may be": {strings.Repeat("v", 256), strings.Repeat("v", 256)},
		"two lines":         {"a\nb\x00c", "a b c"},
		"no UTF-8":          {"a\xffb", "a b"},
		"markup":            {`<&">'`, `<&">'`},
		"what forms escape": {"a+b c&d=e%20f;~*-_.é", "a+b c&d=e%20f;~*-_.é"},
		"beyond Latin":      {"状态 🚀 \u202e", "状态 🚀"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := node.Tag(t.Context(), map[string]string{strings.Repeat("k", 128): c.value}); err != nil {
				t.Fatal(err)
			}
			if got := w.aws.Tags(id)[strings.Repeat("k", 128)]; got != c.want {
				t.Errorf("value %q, want %q", got, c.want)
			}
		})
	}
}

func TestMayTag(t *testing.T) {
	w := newWorld(t)
	id := w.aws.Launch()
	node := w.instance(t, id)
	if err := node.MayTag(t.Context()); err != nil {
		t.Error(err)
	}
	w.aws.Deny("ec2:CreateTags")
	says(t, func() error { return node.MayTag(t.Context()) }, ec2.ErrDenied,
		"ec2:CreateTags: not permitted: the instance's role must allow ec2:CreateTags on arn:aws:ec2:eu-west-1:*:instance/"+id)
	for _, c := range w.aws.Calls() {
		if !c.DryRun() {
			t.Errorf("it was no question: %+v", c)
		}
	}
	if got := w.aws.Tags(id); len(got) != 0 {
		t.Errorf("tags %v", got)
	}
}

func TestATagIsRefused(t *testing.T) {
	const action = "ec2:CreateTags"
	known := func(w world) string { return w.aws.Launch() }
	for name, c := range map[string]struct {
		id    func(world) string
		spoil func(world)
		kind  error
		want  string
		calls int // for two tries
	}{
		"no permission": {known, func(w world) { w.aws.Deny(action) }, ec2.ErrDenied, "must allow ec2:CreateTags on arn:aws:ec2:eu-west-1:*:instance/i-", 2},
		"denied by an SCP": {known, func(w world) {
			w.aws.Fail(action, 9, 403, "UnauthorizedOperation", "You are not authorized to perform this operation. User: u is not authorized to perform: ec2:CreateTags with an explicit deny in a service control policy")
		}, ec2.ErrDenied, "; a policy denies it explicitly", 2},
		"unknown":          {func(world) string { return "i-00000000000000000" }, func(world) {}, ec2.ErrUnknown, "unknown instance in this region: InvalidInstanceID.NotFound", 2},
		"malformed":        {func(world) string { return "i-xyz" }, func(world) {}, ec2.ErrUnknown, "InvalidInstanceID.Malformed", 2},
		"no instance":      {func(world) string { return "web7" }, func(world) {}, ec2.ErrUnknown, "InvalidID", 2},
		"throttled":        {known, func(w world) { w.aws.Throttle(action, 9) }, ec2.ErrTemporary, "ec2:CreateTags: RequestLimitExceeded", 4},
		"out of order":     {known, func(w world) { w.aws.Fail(action, 9, 500, "InternalError", "An internal error has occurred") }, ec2.ErrTemporary, "InternalError", 4},
		"a page":           {known, func(w world) { w.aws.FailPage(action, 9, 503) }, ec2.ErrTemporary, "ec2:CreateTags: 503 Service Unavailable", 4},
		"a portal":         {known, func(w world) { w.aws.FailPage(action, 9, 404) }, nil, "404 Not Found", 2},
		"a portal moves":   {known, func(w world) { w.aws.FailPage(action, 9, 302) }, nil, "302 Found", 2},
		"revoked":          {known, func(w world) { w.aws.OnlyKey("ASIAANOTHER000000000") }, ec2.ErrCredentials, "credentials refused: AuthFailure", 2},
		"a portal lets in": {known, func(w world) { w.aws.FailPage(action, 9, 200) }, nil, "200 OK, and not an answer of AWS", 2},
		"another secret":   {known, func(w world) { w.aws.OnlySecret("other") }, ec2.ErrCredentials, "credentials refused: AuthFailure; check the clock and the instance's role", 2},
		"a slow clock":     {known, func(w world) { w.aws.SetClock(time.Hour) }, ec2.ErrCredentials, "credentials refused: RequestExpired; this machine's clock is behind AWS's", 2},
		"a fast clock":     {known, func(w world) { w.aws.SetClock(-time.Hour) }, ec2.ErrCredentials, "credentials refused: RequestExpired; this machine's clock is ahead of AWS's", 2},
		"keys are over":    {known, func(w world) { w.aws.Fail(action, 9, 400, "RequestExpired", "Request has expired.") }, ec2.ErrCredentials, "credentials refused: RequestExpired; check the clock and the instance's role", 2},
		"too many": {known, func(w world) {
			w.aws.Fail(action, 9, 400, "TagLimitExceeded", "The maximum number\n of tags is 50 (request 01234567-89ab-cdef-0123-456789abcdef)")
		}, nil, "ec2:CreateTags: TagLimitExceeded: The maximum number of tags is 50 (request ...)", 2},
		"no role": {known, func(w world) { w.metadata.SetRole("", cloudtest.Credentials{}) }, ec2.ErrCredentials, "no credentials: the instance has no role (instance profile)", 0},
		"a role that fails": {known, func(w world) {
			w.metadata.Set("iam/security-credentials/node", `{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role node."}`)
		}, ec2.ErrCredentials, "the instance's role gives none: AssumeRoleUnauthorizedAccess", 0},
		"a role in garbage": {known, func(w world) { w.metadata.Set("iam/security-credentials/node", "<html>") }, ec2.ErrTemporary, "the metadata service's answer cannot be read", 0},
		"metadata fails": {known, func(w world) {
			w.metadata.Instead("/latest/meta-data/iam/security-credentials/", cloudtest.Status(500))
		}, ec2.ErrTemporary, "ec2:CreateTags: metadata: credentials: http", 0},
		"a role without keys": {known, func(w world) { w.metadata.Set("iam/security-credentials/node", `{"Code": "Success"}`) }, ec2.ErrTemporary, "the metadata service's answer cannot be read", 0},
		"a role of markup":    {known, func(w world) { w.metadata.Set("iam/security-credentials/", "<html>") }, ec2.ErrTemporary, "the metadata service's answer cannot be read", 0},
		"a region of markup":  {known, func(w world) { w.metadata.Set("placement/region", "x.example/") }, nil, `"x.example/" is not a region`, 0},
		"metadata is away":    {known, func(w world) { w.metadata.Instead("*", cloudtest.Status(403)) }, ec2.ErrTemporary, "ec2:CreateTags: metadata: instance id: token: ", 0},
		"no region":           {known, func(w world) { w.metadata.Set("placement/region", "") }, ec2.ErrTemporary, "metadata: region: ", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			node := w.instance(t, c.id(w))
			c.spoil(w)
			says(t, func() error { return node.Tag(t.Context(), map[string]string{"add:state": "idle"}) }, c.kind, c.want)
			if n := len(w.aws.Calls()); n != c.calls {
				t.Errorf("%d calls for two tries, want %d", n, c.calls)
			}
		})
	}
}

func TestOneThrottledCallIsMended(t *testing.T) {
	w := newWorld(t)
	id := w.aws.Launch()
	w.aws.Throttle("ec2:CreateTags", 1)
	if err := w.instance(t, id).Tag(t.Context(), map[string]string{"add:state": "idle"}); err != nil {
		t.Error(err)
	}
	if n := len(w.aws.Calls()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

// TestCredentialsComeAnew: credentials that AWS refuses are fetched again, within the call.
func TestCredentialsComeAnew(t *testing.T) {
	w := newWorld(t)
	node := w.instance(t, w.aws.Launch())
	tag := func() error { return node.Tag(t.Context(), map[string]string{"add:state": "idle"}) }
	if err := tag(); err != nil {
		t.Fatal(err)
	}
	const other = "ASIAANOTHER000000000"
	w.aws.OnlyKey(other)
	says(t, tag, ec2.ErrCredentials)
	role := func(key string, left time.Duration) {
		w.metadata.SetRole("other", cloudtest.Credentials{AccessKeyID: key, SecretAccessKey: secret, Token: token, Expiration: time.Now().Add(left)})
	}
	role(other, time.Hour)
	if err := tag(); err != nil {
		t.Errorf("with the new role: %v", err)
	}
	const third = "ASIATHIRD00000000000"
	w.aws.OnlyKey(third)
	role(third, 4*time.Minute)
	before := len(w.aws.Calls())
	if err := tag(); err != nil {
		t.Errorf("with the keys that came meanwhile: %v", err)
	}
	if n := len(w.aws.Calls()) - before; n != 2 {
		t.Errorf("%d calls, want the refused one and one more", n)
	}
	// These end within five minutes.
	w.aws.OnlyKey(other)
	role(other, time.Hour)
	before = len(w.aws.Calls())
	if err := tag(); err != nil {
		t.Errorf("before they end: %v", err)
	}
	if n := len(w.aws.Calls()) - before; n != 1 {
		t.Errorf("%d calls with keys that were fetched before the old ones ended", n)
	}
}

// TestCredentialsOutliveTheMetadataService: old keys are better than none.
func TestCredentialsOutliveTheMetadataService(t *testing.T) {
	w := newWorld(t)
	node := w.instance(t, w.aws.Launch())
	w.metadata.SetRole("node", cloudtest.Credentials{AccessKeyID: key, SecretAccessKey: secret, Token: token, Expiration: time.Now().Add(time.Minute)})
	for range 2 {
		if err := node.Tag(t.Context(), map[string]string{"add:state": "idle"}); err != nil {
			t.Error(err)
		}
		w.metadata.Instead("*", cloudtest.Status(500))
	}
}

// TestAnotherRoleMayMore: the fix of a policy may be another role.
func TestAnotherRoleMayMore(t *testing.T) {
	w := newWorld(t)
	node := w.instance(t, w.aws.Launch())
	w.aws.Deny("ec2:CreateTags")
	says(t, func() error { return node.MayTag(t.Context()) }, ec2.ErrDenied)
	w.aws.Allow("ec2:CreateTags")
	const other = "ASIAANOTHER000000000"
	w.aws.OnlyKey(other)
	w.metadata.SetRole("other", cloudtest.Credentials{AccessKeyID: other, SecretAccessKey: secret, Token: token, Expiration: time.Now().Add(time.Hour)})
	before := len(w.aws.Calls())
	if err := node.MayTag(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(w.aws.Calls()) - before; n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestCredentialsOfTheEnvironment(t *testing.T) {
	w := newWorld(t)
	id := w.aws.Launch()
	w.metadata.SetRole("", cloudtest.Credentials{})
	t.Setenv("AWS_ACCESS_KEY_ID", key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	node := w.instance(t, "i-none", func(o *ec2.Options) { o.InstanceID, o.Region = id, cloudtest.Region })
	if err := node.Tag(t.Context(), map[string]string{"add:state": "idle"}); err != nil {
		t.Fatal(err)
	}
	if c := w.aws.Calls()[0]; c.AccessKey != key || c.Token != "" {
		t.Errorf("call %+v", c)
	}
	if n := w.metadata.Asked("/latest/api/token"); n != 0 {
		t.Errorf("the metadata service was asked %d times", n)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	node := w.instance(t, w.aws.Launch())
	w.aws.Hang("ec2:CreateTags", 9)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := node.Tag(ctx, map[string]string{"add:state": "idle"})
	if !errors.Is(err, ec2.ErrTemporary) || !strings.Contains(err.Error(), "ec2:CreateTags: no answer in time") {
		t.Errorf("error %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := node.Tag(ctx, map[string]string{"add:state": "idle"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestAWSIsNotReached(t *testing.T) {
	w := newWorld(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tag := func(endpoint string) func() error {
		node := w.instance(t, cloudtest.InstanceID, func(o *ec2.Options) { o.Endpoint = endpoint })
		return func() error { return node.Tag(t.Context(), map[string]string{"add:state": "idle"}) }
	}
	says(t, tag(gone.URL), ec2.ErrTemporary, "ec2:CreateTags: not reached: dial: connect: connection refused")
	nowhere := strings.Repeat("x", 64) + ".invalid" // a name too long to ask anybody for
	says(t, tag("http://"+nowhere), ec2.ErrTemporary, "ec2:CreateTags: not reached: lookup "+nowhere+": ")
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	says(t, tag(untrusted.URL), ec2.ErrTemporary, "not reached: ", "certificate")
	reset := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			c.Close()
		}
	}))
	defer reset.Close()
	says(t, tag(reset.URL), ec2.ErrTemporary, "not reached: the connection broke off")
}

func TestNewAsksNothing(t *testing.T) {
	server := cloudtest.Metadata(t)
	server.Instead("*", func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	ec2.New(ec2.Options{Metadata: cloud.NewMetadata(server.URL)})
}
