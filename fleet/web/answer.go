package web

import (
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"time"
)

// body is an answer in both forms.
type body struct {
	id    string // of the change that it shows
	plain []byte
	zip   []byte // compressed with gzip
}

// cache keeps answers that several browsers get.
type cache struct {
	grid    *body
	change  map[uint64]*frame  // by the number after which it is
	history map[int64]*history // by since, in unix seconds
}

type history struct{ body }

// frame is an event of a stream in both forms. The compressed one is a piece of a gzip stream that refers to no other
// piece, so all streams can share it.
type frame struct {
	number uint64 // up to which it tells
	plain  []byte
	zip    []byte
}

// zipHead begins a gzip stream whose pieces follow. Such a stream has no end, and so no checksum.
const zipHead = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// piece compresses a part of a gzip stream.
func piece(data []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression) // the level is valid
	_, _ = w.Write(data)                                  // a buffer takes all
	_ = w.Flush()
	return b.Bytes()
}

// zipped compresses a whole answer.
func zipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// Grid is /grid.json as it is now; nil = nothing was read yet.
func (h *Hub) Grid() *body {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.number == 0 {
		return nil
	}
	if h.made.grid == nil {
		data := h.encode(0, time.Now())
		h.made.grid = &body{h.id(h.number), data, zipped(data)}
	}
	return h.made.grid
}

// frame is the event that tells what changed after a number; nil = nothing did. next is closed at the next change.
func (h *Hub) frame(after uint64) (f *frame, next <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case after == h.number:
		return nil, h.changed
	case after < h.forgot:
		after = 0
	}
	if f = h.made.change[after]; f == nil {
		name := "change"
		if after == 0 {
			name = "grid"
		}
		plain := fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", h.id(h.number), name, h.encode(after, time.Now()))
		f = &frame{h.number, plain, piece(plain)}
		if h.made.change == nil {
			h.made.change = map[uint64]*frame{}
		}
		h.made.change[after] = f
	}
	return f, h.changed
}

// seen is the number that a stream begins after, by the id that it has.
func (h *Hub) seen(id string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.after(id)
}

// historiesMost is how many parts of the history are kept: a page has three windows.
const historiesMost = 8

// HistorySince is /history.json since a time; nil, why = nothing was read yet.
func (h *Hub) HistorySince(since time.Time) (*body, *Failure) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.past == nil {
		return nil, cmp.Or(h.unlisted, &Failure{Text: "the history was not read yet"})
	}
	if oldest := h.listed.Add(-h.Window).Truncate(time.Minute); since.Before(oldest) {
		since = oldest
	}
	if made := h.made.history[since.Unix()]; made != nil {
		return &made.body, nil
	}
	note := ""
	if h.unlisted != nil {
		note = "the history could not be read again: " + h.unlisted.Text
	}
	data, err := h.past.part(since, h.listed, note).encode()
	if err != nil {
		return nil, &Failure{err.Error(), h.listed}
	}
	made := &history{body{fmt.Sprintf("%s-%08x", h.epoch, crc32.ChecksumIEEE(data)), data, zipped(data)}}
	if h.made.history == nil || len(h.made.history) >= historiesMost {
		h.made.history = map[int64]*history{}
	}
	h.made.history[since.Unix()] = made
	return &made.body, nil
}
