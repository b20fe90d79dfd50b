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

// Files writes presence.json on the node itself, for people and programs there.
type Files struct {
	file    files.Remembered[presence.Record]
	refresh time.Duration
	told    *presence.Record // what the file says; nil when not known
}

// NewFiles returns the sink that writes presence.json in the folder dir (nodeinfo), which is made when absent. The file
// is written when its content changes, and once in refresh for its beat times. So beat_next_by is moved by refresh: it
// is when the file itself is written again at the latest.
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
		// since is negative after a clock was set back: written too, or readers would see a beat in the future.
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

// recall reads the file at the first call, and later forgets its content when the file is gone.
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
