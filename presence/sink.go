package presence

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
)

// Sink is one place where records are told. Tell is called at each beat with the record as it is now; what is told
// already, and not so long ago that others would think us late, costs a sink nothing. Only the newest record matters: a
// sink that failed is told again at the next beat. Calls of Tell on one sink do not overlap.
type Sink interface {
	Tell(ctx context.Context, r Record) error
}

// Named is a sink with the name that its troubles have.
type Named struct {
	Name string // "files", "presence", "chat 1", "ec2"
	Sink
}

// Flusher is a sink that tells behind the back of who calls Tell.
type Flusher interface {
	// Flush waits until what Tell was given has arrived, or ctx ends.
	Flush(ctx context.Context) error
}

// Files is the sink on the node itself: presence.json, for people and programs here.
type Files struct {
	file    files.Remembered[Record]
	refresh time.Duration
	told    *Record // last; nil = not known
}

// NewFiles returns the sink that writes presence.json in the folder dir (nodeinfo), which is made when absent. The file is
// written when the record says something new, and else once in refresh for its beat times: a quiet beat writes nothing here.
// So beat_next_by is moved by refresh: it is when the file itself is written again at the latest.
func NewFiles(dir string, refresh time.Duration) *Files {
	return &Files{refresh: refresh, file: files.Remembered[Record]{Path: filepath.Join(dir, "presence.json"), What: "presence file",
		Limit: sizeLimit, Parse: Decode, Public: true}}
}

// Tell writes the record when that is due. A file that is no record, left by a power cut or an editor, is set aside
// as presence.json.corrupt; the error says so, and the new record is written all the same.
func (f *Files) Tell(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("presence file: %w", err)
	}
	corrupt := f.recall()
	if f.told != nil {
		since := second(r.BeatSeen).Sub(f.told.BeatSeen)
		// A clock that was set back makes since negative: written too, or readers would see a beat in the future for long.
		if sameLasting(*f.told, r) && since >= 0 && since < f.refresh {
			return corrupt
		}
	}
	r = normal(r)
	if !r.BeatNextBy.IsZero() {
		r.BeatNextBy = r.BeatNextBy.Add(f.refresh)
	}
	data, err := Encode(r)
	if err != nil {
		return err
	}
	if err := f.file.Put(data); err != nil {
		return errors.Join(corrupt, err)
	}
	f.told = &r
	return corrupt
}

// recall finds out what the file says: at the first call by reading it, then from memory as long as there is a file.
func (f *Files) recall() error {
	if f.told != nil {
		if _, err := os.Lstat(f.file.Path); err != nil {
			f.told = nil
		}
		return nil
	}
	r, ok, err := f.file.Recall()
	if ok {
		f.told = &r
	}
	return err
}
