package index

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/objects"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/addagent/addagent/presence"
)

// held is a commit in memory: files by path, with their content as id. One that is "down" cannot be read.
type held map[string]string

func (h held) Read(name string, _ int64) ([]byte, error) {
	if _, ok := h[name]; !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(h[name]), nil
}

func (held) Blob(id string, _ int64) ([]byte, error) {
	if id == "down" {
		return nil, errors.New("input/output error")
	}
	return []byte(id), nil
}

func (h held) List(dir string) (list []objects.Entry, _ error) {
	for name, id := range h {
		if base, ok := strings.CutPrefix(name, dir+"/"); ok {
			list = append(list, objects.Entry{Name: base, ID: id})
		}
	}
	return list, nil
}

// TestReadKeeps: a service does not become empty for a file that is garbage, or that cannot be read.
func TestReadKeeps(t *testing.T) {
	file := func(node string) string {
		data, err := presence.EncodeEndpoints([]presence.Endpoint{{Code: "000000", Node: node, IP: "10.0.0.1", Port: 1}})
		testkit.Must(t, err)
		return string(data)
	}
	first, err := Read(held{"service/db.json": file("a"), "service/api.json": file("b")}, "1", Index{})
	if testkit.Must(t, err); len(first.All) != 2 || first.Broken {
		t.Fatalf("%+v", first)
	}
	garbage := held{"service/db.json": "rubbish", "service/api.json": file("c")}
	kept := first
	for range 2 { // it stays broken until it is written again
		if kept, err = Read(garbage, "2", kept); err != nil || !kept.Broken || len(kept.All["db"]) != 1 || kept.All["api"][0].Node != "c" {
			t.Fatalf("%v, %+v", err, kept)
		}
	}
	if kept.Next(Info{}, presence.Fleet{}, time.Time{}) == nil {
		t.Error("a broken index is not written again")
	}
	if got, err := Read(garbage, "2", Index{}); !errors.Is(err, ErrBroken) || !got.Broken || len(got.All) != 1 {
		t.Errorf("nothing before: %v, %+v", err, got)
	}
	for _, before := range []Index{{}, first} {
		if _, err := Read(held{"service/db.json": "down", "service/api.json": file("b")}, "2", before); err == nil || errors.Is(err, ErrBroken) {
			t.Errorf("what cannot be read is taken for gone: %v", err)
		}
	}
}
