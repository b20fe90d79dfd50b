package remote

import (
	"bytes"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/git/gittest"
	"github.com/addagent/addagent/internal/git/pack"
	"github.com/addagent/addagent/internal/git/protocol"
	"github.com/addagent/addagent/internal/testkit"
)

// BenchmarkStorePush pushes a record: the client's share is what is measured, as far as it can be told from the
// server's.
func BenchmarkStorePush(b *testing.B) {
	src, server := gittest.Remote(b, gittest.ServerOptions{})
	s := away{src, Source{URL: server.URL + "/r.git", Agent: "addagent/0.1.0"}}.store(b)
	at, n := "", 0
	b.ReportAllocs()
	for b.Loop() {
		at = pushOne(b, s, "i-1", n, at)
		n++
	}
}

// BenchmarkUnpackThousand takes the pack of a thousand records, as a server sends it, into memory.
func BenchmarkUnpackThousand(b *testing.B) {
	src, server := gittest.Remote(b, gittest.ServerOptions{})
	tips := fill(b, src, 1000, 1)
	src.Git("repack", "-qadf")
	src.Git("pack-refs", "--all")
	var all []string
	for _, id := range tips {
		all = append(all, id)
	}
	c, err := protocol.NewHTTP(server.URL+"/r.git", protocol.Options{})
	testkit.Must(b, err)
	p, err := c.Fetch(b.Context(), nil, protocol.FetchRequest{Want: all[0], Also: all[1:], Depth: 1})
	testkit.Must(b, err)
	var incoming bytes.Buffer
	_, err = incoming.ReadFrom(p)
	testkit.Must(b, err)
	testkit.Must(b, p.Close())
	b.ReportMetric(float64(incoming.Len()), "bytes")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		into := pack.NewMemory(defaultContent, defaultContent)
		if err := into.Unpack(b.Context(), bytes.NewReader(incoming.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStoreReadThousand lists a thousand refs, reads what is behind them, and looks each record up.
func BenchmarkStoreReadThousand(b *testing.B) {
	src, server := gittest.Remote(b, gittest.ServerOptions{})
	fill(b, src, 1000, 1)
	src.Git("repack", "-qadf")
	src.Git("pack-refs", "--all")
	s := away{src, Source{URL: server.URL + "/r.git"}}.store(b)
	b.ReportAllocs()
	for b.Loop() {
		refs, c := readFleet(b, s, ReadOptions{Depth: 1})
		for _, r := range refs {
			if _, err := c.File(r.ID, "it/presence/all/"+strings.TrimPrefix(r.Name, presenceRefs)+".json"); err != nil {
				b.Fatal(err)
			}
		}
	}
}
