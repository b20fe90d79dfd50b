package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/work"
)

// Story is what the records tell of one item. `why --json` prints it.
type Story struct {
	Repo     string       `json:"repo"`
	Item     string       `json:"item"`
	Now      Judged       `json:"now"`                // the newest verdict
	At       time.Time    `json:"at"`                 // of the newest verdict
	Beats    int          `json:"beats"`              // beats in a row with this verdict on this version
	First    time.Time    `json:"first"`              // the first of those
	Came     *Look        `json:"came,omitempty"`     // the look that last moved the repository
	CameAt   time.Time    `json:"came_at,omitzero"`   // when
	Decision *Judged      `json:"decision,omitempty"` // the verdict that last made it run
	Started  *Started     `json:"started,omitempty"`
	Ended    *Ended       `json:"ended,omitempty"`
	InHand   *work.InHand `json:"in_hand,omitempty"`
	Next     time.Time    `json:"next"`
	due      *Judged      // the newest verdict that wants a run
}

// Stories reads the decision records, the newest rotated file too, and
// tells what they say of every item of the last beat, in its order.
func Stories(home string) ([]*Story, *Beat, error) {
	all := map[string]*Story{}
	var last *Beat
	err := EachBeat(home, func(b *Beat) {
		last = b
		tellStories(all, b)
	})
	if err != nil {
		return nil, nil, err
	}
	if last == nil {
		return nil, nil, nil
	}
	// Work that ended since the last record stands in beat.json already. One that
	// is damaged tells nothing new.
	if b, err := ReadBeat(home); err == nil && b != nil && b.Seq == last.Seq && b.PID == last.PID {
		last = b
		tellStories(all, b)
	}
	var out []*Story
	for _, j := range last.Items {
		s := all[j.Repo+":"+j.Item]
		s.Next = last.Next
		if h := last.InHand; h != nil && h.Repo == s.Repo && h.Item == s.Item {
			s.InHand = h
		}
		out = append(out, s)
	}
	return out, last, nil
}

// tellStories adds one beat to the stories.
func tellStories(all map[string]*Story, b *Beat) {
	get := func(repo, item string) *Story {
		s := all[repo+":"+item]
		if s == nil {
			s = &Story{Repo: repo, Item: item}
			all[repo+":"+item] = s
		}
		return s
	}
	for _, j := range b.Items {
		s := get(j.Repo, j.Item)
		if s.Now.Verdict != j.Verdict || s.Now.Version != j.Version || s.Now.Why != j.Why {
			s.Beats, s.First = 1, b.Start
		} else if !s.At.Equal(b.Start) { // else it is the same beat once more, with what ended since
			s.Beats++
		}
		s.Now, s.At = j, b.Start
		if j.Due {
			s.due = &j
		}
	}
	for _, l := range b.Looks {
		if !l.Moved {
			continue
		}
		for _, s := range all {
			if s.Repo == l.Repo {
				s.Came, s.CameAt = &l, b.Start
			}
		}
	}
	for _, st := range b.Started {
		s := get(st.Repo, st.Item)
		if s.Started == nil || s.Started.RunID != st.RunID { // what is due under a hold has made nothing run yet
			s.Started, s.Decision = &st, s.due
		}
	}
	for _, e := range b.Ended {
		get(e.Repo, e.Item).Ended = &e
	}
}

// EachBeat reads the decision records: those of the newest rotated file, when there is one, and the current ones.
func EachBeat(home string, do func(*Beat)) error {
	rotated := Rotated(BeatsPath(home))
	for _, path := range append(rotated[max(0, len(rotated)-1):], BeatsPath(home)) {
		if err := eachBeatIn(path, do); err != nil {
			return err
		}
	}
	return nil
}

// eachBeatIn reads one file of decision records. A line that is cut (the disk was
// full, the power went) is passed over: the next one is whole again.
func eachBeatIn(path string, do func(*Beat)) error {
	f, err := files.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var b Beat
			if json.Unmarshal(line, &b) == nil && b.Seq > 0 {
				do(&b)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
}
