package protocol

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/addagent/addagent/internal/secret"
)

// The line kinds of https://git-scm.com/docs/protocol-common#_pkt_line_format and protocol v2.
type lineKind int

const (
	lineData  lineKind = iota
	lineFlush          // 0000, end of a message
	lineDelim          // 0001, end of a section (v2)
	lineEnd            // 0002, end of a stateless answer (v2)
)

const (
	maxLine   = 65520 // the longest line git sends, its four length digits included
	hexDigits = "0123456789abcdef"
)

var errBadLine = errors.New("not a git protocol line")

// lineReader reads pkt-lines. The slice that next returns is valid until the following call.
type lineReader struct {
	r     *bufio.Reader
	buf   []byte
	shown secret.Set // what the server was shown: no text of it may repeat that
}

func newLineReader(r io.Reader, shown secret.Set) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 4096), shown: shown}
}

// words is the door for each text of a server: fit for one line of a log, of bounded length, and without a secret.
func words(text string, shown secret.Set) string {
	return human.Truncate(shown.Said(human.Line(text)), 200)
}

func (l *lineReader) words(text string) string { return words(text, l.shown) }

// named leaves out refs whose names hold a secret: they are words of the server, too.
func (l *lineReader) named(refs []Ref) []Ref {
	var all strings.Builder
	for _, r := range refs {
		all.WriteString(r.Name + "\n" + r.Target + "\n")
	}
	if !l.shown.Holds(all.String()) {
		return refs
	}
	return slices.DeleteFunc(refs, func(r Ref) bool { return l.shown.Holds(r.Name) || l.shown.Holds(r.Target) })
}

// header reads four length digits: the number of payload bytes that follow, or a special line.
// io.EOF means that the stream ended between two lines.
func (l *lineReader) header() (int, lineKind, error) {
	var h [4]byte
	for i := range h {
		c, err := l.r.ReadByte()
		if err != nil {
			if i > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, lineData, err
		}
		h[i] = c
	}
	var b [2]byte
	if _, err := hex.Decode(b[:], h[:]); err != nil {
		return 0, lineData, fmt.Errorf("%w: length %q", errBadLine, h[:])
	}
	switch n := int(binary.BigEndian.Uint16(b[:])); {
	case n == 0:
		return 0, lineFlush, nil
	case n == 1:
		return 0, lineDelim, nil
	case n == 2:
		return 0, lineEnd, nil
	case n < 4 || n > maxLine:
		return 0, lineData, fmt.Errorf("%w: length %d", errBadLine, n)
	default:
		return n - 4, lineData, nil
	}
}

// next reads one whole line, without the newline at its end.
func (l *lineReader) next() ([]byte, lineKind, error) {
	n, kind, err := l.header()
	if err != nil || kind != lineData {
		return nil, kind, err
	}
	if cap(l.buf) < n {
		l.buf = make([]byte, max(n, 256))
	}
	b := l.buf[:n]
	if _, err := io.ReadFull(l.r, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, lineData, err
	}
	if n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	return b, lineData, nil
}

// errCutOff is a stream that ends between two lines where more must come.
var errCutOff = fmt.Errorf("cut off: %w", io.ErrUnexpectedEOF)

// message is next in the middle of a message, which its errors name. What the server complains of is an error, too.
func (l *lineReader) message(name string) ([]byte, lineKind, error) {
	line, kind, err := l.next()
	switch text, complaint := bytes.CutPrefix(line, []byte("ERR ")); {
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("%s %w", name, errCutOff)
	case err != nil:
		err = fmt.Errorf("%s: %w", name, err)
	case complaint:
		err = l.remoteError(text)
	}
	return line, kind, err
}

// badLine is the error for a line that does not belong into a message.
func (l *lineReader) badLine(name string, line []byte) error {
	return fmt.Errorf("%s: %w: %q", name, errBadLine, l.words(string(line)))
}

// remoteError makes an error of what the server says, and recognises a v0 server that met a v2 question.
func (l *lineReader) remoteError(text []byte) error {
	e := &RemoteError{Text: l.words(string(text))}
	if bytes.Contains(text, []byte("command=")) {
		return fmt.Errorf("%w: %w", ErrNotV2, e)
	}
	return e
}

// appendLine adds one data line made of the given parts to b.
func appendLine(b []byte, parts ...string) []byte {
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	b = append(b, hexDigits[n>>12&15], hexDigits[n>>8&15], hexDigits[n>>4&15], hexDigits[n&15])
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

const (
	idLength = 40
	flushPkt = "0000"
	delimPkt = "0001"
)

// validID says whether s is a full SHA-1 object name in lower case, the only form that goes over the wire.
func validID(s string) bool {
	if len(s) != idLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
