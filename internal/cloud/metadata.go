// Package cloud is the little that a node asks of the cloud it runs in: who am I, and must I go. It speaks plain HTTP
// to the metadata service; what needs an SDK is a leaf of its own.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// EC2Endpoint is where every EC2 instance finds its metadata service.
const EC2Endpoint = "http://169.254.169.254"

const (
	// askTime bounds a question with all its requests. The service answers within milliseconds; where it is firewalled
	// or the hop limit is too low for a container, nothing ever comes, and neither a start nor a beat must wait for that.
	askTime = time.Second
	// answerLimit bounds an answer: a token has 56 characters, an instance id 19, the credentials of a role some 2,000.
	answerLimit = 16384
	// tokenSeconds is the longest life the service gives to a token: six hours.
	tokenSeconds = "21600"
	// idleTime keeps a connection from one beat to the next, at the usual minute and somewhat above.
	idleTime = 5 * time.Minute
)

// ErrAbsent is in the error of a question to which the service answered that there is no such thing (404): no notice,
// no role, not in an Auto Scaling group.
var ErrAbsent = errors.New("404 Not Found")

// Metadata is the EC2 metadata service, asked as IMDSv2 wants it: with a token, which is kept, and fetched anew when
// the service refuses it. It never falls back to IMDSv1, never goes through a proxy, heeds no environment, and a
// question takes at most a second. What it says is that of one boot of the machine. It is safe for concurrent use.
type Metadata struct {
	endpoint string
	client   *http.Client
	// token holds the session's token, "" = none yet. Taking it out is the lock, so that a wait for it can be given up.
	token chan string
	// taken is the group's word that it takes this machine away; see Notices.
	taken atomic.Pointer[Notice]
}

// NewMetadata asks nothing yet. endpoint "" = EC2Endpoint.
func NewMetadata(endpoint string) *Metadata {
	if endpoint == "" {
		endpoint = EC2Endpoint
	}
	m := &Metadata{
		endpoint: strings.TrimRight(endpoint, "/"),
		client: &http.Client{
			// Answers are small, and two connections stay open for ever: small buffers.
			Transport: &http.Transport{Proxy: nil, DisableCompression: true, MaxIdleConnsPerHost: 2,
				IdleConnTimeout: idleTime, ReadBufferSize: 2048, WriteBufferSize: 1024},
			// The service never redirects; something else that answers on its address (a captive portal) does.
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("it redirects, so it is no metadata service")
			},
		},
		token: make(chan string, 1),
	}
	m.token <- ""
	return m
}

// Close gives the kept connections back. The session stays usable.
func (m *Metadata) Close() { m.client.CloseIdleConnections() }

// InstanceID is like "i-0123456789abcdef0"; its form is not checked.
func (m *Metadata) InstanceID(ctx context.Context) (string, error) {
	return m.named(ctx, "instance id", "instance-id")
}

// Region is like "eu-west-1".
func (m *Metadata) Region(ctx context.Context) (string, error) {
	return m.named(ctx, "region", "placement/region")
}

func (m *Metadata) named(ctx context.Context, what, path string) (string, error) {
	text, err := m.Get(ctx, path)
	if err != nil {
		return "", fmt.Errorf("metadata: %s: %w", what, err)
	}
	return text, nil
}

// Get returns the trimmed text below /latest/meta-data/, which is never empty. The error names what was asked and says
// the same for the same trouble; it is ErrAbsent for what does not exist. No error holds a token or an answer.
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
		// Six hours are over, or the machine was started again elsewhere: tokens do not move.
		if token, err = m.session(ctx, token); err != nil {
			return "", err
		}
		text, _, err = m.ask(ctx, http.MethodGet, address, "X-Aws-Ec2-Metadata-Token", token)
	}
	return text, err
}

// session returns the token, and a new one if the kept one is still the refused one. Questions that wait for a token
// wait for one request.
func (m *Metadata) session(ctx context.Context, refused string) (string, error) {
	var token string
	select {
	case token = <-m.token:
	case <-ctx.Done():
		return "", fmt.Errorf("token: %w", m.plain(ctx.Err(), m.endpoint))
	}
	defer func() { m.token <- token }()
	if token != refused && token != "" {
		return token, nil
	}
	fresh, _, err := m.ask(ctx, http.MethodPut, m.endpoint+"/latest/api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", tokenSeconds)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	// What is no header's value would be kept and fail for ever.
	if strings.ContainsFunc(fresh, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("token: %s/latest/api/token: the answer is no token", m.endpoint)
	}
	token = fresh
	return token, nil
}

// ask makes one request with one header and returns the trimmed text of the answer, which must be 200 and not empty,
// and the status if there was an answer.
func (m *Metadata) ask(ctx context.Context, method, address, header, value string) (string, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return "", 0, err
	}
	req.Header.Set(header, value)
	resp, err := m.client.Do(req)
	if err != nil {
		return "", 0, m.plain(err, address)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	text := strings.TrimSpace(string(body))
	switch {
	case err != nil:
		err = m.plain(err, address)
	case resp.StatusCode == http.StatusNotFound:
		err = fmt.Errorf("%s: %w", address, ErrAbsent)
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %d %s", address, resp.StatusCode, http.StatusText(resp.StatusCode))
	case len(body) > answerLimit:
		err = fmt.Errorf("%s: answer of more than %d bytes", address, answerLimit)
	case text == "":
		err = fmt.Errorf("%s: empty answer", address)
	}
	if err != nil {
		return "", resp.StatusCode, err
	}
	return text, resp.StatusCode, nil
}

// plain names the address, and says the same words for the same trouble: no port of ours, no client's own wording.
func (m *Metadata) plain(err error, address string) error {
	// url.Error repeats method and address, and hides a deadline behind the client's wording.
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	broken := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer within %s: %w", address, human.Setting(askTime), err)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%s: dial: %w", address, op.Err)
	case op != nil || broken:
		// Who notices first, reader or writer, is chance.
		return fmt.Errorf("%s: the connection broke off", address)
	}
	return fmt.Errorf("%s: %w", address, err)
}

// InstanceID asks the metadata service at endpoint ("" = EC2Endpoint) once, for who starts and has no session yet.
func InstanceID(ctx context.Context, endpoint string) (string, error) {
	m := NewMetadata(endpoint)
	defer m.Close()
	return m.InstanceID(ctx)
}
