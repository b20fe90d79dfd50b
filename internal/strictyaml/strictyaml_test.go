package strictyaml

import (
	"reflect"
	"strings"
	"testing"
)

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"home", "home", 0}, {"hoem", "home", 1}, {"spred", "spread", 1}, {"kitten", "sitting", 3}, {strings.Repeat("a", 65), "a", 64}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q %q: %d", c.a, c.b, got)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"watch", "run", "timeout"}
	for in, want := range map[string]string{"wathc": "watch", "timout": "timeout", "runs": "run", "RUN": "run", "timeouts": "timeout", "x": "", "script": "", "": "", "wach": "watch"} {
		if got := Nearest(in, known); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	body, mistakes := Parse([]byte("\ufeff# first\na: text\nb: [1, 2.5, .inf, ~, true]\nc:\n  - d: |\n      x\n    d: {e: &f g}\nh:\n"))
	if len(mistakes) > 0 || body.Kind != Map || body.Line != 2 || body.Column != 1 || len(body.Fields) != 4 {
		t.Fatalf("%+v %v", body, mistakes)
	}
	b := body.Fields[1]
	var kinds []Kind
	for _, n := range b.Value.List {
		kinds = append(kinds, n.Kind)
	}
	if want := []Kind{Integer, Fraction, Infinite, Null, Bool}; !reflect.DeepEqual(kinds, want) || b.Value.List[1].Text != "2.5" || b.Value.List[1].Column != 8 {
		t.Errorf("%v, want %v: %+v", kinds, want, b)
	}
	c := body.Fields[2].Value.List[0]
	if c.Line != 5 || c.Column != 5 || c.Fields[0].Value.Kind != Block || c.Fields[0].Value.Text != "x\n" || c.Fields[0].Twice() != "" ||
		c.Fields[1].Twice() != "is set twice, first in line 5: keep one" || !c.Fields[1].Value.Flow || c.Fields[1].Value.Fields[0].Value.Kind != Reference {
		t.Errorf("%+v", c)
	}
	if h := body.Fields[3]; h.Value.Kind != Null || h.Key.Line != 8 {
		t.Errorf("%+v", h)
	}
}

func TestMistakes(t *testing.T) {
	for in, want := range map[string][]Mistake{
		"":                          nil,
		"---\n":                     nil,
		"a: 1\n\tb: 2\n\tc: 3\n":    {{2, 1, "a tab in the indentation: YAML takes spaces only"}, {3, 1, "a tab in the indentation: YAML takes spaces only"}},
		"a: \x00\n":                 {{1, 4, "a NUL character: this is no text file"}},
		"a: \xff\n":                 {{1, 1, "holds bytes that are no UTF-8: save the file as UTF-8"}},
		"a: 1\n---\nb: 2\n":         {{3, 1, "a second document: put all keys into one, without a line of dashes between them"}},
		strings.Repeat("a: [", 300): {{1, 1, "nested too deeply"}},
	} {
		if _, got := Parse([]byte(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%.40q: %+v, want %+v", in, got, want)
		}
	}
	if _, got := Parse([]byte("a: x\nb: @x\n")); len(got) != 1 || got[0].Line != 2 || !strings.HasSuffix(got[0].Text, "; a text that begins with @ must stand in quotes") {
		t.Errorf("%+v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a: &x [*x]\n<<: {a: b}\n? [a]\n: - b\n!!str a: b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, mistakes := Parse(data)
		for _, m := range mistakes {
			if m.Text == "" || m.Line < 0 {
				t.Errorf("%+v", m)
			}
		}
	})
}
