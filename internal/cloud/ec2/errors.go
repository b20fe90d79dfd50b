package ec2

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/addagent/addagent/internal/cloud"
	"github.com/addagent/addagent/internal/human"
)

// Kinds of errors, for errors.Is.
var (
	// ErrDenied: a policy is missing; the text names the action and the resource to allow.
	ErrDenied = errors.New("not permitted")
	// ErrCredentials: there are none, or AWS refuses them.
	ErrCredentials = errors.New("no credentials")
	// ErrTemporary: throttled, out of order, unreachable or silent: worth another try later.
	ErrTemporary = errors.New("temporary")
	// ErrUnknown: AWS has no such instance in this region.
	ErrUnknown = errors.New("unknown instance")
)

// trouble is an error with a text of our own.
type trouble struct {
	kind  error // nil = permanent
	text  string
	cause error // nil = nothing below it
}

func (t *trouble) Error() string        { return t.text }
func (t *trouble) Unwrap() error        { return t.cause }
func (t *trouble) Is(target error) bool { return t.kind != nil && target == t.kind }

// judge words the error of a call.
func judge(err error, action, resource string) *trouble {
	var said *fault
	switch {
	case errors.As(err, &said) && said.code != "":
		return refused(said, action, resource)
	case said != nil && said.temporary():
		return &trouble{ErrTemporary, said.line(), err}
	case said != nil: // a portal, or a server that is not AWS
		return &trouble{nil, said.line() + ", and not an answer of AWS", err}
	case errors.Is(err, context.Canceled):
		return &trouble{nil, "canceled", err}
	case errors.Is(err, context.DeadlineExceeded):
		return &trouble{ErrTemporary, "no answer in time", err}
	}
	return &trouble{ErrTemporary, "not reached: " + shown(cloud.Unreached(err)), err}
}

// The codes of errors that AWS itself worded, by what they mean for us.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
var (
	deniedCodes     = regexp.MustCompile(`^(UnauthorizedOperation|AccessDenied(Exception)?)$`)
	credentialCodes = regexp.MustCompile(`^AuthFailure$|^InvalidClientTokenId$|^UnrecognizedClient|Expired|^RequestInTheFuture$|TooSkewed|Signature|AuthenticationToken`)
	unknownCodes    = regexp.MustCompile(`^InvalidInstanceID\.|^InvalidID$`)
	temporaryCodes  = regexp.MustCompile(`^Internal(Error|Failure)$|Unavailable$|Timeout$|Throttl|^(Request|Bandwidth)LimitExceeded$|^TooManyRequests|^SlowDown$|^PriorRequestNotComplete$`)
)

func refused(f *fault, action, resource string) *trouble {
	switch {
	case deniedCodes.MatchString(f.code):
		text := "not permitted: the instance's role must allow " + action + " on " + resource
		if strings.Contains(f.message, "explicit deny") {
			text += "; a policy denies it explicitly"
		}
		return &trouble{ErrDenied, text, f}
	case credentialCodes.MatchString(f.code):
		// The codes do not tell a wrong clock from expired keys; the time of the answer does.
		advice := cmp.Or(f.clock, "check the clock and the instance's role")
		return &trouble{ErrCredentials, "credentials refused: " + f.code + "; " + advice, f}
	case unknownCodes.MatchString(f.code):
		return &trouble{ErrUnknown, "unknown instance in this region: " + f.code, f}
	// Other bad parameters have the same code.
	case f.code == "ValidationError" && strings.Contains(f.message, "No managed instance found"):
		return &trouble{nil, "the instance is in no Auto Scaling group", f}
	case temporaryCodes.MatchString(f.code) || f.temporary():
		return &trouble{ErrTemporary, f.code, f}
	}
	return &trouble{nil, f.code + ": " + shown(f.message), f}
}

// requestID is in some messages, and differs each time.
var requestID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// shown is a text of AWS's own, short, on one line, and the same each time.
func shown(text string) string {
	text, _, _ = strings.Cut(text, "Encoded authorization failure message")
	return human.Prefix(requestID.ReplaceAllString(human.Line(text), "..."), 200)
}
