package clone

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/testkit"
	"github.com/go-git/go-git/v5/plumbing"
)

// spoiler stands between the server and us and spoils answers to fetches.
type spoiler struct {
	how atomic.Pointer[func(w http.ResponseWriter, answer []byte, r *http.Request)]
}

func (s *spoiler) set(f func(w http.ResponseWriter, answer []byte, r *http.Request)) {
	if f == nil {
		s.how.Store(nil)
		return
	}
	s.how.Store(&f)
}

func (s *spoiler) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		how := s.how.Load()
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if how == nil || !bytes.Contains(body, []byte("command=fetch")) {
			h.ServeHTTP(w, r)
			return
		}
		answer := &kept{header: make(http.Header)}
		h.ServeHTTP(answer, r)
		w.Header().Set("Content-Type", answer.header.Get("Content-Type"))
		(*how)(w, answer.body.Bytes(), r)
	})
}

type kept struct {
	header http.Header
	body   bytes.Buffer
}

func (k *kept) Header() http.Header         { return k.header }
func (k *kept) WriteHeader(int)             {}
func (k *kept) Write(b []byte) (int, error) { return k.body.Write(b) }

func newSpoiled(t *testing.T) (*world, *spoiler) {
	s := &spoiler{}
	w := newWorld(t, gittest.ServerOptions{Wrap: s.wrap})
	w.open(w.repo.source, Limits{Stall: testkit.Patience, Fetch: 2 * testkit.Patience})
	return w, s
}

// intact checks that a failed look changed nothing.
func (w *world) intact(at string) {
	w.tb.Helper()
	tip, ok, err := w.repo.Applied()
	if err != nil || !ok || tip.ID != at {
		w.tb.Fatalf("applied: %v %v %v", tip, ok, err)
	}
	if got, want := gittest.TreeOf(w.tb, w.dir), w.src.Git("rev-parse", at+"^{tree}"); got != want {
		w.tb.Fatalf("tree is %s, want %s", got, want)
	}
	gittest.Fsck(w.tb, w.dir)
	w.noLeftOvers()
}

func TestCutPacks(t *testing.T) {
	t.Parallel()
	w, s := newSpoiled(t)
	w.src.Commit("main", someFiles(20, "x")...)
	// The first clone: nothing is there after a failure, and the next look starts anew.
	s.set(func(rw http.ResponseWriter, answer []byte, _ *http.Request) { _, _ = rw.Write(answer[:len(answer)/2]) })
	if _, err := w.repo.Look(t.Context(), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if found := gittest.Files(t, w.dir); len(found) > 0 {
		t.Fatalf("left behind: %v", found)
	}
	s.set(nil)
	at := w.check().Version
	w.src.Commit("main", someFiles(20, "y")...)
	length := 0
	s.set(func(rw http.ResponseWriter, answer []byte, _ *http.Request) {
		length = len(answer)
		_, _ = rw.Write(answer[:0])
	})
	_, _ = w.repo.Look(t.Context(), nil)
	for i := range 20 {
		s.set(func(rw http.ResponseWriter, answer []byte, _ *http.Request) {
			_, _ = rw.Write(answer[:length*i/20])
			if i%2 == 1 { // the connection breaks, and does not end
				panic(http.ErrAbortHandler)
			}
		})
		if s, err := w.repo.Look(t.Context(), nil); err == nil {
			t.Fatalf("cut at %d: %+v", length*i/20, s)
		}
		if i%10 == 0 {
			w.intact(at)
		}
	}
	w.intact(at)
	s.set(nil)
	w.check()
}

func TestGarbagePacks(t *testing.T) {
	t.Parallel()
	w, s := newSpoiled(t)
	w.src.Commit("main", someFiles(20, "x")...)
	at := w.check().Version
	w.src.Commit("main", someFiles(20, "y")...)
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		s.set(func(rw http.ResponseWriter, answer []byte, _ *http.Request) {
			for range 1 + random.IntN(3) {
				answer[random.IntN(len(answer))] ^= byte(1 + random.IntN(255))
			}
			_, _ = rw.Write(answer)
		})
		sight, err := w.repo.Look(t.Context(), nil)
		if err == nil { // the change hit a byte that is not used
			w.same(sight)
			s.set(nil)
			w.src.Commit("main", someFiles(20, fmt.Sprint(random.Int()))...)
			at = sight.Version
		}
	}
	tip, ok, err := w.repo.Applied()
	if err != nil || !ok {
		t.Fatal(tip, ok, err)
	}
	w.intact(at)
	s.set(nil)
	w.check()
}

// sideband wraps a pack stream as a v2 answer.
func sideband(w io.Writer, pack []byte) error {
	for len(pack) > 0 {
		n := min(len(pack), 60000)
		if _, err := fmt.Fprintf(w, "%04x\x01%s", n+5, pack[:n]); err != nil {
			return err
		}
		pack = pack[n:]
	}
	return nil
}

func TestHostilePacks(t *testing.T) {
	t.Parallel()
	w, s := newSpoiled(t)
	w.src.Commit("main", someFiles(20, "x")...)
	at := w.check().Version
	w.src.Commit("main", someFiles(20, "y")...)
	big := gittest.Deflated(make([]byte, 64<<20))
	base := gittest.PackEntry(plumbing.BlobObject, 5, []byte("hello"))
	// Each delta doubles the one before it; the last one says that it makes 3 GB.
	chain := [][]byte{base}
	for i := range 22 {
		from, to := uint64(5)<<i, uint64(10)<<i
		if i == 21 {
			to = 3 << 30
		}
		copyAll := []byte{0xf0, byte(from), byte(from >> 8), byte(from >> 16)}
		delta := binary.AppendUvarint(binary.AppendUvarint(nil, from), to)
		delta = append(append(delta, copyAll...), copyAll...)
		back := len(chain[i])
		var offset []byte
		if offset = []byte{byte(back)}; back > 127 {
			offset = []byte{0x80 | byte(back>>7-1), byte(back & 127)}
		}
		chain = append(chain, append(append(gittest.PackHeader(plumbing.OFSDeltaObject, int64(len(delta))), offset...), gittest.Deflated(delta)...))
	}
	for name, k := range map[string]struct {
		pack []byte
		want string
	}{
		"not a pack":       {[]byte("<html>go away</html>"), "it does not begin with PACK"},
		"version":          {append([]byte("PACK\x00\x00\x00\x09\x00\x00\x00\x00"), make([]byte, 20)...), "version 9"},
		"many objects":     {gittest.PackHead(1 << 30), "announces 1073741824 objects"},
		"fewer objects":    {gittest.Pack(2, base), "pack"},
		"more objects":     {gittest.Pack(1, base, base), "checksum"},
		"absurd size":      {gittest.Pack(1, gittest.PackEntry(plumbing.BlobObject, 3<<30, []byte("x"))), "an object of 3221225472 bytes"},
		"endless size":     {gittest.Pack(1, append(bytes.Repeat([]byte{0xff}, 20), 0)), "absurd size"},
		"longer than said": {gittest.Pack(1, append(gittest.PackHeader(plumbing.BlobObject, 10), big...)), "longer than it says"},
		"shorter":          {gittest.Pack(1, gittest.PackEntry(plumbing.BlobObject, 10, []byte("x"))), "shorter than it says"},
		"kind":             {gittest.Pack(1, gittest.PackEntry(5, 1, []byte("x"))), "kind 5"},
		"delta of nothing": {gittest.Pack(1, append(append(gittest.PackHeader(plumbing.OFSDeltaObject, 4), 77), gittest.Deflated([]byte("\x05\x05\x90\x05"))...)), "a delta of nothing"},
		"growing deltas":   {gittest.Pack(len(chain), chain...), "an object of 3221225472 bytes"},
		"absurd delta":     {gittest.Pack(2, base, append(append(gittest.PackHeader(plumbing.OFSDeltaObject, 8), byte(len(base))), gittest.Deflated([]byte("\x05\xff\xff\xff\xff\x7f\x90\x05"))...)), "an object of"},
		"past its base":    {gittest.Pack(2, base, append(append(gittest.PackHeader(plumbing.OFSDeltaObject, 4), byte(len(base))), gittest.Deflated([]byte("\x05\x09\x90\x09"))...)), "past its base"},
		"not the commit":   {gittest.Pack(1, base), "did not send commit"},
		"no end":           {append(gittest.Pack(1, base), 1, 2, 3), "more bytes than it announces"},
	} {
		t.Run(name, func(t *testing.T) {
			s.set(func(rw http.ResponseWriter, _ []byte, _ *http.Request) {
				_, _ = io.WriteString(rw, "000dpackfile\n")
				_ = sideband(rw, k.pack)
				_, _ = io.WriteString(rw, "0000")
			})
			_, err := w.repo.Look(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), k.want) {
				t.Errorf("%v, want %q", err, k.want)
			}
			w.intact(at)
		})
	}
	s.set(nil)
	w.check()
}

func TestStalls(t *testing.T) {
	w, s := newSpoiled(t)
	w.src.Commit("main", someFiles(20, "x")...)
	at := w.check().Version
	w.open(w.repo.source, Limits{Stall: 300 * time.Millisecond})
	w.src.Commit("main", someFiles(20, "y")...)
	hang := func(n int) func(http.ResponseWriter, []byte, *http.Request) {
		return func(rw http.ResponseWriter, answer []byte, r *http.Request) {
			_, _ = rw.Write(answer[:n])
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
		}
	}
	for _, n := range []int{0, 10, 300} {
		s.set(hang(n))
		_, err := w.repo.Look(t.Context(), nil)
		if !errors.Is(err, errDeadline) || !strings.Contains(err.Error(), "nothing advanced for 300ms") {
			t.Errorf("hang after %d: %v", n, err)
		}
		w.intact(at)
	}
	// Slow, but it advances: within the whole time that is fine, beyond it is not.
	told := 0
	drip := func(rw http.ResponseWriter, answer []byte, r *http.Request) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for len(answer) > 0 && r.Context().Err() == nil {
			n := min(len(answer), 200)
			_, _ = rw.Write(answer[:n])
			_ = http.NewResponseController(rw).Flush()
			answer = answer[n:]
			<-tick.C
		}
	}
	s.set(drip)
	w.open(w.repo.source, Limits{Stall: testkit.Patience, Fetch: 350 * time.Millisecond})
	w.src.Commit("main", someFiles(200, "z")...)
	if _, err := w.repo.Look(t.Context(), nil); !errors.Is(err, errDeadline) || !strings.Contains(err.Error(), "not finished after") {
		t.Error(err)
	}
	w.intact(at)
	w.open(w.repo.source, Limits{Stall: testkit.Patience, Fetch: 2 * testkit.Patience})
	var so Progress
	if _, err := w.repo.Look(t.Context(), func(p Progress) {
		if p.Bytes < so.Bytes || p.Objects < so.Objects || p.Files < so.Files {
			t.Errorf("after %+v it is told %+v", so, p)
		}
		so = p
		told++
	}); err != nil {
		t.Error(err)
	}
	if told < 3 || so.Bytes < 200 || so.Objects < 2 {
		t.Errorf("progress was told %d times, last %+v", told, so)
	}
	// The person's own end of it all.
	w.src.Commit("main", gittest.File("again", "x"))
	s.set(hang(10))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.repo.Look(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errDeadline) {
		t.Error(err)
	}
	s.set(nil)
	w.check()
}

func TestEndlessPack(t *testing.T) {
	w, s := newSpoiled(t)
	w.src.Commit("main", someFiles(20, "x")...)
	at := w.check().Version
	w.src.Commit("main", someFiles(20, "y")...)
	one := gittest.PackEntry(plumbing.BlobObject, 1<<20, bytes.Repeat([]byte("y"), 1<<20))
	s.set(func(rw http.ResponseWriter, _ []byte, r *http.Request) {
		_, _ = io.WriteString(rw, "000dpackfile\n")
		_ = sideband(rw, gittest.PackHead(pack.MaxObjects))
		for r.Context().Err() == nil {
			if sideband(rw, one) != nil {
				return
			}
		}
	})
	w.open(w.repo.source, Limits{Fetch: time.Second})
	if _, err := w.repo.Look(t.Context(), nil); !errors.Is(err, errDeadline) {
		t.Error(err)
	}
	w.intact(at)
	s.set(nil)
	w.open(w.repo.source, Limits{})
	w.check()
}

func TestAskHangs(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
	}})
	w.open(w.repo.source, Limits{Look: 200 * time.Millisecond})
	_, err := w.repo.Ask(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no answer within 200ms") {
		t.Error(err)
	}
}

func TestLeftOversOfAKilledProcess(t *testing.T) {
	w := newWorld(t, gittest.ServerOptions{})
	w.src.Commit("main", someFiles(20, "x")...)
	w.check()
	for _, dir := range []string{".git/" + pack.ReceivePrefix + "123", rebuildPrefix + "123"} {
		if err := os.MkdirAll(filepath.Join(w.dir, dir, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		w.write(dir+"/pack", "half")
	}
	w.src.Commit("main", gittest.File("new", "x"))
	w.check()
}
