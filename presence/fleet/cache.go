package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/node"
)

// cached is refs.json of the cache folder: what the nodes' refs held when they were last read.
type cached struct {
	Filetype string                `json:"filetype"` // "fleetrefs"
	Source   string                `json:"source"`   // the repository, without secrets: another one's nodes are not ours
	Prefix   string                `json:"prefix"`
	At       time.Time             `json:"at"`
	Nodes    map[string]cachedNode `json:"nodes"`
}

type cachedNode struct {
	Commit string    `json:"commit"`
	Told   time.Time `json:"told"`
	Record string    `json:"record,omitempty"` // as it was told; of a broken one the last that was not, if any
	Broken string    `json:"broken,omitempty"` // why what is at Commit is no record
}

const (
	cacheType  = "fleetrefs"
	cacheLimit = 256 << 20 // bytes
)

func (p *place) cacheFile() string { return filepath.Join(p.dir, "refs.json") }

// recall reads the cache. One that is broken is set aside, and then there is none; the note says so.
func (p *place) recall() (map[string]seen, time.Time, notes) {
	var n notes
	data, err := files.ReadSmall(p.cacheFile(), cacheLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]seen{}, time.Time{}, n
	}
	var c cached
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err == nil && c.Filetype != cacheType {
		err = fmt.Errorf("filetype %.40q, not %q", c.Filetype, cacheType)
	}
	if err == nil && (c.Source != p.Source.Redacted() || c.Prefix != p.Prefix) {
		return map[string]seen{}, time.Time{}, n
	}
	all := make(map[string]seen, len(c.Nodes))
	for id, one := range c.Nodes {
		s := seen{told: told{commit: one.Commit, at: sane(one.Told), raw: []byte(one.Record)}, broken: one.Broken}
		if err == nil {
			err = node.ValidID(id)
		}
		if err == nil && one.Record != "" {
			s.record, err = decode(id, s.raw)
		}
		all[id] = s
	}
	if err == nil {
		return all, sane(c.At), n
	}
	aside, asideErr := files.SetAside(p.cacheFile(), "corrupt")
	if asideErr != nil {
		n.add("cache: %v: %v", err, asideErr)
	} else {
		n.add("cache: %v: set aside as %s", err, filepath.Base(aside))
	}
	return map[string]seen{}, time.Time{}, n
}

// remember writes the cache. It only informs: lost, it costs a reading.
func (p *place) remember(all map[string]seen, at time.Time) error {
	c := cached{Filetype: cacheType, Source: p.Source.Redacted(), Prefix: p.Prefix, At: at.UTC(), Nodes: make(map[string]cachedNode, len(all))}
	for id, s := range all {
		c.Nodes[id] = cachedNode{Commit: s.commit, Told: s.at, Record: string(s.raw), Broken: s.broken}
	}
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return files.Replace(p.cacheFile(), append(data, '\n'), 0o600)
}
