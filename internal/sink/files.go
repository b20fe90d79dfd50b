package sink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/presence"
)

// Files is the sink on the node itself: presence.json, for people and programs here.
type Files struct {
	file    files.Remembered[presence.Record]
	refresh time.Duration
	told    *presence.Record // last; nil = not known
}

// NewFiles returns the sink that writes presence.json in the folder dir (nodeinfo), which is made when absent. The
// file is written when the record says something new, and else once in refresh for its beat times: a quiet beat
// writes nothing here. So beat_next_by is moved by refresh: it is when the file itself is written again at the
// latest.
func NewFiles(dir string, refresh time.Duration) *Files {
	return &Files{refresh: refresh, file: files.Remembered[presence.Record]{Path: filepath.Join(dir, "presence.json"), What: "presence file",
		Limit: presence.MaxRecordSize, Parse: presence.Decode, Public: true}}
}

// Tell writes the record when that is due. A file that is no record, left by a power cut or an editor, is set aside
// as presence.json.corrupt; the error says so, and the new record is written all the same.
func (f *Files) Tell(ctx context.Context, r presence.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("presence file: %w", err)
	}
	corrupt := f.recall()
	if f.told != nil {
		since := presence.WholeSecond(r.BeatSeen).Sub(f.told.BeatSeen)
		// A clock that was set back makes since negative: written too, or readers would see a beat in the future for
		// long.
		if presence.SameContent(*f.told, r) && since >= 0 && since < f.refresh {
			return corrupt
		}
	}
	r = presence.Normalize(r)
	if !r.BeatNextBy.IsZero() {
		r.BeatNextBy = r.BeatNextBy.Add(f.refresh)
	}
	data, err := presence.Encode(r)
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
