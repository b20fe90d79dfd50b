package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Notice is what the cloud says of the machine's end.
type Notice struct {
	Leaving bool
	Why     string    // for people: "spot interruption: terminate", "Auto Scaling: Terminated"; "" = not leaving
	At      time.Time // when the machine goes, UTC; zero = not said, or now
}

// Notices asks whether this machine is about to go: a spot interruption (stop, hibernate or terminate, two minutes
// ahead), or an Auto Scaling group that takes it away. Both are asked side by side and it takes at most a second. It
// needs no credentials. If one says that the machine goes, that is the answer, whatever became of the other; else an
// answer that cannot be had, or not be understood, is an error, and never leaving.
//
// A group that takes a machine away never gives it back, but its word can vanish: a live migration by AWS empties it. So
// once heard it stays, for as long as m is there. A spot interruption may be withdrawn: only the last answer counts.
func (m *Metadata) Notices(ctx context.Context) (Notice, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	type heard struct {
		notice Notice
		err    error
	}
	other := make(chan heard, 1)
	go func() {
		text, err := m.Get(ctx, "autoscaling/target-lifecycle-state")
		n, err := judge(text, err, groupNotice)
		other <- heard{n, err}
	}()
	text, err := m.Get(ctx, "spot/instance-action")
	spot, spotErr := judge(text, err, spotNotice)
	group := <-other
	if group.notice.Leaving {
		m.taken.Store(&group.notice)
	}
	taken := m.taken.Load()
	switch {
	case spot.Leaving: // it has the time
		return spot, nil
	case taken != nil:
		return *taken, nil
	case spotErr != nil: // most troubles are those of both: said once
		return Notice{}, fmt.Errorf("metadata: notices: %w", spotErr)
	case group.err != nil:
		return Notice{}, fmt.Errorf("metadata: notices: %w", group.err)
	}
	return Notice{}, nil
}

func judge(text string, err error, read func(string) (Notice, error)) (Notice, error) {
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
		return Notice{}, errors.New("spot/instance-action: not the JSON it should be")
	}
	switch said.Action {
	case "terminate", "stop", "hibernate":
	default:
		return Notice{}, fmt.Errorf("spot/instance-action: no known action: %.20q", said.Action)
	}
	n := Notice{Leaving: true, Why: "spot interruption: " + said.Action}
	// A time that cannot be read makes the action no less true.
	if at, err := time.Parse(time.RFC3339, said.Time); err == nil {
		n.At = at.UTC()
	}
	return n, nil
}

// groupNotice reads autoscaling/target-lifecycle-state. Of its steady states only the end is leaving: an instance that
// goes to Standby or Detached lives on, and one that goes to Warmed:Stopped or Warmed:Hibernated is made ready for its
// pool first, which would never finish if it left now.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
func groupNotice(text string) (Notice, error) {
	switch text {
	case "Terminated", "Warmed:Terminated", "Terminating", "Terminating:Wait", "Terminating:Proceed":
		return Notice{Leaving: true, Why: "Auto Scaling: " + text}, nil
	case "InService", "Standby", "Detached", "Warmed:Running", "Warmed:Stopped", "Warmed:Hibernated":
		return Notice{}, nil
	}
	return Notice{}, fmt.Errorf("autoscaling/target-lifecycle-state: no known state: %.30q", text)
}
