package session

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLastLine(t *testing.T) {
	tests := map[string]string{
		"":                                      "",
		"\n\n":                                  "",
		"a\nb":                                  "b",
		"a\nb\n\n \t\n":                         "b",
		"a\naddagent: left 1 process\n":         "a",
		"addagent: only notes\n":                "",
		"\x1b[31mred\x1b[0m alert\x1b[K\n":      "red alert",
		"\x1b]0;title\x07text\n":                "text",
		"10%\r50%\r100%\n":                      "100%",
		"done\r\n":                              "done",
		"tab\there\n":                           "tab here",
		"bad \xff\xfe utf8":                     "bad utf8",
		"real\n" + strings.Repeat("\x00", 1000): "real",
		strings.Repeat("x", 300) + "\n":         strings.Repeat("x", 199) + "…",
		strings.Repeat("é", 300) + "\n":         strings.Repeat("é", 100),
		"early\n" + strings.Repeat("\n", 100<<10):    "",
		"early\n" + strings.Repeat("y", 70<<10) + "": strings.Repeat("y", 199) + "…",
	}
	for output, want := range tests {
		got := LastLine(strings.NewReader(output), int64(len(output)))
		if len(got) > lastLineMax || !utf8.ValidString(got) {
			t.Errorf("%.40q: %d bytes", output, len(got))
		}
		if got != want && !strings.HasPrefix(want, strings.TrimSuffix(got, "…")) {
			t.Errorf("%.40q: %q, want %q", output, got, want)
		}
		if want != "" && got == "" {
			t.Errorf("%.40q: nothing, want %q", output, want)
		}
	}
}

func FuzzLastLine(f *testing.F) {
	f.Add("a\nb\n")
	f.Add("\x1b[31mred\x1b[0m\r\x1b")
	f.Fuzz(func(t *testing.T, output string) {
		got := LastLine(strings.NewReader(output), int64(len(output)))
		if len(got) > lastLineMax || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x00\x1b") {
			t.Errorf("%q", got)
		}
	})
}

// BenchmarkLastLine is of what a script writes that knows how its last line is found.
func BenchmarkLastLine(b *testing.B) {
	for _, piece := range []string{"\n", "\r", "\x1b]", "\x1b[", "\x01\n", "addagent: x\n"} {
		output := strings.Repeat(piece, 64<<10/len(piece))
		b.Run(strconv.Quote(piece), func(b *testing.B) {
			for b.Loop() {
				LastLine(strings.NewReader(output), int64(len(output)))
			}
		})
	}
}
