package page

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast holds the colours of the page against WCAG 2, level AA: 4.5 to 1 for text, and 3 to 1 for what is
// not text, such as the lines of a focus mark. Each colour of a state has an ink for its letter.
func TestContrast(t *testing.T) {
	light, rest, ok := strings.Cut(string(Style()), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("the style has no dark colours")
	}
	dark, _, _ := strings.Cut(rest, "\n}")
	colours := func(text string) map[string]string {
		found := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{3,6});`).FindAllStringSubmatch(text, -1) {
			found[m[1]] = m[2]
		}
		return found
	}
	for name, c := range map[string]map[string]string{"light": colours(light), "dark": colours(dark)} {
		pairs, inks := [][2]string{{"alert-text", "alert"}}, 0
		for _, ink := range []string{"text", "dim", "link"} {
			for _, back := range []string{"back", "card", "soft"} {
				pairs = append(pairs, [2]string{ink, back})
			}
		}
		for key := range c {
			if state, ok := strings.CutSuffix(key, "-ink"); ok {
				pairs, inks = append(pairs, [2]string{key, state}), inks+1
			}
		}
		if inks < 13 {
			t.Errorf("%s: %d states have colours", name, inks)
		}
		for _, p := range pairs {
			if r := contrast(t, c[p[0]], c[p[1]]); r < 4.5 {
				t.Errorf("%s: %s on %s has %.2f to 1, and text needs 4.5", name, p[0], p[1], r)
			}
		}
		for _, back := range []string{"back", "card"} {
			if r := contrast(t, c["mark"], c[back]); r < 3 {
				t.Errorf("%s: the focus mark on %s has %.2f to 1, and needs 3", name, back, r)
			}
		}
	}
}

// contrast is the ratio of two colours by WCAG 2: (lighter + 0.05) / (darker + 0.05) of their relative luminance.
func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	digits := strings.TrimPrefix(colour, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || len(digits) != 6 {
		t.Fatalf("%q is not a colour", colour)
	}
	linear := func(channel uint64) float64 {
		v := float64(channel) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8&0xff) + 0.0722*linear(n&0xff)
}
