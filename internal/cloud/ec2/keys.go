package ec2

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/secret"
	"github.com/aws/aws-sdk-go-v2/aws"
)

// keysAhead is how long before they expire keys are renewed: AWS has new ones by then.
const keysAhead = 5 * time.Minute

// keys are the credentials that calls are signed with.
type keys struct {
	metadata *cloud.Metadata // nil = the keys are from the environment, and stay

	mu   sync.Mutex
	held aws.Credentials // without AccessKeyID = none
}

// newKeys takes the keys in the environment, else those of the instance's role.
func newKeys(m *cloud.Metadata) *keys {
	key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if key == "" || secret == "" {
		return &keys{metadata: m}
	}
	return &keys{held: aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN")}}
}

// Credentials gives the credentials that this package signs with, for the clients of other packages.
func Credentials(m *cloud.Metadata) func(context.Context) (aws.Credentials, error) {
	return newKeys(m).get
}

func (k *keys) get(ctx context.Context) (aws.Credentials, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.metadata == nil || fresh(k.held, time.Now()) {
		return k.held, nil
	}
	got, err := roleKeys(ctx, k.metadata)
	switch {
	case err == nil:
		k.held = got
	case k.held.AccessKeyID == "":
		return aws.Credentials{}, err
	}
	// While the metadata service fails, old keys are better than none; AWS says when they have expired.
	return k.held, nil
}

// refused makes the next call fetch keys, unless another call has done so.
func (k *keys) refused(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.metadata != nil && k.held.AccessKeyID == id {
		k.held = aws.Credentials{}
	}
}

func fresh(c aws.Credentials, now time.Time) bool {
	return c.AccessKeyID != "" && now.Before(c.Expires.Add(-keysAhead))
}

const rolePath = "iam/security-credentials/"

// roleName is a name that IAM allows.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
var roleName = regexp.MustCompile(`^[\w+=,.@-]+$`)

// roleKeys fetches the keys of the instance's role.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
func roleKeys(ctx context.Context, m *cloud.Metadata) (aws.Credentials, error) {
	names, err := m.Get(ctx, rolePath)
	name, _, _ := strings.Cut(names, "\n")
	name = strings.TrimSpace(name)
	if err == nil && !roleName.MatchString(name) {
		return aws.Credentials{}, noKeys()
	}
	text := ""
	if err == nil {
		text, err = m.Get(ctx, rolePath+name)
	}
	switch {
	case errors.Is(err, cloud.ErrAbsent):
		return aws.Credentials{}, &trouble{ErrCredentials, "no credentials: the instance has no role (instance profile)", err}
	case err != nil:
		return aws.Credentials{}, &trouble{ErrTemporary, "metadata: credentials: " + err.Error(), err}
	}
	return readKeys(text)
}

func noKeys() error {
	return &trouble{ErrTemporary, "no credentials: the metadata service's answer cannot be read", nil}
}

// readKeys reads the answer. The JSON package's own errors would quote it, and it holds a secret.
func readKeys(text string) (aws.Credentials, error) {
	var said struct {
		Code, AccessKeyID, SecretAccessKey, Token string
		Expiration                                time.Time
	}
	err := json.Unmarshal([]byte(text), &said)
	switch {
	case err == nil && said.Code != "Success" && said.Code != "":
		return aws.Credentials{}, &trouble{ErrCredentials, "no credentials: the instance's role gives none: " + shown(secret.Set{said.SecretAccessKey, said.Token}.Said(said.Code)), nil}
	case err != nil || said.AccessKeyID == "" || said.SecretAccessKey == "":
		return aws.Credentials{}, noKeys()
	}
	return aws.Credentials{AccessKeyID: said.AccessKeyID, SecretAccessKey: said.SecretAccessKey, SessionToken: said.Token,
		CanExpire: true, Expires: said.Expiration}, nil
}
