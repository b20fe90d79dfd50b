package ec2

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/secret"
	"github.com/aws/aws-sdk-go-v2/aws"
)

// Both services speak AWS's query protocol: a posted form, answered in XML.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/making-api-requests.html

// answerLimit is where an answer is cut: ours have a few hundred bytes.
const answerLimit = 1 << 20

// versions of the services' forms.
var versions = map[string]string{"ec2": "2016-11-15", "autoscaling": "2011-01-01"}

// answer is what we read of either service's answers.
type answer struct {
	XMLName xml.Name
	Groups  []Group   `xml:"DescribeAutoScalingInstancesResult>AutoScalingInstances>member"`
	EC2     []problem `xml:"Errors>Error"`
	Scaling []problem `xml:"Error"`
}

type problem struct{ Code, Message string }

// fault is an answer that refuses: an error that AWS worded, or, without a code, something that is not from AWS. What
// repeats the credentials is left out of its code and message: AWS quotes what was signed, other servers any header.
type fault struct {
	status        int
	code, message string
	clock         string // what is wrong with this machine's clock, "" = nothing
}

func (f *fault) Error() string   { return cmp.Or(f.code, http.StatusText(f.status)) }
func (f *fault) temporary() bool { return f.status >= 500 || f.status == http.StatusTooManyRequests }
func (f *fault) line() string    { return fmt.Sprintf("%d %s", f.status, http.StatusText(f.status)) }

// readAnswer reads the answer to an action such as "CreateTags".
func readAnswer(action string, status int, body []byte) (answer, *fault) {
	var a answer
	if xml.Unmarshal(body, &a) != nil {
		return answer{}, &fault{status: status}
	}
	if problems := append(a.EC2, a.Scaling...); status != http.StatusOK && len(problems) > 0 {
		return answer{}, &fault{status: status, code: shown(problems[0].Code), message: problems[0].Message}
	}
	if status != http.StatusOK || a.XMLName.Local != action+"Response" {
		return answer{}, &fault{status: status}
	}
	return a, nil
}

// post signs a form, sends it once and reads the answer. No error repeats what was shown to AWS or to a proxy.
func (i *Instance) post(ctx context.Context, c aws.Credentials, service, region, action, form string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.address(service, region), strings.NewReader(form))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("User-Agent", i.options.Agent)
	sum := sha256.Sum256([]byte(form))
	if err := i.signer.SignHTTP(ctx, c, req, hex.EncodeToString(sum[:]), service, region, time.Now()); err != nil {
		return answer{}, err
	}
	_, signature, _ := strings.Cut(req.Header.Get("Authorization"), "Signature=")
	shown := secret.Set{c.AccessKeyID, c.SecretAccessKey, c.SessionToken, signature, secret.OfProxy(i.options.Transport, req)}
	resp, err := i.client.Do(req)
	if err != nil {
		return answer{}, shown.Free(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return answer{}, shown.Free(err)
	}
	a, no := readAnswer(action, resp.StatusCode, body)
	if no == nil && shown.Holds(string(body)) { // it would be taken for the name of a group
		no = &fault{status: resp.StatusCode}
	}
	if no != nil {
		no.code, no.message = shown.Said(no.code), shown.Said(no.message)
		no.clock = strayed(resp.Header.Get("Date"), time.Now())
		return answer{}, no
	}
	return a, nil
}

// strayed compares this clock with the time in an answer's header; "" = close enough for AWS.
func strayed(date string, now time.Time) string {
	const most = 4 * time.Minute // of the five that AWS allows
	there, err := http.ParseTime(date)
	switch {
	case err != nil:
	case now.Sub(there) > most:
		return "this machine's clock is ahead of AWS's"
	case there.Sub(now) > most:
		return "this machine's clock is behind AWS's"
	}
	return ""
}
