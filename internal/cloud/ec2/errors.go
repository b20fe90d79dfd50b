package ec2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/addagent/addagent/internal/human"
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

// trouble has a text of our own; what happened is below it, for errors.Is and errors.As.
type trouble struct {
	kind  error // nil = permanent
	text  string
	cause error
}

func (t *trouble) Error() string { return t.text }

func (t *trouble) Unwrap() []error {
	if t.kind == nil {
		return []error{t.cause}
	}
	return []error{t.kind, t.cause}
}

// unheard is a metadata service that does not answer.
func unheard(err error) *trouble { return &trouble{ErrTemporary, err.Error(), err} }

// judge says in our words what an error of a call is.
func judge(err error, action, resource string) *trouble {
	var said *fault
	status := 0
	if errors.As(err, &said) {
		if said.code != "" {
			return refused(said, action, resource)
		}
		status = said.status
	}
	switch {
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
func refused(f *fault, action, resource string) *trouble {
	code := f.code
	switch code {
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
		text := fmt.Sprintf("not permitted: the instance's role must allow %s on %s", action, resource)
		if strings.Contains(f.message, "explicit deny") {
			text += "; a policy denies it explicitly"
		}
		return &trouble{ErrDenied, text, f}
	case "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException", "RequestExpired",
		"RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature",
		"MissingAuthenticationToken", "MissingAuthenticationTokenException":
		// The codes do not tell a wrong clock from keys that are over; the time of the answer does.
		advice := cmp.Or(f.clock, "is the clock right, and the role still there?")
		return &trouble{ErrCredentials, "credentials refused: " + code + "; " + advice, f}
	case "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "InvalidID":
		return &trouble{ErrUnknown, "unknown instance in this region: " + code, f}
	case "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout", "Throttling", "ThrottlingException", "ThrottledException",
		"RequestThrottled", "RequestThrottledException", "RequestLimitExceeded", "BandwidthLimitExceeded", "TooManyRequestsException", "SlowDown",
		"PriorRequestNotComplete", "EC2ThrottledException":
		return &trouble{ErrTemporary, code, f}
	case "ValidationError":
		// The only thing that tells it from other bad parameters is its text.
		if strings.Contains(f.message, "No managed instance found") {
			return &trouble{ErrNoGroup, "the instance is in no Auto Scaling group", f}
		}
	}
	if f.status >= 500 || f.status == http.StatusTooManyRequests {
		return &trouble{ErrTemporary, code, f}
	}
	return &trouble{nil, code + ": " + shown(f.message), f}
}

var (
	blank = regexp.MustCompile(`\s+`)
	// requestID is in some messages; it differs each time.
	requestID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// shown is AWS's own text, short, on one line, and the same each time.
func shown(text string) string {
	text, _, _ = strings.Cut(text, "Encoded authorization failure message")
	text = requestID.ReplaceAllString(human.Line(text), "...")
	return human.Prefix(text, 200)
}

// unreached is why no answer came, without what differs each time (a port of ours) and without the client's frame.
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
