package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// RefUpdate is one change of a ref, as a compare-and-swap.
type RefUpdate struct {
	Name string // full name
	Old  string // where it must be now; "" = it must not be there
	New  string // where it goes; "" = it is deleted
}

// Report is what a server says became of a push. Each update stands for itself: some may land and others not.
type Report struct {
	Unpack string   // what was wrong with the pack as a whole; "" = nothing
	Why    []string // for each update, in their order: why it was refused; "" = it landed
	Said   string   // what its hooks, and git there, said to people meanwhile, on one line
}

// ErrUnclear means that a push was sent and no whole answer came: it may or may not have landed.
var ErrUnclear = errors.New("it was sent, and no whole answer came")

const (
	noID = "0000000000000000000000000000000000000000"
	// ReceivePack and UploadPack are the programs on the other side.
	ReceivePack, UploadPack = "git-receive-pack", "git-upload-pack"
	// maxReport bounds a report in bytes: a line is as long as a ref's name and a few words.
	maxReport = 4 << 20
	// maxIdle is how long a kept connection may have been idle for a push to go over it. One that died unseen since
	// would make the push unclear; a new one costs little at the rate of pushes.
	maxIdle = time.Minute
)

// pushRequest returns the commands and, after them, the pack; see gitprotocol-pack(5), "Reference Update Request". Over
// HTTP the capabilities of the server are not known: every one of the last fifteen years has these, and one that has no
// side band answers without it.
func pushRequest(updates []RefUpdate, pack []byte) []byte {
	n := len(pack) + 64
	for _, u := range updates {
		n += len(u.Name) + 96
	}
	b := make([]byte, 0, n)
	for i, u := range updates {
		caps := ""
		if i == 0 {
			caps = "\x00report-status side-band-64k" // and no object-format: without it, it is sha1
		}
		b = appendLine(b, orNoID(u.Old), " ", orNoID(u.New), " ", u.Name, caps)
	}
	b = append(b, flushPkt...)
	return append(b, pack...)
}

func orNoID(id string) string {
	if id == "" {
		return noID
	}
	return id
}

// readReport reads a report, in a side band or not, and to the end of what hooks say after it.
func readReport(in *lineReader, updates []RefUpdate) (Report, error) {
	band := &demux{in: in, name: "side band"}
	if first, err := in.r.Peek(5); err != nil || first[4] > 3 || string(first[:4]) == flushPkt {
		return parseReport(in, updates)
	}
	r, err := parseReport(newLineReader(band, in.shown), updates)
	if err == nil {
		_, _ = io.Copy(io.Discard, band)
	}
	r.Said = in.words(band.said.String())
	return r, err
}

// parseReport parses "unpack ok", a line "ok REF" or "ng REF WHY" for each update, and a flush.
func parseReport(in *lineReader, updates []RefUpdate) (Report, error) {
	r := Report{Why: make([]string, len(updates))}
	told := make([]bool, len(updates))
	left := len(updates)
	for first := true; ; first = false {
		line, kind, err := in.message("report")
		switch {
		case err != nil:
			return Report{}, err
		case kind == lineFlush && left == 0:
			return r, nil
		}
		word, rest, _ := strings.Cut(string(line), " ")
		if first {
			if word != "unpack" || rest == "" {
				return Report{}, in.badLine("report", line)
			}
			if rest != "ok" {
				r.Unpack = in.words(rest)
			}
			continue
		}
		name, why, _ := strings.Cut(rest, " ")
		if why = in.words(why); why == "" {
			why = "refused without a word"
		}
		i := slices.IndexFunc(updates, func(u RefUpdate) bool { return u.Name == name })
		switch {
		case i < 0 || told[i] || word != "ok" && word != "ng":
			return Report{}, in.badLine("report", line)
		case word == "ng":
			r.Why[i] = why
		}
		told[i] = true
		left--
	}
}

// Push sends updates of refs and a pack with what they need (nil when all are deletions) in one POST. The server is
// not asked for its advertisement first: what is wrong with Old it finds itself. An error that is not ErrUnclear
// means that nothing was changed. The request is not repeated, but where net/http knows that no byte of it went out,
// and where the server wants (other) credentials.
func (c *Client) Push(ctx context.Context, updates []RefUpdate, pack []byte) (Report, error) {
	if time.Since(c.used) > maxIdle {
		c.Close()
	}
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { sent.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	q := call{method: http.MethodPost, suffix: receivePack, body: pushRequest(updates, pack), once: true}
	answer, err := c.send(traced, q)
	if err != nil {
		if sent.Load() && perhapsDone(err) {
			err = fmt.Errorf("%w: %w", ErrUnclear, err)
		}
		return Report{}, err
	}
	defer answer.Body.Close()
	r, err := readReport(newLineReader(&capped{r: answer.Body, left: maxReport}, *c.shown), updates)
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrUnclear, err)
	}
	drain(answer)
	return r, nil
}

// perhapsDone says whether a push that failed so may have landed all the same: a gateway that gave up waiting, or a
// server that stumbled after its work.
func perhapsDone(err error) bool {
	status, ok := errors.AsType[*StatusError](err)
	if !ok {
		return !errors.Is(err, errAuth)
	}
	switch status.Code {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return status.Code >= 520 // what the networks in front of servers made up for "no answer from behind"
}

// Push sends updates to a git-receive-pack whose greeting has been read, and reads the report. Once the first byte was
// sent each failure is ErrUnclear.
func (s *Stream) Push(updates []RefUpdate, pack []byte) (Report, error) {
	s.bound.left = maxReport
	_, err := s.stream.Write(pushRequest(updates, pack))
	// Also when it could not be sent to its end: a server that refuses early closes, and has said why.
	r, rerr := readReport(s.in, updates)
	switch {
	case rerr == nil:
		_, _ = io.CopyN(io.Discard, s.stream, 64<<10) // hooks may still run, and die with the stream
		return r, nil
	case err == nil:
		err = rerr
	}
	return Report{}, fmt.Errorf("%w: %w", ErrUnclear, err)
}
