package protocol

import (
	"bytes"
	"fmt"
	"slices"
)

// bounds says whether a server of v0 is told how much history is wanted, and answers with its borders first.
func (g *Greeting) bounds(f FetchRequest) bool {
	return g.Can("shallow") && (f.Depth > 0 || !f.Since.IsZero() && g.Can("deepen-since"))
}

// fetchV0 returns the v0 form of a fetch, with the capabilities that the server has. Without "shallow" it cannot be
// told how little we have, so then it asks for everything; bounded for all servers of the last fifteen years.
func (g *Greeting) fetchV0(f FetchRequest, agent string) []byte {
	var caps string
	announce := func(capabilities ...string) {
		if i := slices.IndexFunc(capabilities, g.Can); i >= 0 {
			caps += " " + capabilities[i]
		}
	}
	// What git announces: Azure DevOps answers no client without multi_ack, and another may insist on the rest.
	announce("multi_ack_detailed", "multi_ack")
	announce("side-band-64k", "side-band")
	if f.Thin || f.Have == "" && len(f.Known) == 0 { // without a commit of ours a pack cannot be thin
		announce("thin-pack")
	}
	announce("no-progress")
	announce("ofs-delta")
	if !f.Since.IsZero() {
		announce("deepen-since")
	}
	if g.Can("agent") {
		caps += " agent=" + agent
	}
	b := appendLine(make([]byte, 0, 512), "want ", f.Want, caps, "\n")
	b = appendLines(b, "want ", f.Also...)
	shallow := g.Can("shallow")
	if shallow {
		b = appendLines(b, "shallow ", f.Shallow)
		b = appendLines(b, "shallow ", f.Known...)
	}
	if g.bounds(f) {
		b = f.deepen(b)
	}
	b = append(b, flushPkt...)
	if shallow {
		b = appendLines(b, "have ", f.Have)
		b = appendLines(b, "have ", f.Known...)
	}
	return appendLine(b, "done\n")
}

// readPackV0 reads the answer to fetchV0 up to the pack.
func (g *Greeting) readPackV0(in *lineReader, f FetchRequest) (*Pack, error) {
	p := &Pack{}
	borders := g.bounds(f)
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
			if err := p.border(in, line); err != nil {
				return nil, err
			}
		case bytes.HasPrefix(line, []byte("ACK ")) && len(line) > len("ACK ")+idLength:
			// multi_ack: ACK ID common, continue or ready, of each commit that the server has, too. The last has no
			// word.
		case string(line) == "NAK" || bytes.HasPrefix(line, []byte("ACK ")):
			if p.r = in.r; g.Can("side-band-64k") || g.Can("side-band") {
				p.r = &demux{in: in, name: "pack"}
			}
			return p, nil
		default:
			return nil, in.badLine("answer to fetch", line)
		}
	}
}
