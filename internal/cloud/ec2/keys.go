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
	"github.com/aws/aws-sdk-go-v2/aws"
)

// keysAhead is how long before their end keys are fetched anew: AWS has new ones by then.
const keysAhead = 5 * time.Minute

// keys are the credentials that calls are signed with.
type keys struct {
	metadata *cloud.Metadata // nil = they are the environment's, and stay

	mu   sync.Mutex
	held aws.Credentials // without AccessKeyID = none
}

// newKeys takes those of the environment, if there are any now, else those of the instance's role.
func newKeys(m *cloud.Metadata) *keys {
	key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if key == "" || secret == "" {
		return &keys{metadata: m}
	}
	return &keys{held: aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN")}}
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
	// While the metadata service is out of order the old ones are better than none; AWS says when they are over.
	return k.held, nil
}

// refused has the next call ask anew, unless somebody else did.
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

// roleName is what IAM allows.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
var roleName = regexp.MustCompile(`^[\w+=,.@-]+$`)

// roleKeys asks for the keys of the instance's role.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
func roleKeys(ctx context.Context, m *cloud.Metadata) (aws.Credentials, error) {
	names, err := m.Get(ctx, rolePath)
	if err != nil {
		return aws.Credentials{}, noKeys(err)
	}
	name, _, _ := strings.Cut(names, "\n")
	if name = strings.TrimSpace(name); !roleName.MatchString(name) {
		return aws.Credentials{}, noKeys(errNoKeys)
	}
	text, err := m.Get(ctx, rolePath+name)
	if err != nil {
		return aws.Credentials{}, noKeys(err)
	}
	c, err := readKeys(text)
	if err != nil {
		return aws.Credentials{}, noKeys(err)
	}
	return c, nil
}

var errNoKeys = errors.New("not the keys of a role")

// roleError is the word of a role that gives no keys: "AssumeRoleUnauthorizedAccess".
type roleError string

func (r roleError) Error() string { return string(r) }

// readKeys reads the answer. What the JSON package has against it would quote the answer, which holds a secret.
func readKeys(text string) (aws.Credentials, error) {
	var said struct {
		Code, AccessKeyID, SecretAccessKey, Token string
		Expiration                                time.Time
	}
	err := json.Unmarshal([]byte(text), &said)
	switch {
	case err != nil:
		return aws.Credentials{}, errNoKeys
	case said.Code != "Success" && said.Code != "":
		return aws.Credentials{}, roleError(shown(said.Code))
	case said.AccessKeyID == "" || said.SecretAccessKey == "":
		return aws.Credentials{}, errNoKeys
	}
	return aws.Credentials{AccessKeyID: said.AccessKeyID, SecretAccessKey: said.SecretAccessKey, SessionToken: said.Token,
		CanExpire: true, Expires: said.Expiration}, nil
}

// noKeys words why there are none.
func noKeys(err error) *trouble {
	var role roleError
	switch {
	case errors.Is(err, cloud.ErrAbsent):
		return &trouble{ErrCredentials, "no credentials: the instance has no role (instance profile)", err}
	case errors.As(err, &role):
		return &trouble{ErrCredentials, "no credentials: the instance's role gives none: " + role.Error(), err}
	case errors.Is(err, errNoKeys):
		return &trouble{ErrTemporary, "no credentials: the metadata service's answer cannot be read", err}
	}
	return &trouble{ErrTemporary, "metadata: credentials: " + err.Error(), err}
}
