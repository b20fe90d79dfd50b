package protocol

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FetchRequest says which objects are wanted. The request ends with "done": the server answers with a pack at once,
// also when it does not know Have. Together with Depth that is bounded by one snapshot.
type FetchRequest struct {
	Want    string // object name of a commit
	Have    string // a commit whose tree we have completely; "" = nothing
	Shallow string // a commit whose parents we do not have; "" = none
	Depth   int    // how many commits deep; 0 = all history
	Thin    bool   // deltas against objects of Have that are not in the pack are welcome

	Also  []string  // further commits that are wanted
	Known []string  // further commits that we have: their trees completely, their parents not
	Since time.Time // only commits that are not older; zero = all. Where Depth is given, too, that counts

	MaxBytes int64  // of the whole answer; 0 = no limit
	Advance  func() // called whenever bytes of the answer arrived; may be nil
}

// Pack is the stream of a pack as the server sends it. Close it; closing before the end gives up the connection.
type Pack struct {
	Shallow   []string // commits whose parents the server did not send
	Unshallow []string // commits of ours that are no longer a border: they are reachable from Want
	r         io.Reader
	close     func() error
}

func (p *Pack) Read(b []byte) (int, error) { return p.r.Read(b) }

// AfterClose adds to what Close does.
func (p *Pack) AfterClose(f func()) {
	before := p.close
	p.close = func() error {
		defer f()
		return before()
	}
}

// Close ends the stream.
func (p *Pack) Close() error { return p.close() }

// Fetch asks for a pack in one POST. The caller reads it to io.EOF and closes it. No greeting means v2.
func (c *Client) Fetch(ctx context.Context, g *Greeting, f FetchRequest) (*Pack, error) {
	q := call{method: http.MethodPost, suffix: uploadPack, body: g.fetchRequest(f, c.agent), v2: g.SpeaksV2()}
	answer, err := c.send(ctx, q)
	if err != nil {
		return nil, err
	}
	p, err := g.readPack(newLineReader(f.limit(answer.Body), *c.shown), f)
	if err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	p.close = answer.Body.Close
	return p, nil
}

// SpeaksV2 says which version is spoken after a greeting; without one it is v2.
func (g *Greeting) SpeaksV2() bool { return g == nil || g.V2 }

func (g *Greeting) fetchRequest(f FetchRequest, agent string) []byte {
	if !g.SpeaksV2() {
		return g.fetchV0(f, agent)
	}
	b := make([]byte, 0, 512)
	b = appendLine(b, "command=fetch")
	b = appendLine(b, "agent=", agent)
	b = appendLine(b, "object-format=sha1")
	b = append(b, delimPkt...)
	if f.Thin {
		b = appendLine(b, "thin-pack\n")
	}
	b = appendLine(b, "no-progress\n")
	b = appendLine(b, "ofs-delta\n")
	b = appendLines(b, "shallow ", f.Shallow)
	b = appendLines(b, "shallow ", f.Known...)
	b = f.deepen(b)
	b = appendLines(b, "want ", f.Want)
	b = appendLines(b, "want ", f.Also...)
	b = appendLines(b, "have ", f.Have)
	b = appendLines(b, "have ", f.Known...)
	b = appendLine(b, "done\n")
	return append(b, flushPkt...)
}

// deepen adds how much history is wanted; v0 has the same form.
func (f FetchRequest) deepen(b []byte) []byte {
	switch {
	case f.Depth > 0:
		return appendLine(b, "deepen ", strconv.Itoa(f.Depth), "\n")
	case !f.Since.IsZero():
		return appendLine(b, "deepen-since ", strconv.FormatInt(f.Since.Unix(), 10), "\n")
	}
	return b
}

// appendLines adds a line for each value that is not empty.
func appendLines(b []byte, word string, values ...string) []byte {
	for _, v := range values {
		if v != "" {
			b = appendLine(b, word, v, "\n")
		}
	}
	return b
}

// limit applies what the request says about the answer as a stream of bytes.
func (f FetchRequest) limit(r io.Reader) *capped {
	return &capped{r: r, left: cmp.Or(f.MaxBytes, math.MaxInt64), advance: f.Advance}
}

// maxBorders bounds how many shallow lines an answer may hold: one for each root or cut-off commit.
const maxBorders = 100_000

// readPack reads the answer to fetchRequest up to the pack: in v2 there are sections before it.
func (g *Greeting) readPack(in *lineReader, f FetchRequest) (*Pack, error) {
	if !g.SpeaksV2() {
		return g.readPackV0(in, f)
	}
	p := &Pack{}
	section := ""
	for lines := 0; ; lines++ {
		line, kind, err := in.message("answer to fetch")
		switch {
		case lines == 0 && errors.Is(err, errCutOff):
			return nil, ErrNotV2
		case err != nil:
			return nil, err
		case lines > maxBorders:
			return nil, fmt.Errorf("answer to fetch: %w", ErrTooLarge)
		case kind == lineDelim:
			section = ""
			continue
		case kind != lineData:
			return nil, fmt.Errorf("server sent no pack: %w", io.ErrUnexpectedEOF)
		}
		switch section {
		case "":
			switch section = string(line); section {
			case "packfile":
				p.r = &demux{in: in, name: "pack"}
				return p, nil
			case "acknowledgments", "shallow-info":
			default:
				return nil, in.badLine("answer to fetch: unknown section", line)
			}
		case "shallow-info":
			if err := p.border(in, line); err != nil {
				return nil, err
			}
		}
	}
}

// border notes one line of shallow information; v0 has the same form.
func (p *Pack) border(in *lineReader, line []byte) error {
	word, id, _ := strings.Cut(string(line), " ")
	switch {
	case word == "shallow" && validID(id):
		p.Shallow = append(p.Shallow, id)
	case word == "unshallow" && validID(id):
		p.Unshallow = append(p.Unshallow, id)
	default:
		return in.badLine("answer to fetch", line)
	}
	return nil
}

// demux takes the data out of the side band: channel 1 is data, 2 is for people, 3 is the end by an error.
type demux struct {
	in   *lineReader
	name string // of the data, for errors
	left int    // of the current data line
	done bool
	said bytes.Buffer // the beginning of channel 2
}

// mostSaid bounds what is kept of the words for people, in bytes.
const mostSaid = 1024

func (d *demux) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for d.left == 0 {
		if d.done {
			return 0, io.EOF
		}
		if err := d.line(); err != nil {
			return 0, err
		}
	}
	n, err := d.in.r.Read(p[:min(len(p), d.left)])
	d.left -= n
	return n, d.wrong(err)
}

// wrong names what an error is in; the end of the stream is one in its middle.
func (d *demux) wrong(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s %w", d.name, errCutOff)
	case err != nil:
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

func (d *demux) line() error {
	n, kind, err := d.in.header()
	switch {
	case err != nil:
		return d.wrong(err)
	case kind == lineFlush:
		d.done = true
		return nil
	case kind != lineData || n == 0:
		return d.wrong(errBadLine)
	}
	channel, err := d.in.r.ReadByte()
	if err != nil {
		return d.wrong(err)
	}
	n--
	switch channel {
	case 1:
		d.left = n
		return nil
	case 2:
		k, err := io.CopyN(&d.said, d.in.r, int64(min(n, mostSaid-d.said.Len())))
		if err == nil {
			_, err = d.in.r.Discard(n - int(k))
		}
		return d.wrong(err)
	case 3:
		text := make([]byte, n)
		k, _ := io.ReadFull(d.in.r, text)
		return d.in.remoteError(text[:k])
	}
	return d.wrong(fmt.Errorf("channel %d: %w", channel, errBadLine))
}
