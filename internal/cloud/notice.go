package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/addagent/addagent/internal/human"
)

// Notice says why the cloud is about to end this machine, for people: "spot interruption: terminate at 08:22:00Z",
// "Auto Scaling: Terminated"; "" = it is not. A machine ends by a spot interruption (stop, hibernate or terminate,
// announced two minutes ahead), or by its Auto Scaling group. Notice asks for both at once, needs no credentials, and
// takes at most a second. If one says yes, that is the answer, even if the other failed. Otherwise a failure is an
// error.
//
// A group never gives a machine back, but its notice can vanish: a live migration by AWS empties it. So once seen it
// stays, as long as m exists. A spot interruption may be withdrawn: only the last answer counts.
func (m *Metadata) Notice(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var spot, group string
	var spotErr, groupErr error
	var asked sync.WaitGroup
	asked.Go(func() { group, groupErr = m.notice(ctx, "autoscaling/target-lifecycle-state", groupNotice) })
	asked.Go(func() { spot, spotErr = m.notice(ctx, "spot/instance-action", spotNotice) })
	asked.Wait()
	if group != "" {
		m.taken.Store(&group)
	}
	if spot != "" { // first, because it tells the time
		return spot, nil
	}
	if taken := m.taken.Load(); taken != nil {
		return *taken, nil
	}
	if err := cmp.Or(spotErr, groupErr); err != nil { // usually the other has the same error: report one
		return "", fmt.Errorf("metadata: notices: %w", err)
	}
	return "", nil
}

func (m *Metadata) notice(ctx context.Context, path string, read func(string) (string, error)) (string, error) {
	text, err := m.Get(ctx, path)
	switch {
	case errors.Is(err, ErrAbsent):
		return "", nil
	case err != nil:
		return "", err
	}
	return read(text)
}

// spotNotice reads spot/instance-action: {"action": "terminate", "time": "2017-09-18T08:22:00Z"}.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
func spotNotice(text string) (string, error) {
	var said struct{ Action, Time string }
	if json.Unmarshal([]byte(text), &said) != nil {
		return "", errors.New("spot/instance-action: unexpected JSON")
	}
	switch said.Action {
	case "terminate", "stop", "hibernate":
	default:
		return "", fmt.Errorf("spot/instance-action: unknown action %.20q", said.Action)
	}
	why := "spot interruption: " + said.Action
	if at, err := time.Parse(time.RFC3339, said.Time); err == nil { // without a readable time the action still counts
		why += " at " + human.Clock(at)
	}
	return why, nil
}

// groupNotice reads autoscaling/target-lifecycle-state. Only termination is leaving: an instance that goes to Standby
// or Detached lives on, and one that goes to Warmed:Stopped or Warmed:Hibernated is prepared for its pool first, which
// would never finish if it left now.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
func groupNotice(text string) (string, error) {
	switch text {
	case "Terminated", "Warmed:Terminated", "Terminating", "Terminating:Wait", "Terminating:Proceed":
		return "Auto Scaling: " + text, nil
	case "InService", "Standby", "Detached", "Warmed:Running", "Warmed:Stopped", "Warmed:Hibernated":
		return "", nil
	}
	return "", fmt.Errorf("autoscaling/target-lifecycle-state: unknown state %.30q", text)
}
