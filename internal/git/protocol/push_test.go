package protocol

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPushRequest(t *testing.T) {
	other := strings.Repeat("ab", 20)
	got := string(pushRequest([]RefUpdate{{Name: "refs/heads/a", New: someID}, {Name: "refs/heads/b", Old: someID, New: other}, {Name: "refs/x/c", Old: other}}, []byte("PACK")))
	want := "007e" + noID + " " + someID + " refs/heads/a\x00report-status side-band-64k" +
		"0062" + someID + " " + other + " refs/heads/b" + "005e" + other + " " + noID + " refs/x/c" + "0000PACK"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestPushDistrustsIdleConnections: one that stood idle for long may be dead, which a push finds out too late.
func TestPushDistrustsIdleConnections(t *testing.T) {
	var conns sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conns.Store(r.RemoteAddr, true)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", reportType)
		_, _ = io.WriteString(w, "000eunpack ok\n0014ok refs/heads/a\n0000")
	}))
	defer server.Close()
	c, err := NewHTTP(server.URL+"/r.git", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, want := range []int{1, 1, 2} {
		if i == 2 {
			c.used = time.Now().Add(-2 * maxIdle)
		}
		r, err := c.Push(t.Context(), []RefUpdate{{Name: "refs/heads/a", New: someID}}, nil)
		n := 0
		conns.Range(func(any, any) bool { n++; return true })
		if err != nil || r.Unpack != "" || r.Why[0] != "" || n != want {
			t.Fatalf("push %d: %+v %v, %d connections", i, r, err, n)
		}
	}
}

func FuzzReport(f *testing.F) {
	for _, s := range []string{
		"000eunpack ok\n0014ok refs/heads/a\n0020ng refs/heads/b too unlucky\n0000", "0015unpack disk gone\n0023ng refs/heads/a unpacker error\n0014ok refs/heads/b\n0000",
		"000eunpack ok\n0014ok refs/heads/a\n0014ok refs/heads/a\n0000", "0008ERR 0000", "000aunpack0000", "0000", "",
		"000eunpack ok\n0014ng refs/heads/a\n0014ok refs/heads/b\n0000",
	} {
		f.Add([]byte(s))
	}
	updates := []RefUpdate{{Name: "refs/heads/a", New: someID}, {Name: "refs/heads/b", Old: someID}}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readReport(newLineReader(bytes.NewReader(data), nil), updates)
		if err != nil {
			if len(r.Why) > 0 {
				t.Fatal("a report and an error")
			}
			return
		}
		for i, u := range updates {
			if (r.Why[i] == "") != bytes.Contains(data, []byte("ok "+u.Name)) && !bytes.Contains(data, []byte("ng "+u.Name)) {
				t.Fatalf("%s: %q of %q", u.Name, r.Why[i], data)
			}
			if strings.ContainsFunc(fmt.Sprint(r.Unpack, r.Why[i]), func(c rune) bool { return c < ' ' }) {
				t.Fatalf("%q", r.Why[i])
			}
		}
	})
}
