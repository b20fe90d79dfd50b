package web

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/fleet/web/page"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/human"
)

func sumOf(data []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(data)) }

// ExportWindow is how much of the history an export has at most.
const ExportWindow = 7 * 24 * time.Hour

// dataFile is the data of an export, a script: a page that was opened as a file may read no other kind.
const dataFile = "data.js"

// temporaryPrefix begins the names of files that have not taken their place.
const temporaryPrefix = ".new-"

// Export reads once and writes the page as files, with its data inside. All files are complete on the disk before the
// first one takes its place, and the data comes last. A reading that fails writes nothing. It returns how many nodes
// the page shows.
func (h *Hub) Export(ctx context.Context, dir string) (nodes int, err error) {
	h.Read(ctx)
	h.ReadSlow(ctx)
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	list, nodes, err := h.exported(time.Now())
	if err != nil {
		return 0, err
	}
	return nodes, writeExport(dir, list)
}

type exportFile struct {
	name string
	data []byte
}

func (h *Hub) exported(now time.Time) ([]exportFile, int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range []*Failure{h.parts.Error, h.unlisted} {
		if f != nil {
			return nil, 0, errors.New(f.Text)
		}
	}
	window := min(h.Window, ExportWindow)
	history, err := h.past.part(now.Add(-window), now, "").encode()
	if err != nil {
		return nil, 0, err
	}
	span := human.Setting(window)
	if days := int(window / (24 * time.Hour)); days > 0 {
		span = human.Count(days, "day")
	}
	note := "The history of the last " + span + " is here. What was before is left out: addctl log shows it."
	data, err := page.DataScript(h.encode(0, now), history, note)
	if err != nil {
		return nil, 0, fmt.Errorf("export: %w", err)
	}
	return []exportFile{{"page.css", page.Style()}, {"page.js", page.Script()}, {"index.html", page.ExportHTML()}, {dataFile, data}}, len(h.fleet.Nodes), nil
}

// writeExport writes the files below a folder, which is made, is empty, or has an export.
func writeExport(dir string, list []exportFile) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	// What an export left that was killed is ours.
	foreign := func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), temporaryPrefix) }
	if there, err := os.ReadDir(dir); err != nil {
		return fmt.Errorf("export: %w", err)
	} else if _, absent := os.Stat(filepath.Join(dir, dataFile)); slices.ContainsFunc(there, foreign) && errors.Is(absent, fs.ErrNotExist) {
		return fmt.Errorf("export: %s has other files: give a new folder, or one with an export", dir)
	}
	temporary := make([]string, len(list))
	defer func() {
		for _, name := range temporary {
			if name != "" {
				_ = os.Remove(name)
			}
		}
	}()
	for i, f := range list {
		t, err := os.CreateTemp(dir, temporaryPrefix+"*")
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		temporary[i] = t.Name()
		_, werr := t.Write(f.data)
		if err := errors.Join(werr, t.Chmod(0o644), t.Sync(), t.Close()); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	for i, f := range list {
		if err := os.Rename(temporary[i], filepath.Join(dir, f.name)); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		temporary[i] = ""
	}
	return files.SyncFolder(dir)
}
