package ec2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// What may be wrong, for errors.Is.
var (
	// ErrDenied: a policy is missing; the text names the action and the resource to allow.
	ErrDenied = errors.New("not permitted")
	// ErrCredentials: there are none, or AWS does not take them.
	ErrCredentials = errors.New("no credentials")
	// ErrTemporary: throttled, out of order, not reached, not answered: worth another try later.
	ErrTemporary = errors.New("temporary")
	// ErrUnknown: AWS knows no such instance, in this region.
	ErrUnknown = errors.New("unknown instance")
	// ErrNoGroup: the instance is in no Auto Scaling group.
	ErrNoGroup = errors.New("in no Auto Scaling group")
)

// trouble has a text of our own; what the SDK said is below it, for errors.Is and errors.As.
type trouble struct {
	kind error // nil = permanent
	text string
	sdk  error
}

func (t *trouble) Error() string { return t.text }

func (t *trouble) Unwrap() []error {
	if t.kind == nil {
		return []error{t.sdk}
	}
	return []error{t.kind, t.sdk}
}

// unheard is a metadata service that does not answer.
func unheard(err error) *trouble { return &trouble{ErrTemporary, err.Error(), err} }

// judge says in our words what an error of a call is.
func judge(err error, action, resource string) *trouble {
	var ours *trouble
	var api smithy.APIError
	var response interface{ HTTPStatusCode() int }
	status := 0
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	switch {
	case errors.As(err, &ours): // credentials
		return ours
	case errors.As(err, &api) && api.ErrorCode() != "UnknownError": // the SDK's word for an answer that is not AWS's
		return refused(api, status, action, resource)
	case errors.Is(err, context.Canceled):
		return &trouble{nil, "given up", err}
	case errors.Is(err, context.DeadlineExceeded):
		return &trouble{ErrTemporary, "no answer in time", err}
	case status >= 500 || status == http.StatusTooManyRequests:
		return &trouble{ErrTemporary, fmt.Sprintf("%d %s", status, http.StatusText(status)), err}
	case status != 0: // a portal, or an address that is not AWS's
		return &trouble{nil, fmt.Sprintf("%d %s, and no answer of AWS", status, http.StatusText(status)), err}
	}
	return &trouble{ErrTemporary, "not reached: " + unreached(err), err}
}

// refused is an error that AWS itself worded. Its codes:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
func refused(api smithy.APIError, status int, action, resource string) *trouble {
	code, said := api.ErrorCode(), api.ErrorMessage()
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch code {
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
		text := fmt.Sprintf("not permitted: the instance's role must allow %s on %s", action, resource)
		if strings.Contains(said, "explicit deny") {
			text += "; a policy denies it explicitly"
		}
		return &trouble{ErrDenied, text, api}
	case "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException", "RequestExpired",
		"SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException":
		return &trouble{ErrCredentials, "credentials refused: " + code + "; is the clock right, and the role still there?", api}
	case "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "InvalidID":
		return &trouble{ErrUnknown, "unknown instance in this region: " + code, api}
	case "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout":
		return &trouble{ErrTemporary, code, api}
	case "ValidationError":
		// The only thing that tells it from other bad parameters is its text.
		if strings.Contains(said, "No managed instance found") {
			return &trouble{ErrNoGroup, "the instance is in no Auto Scaling group", api}
		}
	}
	if throttled || status >= 500 || status == http.StatusTooManyRequests {
		return &trouble{ErrTemporary, code, api}
	}
	return &trouble{nil, code + ": " + shown(said), api}
}

var (
	blank = regexp.MustCompile(`\s+`)
	// requestID is in some messages; it differs each time.
	requestID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// shown is AWS's own text, short, on one line, and the same each time.
func shown(text string) string {
	text, _, _ = strings.Cut(text, "Encoded authorization failure message")
	text = requestID.ReplaceAllString(blank.ReplaceAllString(text, " "), "...")
	return cut(strings.TrimSpace(text), 200)
}

// unreached is why no answer came, without what differs each time (a port of ours) and without the SDK's frame.
func unreached(err error) string {
	var name *net.DNSError
	var op *net.OpError
	var u *url.Error
	switch {
	case errors.As(err, &name):
		if name.IsNotFound {
			return "lookup " + name.Name + ": no such host"
		}
		return "lookup " + name.Name + ": the name server does not answer"
	case errors.As(err, &op) && (op.Op == "read" || op.Op == "write" || op.Op == "readfrom"), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		// Who notices first, reader or writer, is chance.
		return "the connection broke off"
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	case errors.As(err, &u):
		return u.Err.Error()
	}
	return shown(err.Error())
}
