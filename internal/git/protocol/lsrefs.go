package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Ref is one line of an answer to ls-refs.
type Ref struct {
	Name   string // full name: HEAD, refs/heads/main
	ID     string // object name, 40 hex digits
	Target string // what a symbolic ref points at, when asked for
}

// LsOptions says which refs are asked for.
type LsOptions struct {
	Prefixes []string // full names or their beginnings; none = all refs
	Symrefs  bool     // also where symbolic refs point
	Max      int      // stop reading after so many; 0 = all, up to 4 MB of answer
}

// maxRefs bounds an answer in bytes. A ref is about 60 bytes, so this is some 70,000 of them; the usual question has
// one.
const maxRefs = 4 << 20

// LsRefs asks for refs in one POST, without the advertisement of capabilities that git asks for first.
// The request is byte for byte the same for the same options, so that caches in front of servers can answer it.
// A ref that does not exist is absent from the answer; that is no error.
func (c *Client) LsRefs(ctx context.Context, o LsOptions) ([]Ref, error) {
	var refs []Ref
	err := c.exchange(ctx, lsRequest(c.agent, o), func(r io.Reader) error {
		var err error
		refs, err = readRefs(newLineReader(&capped{r: r, left: maxRefs}, *c.shown), o.Max)
		return err
	})
	return refs, err
}

func lsRequest(agent string, o LsOptions) []byte {
	b := make([]byte, 0, 256)
	b = appendLine(b, "command=ls-refs\n")
	b = appendLine(b, "agent=", agent)
	b = appendLine(b, "object-format=sha1")
	b = append(b, delimPkt...)
	if o.Symrefs {
		b = appendLine(b, "symrefs\n")
	}
	for _, p := range o.Prefixes {
		b = appendLine(b, "ref-prefix ", p, "\n")
	}
	return append(b, flushPkt...)
}

// readRefs parses the answer: "ID NAME [symref-target:REF] [peeled:ID]" lines and a flush.
// An answer without a single byte is what a v0 server says to a v2 question.
func readRefs(in *lineReader, limit int) ([]Ref, error) {
	var refs []Ref
	for first := true; ; first = false {
		line, kind, err := in.message("list of refs")
		switch {
		case first && errors.Is(err, errCutOff):
			return nil, ErrNotV2
		case first && errors.Is(err, errBadLine):
			return nil, fmt.Errorf("%w: %w", ErrNotV2, err)
		case err != nil:
			return nil, err
		case kind == lineFlush:
			return in.named(refs), nil
		case first && (bytes.HasPrefix(line, []byte("# service=")) || bytes.HasPrefix(line, []byte("version "))):
			return nil, ErrNotV2
		}
		ref, ok := parseRef(string(line))
		if !ok {
			return nil, in.badLine("list of refs", line)
		}
		refs = append(refs, ref)
		if limit > 0 && len(refs) == limit {
			return in.named(refs), nil
		}
	}
}

func parseRef(line string) (Ref, bool) {
	id, rest, _ := strings.Cut(line, " ")
	name, attributes, _ := strings.Cut(rest, " ")
	ref := Ref{Name: name, ID: id}
	for a := range strings.SplitSeq(attributes, " ") {
		if t, ok := strings.CutPrefix(a, "symref-target:"); ok {
			ref.Target = t
		}
	}
	return ref, validID(id) && name != ""
}

// capped is a reader that fails with ErrTooLarge, not with io.EOF, after so many bytes.
type capped struct {
	r       io.Reader
	left    int64
	advance func() // called whenever bytes arrived; may be nil
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		// One byte more tells an answer that ends here from one that goes on.
		var one [1]byte
		if n, err := c.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); n > 0 && c.advance != nil {
		c.advance()
	}
	return n, err
}
