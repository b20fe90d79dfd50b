package work

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/strictyaml"
)

// holdName is the file that stops the work of a fleet by one push. It stands in nodework/ or bin/nodework/; all keys
// are optional:
//
//	reason: database migration
//	by: ann
//	until: 2026-03-01T18:00:00Z      # with its zone: Z or +01:00; else until the file goes
//	parts: [ app1, app2 ]            # or one name; else all; with stacktypes too, a node must match both
//	stacktypes: lad1
const holdName = "hold.yaml"

// Hold is a brake that a repository has put on this node's work.
type Hold struct {
	Repo   string    // name of the repository that says so
	File   string    // nodework/hold.yaml or bin/nodework/hold.yaml
	Reason string    // one line, never empty; names the mistake when the file has one
	By     string    // who, "" when the file does not say
	Until  time.Time // UTC; zero = until the file goes
}

// Holds lists what holds a node back at the given time. A brake fails closed: a file with a mistake in it holds every
// node, and its reason names the mistake. Expired ones, and ones for other nodes, are left out. An error means that the
// tree could not be read, so a hold may exist.
func Holds(c Checkout, p Place, now time.Time) ([]Hold, error) {
	var holds []Hold
	for _, dir := range []string{"nodework", "bin/nodework"} {
		entries, err := c.Tree.List(dir)
		if err != nil {
			return nil, fmt.Errorf("look for a hold in %s: list %s: %w", c.Repo, dir, err)
		}
		e := named(entries, holdName)
		if e == nil {
			continue
		}
		file := dir + "/" + holdName
		h, on := Hold{File: file}, true
		if e.Dir || e.Symlink {
			h.Reason = file + ": is not a regular file; holding until it is fixed"
		} else if data, err := c.Tree.Read(file, strictyaml.FileMax); err != nil { // there is a brake, for unknown nodes
			h.Reason = oneLine(fmt.Sprintf("%s: cannot be read: %v; holding until it is fixed", file, err))
		} else {
			h, on = parseHold(file, data, p, now)
		}
		if h.Repo = c.Repo; on {
			holds = append(holds, h)
		}
	}
	return holds, nil
}

// parseHold tells whether a hold file holds this node now.
func parseHold(file string, data []byte, p Place, now time.Time) (Hold, bool) {
	h := Hold{File: file}
	matches := true
	problems := strictyaml.ReadFile(file, data, []string{"reason", "by", "until", "parts", "stacktypes"}, func(y *strictyaml.File, f strictyaml.Field) {
		if key := f.Key.Text; key == "parts" || key == "stacktypes" {
			list, own := y.Names(f), p.Nodepart
			if key == "stacktypes" {
				own = p.Stacktype
			}
			matches = matches && (len(list) == 0 || slices.Contains(list, own))
			return
		}
		s, ok := y.Text(f)
		switch f.Key.Text {
		case "reason":
			h.Reason = oneLine(s)
		case "by":
			h.By = oneLine(s)
		case "until":
			t, wrong := parseUntil(strings.TrimSpace(s))
			if h.Until = t; ok && wrong != "" {
				y.Wrong(f.Key, "until: %s", wrong)
			}
		}
	})
	switch {
	case !h.Until.IsZero() && !now.Before(h.Until):
		return Hold{}, false
	case len(problems) > 0: // with a mistake in it the file may be meant for this node
		return Hold{File: file, Reason: strings.Join(problems, "; ") + "; holding every node until it is fixed"}, true
	}
	h.Reason = cmp.Or(h.Reason, file+" gives no reason")
	return h, matches
}

// parseUntil reads the end of a hold; wrong says what to write instead. A time without a zone is none: the file is read
// all over the world.
func parseUntil(s string) (t time.Time, wrong string) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), ""
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Time{}, fmt.Sprintf("%s has no zone: write %s if UTC is meant", human.Quote(s), human.Stamp(t))
		}
	}
	return time.Time{}, fmt.Sprintf("%s is not a time, as in 2026-03-01T18:00:00Z", human.Quote(s))
}
