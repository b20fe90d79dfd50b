package protocol

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

const someID = "0123456789012345678901234567890123456789"

func FuzzPktLine(f *testing.F) {
	for _, s := range []string{"0000", "0001", "0002", "0003", "0004", "0005a", "fff0x", "fff1", "ffff", "00", "zzzz", "0008abcd0000"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := newLineReader(bytes.NewReader(data), nil)
		read := 0
		for {
			line, kind, err := in.next()
			if err != nil {
				return
			}
			if len(line) > maxLine-4 || kind != lineData && line != nil {
				t.Fatalf("kind %d, %d bytes", kind, len(line))
			}
			if read += 4 + len(line); read > len(data) {
				t.Fatal("more lines than bytes")
			}
			if kind == lineData && len(line) < maxLine-4 && !bytes.HasSuffix(line, []byte("\n")) {
				again := newLineReader(bytes.NewReader(appendLine(nil, string(line), "\n")), nil)
				if b, _, err := again.next(); err != nil || !bytes.Equal(b, line) {
					t.Fatalf("%q became %q, %v", line, b, err)
				}
			}
		}
	})
}

func FuzzRefs(f *testing.F) {
	f.Add([]byte("003d" + someID + " refs/heads/main\n0000"))
	f.Add([]byte("0056" + someID + " HEAD symref-target:refs/heads/main peeled:" + "\n0000"))
	f.Add([]byte("000fERR go away0000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		refs, err := readRefs(newLineReader(bytes.NewReader(data), nil), 0)
		if err != nil {
			return
		}
		for _, r := range refs {
			if !validID(r.ID) || r.Name == "" || strings.Contains(r.Name, " ") {
				t.Fatalf("%+v", r)
			}
		}
	})
}

func FuzzFetchAnswer(f *testing.F) {
	f.Add([]byte("0011shallow-info\n0035shallow " + someID + "\n0001000dpackfile\n0009\x01PACK0009\x02hi\r\n0000"))
	f.Add([]byte("000dpackfile\n0009\x03oops0000"))
	f.Add([]byte("0014acknowledgments\n0008NAK\n0000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := (*Greeting)(nil).readPack(newLineReader(bytes.NewReader(data), nil), FetchRequest{})
		if err != nil {
			return
		}
		b, _ := io.ReadAll(p)
		if len(b) > len(data) {
			t.Fatal("more data than bytes")
		}
		for _, id := range append(p.Shallow, p.Unshallow...) {
			if !validID(id) {
				t.Fatalf("%q", id)
			}
		}
	})
}

func FuzzAdvert(f *testing.F) {
	first := someID + " HEAD\x00shallow side-band-64k symref=HEAD:refs/heads/main agent=git/2\n"
	f.Add([]byte("001e# service=git-upload-pack\n0000"+string(appendLine(nil, first))+string(appendLine(nil, someID, " refs/heads/main\n"))+"0000"), []byte("0035shallow "+someID+"\n00000008NAK\n0009\x01PACK0000"))
	f.Add([]byte(string(appendLine(nil, strings.Repeat("0", 40), " capabilities^{}\x00shallow\n"))+"0000"), []byte("0008NAK\nPACK"))
	f.Fuzz(func(t *testing.T, advert, answer []byte) {
		g, err := readGreeting(newLineReader(bytes.NewReader(advert), nil), LsOptions{})
		if err != nil {
			return
		}
		for _, r := range g.Refs {
			if !validID(r.ID) {
				t.Fatalf("%+v", r)
			}
		}
		request := FetchRequest{Want: someID, Have: someID, Shallow: someID, Depth: 1, Thin: true}
		_ = g.fetchRequest(request, "addagent/fuzz")
		p, err := g.readPack(newLineReader(bytes.NewReader(answer), nil), request)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, p)
	})
}

func FuzzStream(f *testing.F) {
	refs := "003d" + someID + " refs/heads/main\n0000"
	caps := "000eversion 2\n0011agent=git/2.0\n0000"
	f.Add([]byte(caps+refs), true)
	f.Add([]byte(caps+"000dpackfile\n0009\x01PACK0000"), false)
	f.Add([]byte("000eversion 2\n0019object-format=sha256\n0000"), true)
	f.Add([]byte("000eversion 1\n"+string(appendLine(nil, someID, " HEAD\x00shallow side-band-64k\n"))+"00000008NAK\n0009\x01PACK0000"), false)
	f.Fuzz(func(t *testing.T, data []byte, ask bool) {
		s := NewStream(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(data), io.Discard}, "")
		if _, err := s.Greet(LsOptions{}); err != nil {
			return
		}
		if ask {
			got, err := s.LsRefs(LsOptions{})
			for _, r := range got {
				if err == nil && !validID(r.ID) {
					t.Fatalf("%+v", r)
				}
			}
			return
		}
		if p, err := s.Fetch(FetchRequest{Want: someID, Depth: 1}); err == nil {
			_, _ = io.Copy(io.Discard, p)
		}
	})
}
