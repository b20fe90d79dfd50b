package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Notice says whether the cloud is about to end the machine.
type Notice struct {
	Leaving bool
	Why     string    // for people: "spot interruption: terminate", "Auto Scaling: Terminated"; "" = not leaving
	At      time.Time // when, UTC; zero = not known, or now
}

// Notices asks whether this machine is about to end: by a spot interruption (stop, hibernate or terminate, announced
// two minutes ahead), or by its Auto Scaling group. It asks both at once, needs no credentials, and takes at most a
// second. If one says yes, that is the answer, even if the other failed. Otherwise a failure is an error, never
// Leaving.
//
// A group never gives a machine back, but its notice can vanish: a live migration by AWS empties it. So once seen it
// stays, as long as m exists. A spot interruption may be withdrawn: only the last answer counts.
func (m *Metadata) Notices(ctx context.Context) (Notice, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var spot, group Notice
	var spotErr, groupErr error
	var asked sync.WaitGroup
	asked.Go(func() { group, groupErr = m.notice(ctx, "autoscaling/target-lifecycle-state", groupNotice) })
	asked.Go(func() { spot, spotErr = m.notice(ctx, "spot/instance-action", spotNotice) })
	asked.Wait()
	if group.Leaving {
		m.taken.Store(&group)
	}
	taken := m.taken.Load()
	switch {
	case spot.Leaving: // first, because it tells the time
		return spot, nil
	case taken != nil:
		return *taken, nil
	case spotErr != nil: // usually the other has the same error: report one
		return Notice{}, fmt.Errorf("metadata: notices: %w", spotErr)
	case groupErr != nil:
		return Notice{}, fmt.Errorf("metadata: notices: %w", groupErr)
	}
	return Notice{}, nil
}

func (m *Metadata) notice(ctx context.Context, path string, read func(string) (Notice, error)) (Notice, error) {
	text, err := m.Get(ctx, path)
	switch {
	case errors.Is(err, ErrAbsent):
		return Notice{}, nil
	case err != nil:
		return Notice{}, err
	}
	return read(text)
}

// spotNotice reads spot/instance-action: {"action": "terminate", "time": "2017-09-18T08:22:00Z"}.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
func spotNotice(text string) (Notice, error) {
	var said struct{ Action, Time string }
	if json.Unmarshal([]byte(text), &said) != nil {
		return Notice{}, errors.New("spot/instance-action: unexpected JSON")
	}
	switch said.Action {
	case "terminate", "stop", "hibernate":
	default:
		return Notice{}, fmt.Errorf("spot/instance-action: unknown action %.20q", said.Action)
	}
	n := Notice{Leaving: true, Why: "spot interruption: " + said.Action}
	// Without a readable time the action still counts.
	if at, err := time.Parse(time.RFC3339, said.Time); err == nil {
		n.At = at.UTC()
	}
	return n, nil
}

// groupNotice reads autoscaling/target-lifecycle-state. Only termination is leaving: an instance that goes to Standby
// or Detached lives on, and one that goes to Warmed:Stopped or Warmed:Hibernated is prepared for its pool first, which
// would never finish if it left now.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
func groupNotice(text string) (Notice, error) {
	switch text {
	case "Terminated", "Warmed:Terminated", "Terminating", "Terminating:Wait", "Terminating:Proceed":
		return Notice{Leaving: true, Why: "Auto Scaling: " + text}, nil
	case "InService", "Standby", "Detached", "Warmed:Running", "Warmed:Stopped", "Warmed:Hibernated":
		return Notice{}, nil
	}
	return Notice{}, fmt.Errorf("autoscaling/target-lifecycle-state: unknown state %.30q", text)
}
