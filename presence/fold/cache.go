package fold

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/presence"
)

// cached is refs.json of the cache folder: the nodes' refs as they were last read.
type cached struct {
	Filetype string                `json:"filetype"` // "fleetrefs"
	Source   string                `json:"source"`   // the repository, without secrets
	Prefix   string                `json:"prefix"`
	At       time.Time             `json:"at"`
	Nodes    map[string]cachedNode `json:"nodes"`
	seen     map[string]seen       // Nodes as they are read
}

type cachedNode struct {
	Commit string    `json:"commit"`
	Told   time.Time `json:"told"`
	Record string    `json:"record,omitempty"` // as it was pushed; if that is broken, the last good one, if any
	Broken string    `json:"broken,omitempty"` // why Commit holds no valid record
}

const (
	cacheType  = "fleetrefs"
	cacheLimit = 256 << 20 // bytes
)

func (p *repository) cacheFile() files.Remembered[cached] {
	return files.Remembered[cached]{Path: filepath.Join(p.dir, "refs.json"), What: "cache", Limit: cacheLimit, Parse: p.parseCache}
}

// parseCache reads the cache. One of another repository counts as empty.
func (p *repository) parseCache(data []byte) (c cached, err error) {
	if err := json.Unmarshal(data, &c); err != nil {
		return c, err
	}
	if c.Filetype != cacheType {
		return c, fmt.Errorf("filetype %.40q, not %q", c.Filetype, cacheType)
	}
	if c.Source != p.Source.Redacted() || c.Prefix != p.Prefix {
		return cached{}, nil
	}
	c.seen = make(map[string]seen, len(c.Nodes))
	for id, one := range c.Nodes {
		if err := node.ValidID(id); err != nil {
			return c, err
		}
		s := seen{statement: statement{commit: one.Commit, at: presence.SaneTime(one.Told), raw: []byte(one.Record)}, broken: one.Broken}
		if one.Record != "" {
			if s.record, err = decode(id, s.raw); err != nil {
				return c, err
			}
		}
		c.seen[id] = s
	}
	return c, nil
}

// recall reads the cache. A broken one is set aside, with a note.
func (p *repository) recall() (map[string]seen, time.Time, notes) {
	var n notes
	c, _, err := p.cacheFile().Recall()
	if err != nil {
		n.add("%v", err)
	}
	if c.seen == nil {
		c.seen = map[string]seen{}
	}
	return c.seen, presence.SaneTime(c.At), n
}

// remember writes the cache. A lost one costs a reading.
func (p *repository) remember(all map[string]seen, at time.Time) error {
	c := cached{Filetype: cacheType, Source: p.Source.Redacted(), Prefix: p.Prefix, At: at.UTC(), Nodes: make(map[string]cachedNode, len(all))}
	for id, s := range all {
		c.Nodes[id] = cachedNode{Commit: s.commit, Told: s.at, Record: string(s.raw), Broken: s.broken}
	}
	return p.cacheFile().Save(c)
}
