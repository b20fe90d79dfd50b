package ec2_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/cloud/cloudtest"
	"github.com/addagent/addagent/internal/cloud/ec2"
)

// moto is one for all tests of the package: it takes seconds to start.
var moto cloudtest.Moto

func TestMain(m *testing.M) {
	code := m.Run()
	moto.Stop()
	os.Exit(code)
}

const (
	key    = "ASIAEXAMPLEKEY000000"
	secret = "wJalrXUtnFEMI/EXAMPLE/secret"
	token  = "IQoJb3JpZ2luX2VjEXAMPLEtoken"
)

// world is a node in AWS: its metadata service with a role, and AWS.
type world struct {
	aws      *cloudtest.AWS
	metadata *cloudtest.MetadataServer
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{cloudtest.Strict(t, &moto), cloudtest.Metadata(t)}
	w.metadata.SetRole("node", cloudtest.Credentials{AccessKeyID: key, SecretAccessKey: secret, Token: token, Expiration: time.Now().Add(6 * time.Hour)})
	w.aws.OnlyKey(key)
	w.aws.OnlySecret(secret)
	return w
}

// instance is the node with this id, which it learns from its metadata service.
func (w world) instance(t *testing.T, id string, change ...func(*ec2.Options)) *ec2.Instance {
	t.Helper()
	w.metadata.Set("instance-id", id)
	m := cloud.NewMetadata(w.metadata.URL)
	t.Cleanup(m.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o := ec2.Options{Metadata: m, Endpoint: w.aws.URL, Transport: transport, Agent: "addagent/1.2", Hook: "boot"}
	for _, c := range change {
		c(&o)
	}
	return ec2.New(o)
}

// says fails unless the error is of the kind, has all the words, the same words the next time, and no secret.
func says(t *testing.T, again func() error, kind error, words ...string) {
	t.Helper()
	first := again()
	if first == nil {
		t.Fatalf("no error, want %v", kind)
	}
	second := again()
	if second == nil || second.Error() != first.Error() {
		t.Errorf("the same trouble in two ways:\n%v\n%v", first, second)
	}
	text := first.Error()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("error %q lacks %q", text, w)
		}
	}
	for _, s := range []string{secret, token, key} {
		if strings.Contains(text, s) {
			t.Errorf("error %q holds a secret", text)
		}
	}
	for _, k := range []error{ec2.ErrDenied, ec2.ErrCredentials, ec2.ErrTemporary, ec2.ErrUnknown} {
		if is(first, k) != (k == kind) {
			t.Errorf("error %q: is %q: %v", text, k, is(first, k))
		}
	}
}
