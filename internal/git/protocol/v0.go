package protocol

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Advert is what a server of protocol v0 or v1 says before it is asked: every ref it has. Only those that were asked
// for are kept, the others stream by.
type Advert struct {
	Refs  []Ref    // those with one of the prefixes; HEAD has a Target when the server tells it
	Heads []string // the first few branches, without refs/heads/
	Caps  []string // capabilities; nil when the server has no ref at all and does not say
}

// maxAdvert bounds an advertisement: about a million refs.
const maxAdvert = 64 << 20

// hello reads the first line of what a server says before it is asked, without what HTTP puts before it, and tells
// whether it is that of v2. Else it is the first of the refs.
func hello(in *lineReader) (line []byte, kind lineKind, v2 bool, err error) {
	line, kind, err = in.message("greeting")
	if err == nil && bytes.HasPrefix(line, []byte("# service=")) { // and a flush
		if _, _, err = in.message("greeting"); err == nil {
			line, kind, err = in.message("greeting")
		}
	}
	if err == nil && string(line) == "version 1" {
		line, kind, err = in.message("greeting")
	}
	return line, kind, string(line) == "version 2", err
}

func advertOf(r io.Reader, o LsOptions) (*Advert, error) {
	in := newLineReader(&capped{r: r, left: maxAdvert})
	line, kind, _, err := hello(in)
	if err != nil {
		return nil, err
	}
	return readAdvert(in, o, line, kind)
}

// readAdvert reads the advertisement of a v0 or v1 server from its first ref up to its end. A repository without refs
// has no Refs and no Heads.
func readAdvert(in *lineReader, o LsOptions, line []byte, kind lineKind) (_ *Advert, err error) {
	line, caps, _ := bytes.Cut(line, []byte{0})
	a := &Advert{Caps: strings.Fields(string(caps))}
	for ; kind != lineFlush; line, kind, err = in.message("list of refs") {
		if err == nil {
			err = a.add(line, o)
		}
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Advert) add(line []byte, o LsOptions) error {
	if bytes.HasPrefix(line, []byte("shallow ")) {
		return nil
	}
	if len(line) < 42 || line[40] != ' ' {
		return badLine("list of refs", line)
	}
	name := line[41:]
	if head, ok := bytes.CutPrefix(name, []byte("refs/heads/")); ok && len(a.Heads) < 10 {
		a.Heads = append(a.Heads, string(head))
	}
	wanted := func(prefix string) bool { return bytes.HasPrefix(name, []byte(prefix)) }
	if len(o.Prefixes) > 0 && !slices.ContainsFunc(o.Prefixes, wanted) || string(name) == "capabilities^{}" || bytes.HasSuffix(name, []byte("^{}")) {
		return nil
	}
	ref := Ref{ID: string(line[:40]), Name: string(name)}
	if !validID(ref.ID) {
		return badLine("list of refs", line)
	}
	if ref.Name == "HEAD" {
		for _, c := range a.Caps {
			if t, ok := strings.CutPrefix(c, "symref=HEAD:"); ok {
				ref.Target = t
			}
		}
	}
	if o.Max == 0 || len(a.Refs) < o.Max {
		a.Refs = append(a.Refs, ref)
	}
	return nil
}

// can says whether the server has a capability.
func (a *Advert) can(capability string) bool {
	return slices.ContainsFunc(a.Caps, func(c string) bool {
		name, _, _ := strings.Cut(c, "=")
		return name == capability
	})
}

// bounds says whether the server is told how much history is wanted, and answers with its borders first.
func (a *Advert) bounds(f FetchRequest) bool {
	return a.can("shallow") && (f.Depth > 0 || !f.Since.IsZero() && a.can("deepen-since"))
}

// request returns the v0 form of a fetch, with the capabilities that the server has. Without "shallow" it cannot be
// told how little we have, so then it asks for everything; bounded for all servers of the last fifteen years.
func (a *Advert) request(f FetchRequest, agent string) []byte {
	caps := ""
	for _, c := range []string{"side-band-64k", "ofs-delta", "no-progress", "shallow", "thin-pack"} {
		if a.can(c) && (c != "thin-pack" || f.Thin) {
			caps += " " + c
		}
	}
	if a.can("agent") && agent != "" {
		caps += " agent=" + agent
	}
	filter := f.Filter != "" && a.can("filter")
	if filter {
		caps += " filter"
	}
	b := appendLine(make([]byte, 0, 512), "want ", f.Want, caps, "\n")
	b = appendLines(b, "want ", f.Also...)
	shallow := a.can("shallow")
	if shallow {
		b = appendLines(b, "shallow ", f.Shallow)
		b = appendLines(b, "shallow ", f.Known...)
	}
	if a.bounds(f) {
		b = f.deepen(b)
	}
	if filter {
		b = appendLine(b, "filter ", f.Filter, "\n")
	}
	b = append(b, flushPkt...)
	if shallow {
		b = appendLines(b, "have ", f.Have)
		b = appendLines(b, "have ", f.Known...)
	}
	return appendLine(b, "done\n")
}

// readPack reads the answer to request up to the pack. The caller closes the stream itself.
func (a *Advert) readPack(in *lineReader, f FetchRequest) (*Pack, error) {
	p := &Pack{close: func() error { return nil }}
	borders := a.bounds(f)
	for lines := 0; ; lines++ {
		line, kind, err := in.message("answer to fetch")
		switch {
		case err != nil:
			return nil, err
		case lines > maxBorders:
			return nil, fmt.Errorf("answer to fetch: %w", ErrTooLarge)
		case kind == lineFlush && borders:
			borders = false
		case borders:
			if err := p.border(line); err != nil {
				return nil, err
			}
		case string(line) == "NAK" || bytes.HasPrefix(line, []byte("ACK ")):
			if a.can("side-band-64k") {
				p.r = &demux{in: in}
			} else {
				p.r = onlyReader{in.r}
			}
			return p, nil
		default:
			return nil, badLine("answer to fetch", line)
		}
	}
}

// onlyReader hides the other methods of a bufio.Reader.
type onlyReader struct{ r *bufio.Reader }

func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p) }

// AdvertV0 asks a server that knows no v2 over HTTP for its refs.
func (c *Client) AdvertV0(ctx context.Context, o LsOptions) (*Advert, error) {
	answer, err := c.send(ctx, call{method: http.MethodGet, suffix: "/info/refs", query: "service=git-upload-pack"})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	a, err := advertOf(answer.Body, o)
	if err == nil {
		_, _ = io.CopyN(io.Discard, answer.Body, 4096)
	}
	return a, err
}

// FetchV0 is Fetch for a server that knows no v2; a is its advertisement.
func (c *Client) FetchV0(ctx context.Context, a *Advert, f FetchRequest) (*Pack, error) {
	return c.fetch(ctx, f, call{body: a.request(f, c.agent)}, func(in *lineReader) (*Pack, error) { return a.readPack(in, f) })
}
