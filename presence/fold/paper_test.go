package fold

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/git/objects"
)

// paper is a tree that no git has seen: contents by path.
type paper map[string][]byte

func (p paper) Read(name string, _ int64) ([]byte, error) {
	if data, ok := p[name]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (p paper) Blob(id string, limit int64) ([]byte, error) { return p.Read(id, limit) }

// List gives each file its own path as its id.
func (p paper) List(dir string) ([]objects.Entry, error) {
	var all []objects.Entry
	for path := range p {
		rest := path
		if dir != "" {
			var below bool
			if rest, below = strings.CutPrefix(path, dir+"/"); !below {
				continue
			}
		}
		name, _, deeper := strings.Cut(rest, "/")
		e := objects.Entry{Name: name, ID: path, Dir: deeper}
		if !slices.ContainsFunc(all, func(o objects.Entry) bool { return o.Name == name }) {
			all = append(all, e)
		}
	}
	return all, nil
}
