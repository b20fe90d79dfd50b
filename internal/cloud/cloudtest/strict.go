package cloudtest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// AWS is EC2 and Auto Scaling as AWS answers: moto, and in front of it the refusals that moto leaves out, in AWS's
// words, and the calls that it lacks. It does what the node's side needs; another action is a 400.
type AWS struct {
	URL string

	tb     testing.TB
	moto   string
	client *http.Client
	server *httptest.Server

	mu     sync.Mutex
	calls  []Call
	denied map[string]bool
	broken map[string][]refusal // what the next calls of an action are answered with
	states map[string]string    // of instances in a group, where moto's is not the one

	launched map[string]launch // by client token
	key      string
	secret   string
	ahead    time.Duration
}

// Strict starts it, to end with the test.
func Strict(tb testing.TB, moto *Moto) *AWS {
	tb.Helper()
	a := &AWS{tb: tb, moto: moto.URL(tb), client: &http.Client{Transport: &http.Transport{Proxy: nil}, Timeout: time.Minute},
		denied: map[string]bool{}, broken: map[string][]refusal{}, states: map[string]string{}, launched: map[string]launch{}}
	a.server = httptest.NewServer(a)
	a.URL = a.server.URL
	tb.Cleanup(func() {
		a.server.CloseClientConnections()
		a.server.Close()
		a.client.CloseIdleConnections()
	})
	return a
}

// Deny takes away permissions, named as in a policy: "ec2:CreateTags".
func (a *AWS) Deny(actions ...string) { a.permit(false, actions) }

// Allow gives them back.
func (a *AWS) Allow(actions ...string) { a.permit(true, actions) }

func (a *AWS) permit(may bool, actions []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, action := range actions {
		a.denied[action] = !may
	}
}

// OnlyKey accepts no other access key from now on.
func (a *AWS) OnlyKey(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.key = key
}

// OnlySecret accepts from now on only what was signed with this secret, within five minutes.
func (a *AWS) OnlySecret(secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secret = secret
}

// SetClock has AWS's clock go ahead of this machine's.
func (a *AWS) SetClock(ahead time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ahead = ahead
}

// Throttle refuses the next calls of an action as too many.
func (a *AWS) Throttle(action string, times int) {
	r := refusal{http.StatusBadRequest, "Throttling", "Rate exceeded"}
	if strings.HasPrefix(action, "ec2:") {
		r = refusal{http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded."}
	}
	a.breakNext(action, times, r)
}

// Fail refuses the next calls of an action with an error of one's own.
func (a *AWS) Fail(action string, times, status int, code, message string) {
	a.breakNext(action, times, refusal{status, code, message})
}

// FailPage is what stands before the service when it is down: a page, no XML.
func (a *AWS) FailPage(action string, times, status int) {
	a.breakNext(action, times, refusal{status: status})
}

// Hang lets the next calls of an action go unanswered.
func (a *AWS) Hang(action string, times int) { a.breakNext(action, times, refusal{}) }

func (a *AWS) breakNext(action string, times int, r refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken[action] = slices.Repeat([]refusal{r}, times)
}

// Calls are all requests so far, in order, those that were refused too; with actions, only theirs.
func (a *AWS) Calls(actions ...string) []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.calls), func(c Call) bool { return len(actions) > 0 && !slices.Contains(actions, c.Action) })
}

func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	form, err := url.ParseQuery(string(body))
	who := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if who == nil || err != nil || r.Method != http.MethodPost {
		refusal{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}.write(w, "ec2")
		return
	}
	service := who[3]
	now := a.now()
	w.Header().Set("Date", now.Format(http.TimeFormat))
	call := Call{Action: service + ":" + form.Get("Action"), Form: form, AccessKey: who[1], Token: r.Header.Get("X-Amz-Security-Token"), UserAgent: r.UserAgent()}
	switch no := a.judge(call, a.authentic(r, body, call, now)); {
	case no == nil:
	case *no == refusal{}:
		<-r.Context().Done()
		return
	case no.code == "":
		w.WriteHeader(no.status)
		fmt.Fprint(w, "<html><body>Service Unavailable</body></html>")
		return
	default:
		no.write(w, service)
		return
	}
	if call.Action == "autoscaling:CompleteLifecycleAction" {
		a.SetState(form.Get("InstanceId"), "InService")
		fmt.Fprint(w, `<CompleteLifecycleActionResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><CompleteLifecycleActionResult/><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></CompleteLifecycleActionResponse>`)
		return
	}
	a.pass(w, r, call, body)
}

// pass lets moto answer; to a launch under a token that it had, with what it said then.
func (a *AWS) pass(w http.ResponseWriter, r *http.Request, call Call, body []byte) {
	token := ""
	if call.Action == "ec2:RunInstances" {
		token = call.Form.Get("ClientToken")
	}
	a.mu.Lock()
	before, had := a.launched[token]
	a.mu.Unlock()
	if had && token != "" {
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.Write(before.answer)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, a.moto, strings.NewReader(string(body)))
	if err != nil {
		a.tb.Errorf("moto: %s: %v", call.Action, err)
		return
	}
	req.Header = r.Header.Clone()
	resp, answer, err := a.forward(req)
	if err != nil {
		if r.Context().Err() == nil {
			a.tb.Errorf("moto: %s: %v", call.Action, err)
		}
		return
	}
	if call.Action == "autoscaling:DescribeAutoScalingInstances" {
		answer = a.restate(answer)
	}
	if token != "" && resp.StatusCode == http.StatusOK {
		a.mu.Lock()
		a.launched[token] = launch{cloned(call.Form).Encode(), answer}
		a.mu.Unlock()
	}
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(answer)
}

// described is an instance in moto's answer.
var described = regexp.MustCompile(`(?s)<member>.*?</member>`)

// restate puts in the states that moto does not have.
func (a *AWS) restate(answer []byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return described.ReplaceAllFunc(answer, func(one []byte) []byte {
		for instance, state := range a.states {
			if strings.Contains(string(one), "<InstanceId>"+instance+"</InstanceId>") {
				one = regexp.MustCompile(`<LifecycleState>[^<]*<`).ReplaceAll(one, []byte("<LifecycleState>"+state+"<"))
			}
		}
		return one
	})
}

// judge records a call and says what AWS has against it, or against who signed it.
func (a *AWS) judge(c Call, forged *refusal) *refusal {
	a.mu.Lock()
	a.calls = append(a.calls, c)
	denied, key := a.denied[c.Action], a.key
	var broken *refusal
	if next := a.broken[c.Action]; len(next) > 0 {
		broken, a.broken[c.Action] = &next[0], next[1:]
	}
	a.mu.Unlock()
	check, known := map[string]func(url.Values) *refusal{
		"ec2:CreateTags":        a.createTags,
		"ec2:DescribeInstances": func(url.Values) *refusal { return nil },
		"ec2:StartInstances":    func(f url.Values) *refusal { return a.instances(list(f, "InstanceId", "")) },
		"ec2:StopInstances":     func(f url.Values) *refusal { return a.instances(list(f, "InstanceId", "")) },
		"ec2:RunInstances":      a.runInstances,
		"ec2:TerminateInstances": func(f url.Values) *refusal {
			return a.instances(list(f, "InstanceId", ""))
		},
		"autoscaling:DescribeAutoScalingInstances":        func(url.Values) *refusal { return nil },
		"autoscaling:SetInstanceHealth":                   a.setHealth,
		"autoscaling:TerminateInstanceInAutoScalingGroup": a.terminateInGroup,
		"autoscaling:CompleteLifecycleAction":             a.completeLifecycle,
	}[c.Action]
	switch {
	case broken != nil:
		return broken
	case key != "" && c.AccessKey != key:
		return unknownKey(c)
	case forged != nil:
		return forged
	case denied:
		return unauthorized(c)
	case !known:
		return &refusal{http.StatusBadRequest, "InvalidAction", "The action " + c.Action + " is not valid for this web service."}
	}
	if no := check(c.Form); no != nil {
		return no
	}
	if c.DryRun() {
		return &refusal{http.StatusPreconditionFailed, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."}
	}
	return nil
}

func unknownKey(c Call) *refusal {
	if strings.HasPrefix(c.Action, "ec2:") {
		return &refusal{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	}
	return &refusal{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid."}
}

// unauthorized is AWS's wording, with the blob of EC2's that is another one each time.
func unauthorized(c Call) *refusal {
	text := "User: arn:aws:sts::123456789012:assumed-role/node/" + InstanceID + " is not authorized to perform: " + c.Action +
		" on resource: arn:aws:" + strings.SplitN(c.Action, ":", 2)[0] + ":" + Region + ":123456789012:* because no identity-based policy allows the " + c.Action + " action"
	if strings.HasPrefix(c.Action, "ec2:") {
		return &refusal{http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation. " + text +
			". Encoded authorization failure message: " + strconv.FormatInt(time.Now().UnixNano(), 36)}
	}
	return &refusal{http.StatusForbidden, "AccessDenied", text}
}

func invalid(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, "InvalidParameterValue", fmt.Sprintf(format, args...)}
}

func validation(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, "ValidationError", fmt.Sprintf(format, args...)}
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions, with tags in metadata turned on
func (a *AWS) createTags(f url.Values) *refusal {
	if no := a.instances(list(f, "ResourceId", "")); no != nil {
		return no
	}
	keys, values := list(f, "Tag", ".Key"), list(f, "Tag", ".Value")
	if len(keys) == 0 {
		return &refusal{http.StatusBadRequest, "MissingParameter", "The request must contain the parameter tagSet"}
	}
	for i, key := range keys {
		switch {
		case utf8.RuneCountInString(key) > 128:
			return invalid("Tag key exceeds the maximum length of 128 characters")
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return invalid("Tag keys starting with 'aws:' are reserved for internal use")
		case slices.Contains(keys[:i], key):
			return invalid("Duplicate tag key '%s' specified.", key)
		case !metadataKey.MatchString(key) || key == "." || key == ".." || key == "_index":
			return invalid("'%s' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name ('.', '..', '_index')", key)
		}
	}
	for _, value := range values {
		switch {
		case utf8.RuneCountInString(value) > 256:
			return invalid("Tag value exceeds the maximum length of 256 characters")
		case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
			return invalid("The tag value contains characters that are not valid")
		}
	}
	return nil
}

var (
	metadataKey  = regexp.MustCompile(`^[0-9a-zA-Z\-_+=,.@:]+$`)
	instanceForm = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)
)

func (a *AWS) instances(ids []string) *refusal {
	if len(ids) == 0 {
		return &refusal{http.StatusBadRequest, "MissingParameter", "The request must contain the parameter resourceIdSet"}
	}
	for _, id := range ids {
		switch {
		case !strings.HasPrefix(id, "i-"):
			return &refusal{http.StatusBadRequest, "InvalidID", fmt.Sprintf("The ID '%s' is not valid", id)}
		case !instanceForm.MatchString(id):
			return &refusal{http.StatusBadRequest, "InvalidInstanceID.Malformed", fmt.Sprintf("Invalid id: \"%s\"", id)}
		case a.Running(id) == "":
			return &refusal{http.StatusBadRequest, "InvalidInstanceID.NotFound", fmt.Sprintf("The instance ID '%s' does not exist", id)}
		}
	}
	return nil
}

func noMember(id string) *refusal {
	return validation("Instance Id not found - No managed instance found for instance ID: %s", id)
}

func (a *AWS) setHealth(f url.Values) *refusal {
	if status := f.Get("HealthStatus"); status != "Healthy" && status != "Unhealthy" {
		return validation("Invalid value for the parameter HealthStatus: %s", status)
	}
	if _, ok := a.member(f.Get("InstanceId")); !ok {
		return noMember(f.Get("InstanceId"))
	}
	return nil
}

func (a *AWS) terminateInGroup(f url.Values) *refusal {
	if !f.Has("ShouldDecrementDesiredCapacity") {
		return validation("1 validation error detected: Value null at 'shouldDecrementDesiredCapacity' failed to satisfy constraint: Member must not be null")
	}
	if _, ok := a.member(f.Get("InstanceId")); !ok {
		return noMember(f.Get("InstanceId"))
	}
	return nil
}

func (a *AWS) completeLifecycle(f url.Values) *refusal {
	for _, name := range []string{"AutoScalingGroupName", "LifecycleHookName", "LifecycleActionResult", "InstanceId"} {
		if f.Get(name) == "" {
			return validation("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", name)
		}
	}
	if result := f.Get("LifecycleActionResult"); result != "CONTINUE" && result != "ABANDON" {
		return validation("Invalid Lifecycle Action Result: %s", result)
	}
	id := f.Get("InstanceId")
	m, ok := a.member(id)
	if !ok || m.group != f.Get("AutoScalingGroupName") || !strings.HasSuffix(m.state, "Pending:Wait") || !slices.Contains(a.hooks(m.group), f.Get("LifecycleHookName")) {
		return validation("No active Lifecycle Action found with instance ID %s", id)
	}
	return nil
}
