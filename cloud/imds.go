// Package cloud is the little that a node asks of the cloud it runs in: who am I. It speaks plain HTTP to the metadata
// service; what needs an SDK is a leaf of its own.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// EC2Endpoint is where every EC2 instance finds its metadata service.
const EC2Endpoint = "http://169.254.169.254"

const (
	// askTime bounds both requests together. The service answers within milliseconds; where it is firewalled or the
	// hop limit is too low for a container, nothing ever comes, and a start must not wait for that.
	askTime = time.Second
	// answerLimit bounds an answer: a token has 56 characters, an instance id 19.
	answerLimit = 4096
)

// InstanceID asks the EC2 metadata service at endpoint ("" = EC2Endpoint) for the instance id, as IMDSv2 wants it: first
// a token, then the question. It takes at most a second and never goes through a proxy. The answer is not checked
// for its form. The error names what was asked.
func InstanceID(ctx context.Context, endpoint string) (string, error) {
	if endpoint == "" {
		endpoint = EC2Endpoint
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	transport := &http.Transport{Proxy: nil, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport,
		// The service never redirects; something else that answers on its address (a captive portal) does.
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it redirects, so it is no metadata service")
		},
	}
	endpoint = strings.TrimRight(endpoint, "/")
	token, err := ask(ctx, client, http.MethodPut, endpoint+"/latest/api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
	if err != nil {
		return "", fmt.Errorf("metadata: token: %w", err)
	}
	id, err := ask(ctx, client, http.MethodGet, endpoint+"/latest/meta-data/instance-id", "X-Aws-Ec2-Metadata-Token", token)
	if err != nil {
		return "", fmt.Errorf("metadata: instance id: %w", err)
	}
	return id, nil
}

// ask makes one request with one header and returns the trimmed text of the answer, which must be 200 and not empty.
func ask(ctx context.Context, client *http.Client, method, address, header, value string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set(header, value)
	resp, err := client.Do(req)
	if err != nil {
		// url.Error repeats method and address, and hides a deadline behind the client's wording.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return "", fmt.Errorf("%s did not answer within %v: %w", address, askTime, err)
		}
		return "", fmt.Errorf("%s: %w", address, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", address, err)
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s: %s", address, resp.Status)
	case len(body) > answerLimit:
		return "", fmt.Errorf("%s: answer of more than %d bytes", address, answerLimit)
	}
	text := strings.TrimSpace(string(body))
	if text == "" {
		return "", fmt.Errorf("%s: empty answer", address)
	}
	return text, nil
}
