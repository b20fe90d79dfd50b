package protocol

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
)

// Greeting is what a server says before it is asked: what it can do and, in v0 and v1, every ref that it has. Of the
// refs only those that were asked for are kept, the others stream by.
type Greeting struct {
	V2   bool
	Caps []string // capabilities, in v2 those of fetch; nil when a server of v0 has no ref at all and does not say
	Refs []Ref    // v0: those with one of the prefixes; HEAD has a Target when the server tells it
}

// maxGreeting bounds a greeting: about a million refs.
const maxGreeting = 64 << 20

// Greet asks a server over HTTP for its greeting in v0.
func (c *Client) Greet(ctx context.Context, o LsOptions) (*Greeting, error) {
	answer, err := c.send(ctx, call{method: http.MethodGet, suffix: "/info/refs", query: "service=" + UploadPack})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	g, err := readGreeting(newLineReader(&capped{r: answer.Body, left: maxGreeting}, *c.shown), o)
	if err == nil {
		drain(answer)
	}
	return g, err
}

// readGreeting reads a greeting, with or without what HTTP puts before it.
func readGreeting(in *lineReader, o LsOptions) (*Greeting, error) {
	line, kind, err := in.message("greeting")
	if err == nil && bytes.HasPrefix(line, []byte("# service=")) { // and a flush
		if _, _, err = in.message("greeting"); err == nil {
			line, kind, err = in.message("greeting")
		}
	}
	g := &Greeting{V2: string(line) == "version 2"}
	if err == nil && (g.V2 || string(line) == "version 1") {
		line, kind, err = in.message("greeting")
	}
	if !g.V2 && err == nil {
		var caps []byte
		line, caps, _ = bytes.Cut(line, []byte{0})
		g.Caps = strings.Fields(string(caps))
		for _, c := range g.Caps {
			if err = g.feature(in, c); err != nil {
				return nil, err
			}
		}
	}
	for lines := 0; err == nil && kind != lineFlush; lines++ {
		switch {
		case !g.V2:
			err = g.ref(in, line, o)
		case kind != lineData || lines > 100:
			err = in.badLine("greeting", line)
		default:
			err = g.feature(in, string(line))
		}
		if err == nil {
			line, kind, err = in.message("greeting")
		}
	}
	if err != nil {
		return nil, err
	}
	g.Refs = in.named(g.Refs)
	return g, nil
}

// feature takes in a line of a greeting in v2, or a capability of v0.
func (g *Greeting) feature(in *lineReader, line string) error {
	switch name, value, _ := strings.Cut(line, "="); {
	case name == "fetch":
		g.Caps = strings.Fields(value)
	case name == "object-format" && value != "sha1":
		return &RemoteError{Text: "the repository names its objects by " + in.words(value) + ", and addagent reads sha1"}
	}
	return nil
}

// ref takes in a line of a greeting in v0.
func (g *Greeting) ref(in *lineReader, line []byte, o LsOptions) error {
	if bytes.HasPrefix(line, []byte("shallow ")) {
		return nil
	}
	if len(line) < 42 || line[40] != ' ' {
		return in.badLine("list of refs", line)
	}
	name := line[41:]
	wanted := func(prefix string) bool { return bytes.HasPrefix(name, []byte(prefix)) }
	if len(o.Prefixes) > 0 && !slices.ContainsFunc(o.Prefixes, wanted) || string(name) == "capabilities^{}" || bytes.HasSuffix(name, []byte("^{}")) {
		return nil
	}
	ref := Ref{ID: string(line[:40]), Name: string(name)}
	if !validID(ref.ID) {
		return in.badLine("list of refs", line)
	}
	if ref.Name == "HEAD" {
		for _, c := range g.Caps {
			if t, ok := strings.CutPrefix(c, "symref=HEAD:"); ok {
				ref.Target = t
			}
		}
	}
	if o.Max == 0 || len(g.Refs) < o.Max {
		g.Refs = append(g.Refs, ref)
	}
	return nil
}

// Can says whether the server has a capability.
func (g *Greeting) Can(capability string) bool {
	return slices.ContainsFunc(g.Caps, func(c string) bool {
		name, _, _ := strings.Cut(c, "=")
		return name == capability
	})
}
