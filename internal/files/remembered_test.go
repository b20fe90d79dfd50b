package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type note struct {
	Name string `json:"name"`
}

func TestRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "note.json")
	r := Remembered[note]{Path: path, What: "note"}
	if v, ok, err := r.Recall(); ok || err != nil || v != (note{}) {
		t.Fatalf("none: %v %v %v", v, ok, err)
	}
	for _, r := range []Remembered[note]{r, {Path: path, Durable: true, Public: true, Indent: "  "}} {
		if err := r.Save(note{"<a>"}); err != nil {
			t.Fatal(err)
		}
		if v, ok, err := r.Recall(); !ok || err != nil || v.Name != "<a>" {
			t.Errorf("%v %v %v", v, ok, err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "{\n  \"name\": \"<a>\"\n}\n" {
		t.Errorf("%s %v", data, err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", info, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v %v", info, err)
	}
	if err := errors.Join(r.Forget(), r.Forget()); err != nil {
		t.Error(err)
	}
	if _, ok, err := r.Peek(); ok || err != nil {
		t.Errorf("forgotten: %v %v", ok, err)
	}
}

// Whatever is not what was written is set aside once, and named, and then there is none. A peek leaves it.
func TestRememberedIsCorrupt(t *testing.T) {
	parse := func(data []byte) (note, error) {
		if string(data) != "good" {
			return note{"partly"}, errors.New("not good")
		}
		return note{"good"}, nil
	}
	for what, c := range map[string]struct {
		content string // "folder" = one with something in it
		parse   func([]byte) (note, error)
		want    string
	}{
		"cut":     {content: `{"name": "x`, want: "unexpected end of JSON input"},
		"empty":   {content: "", want: "unexpected end of JSON input"},
		"twice":   {content: "{}{}", want: "after top-level value"},
		"parsed":  {content: "bad", parse: parse, want: "not good"},
		"large":   {content: strings.Repeat(" ", 65), want: "too large"},
		"a place": {content: "folder", want: "is a folder, not a file"},
	} {
		path := filepath.Join(t.TempDir(), "note.json")
		var err error
		if c.content == "folder" {
			err = os.MkdirAll(filepath.Join(path, "x"), 0o700)
		} else {
			err = os.WriteFile(path, []byte(c.content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		r := Remembered[note]{Path: path, What: "note", Limit: 64, Parse: c.parse}
		var corrupt *Corrupt
		if v, ok, err := r.Peek(); ok || v != (note{}) || !errors.As(err, &corrupt) || corrupt.Aside != "" || !strings.HasPrefix(err.Error(), "note: ") {
			t.Errorf("%s: peek: %v %v %v", what, v, ok, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: after a peek: %v", what, err)
		}
		v, ok, err := r.Recall()
		if ok || v != (note{}) || !errors.As(err, &corrupt) || corrupt.Aside != path+".corrupt" ||
			!strings.HasPrefix(err.Error(), "note: ") || !strings.Contains(err.Error(), c.want) || !strings.HasSuffix(err.Error(), ": set aside as "+path+".corrupt") {
			t.Errorf("%s: %v %v %v", what, v, ok, err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: still there: %v", what, err)
		}
		if _, ok, err := r.Recall(); ok || err != nil {
			t.Errorf("%s: again: %v %v", what, ok, err)
		}
	}
}

// TestRememberedInAFile: a file in place of the folder holds nothing that could be read, and goes aside for what is
// written.
func TestRememberedInAFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := Remembered[note]{Path: filepath.Join(dir, "file", "note.json"), What: "note"}
	if _, ok, err := r.Recall(); ok || err == nil || errors.As(err, new(*Corrupt)) {
		t.Errorf("%v %v", ok, err)
	}
	if err := r.Save(note{}); err != nil {
		t.Errorf("%v", err)
	}
	if _, ok, err := r.Recall(); !ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "file.corrupt")); err != nil {
		t.Error(err)
	}
	r.Path = "/proc/none/note.json"
	if err := r.Save(note{}); err == nil || !strings.HasPrefix(err.Error(), "note: mkdir ") {
		t.Errorf("%v", err)
	}
}
