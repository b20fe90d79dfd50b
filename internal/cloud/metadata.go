// Package cloud asks the metadata service of the cloud who this machine is, and whether it is about to end.
//
// It speaks plain HTTP to a local address and holds no credentials; what needs a signed request is in package ec2.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/secret"
)

// EC2Endpoint is the metadata service of every EC2 instance.
const EC2Endpoint = "http://169.254.169.254"

const (
	// askTime bounds a question with all its requests. The service answers within milliseconds. Behind a firewall, or
	// in a container with too low a hop limit, it never answers, and neither a start nor a beat may wait for that.
	askTime = time.Second
	// answerLimit bounds an answer: a token has 56 characters, an instance id 19, the credentials of a role some 2,000.
	answerLimit = 16384
	// tokenSeconds is the longest lifetime of a token: six hours.
	tokenSeconds = "21600"
	// idleTime keeps a connection from one beat to the next, with beats of a minute or somewhat more.
	idleTime = 5 * time.Minute
)

// ErrAbsent is wrapped when the service answered 404: no notice, no role, not in an Auto Scaling group.
var ErrAbsent = errors.New("404 Not Found")

// Metadata is the EC2 metadata service, asked by IMDSv2: with a token, which is kept, and renewed when the service
// refuses it. It never falls back to IMDSv1, never uses a proxy, ignores the environment, and a question takes at most
// a second. Use one for one boot of the machine. It is safe for concurrent use.
type Metadata struct {
	endpoint string
	client   *http.Client
	// token holds the session's token, "" before the first. Taking it out locks it, in a way that a context can end.
	token chan string
	// taken is the notice that the group takes this machine away; see Notice.
	taken atomic.Pointer[string]
}

// NewMetadata asks nothing yet. endpoint "" = EC2Endpoint.
func NewMetadata(endpoint string) *Metadata {
	if endpoint == "" {
		endpoint = EC2Endpoint
	}
	m := &Metadata{
		endpoint: strings.TrimRight(endpoint, "/"),
		client: &http.Client{
			// Answers are small, and two connections stay open: small buffers.
			Transport: &http.Transport{Proxy: nil, DisableCompression: true, MaxIdleConnsPerHost: 2,
				IdleConnTimeout: idleTime, ReadBufferSize: 2048, WriteBufferSize: 1024},
			// The service never redirects; something else that answers on its address (a captive portal) does.
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("it redirects, so it is not a metadata service")
			},
		},
		token: make(chan string, 1),
	}
	m.token <- ""
	return m
}

// Close closes idle connections. The session stays usable.
func (m *Metadata) Close() { m.client.CloseIdleConnections() }

// InstanceID is like "i-0123456789abcdef0"; its form is not checked.
func (m *Metadata) InstanceID(ctx context.Context) (string, error) {
	return m.named(ctx, "instance id", "instance-id")
}

// Region is like "eu-west-1".
func (m *Metadata) Region(ctx context.Context) (string, error) {
	return m.named(ctx, "region", "placement/region")
}

// PrivateIP is the private IPv4 address of the machine, "" when it has none.
func (m *Metadata) PrivateIP(ctx context.Context) (string, error) {
	ip, err := m.named(ctx, "private address", "local-ipv4")
	if errors.Is(err, ErrAbsent) {
		return "", nil
	}
	return ip, err
}

func (m *Metadata) named(ctx context.Context, what, path string) (string, error) {
	text, err := m.Get(ctx, path)
	if err != nil {
		return "", fmt.Errorf("metadata: %s: %w", what, err)
	}
	return text, nil
}

// Get returns the trimmed text at path below /latest/meta-data/, which is never empty. The error names the address, has
// the same words for the same trouble, and wraps ErrAbsent for a 404. No error contains a token or an answer.
func (m *Metadata) Get(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	address := m.endpoint + "/latest/meta-data/" + path
	token, err := m.session(ctx, "")
	if err != nil {
		return "", err
	}
	text, status, err := m.ask(ctx, http.MethodGet, address, "X-Aws-Ec2-Metadata-Token", token)
	if status == http.StatusUnauthorized {
		// The token has expired, or the machine was restarted on another host, where its old tokens are invalid.
		if token, err = m.session(ctx, token); err != nil {
			return "", err
		}
		text, _, err = m.ask(ctx, http.MethodGet, address, "X-Aws-Ec2-Metadata-Token", token)
	}
	return text, err
}

// session returns the kept token, or a new one if that was refused. Concurrent questions share one request.
func (m *Metadata) session(ctx context.Context, refused string) (string, error) {
	address := m.endpoint + "/latest/api/token"
	var token string
	select {
	case token = <-m.token:
	case <-ctx.Done(): // another question waits for the same answer
		return "", fmt.Errorf("token: %w", unanswered(ctx.Err(), address))
	}
	defer func() { m.token <- token }()
	if token != refused && token != "" {
		return token, nil
	}
	fresh, _, err := m.ask(ctx, http.MethodPut, address, "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", tokenSeconds)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	// Anything that is not a header value would be kept and fail every time.
	if strings.ContainsFunc(fresh, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token: %s: the answer is not a token", address)
	}
	token = fresh
	return token, nil
}

// ask makes one request with one header. It returns the trimmed text of the answer, which must be 200 and not empty,
// and the status, 0 without an answer.
func (m *Metadata) ask(ctx context.Context, method, address, header, value string) (string, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return "", 0, err
	}
	req.Header.Set(header, value)
	var shown secret.Set
	if value != tokenSeconds {
		shown.Add(value)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return "", 0, unanswered(shown.Free(err), address)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	text := strings.TrimSpace(string(body))
	switch {
	case err != nil:
		err = unanswered(shown.Free(err), address)
	case resp.StatusCode == http.StatusNotFound:
		err = fmt.Errorf("%s: %w", address, ErrAbsent)
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %d %s", address, resp.StatusCode, http.StatusText(resp.StatusCode))
	case len(body) > answerLimit:
		err = fmt.Errorf("%s: answer of more than %d bytes", address, answerLimit)
	case text == "":
		err = fmt.Errorf("%s: empty answer", address)
	case shown.Holds(text): // it would be taken for a name
		err = fmt.Errorf("%s: the answer repeats the token: not a metadata service", address)
	}
	if err != nil {
		return "", resp.StatusCode, err
	}
	return text, resp.StatusCode, nil
}

// unanswered names the address, and uses the same words for the same trouble.
func unanswered(err error, address string) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer within %s: %w", address, human.Setting(askTime), context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", address, context.Canceled)
	}
	return fmt.Errorf("%s: %s", address, Unreached(err))
}

// Unreached says why no HTTP answer came, in the same words each time: without our port, and without the client's
// frame.
func Unreached(err error) string {
	var name *net.DNSError
	var op *net.OpError
	var frame *url.Error
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "lookup " + name.Name + ": no such host"
	case errors.As(err, &name):
		return "lookup " + name.Name + ": the name server does not answer"
	case errors.As(err, &op) && slices.Contains([]string{"read", "readfrom", "write"}, op.Op),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke off" // whether the reader or the writer notices first is chance
	case op != nil:
		return op.Op + ": " + op.Err.Error()
	case errors.As(err, &frame):
		return frame.Err.Error()
	}
	return err.Error()
}

// InstanceID asks the metadata service at endpoint ("" = EC2Endpoint) once, when there is no session yet.
func InstanceID(ctx context.Context, endpoint string) (string, error) {
	m := NewMetadata(endpoint)
	defer m.Close()
	return m.InstanceID(ctx)
}
